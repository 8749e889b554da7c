"""What a stage minimises: terms by name, each in nats an example.

A loss names the networks that it trains and gives the weight of each of its terms; a weight is a
field of the loss that reads it, so it exists only where it acts. Terms without a weight are
monitors: reported, not minimised. `draw` is where a loss takes its samples from.
"""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from typing import Any, ClassVar, Protocol, Self

import keras
from keras import ops

from wyner_keras.latents import Latent
from wyner_keras.model import WynerModel

Tensor = Any


class Draw(Protocol):
    """Samples of a step, from the stage's stream of noise."""

    @property
    def temperature(self) -> Any:
        """Of relaxed samples; may be scheduled."""

    @property
    def two_epsilon_squared(self) -> Any:
        """2ε² in squared feature units; may be scheduled."""

    @property
    def heads(self) -> list[Any]:
        """The layers of `Loss.heads`."""

    def __call__(self, latent: Latent, distribution: Any, exact: bool = False) -> Tensor:
        """A sample of a distribution of the latent, relaxed at the temperature unless exact."""

    def prior(self, latent: Latent, count: Any) -> Tensor:
        """Samples of the latent's prior, `(count, size)`."""

    def normal(self, shape: Any) -> Tensor:
        """Standard normal noise."""

    def uniform(self, shape: Any) -> Tensor:
        """Uniform noise on [0, 1)."""


class Loss:
    """A stage's objective. Subclasses are frozen dataclasses: their fields are weights.

    Attributes:
        takes_singles: whether it is of use without a partner too. Its pairs then hold strangers,
            see `Pairs.with_singles`, and its batches "partners", a mask `(batch,)` of the others.
        arrays_suffice: whether what `arrays` gives stands in place of features.
    """

    takes_singles: ClassVar[bool] = False
    arrays_suffice: ClassVar[bool] = True

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The networks that it trains."""
        raise NotImplementedError

    def reads(self, model: WynerModel) -> bool:
        """Whether it needs the examples, not their features alone."""
        return False

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """The weight of each term that is minimised."""
        raise NotImplementedError

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """The terms of a batch, unreduced `(batch,)` or batch scalars.

        Args:
            model: the model.
            batch: by side "x" the examples, where the loss reads data; as "x_features" theirs;
                "partners" where some rows are strangers.
            draw: where samples come from.
            training: whether dropout and noise are on.
        """
        raise NotImplementedError

    def adapted(self, model: WynerModel, pairs: Any) -> Loss | None:
        """The loss as it suits a model and pairs, which it leaves alone; None for nothing to do."""
        return self

    def left_out(self, model: WynerModel, pairs: Any) -> None:
        """What is done to the model where there are no steps to take."""

    def heads(self, model: WynerModel) -> list[keras.layers.Layer]:
        """Layers that the loss needs besides the model's, trained too."""
        return []

    def begin(self, stage: Any, pairs: Any) -> None:
        """What is done before the first step, with all pairs."""

    def arrays(self, stage: Any, pairs: Any) -> dict[str, Any] | None:
        """What batches hold by name, a row a pair; None for features alone."""
        return None

    def split(self, pairs: Any, seed: int) -> tuple[Any, Any]:
        """Pairs to train on, with singles where it takes them; and pairs to choose by, or None."""
        return (pairs.with_singles() if self.takes_singles else pairs), None

    def end(self, stage: Any, pairs: Any, validation: Any = None) -> None:
        """What is done after the last step, with all pairs, and with those to choose by if any."""

    def get_config(self) -> dict[str, Any]:
        """The fields as JSON-able values."""
        return dataclasses.asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The loss again, from `get_config`'s values."""
        return cls(**config)


def rows_of(batch: Mapping[str, Tensor]) -> Any:
    """Rows of a batch: static where known, which lets XLA specialise."""
    first = next(iter(batch.values()))
    return first.shape[0] if first.shape[0] is not None else ops.shape(first)[0]
