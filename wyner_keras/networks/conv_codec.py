"""A codec of convolutions, of images and series."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import WIDEST
from wyner_keras.networks.codec import Codec, log_gaussian, moments, scale_of
from wyner_keras.networks.fixed import fixed_weight
from wyner_keras.networks.shear import Shear, slant

Tensor = Any
logger = logging.getLogger(__name__)

# One slant decides over more pixels than one of many code features does.
_SLANT_DEVIATION = 2.0


@keras.saving.register_keras_serializable(package="wyner_keras")
class ConvCodec(Codec):
    """A convolutional autoencoder of images `(h, w, c)` in [0, 1] or of series `(time, channels)`.

    Features have mean 0 and variance 1 each (batch normalisation without scale), and the decoder
    is trained on features with a little noise, so that it forgives the error of a model that puts
    features out. With `slant=True` one more feature, of standard deviation 2, is the image's slant:
    the code then describes the image sheared upright, and decoding shears it back.

    Images are trained by binary cross-entropy; series, standardised by channel, by squared error.

    Args:
        shape: `(height, width, channels)` or `(time, channels)`.
        code_size: number of features of the convolutional code.
        filters: of the stride-2 convolutions; an axis of one place is not halved.
        noise: standard deviation of the noise on the code while training, in feature units.
        slant: whether the slant is a feature of its own.
        encoder: a layer from examples to anything, in place of the convolutions; None for those.
        decoder: a layer from features to examples, likewise.
        seed: of initial weights and noise.

    Example:
        >>> ConvCodec((28, 28, 1), slant=True).feature_size
        65
    """

    def __init__(
        self,
        shape: Sequence[int],
        code_size: int = 64,
        filters: Sequence[int] = (32, 64),
        noise: float = 0.06,
        slant: bool = False,
        encoder: keras.layers.Layer | None = None,
        decoder: keras.layers.Layer | None = None,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.shape = tuple(shape)
        self.code_size = code_size
        self.filters = tuple(filters)
        self.noise = noise
        self.slant = slant
        self.own_encoder, self.own_decoder = encoder, decoder
        self.is_image = len(self.shape) == 3
        seeds = iter(range(seed * 100, seed * 100 + 99))

        def initializer() -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=next(seeds))

        # A series is a grid of one column.
        height, width, channels = self.shape if self.is_image else (shape[0], 1, shape[1])
        strides = (2 if height > 1 else 1, 2 if width > 1 else 1)
        kernel = (3 if height > 1 else 1, 3 if width > 1 else 1)

        def convolution(kind: type, filters: int, activation: str | None) -> Any:
            return kind(
                filters,
                kernel,
                strides,
                padding="same",
                activation=activation,
                kernel_initializer=initializer(),
            )

        down, up = keras.layers.Conv2D, keras.layers.Conv2DTranspose
        self.encoder = keras.Sequential(
            [
                keras.Input(self.shape),
                *(
                    [keras.layers.Reshape((height, width, channels))]
                    if not self.is_image and encoder is None
                    else []
                ),
                *(
                    [convolution(down, count, "relu") for count in self.filters]
                    if encoder is None
                    else [encoder]
                ),
                keras.layers.Flatten(),
                # Sums of thousands of terms: rounded in float32, they would differ between engines
                # by more than all that follows.
                keras.layers.Dense(code_size, kernel_initializer=initializer(), dtype=WIDEST),
            ],
            name="encoder",
        )
        self.standardise = keras.layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, name="standardise"
        )
        self.noise_layer = keras.layers.GaussianNoise(noise, seed=seed)
        halvings = len(self.filters)
        grid = (-(-height // strides[0] ** halvings), -(-width // strides[1] ** halvings))
        reached = (grid[0] * strides[0] ** halvings, grid[1] * strides[1] ** halvings)
        *before, last = self.filters
        layers: list[Any] = [keras.Input((code_size,))]
        if decoder is not None:
            layers.append(decoder)
        else:
            layers += [
                keras.layers.Dense(
                    math.prod(grid) * last, activation="relu", kernel_initializer=initializer()
                ),
                keras.layers.Reshape((*grid, last)),
                *(convolution(up, count, "relu") for count in reversed(before)),
                convolution(up, channels, "sigmoid" if self.is_image else None),
            ]
            if reached != (height, width):
                crop = ((0, reached[0] - height), (0, reached[1] - width))
                layers.append(keras.layers.Cropping2D(crop))
            if not self.is_image:
                layers.append(keras.layers.Reshape(self.shape))
        self.decoder = keras.Sequential(layers, name="decoder")
        self.shear = Shear()
        self.standardise.build((None, code_size))
        self.slant_scale = fixed_weight(self, "slant_scale", np.ones(()))
        if not self.is_image:
            self.mean = fixed_weight(self, "mean", np.zeros(channels))
            self.scale = fixed_weight(self, "scale", np.ones(channels))
        self.built = True

    @property
    def feature_size(self) -> int:
        """Width of the features, the slant included."""
        return self.code_size + int(self.slant)

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of examples `(batch, *shape)`."""
        data = ops.cast(data, "float32")
        if not self.is_image:
            data = (data - self.mean) / self.scale
        if not self.slant:
            return ops.cast(self.standardise(self.encoder(data), training=training), "float32")
        angle = slant(data)
        code = self.standardise(self.encoder(self.shear(data, angle)), training=training)
        return ops.concatenate([ops.cast(code, "float32"), (angle / self.slant_scale)[:, None]], -1)

    def decode(self, features: Tensor) -> Tensor:
        """Examples `(batch, *shape)` of features `(batch, feature_size)`."""
        data = ops.cast(self.decoder(features[:, : self.code_size]), "float32")
        if self.slant:
            data = self.shear(data, -features[:, -1] * self.slant_scale)
        return data if self.is_image else data * self.scale + self.mean

    @property
    def noise_units(self) -> np.ndarray:
        """1 for images, which have one noise; of series the deviation of each channel."""
        return np.ones(1, np.float32) if self.is_image else np.asarray(self.scale)

    def log_prob(self, data: Tensor, features: Tensor, spread: Tensor) -> Tensor:
        """Gaussian around the decoded example; see `Codec.log_prob`."""
        units = ops.ones(1) if self.is_image else self.scale
        return log_gaussian(data, self.decode(features), spread, units)

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """Reconstructions `(batch, *shape)`."""
        features = self.encode(data, training=training)
        code = self.noise_layer(features[:, : self.code_size], training=training)
        return self.decode(ops.concatenate([code, features[:, self.code_size :]], axis=-1))

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Mean binary cross-entropy of a pixel, nats; of series half the squared error."""
        if self.is_image:
            return ops.mean(keras.losses.binary_crossentropy(y, y_pred))
        return 0.5 * ops.mean(ops.square((y - y_pred) / self.scale))

    def train_on(
        self, pairs: Any, *, epochs: int, batch_size: int, verbose: Any = "auto"
    ) -> dict[str, list[float]]:
        """Train, then freeze; see `Codec.train_on`. The history's loss is of `compute_loss`."""
        if not self.is_image:
            mean, deviation = moments(pairs, (1,))
            self.mean.assign(mean)
            self.scale.assign(scale_of(mean, deviation))
        if self.slant:
            angles = [np.asarray(slant(batch)) for batch, _ in pairs.dataset(1000, shuffle=False)]
            spread = max(float(np.concatenate(angles).std()), 1e-3)
            self.slant_scale.assign(spread / _SLANT_DEVIATION)
        return self._fit(pairs, epochs, batch_size, verbose, metrics=["mse"])

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        serialize = keras.saving.serialize_keras_object
        return {
            **super().get_config(),
            "shape": list(self.shape),
            "code_size": self.code_size,
            "filters": list(self.filters),
            "noise": self.noise,
            "slant": self.slant,
            "encoder": serialize(self.own_encoder),
            "decoder": serialize(self.own_decoder),
        }

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> ConvCodec:
        """The codec again, from `get_config`'s values; weights are loaded by Keras."""
        deserialize = keras.saving.deserialize_keras_object
        own = {name: deserialize(config[name]) for name in ("encoder", "decoder")}
        return cls(**{**config, **own})
