"""A convolutional encoder that reads examples themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from wyner_keras.networks.augmentation import RandomShiftShear

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class ConvEncoder(keras.layers.Layer):
    """Images or series to the parameters of a distribution: convolutions with pooling, then dense.

    Augmentation, of images alone: small random shifts and shears while training.

    Args:
        outputs: width of the linear output.
        filters: of the convolutions, each followed by pooling to half the size.
        hidden: width of the dense layer.
        dropout: rate before and after the dense layer, while training.
        shift: largest random shift of images along each axis while training, as a share of their
            size; shears go with it.
        seed: of the initial weights, dropout and shifts.

    Example:
        >>> ConvEncoder(10)(np.zeros((4, 28, 28, 1))).shape
        TensorShape([4, 10])
    """

    def __init__(
        self,
        outputs: int,
        filters: Sequence[int] = (32, 64),
        hidden: int = 128,
        dropout: float = 0.3,
        shift: float = 1 / 14,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs = outputs
        self.filters = tuple(filters)
        self.hidden = hidden
        self.dropout = dropout
        self.shift = shift
        self.seed = seed

        self.flatten = keras.layers.Flatten()
        self.dropout_layers = [
            keras.layers.Dropout(dropout, seed=seed * 100 + position) for position in range(2)
        ]
        self.hidden_layer = keras.layers.Dense(
            hidden,
            activation="relu",
            kernel_initializer=self._initializer(98),
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.output_layer = keras.layers.Dense(
            outputs,
            kernel_initializer=self._initializer(99),
            dtype=self.dtype_policy,
            name="output",
        )

    def _initializer(self, position: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=self.seed * 100 + position)

    def build(self, input_shape: Any) -> None:
        """Create the weights for examples `(batch, h, w, c)` or `(batch, time, channels)`."""
        self.is_image = len(input_shape) == 4
        # A series is a grid of one column.
        height, width, channels = (
            input_shape[1:] if self.is_image else (*input_shape[1:2], 1, input_shape[2])
        )
        self.grid = (height, width, channels)
        self.augmentation = None
        if self.is_image and self.shift:
            self.augmentation = RandomShiftShear(self.shift * min(height, width), seed=self.seed)
        self.convolutions = [
            keras.layers.Conv2D(
                count,
                (3 if height > 1 else 1, 3 if width > 1 else 1),
                padding="same",
                activation="relu",
                kernel_initializer=self._initializer(position),
                dtype=self.dtype_policy,
                name=f"convolution_{position}",
            )
            for position, count in enumerate(self.filters)
        ]
        self.pool = keras.layers.MaxPool2D(
            (2 if height > 1 else 1, 2 if width > 1 else 1), padding="same"
        )
        for layer in self.convolutions:
            layer.build((None, height, width, channels))
            height, width, channels = -(-height // 2), -(-width // 2), layer.filters
        self.flatten.build((None, height, width, channels))
        self.hidden_layer.build((None, height * width * channels))
        self.output_layer.build((None, self.hidden))
        self.built = True

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """Outputs `(batch, outputs)` of images in [0, 1], or of series."""
        if self.augmentation is not None:
            data = self.augmentation(data, training=training)
        hidden = ops.reshape(ops.cast(data, self.compute_dtype), (-1, *self.grid))
        for layer in self.convolutions:
            hidden = self.pool(layer(hidden))
        hidden = self.dropout_layers[0](self.flatten(hidden), training=training)
        hidden = self.dropout_layers[1](self.hidden_layer(hidden), training=training)
        return self.output_layer(hidden)

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """`(batch, outputs)`."""
        return (input_shape[0], self.outputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "filters": list(self.filters),
            "hidden": self.hidden,
            "dropout": self.dropout,
            "shift": self.shift,
            "seed": self.seed,
        }
