"""A codec that learns nothing: the values themselves, standardised."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.codec import Codec, log_gaussian, moments, scale_of
from wyner_keras.networks.fixed import fixed_weight

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class FlatCodec(Codec):
    """The values themselves: flattened, less their mean, divided by their deviation.

    Until it is trained, mean 0 and deviation 1.

    Args:
        shape: of one example.
        lowest: what decoded values are clipped to from below; None leaves them.
        highest: the same from above.

    Example:
        >>> codec = FlatCodec((2, 3))
        >>> codec.feature_size
        6
    """

    def __init__(
        self,
        shape: Sequence[int],
        lowest: float | None = None,
        highest: float | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.shape, self.lowest, self.highest = tuple(shape), lowest, highest
        self.mean = fixed_weight(self, "mean", np.zeros(self.feature_size))
        self.scale = fixed_weight(self, "scale", np.ones(self.feature_size))
        self.built = True

    @property
    def feature_size(self) -> int:
        """The number of values."""
        return math.prod(self.shape)

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of examples `(batch, *shape)`."""
        flat = ops.reshape(ops.cast(data, "float32"), (-1, self.feature_size))
        return (flat - self.mean) / self.scale

    def decode(self, features: Tensor) -> Tensor:
        """Examples `(batch, *shape)` of features `(batch, feature_size)`."""
        flat = features * self.scale + self.mean
        if self.lowest is not None or self.highest is not None:
            flat = ops.clip(flat, self.lowest, self.highest)
        return ops.reshape(flat, (-1, *self.shape))

    @property
    def noise_units(self) -> np.ndarray:
        """1 for bounded values, which have one noise; else the deviations of the last axis."""
        return np.asarray(self._units())

    def _units(self) -> Tensor:
        if self.lowest is not None or self.highest is not None:
            return ops.ones(1)
        scale = ops.reshape(self.scale, (-1, self.shape[-1]))
        return ops.sqrt(ops.mean(ops.square(scale), axis=0))

    def log_prob(self, data: Tensor, features: Tensor, spread: Tensor) -> Tensor:
        """Gaussian around the decoded values; see `Codec.log_prob`."""
        return log_gaussian(data, self.decode(features), spread, self._units())

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """The examples again."""
        return self.decode(self.encode(data))

    def train_on(
        self, pairs: Any, *, epochs: int = 1, batch_size: int = 1, verbose: Any = 0
    ) -> dict[str, list[float]]:
        """Set mean and deviation to those of the rows; bounded values have one of each in common.

        So that a pixel that hardly varies does not count for as much as one that does.
        """
        mean, deviation = moments(pairs, ())
        if self.lowest is not None:
            deviation = np.full_like(deviation, np.sqrt(np.square(deviation).mean()))
        self.mean.assign(mean.ravel())
        self.scale.assign(scale_of(mean, deviation).ravel())
        self.trainable = False
        return {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"shape": list(self.shape), "lowest": self.lowest, "highest": self.highest}
        return {**super().get_config(), **own}
