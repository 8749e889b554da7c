"""The velocity of a continuous flow."""

from __future__ import annotations

import math
from typing import Any

import keras
import numpy as np
from keras import ops

Tensor = Any
_FREQUENCIES = 4


@keras.saving.register_keras_serializable(package="wyner_keras")
class Velocity(keras.layers.Layer):
    """v(y, θ, context) of a continuous flow, 0 at first: a network that the context modulates.

    Args:
        size: width of y.
        hidden: widths of the hidden layers.
        seed: of the initial weights.

    Example:
        >>> velocity = Velocity(4)
        >>> velocity.build((None, 3))
        >>> velocity(np.ones((2, 4)), np.zeros((2, 1)), np.zeros((2, 3))).shape
        TensorShape([2, 4])

    Source: Perez et al., FiLM: visual reasoning with a general conditioning layer, 2018.
    """

    def __init__(
        self, size: int, hidden: tuple[int, ...] = (512, 512, 512), seed: int = 0, **kwargs: Any
    ) -> None:
        super().__init__(**kwargs)
        self.size = size

        def dense(position: int, width: int, **settings: Any) -> keras.layers.Dense:
            initializer = keras.initializers.GlorotUniform(seed=100 * seed + position)
            return keras.layers.Dense(
                width, **{"kernel_initializer": initializer, "dtype": self.dtype_policy, **settings}
            )

        count = len(hidden)
        self.hidden_layers = [dense(i, width, name=f"hidden_{i}") for i, width in enumerate(hidden)]
        self.modulations = [
            dense(count + i, 2 * width, use_bias=False, name=f"modulation_{i}")
            for i, width in enumerate(hidden)
        ]
        self.output_layer = dense(0, size, kernel_initializer="zeros", name="output")

    def build(self, input_shape: Any) -> None:
        """Create the weights for contexts `(batch, width)`."""
        context = input_shape[-1] + 2 * _FREQUENCIES + 1
        width = self.size + context
        for layer, modulation in zip(self.hidden_layers, self.modulations, strict=True):
            layer.build((None, width))
            modulation.build((None, context))
            width = layer.units
        self.output_layer.build((None, width))
        self.built = True

    def call(self, points: Tensor, time: Tensor, context: Tensor) -> Tensor:
        """The velocity `(batch, size)`.

        Args:
            points: y, `(batch, size)`.
            time: θ as a share of π/2, `(batch, 1)`.
            context: `(batch, width)`.
        """
        phases = math.pi * time * np.arange(1, _FREQUENCIES + 1, dtype=np.float32)
        context = ops.concatenate([context, time, ops.cos(phases), ops.sin(phases)], axis=-1)
        hidden = ops.concatenate([points, context], axis=-1)
        for layer, modulation in zip(self.hidden_layers, self.modulations, strict=True):
            gain, offset = ops.split(modulation(context), 2, axis=-1)
            hidden = ops.silu(layer(hidden) * (1.0 + gain) + offset)
        return ops.cast(self.output_layer(hidden), "float32")

    def compute_output_shape(self, points_shape: Any, *others: Any) -> tuple[Any, ...]:
        """The shape of the points."""
        return tuple(points_shape)
