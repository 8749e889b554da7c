"""A convolutional encoder for few pairs, whose examples are told apart by detail."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from wyner_keras.networks.group_normalization import GroupNormalization

Tensor = Any
_LENGTH = 32  # places that convolutions begin with
_GROUPS = 8  # of channels, normalised together
LEAST_SQUARE = 1e-6  # of a length that lines are divided by


class Lines(keras.layers.Layer):
    """Linear directions, each example's divided by their length to a power; 0 until they are set.

    By a power of 0 they stay as they are; by 1 all examples have one length, whatever their
    contrast.

    Args:
        count: of the directions.
    """

    def __init__(self, count: int, **kwargs: Any) -> None:
        super().__init__(trainable=False, **kwargs)
        self.count = count

    def build(self, input_shape: Any) -> None:
        """Create the weights."""
        shapes = {"kernel": (input_shape[-1], self.count), "bias": (self.count,), "power": ()}
        self.kernel, self.bias, self.power = (
            self.add_weight(shape=shape, initializer="zeros", name=name)
            for name, shape in shapes.items()
        )
        self.built = True

    def call(self, values: Tensor) -> Tensor:
        """`(batch, count)` of `(batch, values)`."""
        lines = ops.matmul(values, self.kernel) + self.bias
        square = ops.sum(ops.square(lines), axis=-1, keepdims=True)
        return lines * ops.exp(-0.5 * self.power * ops.log(ops.maximum(square, LEAST_SQUARE)))


@keras.saving.register_keras_serializable(package="wyner_keras")
class PairEncoder(keras.layers.Layer):
    """Images or series to the parameters of an expert: convolutions with group norm, then dense.

    What is longer than 48 places is averaged over as many as bring it to 32 or so first. Beside the
    dense layer stand linear directions of the values, 0 until they are set, each example's divided
    by their length to a power; no training moves them.

    Args:
        outputs: width of the linear output.
        filters: of the 3×3 convolutions; every second one halves the size. Multiples of 8.
        hidden: width of the dense layer.
        directions: number of linear directions.
        dropout: rate before the dense layer, while training.
        seed: of the initial weights and dropout.

    Example:
        >>> PairEncoder(10)(np.zeros((4, 32, 32, 3))).shape
        TensorShape([4, 10])
    """

    def __init__(
        self,
        outputs: int,
        filters: Sequence[int] = (32, 64, 64, 96, 96, 128),
        hidden: int = 256,
        directions: int = 128,
        dropout: float = 0.0,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs, self.filters, self.hidden = outputs, tuple(filters), hidden
        self.directions, self.seed = directions, seed
        self.dropout_layer = keras.layers.Dropout(dropout, seed=seed)
        self.hidden_layer = self._dense(hidden, 98, "hidden", activation="relu")
        self.linear_layer = Lines(directions, dtype=self.dtype_policy, name="linear")
        self.output_layer = self._dense(outputs, 99, "output")

    def _initializer(self, position: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=self.seed * 100 + position)

    def _dense(self, width: int, position: int, name: str, **settings: Any) -> keras.layers.Dense:
        return keras.layers.Dense(
            width,
            kernel_initializer=self._initializer(position),
            dtype=self.dtype_policy,
            name=name,
            **settings,
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights for examples `(batch, h, w, c)` or `(batch, time, channels)`."""
        # A series is a grid of one column.
        height, width, channels = (
            input_shape[1:] if len(input_shape) == 4 else (input_shape[1], 1, input_shape[2])
        )
        self.grid = (height, width, channels)
        self.pool = keras.layers.AveragePooling2D(
            tuple(max(1, round(length / _LENGTH)) for length in (height, width)), padding="same"
        )
        height, width = self.pool.compute_output_shape((None, *self.grid))[1:3]
        self.linear_layer.build((None, height * width * channels))
        self.convolutions, self.norms = [], []
        for position, count in enumerate(self.filters):
            stride = 2 if position % 2 else 1
            size = tuple(3 if length > 1 else 1 for length in (height, width))
            layer = keras.layers.Conv2D(
                count,
                size,
                strides=tuple(stride if length > 1 else 1 for length in (height, width)),
                padding="same",
                kernel_initializer=self._initializer(position),
                dtype=self.dtype_policy,
                name=f"convolution_{position}",
            )
            layer.build((None, height, width, channels))
            height, width, channels = -(-height // stride), -(-width // stride), count
            norm = GroupNormalization(_GROUPS, dtype=self.dtype_policy, name=f"norm_{position}")
            norm.build((None, height, width, channels))
            self.convolutions.append(layer)
            self.norms.append(norm)
        self.hidden_layer.build((None, height * width * channels))
        self.output_layer.build((None, self.hidden + self.directions))
        self.built = True

    @property
    def hidden_layers(self) -> list[keras.layers.Layer]:
        """All layers but the last."""
        return [*self.convolutions, *self.norms, self.hidden_layer, self.linear_layer]

    def values(self, data: Tensor) -> Tensor:
        """What directions are of, `(batch, values)`: the data, averaged where they are long."""
        return self._flat(self._pooled(data))

    def _flat(self, pooled: Tensor) -> Tensor:
        return ops.reshape(pooled, (-1, self.linear_layer.kernel.shape[0]))

    def _pooled(self, data: Tensor) -> Tensor:
        return self.pool(ops.reshape(ops.cast(data, self.compute_dtype), (-1, *self.grid)))

    def trunk(self, data: Tensor, training: bool = False) -> Tensor:
        """The dense layer's activations and the directions, `(batch, hidden + directions)`.

        Args:
            data: images in [0, 1], or series.
            training: whether dropout is on.
        """
        hidden = pooled = self._pooled(data)
        for layer, norm in zip(self.convolutions, self.norms, strict=True):
            hidden = ops.relu(norm(layer(hidden)))
        width = self.hidden_layer.kernel.shape[0]
        hidden = self.dropout_layer(ops.reshape(hidden, (-1, width)), training=training)
        return ops.concatenate(
            [self.hidden_layer(hidden), self.linear_layer(self._flat(pooled))], axis=-1
        )

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """Outputs `(batch, outputs)` of images in [0, 1], or of series."""
        return self.output_layer(self.trunk(data, training=training))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """`(batch, outputs)`."""
        return (input_shape[0], self.outputs)
