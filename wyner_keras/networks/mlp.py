"""Fully connected networks for encoders and decoders."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any

import keras
from keras import ops

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class MLP(keras.layers.Layer):
    """A multilayer perceptron over the concatenation of its inputs.

    Args:
        outputs: width of the linear output.
        hidden: widths of the hidden layers; the paper's are (512, 512, 512).
        activation: of the hidden layers.
        output_activation: of the last layer; None is linear.
        dropout: rate after every hidden layer, while training.
        noise: standard deviation of Gaussian noise on the inputs, while training.
        skip: whether the output layer reads the inputs too, without that noise.
        seed: of the initial weights, dropout and noise.

    Example:
        >>> MLP(10, hidden=(32,))([np.zeros((4, 3)), np.zeros((4, 2))]).shape
        TensorShape([4, 10])
    """

    def __init__(
        self,
        outputs: int,
        hidden: Sequence[int] = (512, 512, 512),
        activation: str = "relu",
        output_activation: str | None = None,
        dropout: float = 0.0,
        noise: float = 0.0,
        skip: bool = False,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        self.outputs = outputs
        self.hidden = tuple(hidden)
        self.activation = activation
        self.output_activation = output_activation
        self.dropout = dropout
        self.noise = noise
        self.skip = skip
        self.seed = seed
        self.noise_layer = keras.layers.GaussianNoise(noise, seed=seed) if noise else None
        self.hidden_layers = []
        self.dropout_layers = []
        for position, width in enumerate(self.hidden):
            initializer = keras.initializers.GlorotUniform(seed=seed * 100 + position)
            self.hidden_layers.append(
                keras.layers.Dense(
                    width,
                    activation=activation,
                    kernel_initializer=initializer,
                    dtype=self.dtype_policy,
                    name=f"hidden_{position}",
                )
            )
            if dropout:
                self.dropout_layers.append(
                    keras.layers.Dropout(dropout, seed=seed * 100 + position)
                )
        self.output_layer = keras.layers.Dense(
            outputs,
            activation=output_activation,
            kernel_initializer=keras.initializers.GlorotUniform(seed=seed * 100 + 99),
            dtype=self.dtype_policy,
            name="output",
        )

    def build(self, input_shape: Any) -> None:
        """Create the weights for one input shape `(batch, width)`, or a list of them."""
        several = isinstance(input_shape[0], list | tuple)
        size = width = sum(shape[-1] for shape in (input_shape if several else [input_shape]))
        for layer in self.hidden_layers:
            layer.build((None, width))
            width = layer.units
        self.output_layer.build((None, width + size * self.skip))
        self.built = True

    def trunk(self, inputs: Tensor | list[Tensor], training: bool = False) -> Tensor:
        """The last hidden layer's activations `(batch, hidden[-1])`, and the inputs if skipped."""
        whole = ops.concatenate(inputs, axis=-1) if isinstance(inputs, list | tuple) else inputs
        hidden = whole = ops.cast(whole, self.compute_dtype)
        if self.noise_layer is not None:
            hidden = self.noise_layer(hidden, training=training)
        for position, layer in enumerate(self.hidden_layers):
            hidden = layer(hidden)
            if self.dropout:
                hidden = self.dropout_layers[position](hidden, training=training)
        return ops.concatenate([hidden, whole], axis=-1) if self.skip else hidden

    def call(self, inputs: Tensor | list[Tensor], training: bool = False) -> Tensor:
        """Outputs `(batch, outputs)` for one input `(batch, width)`, or a list of them."""
        return self.output_layer(self.trunk(inputs, training=training))

    def compute_output_shape(self, input_shape: Any) -> tuple[Any, ...]:
        """`(batch, outputs)`."""
        several = isinstance(input_shape[0], list | tuple)
        return ((input_shape[0] if several else input_shape)[0], self.outputs)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "outputs": self.outputs,
            "hidden": list(self.hidden),
            "activation": self.activation,
            "output_activation": self.output_activation,
            "dropout": self.dropout,
            "noise": self.noise,
            "skip": self.skip,
            "seed": self.seed,
        }
