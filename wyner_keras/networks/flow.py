"""An invertible network between a local latent and what the decoder reads."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.mlp import MLP

Tensor = Any
# Of the log scale of one coupling: what bounds the inverse's gain, too.
_MOST_LOG_SCALE = 2.0


@keras.saving.register_keras_serializable(package="wyner_keras")
class CouplingFlow(keras.layers.Layer):
    """A conditional flow: a bijection of vectors for every condition, the identity at first.

    A conditional affine map, then affine couplings between fixed permutations: each moves half of
    the coordinates by a scale and shift that the other half and the condition set.

    Args:
        size: width of the vectors, at least 2.
        couplings: number of couplings, at least 1.
        hidden: widths of the hidden layers of each coupling's network.
        seed: of the permutations and the initial weights.

    Example:
        >>> flow = CouplingFlow(4, couplings=2)
        >>> flow.build((None, 3))
        >>> flow(np.ones((2, 4)), np.zeros((2, 3))).shape
        TensorShape([2, 4])

    Source: Dinh et al., Density estimation using Real NVP, 2017.
    """

    def __init__(
        self,
        size: int,
        couplings: int = 6,
        hidden: tuple[int, ...] = (256, 256),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.size = size
        self.couplings = couplings
        self.hidden = tuple(hidden)
        self.seed = seed
        self.half = size // 2
        generator = np.random.default_rng(seed)
        self.orders = [generator.permutation(size) for _ in range(couplings)]
        self.affine = keras.layers.Dense(2 * size, kernel_initializer="zeros", name="affine")
        self.networks = [
            MLP(
                2 * (size - self.half),
                self.hidden,
                zero_output=True,
                seed=100 * seed + position,
                name=f"coupling_{position}",
            )
            for position in range(couplings)
        ]

    def build(self, input_shape: Any) -> None:
        """Create the weights for conditions `(batch, width)`."""
        self.affine.build(input_shape)
        for network in self.networks:
            network.build([(None, self.half), tuple(input_shape)])
        self.built = True

    def _affine(self, condition: Tensor) -> tuple[Tensor, Tensor]:
        return self._shift_and_log_scale(self.affine(condition), self.size)

    def _coupling(self, position: int, fixed: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        output = self.networks[position]([fixed, condition])
        return self._shift_and_log_scale(output, self.size - self.half)

    @staticmethod
    def _shift_and_log_scale(output: Tensor, size: int) -> tuple[Tensor, Tensor]:
        output = ops.cast(output, "float32")
        return output[:, :size], _MOST_LOG_SCALE * ops.tanh(output[:, size:] / _MOST_LOG_SCALE)

    def call(self, values: Tensor, condition: Tensor) -> Tensor:
        """Images `(batch, size)` of values `(batch, size)` under conditions `(batch, width)`."""
        values = ops.cast(values, "float32")
        for position, order in enumerate(self.orders):
            values = ops.take(values, order, axis=1)
            fixed, moved = values[:, : self.half], values[:, self.half :]
            shift, log_scale = self._coupling(position, fixed, condition)
            values = ops.concatenate([fixed, moved * ops.exp(log_scale) + shift], axis=1)
            values = ops.take(values, np.argsort(order), axis=1)
        shift, log_scale = self._affine(condition)
        return values * ops.exp(log_scale) + shift

    def inverse(self, images: Tensor, condition: Tensor) -> tuple[Tensor, Tensor]:
        """Values `(batch, size)` of images, and log |d values / d images|, `(batch,)`."""
        shift, log_scale = self._affine(condition)
        values = (ops.cast(images, "float32") - shift) * ops.exp(-log_scale)
        log_determinant = -ops.sum(log_scale, axis=1)
        for position, order in reversed(list(enumerate(self.orders))):
            values = ops.take(values, order, axis=1)
            fixed, moved = values[:, : self.half], values[:, self.half :]
            shift, log_scale = self._coupling(position, fixed, condition)
            values = ops.concatenate([fixed, (moved - shift) * ops.exp(-log_scale)], axis=1)
            values = ops.take(values, np.argsort(order), axis=1)
            log_determinant = log_determinant - ops.sum(log_scale, axis=1)
        return values, log_determinant

    def compute_output_shape(self, values_shape: Any, condition_shape: Any) -> tuple[Any, ...]:
        """The shape of the values."""
        return tuple(values_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "size": self.size,
            "couplings": self.couplings,
            "hidden": list(self.hidden),
            "seed": self.seed,
        }
