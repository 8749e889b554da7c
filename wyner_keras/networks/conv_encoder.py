"""A convolutional encoder that reads images themselves."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

from wyner_keras.networks.augmentation import RandomShiftShear

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class ConvEncoder(keras.layers.Layer):
    """Images to the parameters of a distribution: convolutions with pooling, a dense layer.

    Args:
        outputs: width of the linear output.
        filters: of the convolutions, each followed by pooling to half the size.
        hidden: width of the dense layer.
        dropout: rate before and after the dense layer, while training.
        shift: largest random shift of the images along each axis while training, as a share of
            their size; shears go with it.
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

        def initializer(position: int) -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=seed * 100 + position)

        self.convolutions = [
            keras.layers.Conv2D(
                count,
                3,
                padding="same",
                activation="relu",
                kernel_initializer=initializer(position),
                dtype=self.dtype_policy,
                name=f"convolution_{position}",
            )
            for position, count in enumerate(self.filters)
        ]
        self.pool = keras.layers.MaxPool2D(padding="same")
        self.flatten = keras.layers.Flatten()
        self.dropout_layers = [
            keras.layers.Dropout(dropout, seed=seed * 100 + position) for position in range(2)
        ]
        self.hidden_layer = keras.layers.Dense(
            hidden,
            activation="relu",
            kernel_initializer=initializer(98),
            dtype=self.dtype_policy,
            name="hidden",
        )
        self.output_layer = keras.layers.Dense(
            outputs, kernel_initializer=initializer(99), dtype=self.dtype_policy, name="output"
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights for images `(batch, h, w, c)`."""
        height, width, channels = input_shape[1:]
        self.augmentation = RandomShiftShear(self.shift * min(height, width), seed=self.seed)
        for layer in self.convolutions:
            layer.build((None, height, width, channels))
            height, width, channels = -(-height // 2), -(-width // 2), layer.filters
        self.hidden_layer.build((None, height * width * channels))
        self.output_layer.build((None, self.hidden))
        self.built = True

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Outputs `(batch, outputs)` of images `(batch, h, w, c)` in [0, 1]."""
        hidden = ops.cast(self.augmentation(images, training=training), self.compute_dtype)
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
