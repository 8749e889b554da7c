"""Settings of a training run: frozen, checked, stored as JSON."""

from __future__ import annotations

import dataclasses
import math
from dataclasses import dataclass
from typing import Any

import keras

from wyner_keras.data.checks import check_number
from wyner_keras.models import WynerConfig
from wyner_keras.received import received
from wyner_keras.training.schedules import Ramp

STAGES = ("alignment", "joint", "flow", "marginal", "refinement")


def _check_counts(**values: Any) -> None:
    for name, value in values.items():
        if isinstance(value, bool) or not isinstance(value, int) or value < 1:
            raise ValueError(
                f"`{name}` should be a positive integer. Received: {name}={received(value)}"
            )


@dataclass(frozen=True, kw_only=True)
class WrapperSettings:
    """Of the convolutional autoencoder and its training; see `ConvAutoencoder`."""

    code_size: int = 64
    filters: tuple[int, int] = (32, 64)
    noise: float = 0.25
    slant: bool = True
    epochs: int = 6
    batch_size: int = 128

    def __post_init__(self) -> None:
        _check_counts(code_size=self.code_size, epochs=self.epochs, batch_size=self.batch_size)
        object.__setattr__(self, "filters", tuple(self.filters))


@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """Of one stage.

    Args:
        epochs: passes over the pairs.
        batch_size: pairs a step.
        learning_rate: of Adam, by epoch.
        temperature: of the Gumbel-softmax, by epoch.
        local_weight: β on KL(u) and KL(v), by epoch; the joint stage's only.
        two_epsilon_squared: 2ε² by epoch; None keeps the config's.
        average: momentum of the moving average of the weights, a step, which the stage leaves in
            place of the last ones; None leaves the last ones.
        concept_weight: κ; None keeps the config's; of the joint stage and the refinement.
        jit_compile: whether XLA compiles the step; it pays for wide dense networks.

    Raises:
        ValueError: if a count is not positive or the average out of range.
    """

    epochs: int
    batch_size: int = 256
    learning_rate: Ramp = Ramp(start=1e-3, end=3e-5)
    temperature: Ramp = Ramp(start=1.0, end=0.5)
    local_weight: Ramp | None = None
    two_epsilon_squared: Ramp | None = None
    average: float | None = None
    concept_weight: float | None = None
    jit_compile: bool = True

    def __post_init__(self) -> None:
        _check_counts(epochs=self.epochs, batch_size=self.batch_size)
        if self.average is not None:
            check_number(self.average, "`average`", "in [0, 1)")
            if not 0 <= self.average < 1:
                raise ValueError(f"`average` should be in [0, 1). Received: average={self.average}")


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run: what is built, and how each stage trains it.

    Args:
        name: its name.
        config: the W-model's settings.
        pairs_per_class: pairs drawn for each class of x.
        wrapper: of the autoencoder; None models the pixels.
        wrapper_y: of y's own autoencoder, where y is drawn from a source of its own; None takes
            the same settings.
        alignment: stage 0; None goes without.
        joint: stage 1.
        marginal: stage 2.
        flow: the flows of U and V, after stage 1; None goes without.
        refinement: more of stage 1, over the decoders alone, after stage 2, whose encoders read its
            concept term; None goes without.
        train_experts: whether stage 1 trains the joint encoder of z too; False leaves it as the
            alignment stage found it.
        distillation_weight: of the joint posterior in stage 2; 0 is the paper's.
        warm_start: whether stage 2 starts from the joint encoders.
        train_marginal_locals: whether stage 2 trains q(u|x,z) and q(v|y,z); False leaves them as
            they start.

    Raises:
        ValueError: if a value is not as said.
    """

    name: str
    config: WynerConfig
    pairs_per_class: int
    joint: StageSettings
    marginal: StageSettings
    wrapper: WrapperSettings | None = None
    alignment: StageSettings | None = None
    flow: StageSettings | None = None
    refinement: StageSettings | None = None
    train_experts: bool = True
    distillation_weight: float = 0.0
    warm_start: bool = False
    train_marginal_locals: bool = True
    wrapper_y: WrapperSettings | None = None

    def __post_init__(self) -> None:
        _check_counts(pairs_per_class=self.pairs_per_class)
        if self.wrapper is None and self.wrapper_y is not None:
            raise ValueError(
                "`wrapper_y` should be None where `wrapper` is: both sides have one, or neither. "
                f"Received: wrapper_y={received(self.wrapper_y)}"
            )

    def longer(self, factor: float) -> Recipe:
        """The recipe with `factor` times the epochs of the wrappers and of every stage.

        Args:
            factor: above 0; below 1 is shorter. Epochs are rounded, and at least one.

        Returns:
            The recipe; ramps still run over the whole of their stage.

        Raises:
            ValueError: if the factor is not a finite number above 0.
        """
        check_number(factor, "`factor`", "a finite number above 0")
        if not 0 < factor < math.inf:
            raise ValueError(
                f"`factor` should be a finite number above 0. Received: factor={factor}"
            )
        changed: dict[str, Any] = {}
        for name in ("wrapper", "wrapper_y", *STAGES):
            part = getattr(self, name)
            changed[name] = part and dataclasses.replace(
                part, epochs=max(1, round(factor * part.epochs))
            )
        return dataclasses.replace(self, **changed)

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; `from_dict` reads them."""
        values = dataclasses.asdict(dataclasses.replace(self, config=WynerConfig()))
        values["config"] = keras.saving.serialize_keras_object(self.config)
        if self.wrapper_y is None:
            # What was stored before there was such a setting stays equal to what is stored now.
            del values["wrapper_y"]
        return values

    @classmethod
    def from_dict(cls, values: dict[str, Any]) -> Recipe:
        """The recipe again, from `to_dict`'s values."""

        def stage(settings: dict[str, Any] | None) -> StageSettings | None:
            if settings is None:
                return None
            fields: dict[str, Any] = {
                name: Ramp(**value) if isinstance(value, dict) else value
                for name, value in settings.items()
            }
            return StageSettings(**fields)

        wrapper, wrapper_y = (
            None if settings is None else WrapperSettings(**settings)
            for settings in (values["wrapper"], values.get("wrapper_y"))
        )
        return cls(
            **{
                **values,
                "config": keras.saving.deserialize_keras_object(values["config"]),
                "wrapper": wrapper,
                "wrapper_y": wrapper_y,
                **{name: stage(values[name]) for name in STAGES},
            }
        )
