"""The convolutional autoencoder that wraps the stochastic encoders and decoders."""

from __future__ import annotations

import functools
import logging
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.data import LabelledImages, Pairs, check_images
from wyner_keras.networks.shear import Shear, slant
from wyner_keras.received import received

Tensor = Any
logger = logging.getLogger(__name__)

# One slant decides over more pixels than one of many code features does.
_SLANT_DEVIATION = 2.0


@keras.saving.register_keras_serializable(package="wyner_keras")
class ConvAutoencoder(keras.Model):
    """Images to standardised features and back, trained by its own `train` call, then frozen.

    Code features have zero mean and unit variance each (batch normalisation without scale), and
    the decoder is trained on features with a little noise, so that it forgives the error of a
    model that puts features out. With `slant=True` one more feature, of standard deviation 2, is
    the image's slant: the code then describes the image sheared upright, and decoding shears it
    back.

    Args:
        image_shape: `(height, width, channels)`.
        code_size: number of features of the convolutional code.
        filters: of the two stride-2 convolutions.
        noise: standard deviation of the noise on the code while training, in feature units.
        slant: whether the slant is a feature of its own.
        seed: of initial weights and noise.

    Example:
        >>> wrapper = ConvAutoencoder((28, 28, 1))
        >>> wrapper.feature_size
        65
    """

    built: bool

    def __init__(
        self,
        image_shape: Sequence[int],
        code_size: int = 64,
        filters: Sequence[int] = (32, 64),
        noise: float = 0.25,
        slant: bool = True,
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        sizes = tuple(image_shape) if isinstance(image_shape, Sequence) else ()
        whole = all(isinstance(size, int | np.integer) and size > 0 for size in sizes)
        if len(sizes) != 3 or not whole or any(size % 4 for size in sizes[:2]):
            raise ValueError(
                "`image_shape` should be (height, width, channels) with height and width "
                f"divisible by 4. Received: image_shape={received(image_shape)}"
            )
        rows, columns, depth = (int(size) for size in image_shape)
        self.image_shape = (rows, columns, depth)
        self.code_size = code_size
        self.filters = tuple(filters)
        self.noise = noise
        self.slant = slant
        self.seed = seed
        height, width, channels = self.image_shape
        seeds = iter(range(seed * 100, seed * 100 + 99))

        def initializer() -> keras.initializers.Initializer:
            return keras.initializers.GlorotUniform(seed=next(seeds))

        def convolution(kind: type, filters: int, strides: int, activation: str) -> Any:
            return kind(
                filters,
                3,
                strides,
                padding="same",
                activation=activation,
                kernel_initializer=initializer(),
            )

        down, up = keras.layers.Conv2D, keras.layers.Conv2DTranspose
        first, second = self.filters
        self.encoder = keras.Sequential(
            [
                keras.Input(self.image_shape),
                convolution(down, first, 2, "relu"),
                convolution(down, second, 2, "relu"),
                keras.layers.Flatten(),
                # Sums of thousands of terms: rounded in float32, they would differ between engines
                # by more than all that follows.
                keras.layers.Dense(code_size, kernel_initializer=initializer(), dtype="float64"),
            ],
            name="encoder",
        )
        self.standardise = keras.layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, name="standardise"
        )
        self.noise_layer = keras.layers.GaussianNoise(noise, seed=seed)
        self.decoder = keras.Sequential(
            [
                keras.Input((code_size,)),
                keras.layers.Dense(
                    height // 4 * (width // 4) * second,
                    activation="relu",
                    kernel_initializer=initializer(),
                ),
                keras.layers.Reshape((height // 4, width // 4, second)),
                convolution(up, first, 2, "relu"),
                convolution(up, channels, 2, "sigmoid"),
            ],
            name="decoder",
        )
        self.shear = Shear()

    @property
    def feature_size(self) -> int:
        """Width of the features, the slant included."""
        return self.code_size + int(self.slant)

    @functools.cached_property
    def feature_cache(self) -> dict[int, Any]:
        """Features of whole arrays, kept by the models that this wrapper is shared by."""
        return {}

    def build(self, input_shape: Any = None) -> None:
        """Create the weights; the shape is known from the constructor."""
        if self.built:
            return
        self.standardise.build((None, self.code_size))
        self.slant_scale = self.add_weight(
            name="slant_scale", shape=(), initializer="ones", trainable=False
        )
        self.built = True

    def encode(self, images: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of images `(batch, h, w, c)` in [0, 1]."""
        if not self.slant:
            return self.standardise(self.encoder(images), training=training)
        angle = slant(images)
        code = self.standardise(self.encoder(self.shear(images, angle)), training=training)
        return ops.concatenate([code, (angle / self.slant_scale)[:, None]], axis=-1)

    def decode(self, features: Tensor) -> Tensor:
        """Images `(batch, h, w, c)` in [0, 1] of features `(batch, feature_size)`."""
        images = ops.cast(self.decoder(features[:, : self.code_size]), "float32")
        if self.slant:
            images = self.shear(images, -features[:, -1] * self.slant_scale)
        return images

    def call(self, images: Tensor, training: bool = False) -> Tensor:
        """Reconstructions `(batch, h, w, c)` in [0, 1]."""
        features = self.encode(images, training=training)
        code = self.noise_layer(features[:, : self.code_size], training=training)
        return self.decode(ops.concatenate([code, features[:, self.code_size :]], axis=-1))

    def train(
        self,
        images: np.ndarray,
        *,
        epochs: int = 8,
        batch_size: int = 128,
        learning_rate: float = 2e-3,
        verbose: Any = "auto",
    ) -> dict[str, list[float]]:
        """Train on images `(n, h, w, c)` in [0, 1] by binary cross-entropy, then freeze.

        Returns:
            The history: loss in nats per pixel and mean squared error, one value an epoch.

        Raises:
            ValueError: if the images are malformed.
        """
        images = check_images(images, shape=self.image_shape)
        self.trainable = True
        self.feature_cache.clear()
        self.build()
        if self.slant:
            values = np.asarray(slant(images))
            self.slant_scale.assign(max(float(values.std()), 1e-3) / _SLANT_DEVIATION)
        steps = max(1, len(images) // batch_size) * epochs
        self.compile(
            keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(learning_rate, steps)),
            loss="binary_crossentropy",
            metrics=["mse"],
            # XLA slows small convolutions down on a CPU.
            jit_compile=False,
        )
        logger.info("Training the autoencoder on %d images", len(images))
        # Keras would shuffle arrays by the global seed.
        whole = LabelledImages.unlabelled(images)
        history = self.fit(
            Pairs.diagonal(whole).dataset(batch_size, seed=self.seed),
            epochs=epochs,
            shuffle=False,
            verbose=verbose,
        ).history
        # Frozen, it has no use for an optimizer, whose state would not fit when loaded.
        self.optimizer, self.compiled = None, False
        self.trainable = False
        return history

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "image_shape": list(self.image_shape),
            "code_size": self.code_size,
            "filters": list(self.filters),
            "noise": self.noise,
            "slant": self.slant,
            "seed": self.seed,
        }
