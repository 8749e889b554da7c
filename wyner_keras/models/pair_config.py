"""Settings that every model of pairs has."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Self

import keras
import numpy as np

from wyner_keras.data.checks import check_number
from wyner_keras.latents import DiagonalGaussian, Latent
from wyner_keras.received import received

_LATENTS = ("z", "u", "v")


@dataclass(frozen=True, kw_only=True)
class PairConfig:
    """What a model of pairs is made of; each model has its own subclass.

    Args:
        u: the latent U of x; None for none.
        v: the latent V of y; None for none.
        hidden: widths of the hidden layers of every encoder and decoder.
        distance: where ‖x − x_θ‖² is measured: in the wrapper's "features", or in "pixels" through
            the frozen wrapper decoder.
        two_epsilon_squared: 2ε² in squared units of the distance (features have unit variance).
        x_shape: `(h, w, c)` of x; None takes the wrapper's or the first data's.
        y_shape: the same for y.
        seed: of the initial weights and of all noise drawn while training.

    Raises:
        ValueError: for a value that is not one of those named.
    """

    u: Latent | None = dataclasses.field(default_factory=lambda: DiagonalGaussian(dim=32))
    v: Latent | None = dataclasses.field(default_factory=lambda: DiagonalGaussian(dim=32))
    hidden: tuple[int, ...] = (512, 512, 512)
    distance: str = "features"
    two_epsilon_squared: float = 0.2
    x_shape: tuple[int, int, int] | None = None
    y_shape: tuple[int, int, int] | None = None
    seed: int = 0

    def __post_init__(self) -> None:
        self._check_latent("u", optional=True)
        self._check_latent("v", optional=True)
        self._check_choice("distance", ("features", "pixels"))
        if not check_number(self.two_epsilon_squared, "`two_epsilon_squared`", "positive") > 0:
            raise ValueError(
                "`two_epsilon_squared` should be positive. "
                f"Received: two_epsilon_squared={received(self.two_epsilon_squared)}"
            )
        hidden = tuple(self.hidden) if isinstance(self.hidden, list | tuple) else ()
        if not hidden or any(not isinstance(width, int) or width < 1 for width in hidden):
            raise ValueError(
                f"`hidden` should be positive integers. Received: hidden={received(self.hidden)}"
            )
        object.__setattr__(self, "hidden", hidden)
        if isinstance(self.seed, bool) or not isinstance(self.seed, int) or self.seed < 0:
            raise ValueError(
                f"`seed` should be a non-negative integer. Received: seed={received(self.seed)}"
            )
        for name in ("x_shape", "y_shape"):
            shape = getattr(self, name)
            if shape is not None:
                sizes = tuple(shape) if isinstance(shape, list | tuple) else ()
                whole = all(isinstance(size, int | np.integer) for size in sizes)
                if len(sizes) != 3 or not whole or min(sizes) < 1:
                    raise ValueError(
                        f"`{name}` should be (height, width, channels). "
                        f"Received: {name}={received(shape)}"
                    )
                object.__setattr__(self, name, tuple(map(int, sizes)))

    def _check_latent(self, name: str, optional: bool) -> None:
        value = getattr(self, name)
        if not (isinstance(value, Latent) or (value is None and optional)):
            raise ValueError(
                f"`{name}` should be a latent family such as Categorical(n=1, k=10). "
                f"Received: {name}={received(value)}"
            )

    def _check_choice(self, name: str, choices: tuple[str, ...]) -> None:
        value = getattr(self, name)
        if not isinstance(value, str) or value not in choices:
            raise ValueError(
                f"`{name}` should be one of {choices}. Received: {name}={received(value)}"
            )

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        for name in _LATENTS:
            if name in values:
                values[name] = keras.saving.serialize_keras_object(values[name])
        return {
            name: list(value) if isinstance(value, tuple) else value
            for name, value in values.items()
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The settings again, from `get_config`'s values."""
        values = dict(config)
        for name in _LATENTS:
            if isinstance(values.get(name), dict):
                values[name] = keras.saving.deserialize_keras_object(values[name])
        return cls(**values)
