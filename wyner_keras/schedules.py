"""Schedules: a ramp over training, and the Keras callback that follows it."""

from __future__ import annotations

import math
from dataclasses import asdict, dataclass, fields

import keras

from wyner_keras.data.checks import check_number


@dataclass(frozen=True, kw_only=True)
class Ramp:
    """A geometric ramp over the fraction of training done.

    Args:
        start: value up to the fraction `begin`, positive and finite.
        end: value from the fraction `finish` on, positive and finite.
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
        if not (0 < self.start < math.inf and 0 < self.end < math.inf):
            raise ValueError(f"`start` and `end` should be positive and finite. Received: {self}")
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
    """Assign ramps' values to what a stage lets change, at the beginning of every epoch.

    The values depend on the epoch alone, so a resumed `fit` goes on where it was. The optimizer's
    learning rate must be a number, not a Keras schedule.

    Args:
        **ramps: by name: "learning_rate", "temperature" or "two_epsilon_squared"; progress runs
            from 0 in the first epoch to 1 in the last. None leaves it as it is.

    Raises:
        ValueError: for another name.
    """

    def __init__(self, **ramps: Ramp | None) -> None:
        super().__init__()
        unknown = sorted(set(ramps) - {"learning_rate", "temperature", "two_epsilon_squared"})
        if unknown:
            raise ValueError(
                "ramps should be of learning_rate, temperature or two_epsilon_squared. "
                f"Received: {unknown}"
            )
        self.ramps = {name: ramp for name, ramp in ramps.items() if ramp is not None}

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Assign the values of this epoch."""
        progress = epoch / max(1, self.params["epochs"] - 1)
        for name, ramp in self.ramps.items():
            if name == "learning_rate":
                self.model.optimizer.learning_rate = ramp(progress)
            else:
                getattr(self.model, name).assign(ramp(progress))
