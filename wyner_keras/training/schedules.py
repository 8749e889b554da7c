"""Schedules as Keras callbacks: one each for the variables that a stage lets change."""

from __future__ import annotations

from dataclasses import asdict, dataclass, fields
from typing import ClassVar

import keras

from wyner_keras.data.checks import check_number


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A geometric ramp over the fraction of training done.

    Args:
        start: value up to the fraction `begin`, positive.
        end: value from the fraction `finish` on, positive.
        begin: where the ramp begins, in [0, 1).
        finish: where it ends, in (begin, 1].

    Raises:
        ValueError: if a value is not as said.

    Example:
        >>> Ramp(start=1.0, end=0.01)(0.5)
        0.1
    """

    start: float
    end: float
    begin: float = 0.0
    finish: float = 1.0

    def __post_init__(self) -> None:
        for field in fields(self):
            check_number(getattr(self, field.name), f"`{field.name}`", "a number")
        if not (self.start > 0 and self.end > 0):
            raise ValueError(f"`start` and `end` should be positive. Received: {self}")
        if not 0 <= self.begin < self.finish <= 1:
            raise ValueError(
                f"`begin` and `finish` should satisfy 0 <= begin < finish <= 1. Received: {self}"
            )

    def __call__(self, progress: float) -> float:
        """The value at a fraction of training done, in [0, 1]."""
        done = min(1.0, max(0.0, (progress - self.begin) / (self.finish - self.begin)))
        return float(self.start * (self.end / self.start) ** done)

    @classmethod
    def constant(cls, value: float) -> Ramp:
        """A ramp that stays where it is."""
        return cls(start=value, end=value)

    def to_dict(self) -> dict[str, float]:
        """The fields, for JSON."""
        return asdict(self)


class Schedule(keras.callbacks.Callback):
    """Assign a ramp's value to a variable of the stage at the beginning of every epoch.

    The value depends on the epoch alone, so a resumed `fit` goes on where it was.

    Args:
        ramp: the values; progress runs from 0 in the first epoch to 1 in the last.
    """

    variable: ClassVar[str] = ""

    def __init__(self, ramp: Ramp) -> None:
        super().__init__()
        self.ramp = ramp

    def assign(self, value: float) -> None:
        """Set the stage's variable."""
        variable = getattr(self.model, self.variable, None)
        if variable is None:
            raise ValueError(
                f"{type(self).__name__} needs a stage with a variable `{self.variable}`. "
                f"Received: {type(self.model).__name__}"
            )
        variable.assign(value)

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Assign the value of this epoch."""
        self.assign(self.ramp(epoch / max(1, self.params["epochs"] - 1)))


class TemperatureSchedule(Schedule):
    """Anneal the temperature of the Gumbel-softmax."""

    variable = "temperature"


class CapacitySchedule(Schedule):
    """Release the capacity of U and V: anneal the weight β on their KL, from high to 1."""

    variable = "local_weight"


class NoiseScaleSchedule(Schedule):
    """Anneal 2ε², the width of the Gaussian that stands for the Dirac delta."""

    variable = "two_epsilon_squared"


class LearningRateSchedule(Schedule):
    """Anneal the optimizer's learning rate, which must be a number, not a Keras schedule."""

    def assign(self, value: float) -> None:
        """Set the learning rate."""
        self.model.optimizer.learning_rate = value
