"""Codecs: examples of one side to standardised features and back."""

from __future__ import annotations

import logging
import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.mlp import MLP
from wyner_keras.networks.shear import Shear, slant

Tensor = Any
logger = logging.getLogger(__name__)

# One slant decides over more pixels than one of many code features does.
_SLANT_DEVIATION = 2.0
_LEAST_SCALE = 1e-3  # of what hardly varies, as a share of what varies most
_AT_ONCE = 10_000  # rows whose moments are taken at once


class Codec(keras.Model):
    """Examples to features of mean 0 and variance 1 and back, trained by `train_on`, then frozen.

    Args:
        seed: of initial weights and noise.
    """

    built: bool

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.seed = seed

    @property
    def feature_size(self) -> int:
        """Width of the features."""
        raise NotImplementedError

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of examples `(batch, *shape)`."""
        raise NotImplementedError

    def decode(self, features: Tensor) -> Tensor:
        """Examples `(batch, *shape)` of features `(batch, feature_size)`."""
        raise NotImplementedError

    def train_on(
        self, pairs: Any, *, epochs: int, batch_size: int, verbose: Any = "auto"
    ) -> dict[str, list[float]]:
        """Train on the rows that pairs of each row with itself are of, then freeze.

        Args:
            pairs: `Pairs(rows, rows)`.
            epochs: passes over them.
            batch_size: rows a step.
            verbose: of Keras' progress bars.

        Returns:
            The history, one value an epoch; empty where nothing is learnt by steps.
        """
        raise NotImplementedError

    def _fit(
        self,
        pairs: Any,
        epochs: int,
        batch_size: int,
        verbose: Any,
        learning_rate: float,
        **compiled: Any,
    ) -> dict[str, list[float]]:
        self.trainable = True
        steps = max(1, len(pairs) // batch_size) * epochs
        schedule = keras.optimizers.schedules.CosineDecay(learning_rate, steps)
        # XLA slows small convolutions down on a CPU.
        self.compile(keras.optimizers.Adam(schedule), jit_compile=False, **compiled)
        logger.info("Training a codec on %d rows", len(pairs))
        # Keras would shuffle arrays by the global seed.
        data = pairs.dataset(batch_size, seed=self.seed)
        history = self.fit(data, epochs=epochs, shuffle=False, verbose=verbose).history
        # Frozen, it has no use for an optimizer, whose state would not fit when loaded.
        self.optimizer, self.compiled = None, False
        self.trainable = False
        return {name: [float(value) for value in values] for name, values in history.items()}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


def _moments(pairs: Any, axes: tuple[int, ...]) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation of rows over the first axis and `axes`, NaN left out, float64."""
    total = squares = count = 0.0
    for batch, _ in pairs.dataset(_AT_ONCE, shuffle=False):
        rows = np.asarray(batch, np.float64)
        known = ~np.isnan(rows)
        rows = np.where(known, rows, 0.0)
        total = total + rows.sum(axis=(0, *axes))
        squares = squares + np.square(rows).sum(axis=(0, *axes))
        count = count + known.sum(axis=(0, *axes))
    count = np.maximum(count, 1.0)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))


def _scale(deviation: np.ndarray) -> np.ndarray:
    """What to divide by: 1 for what never varies."""
    return np.where(deviation > _LEAST_SCALE * max(deviation.max(), 1e-30), deviation, 1.0)


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
        fixed = {"shape": (self.feature_size,), "trainable": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.scale = self.add_weight(name="scale", initializer="ones", **fixed)
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

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """The examples again."""
        return self.decode(self.encode(data))

    def train_on(
        self, pairs: Any, *, epochs: int = 1, batch_size: int = 1, verbose: Any = 0
    ) -> dict[str, list[float]]:
        """Set mean and deviation to those of the rows; bounded values have one of each in common.

        So that a pixel that hardly varies does not count for as much as one that does.
        """
        mean, deviation = _moments(pairs, ())
        if self.lowest is not None:
            deviation = np.full_like(deviation, np.sqrt(np.square(deviation).mean()))
        self.mean.assign(mean.ravel())
        self.scale.assign(_scale(deviation).ravel())
        self.trainable = False
        return {}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {"shape": list(self.shape), "lowest": self.lowest, "highest": self.highest}
        return {**super().get_config(), **own}


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
                keras.layers.Dense(code_size, kernel_initializer=initializer(), dtype="float64"),
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
        fixed = {"trainable": False}
        self.slant_scale = self.add_weight(
            name="slant_scale", shape=(), initializer="ones", **fixed
        )
        if not self.is_image:
            self.mean = self.add_weight(name="mean", shape=(channels,), initializer="zeros", **fixed)
            self.scale = self.add_weight(name="scale", shape=(channels,), initializer="ones", **fixed)
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
            mean, deviation = _moments(pairs, (1,))
            self.mean.assign(mean)
            self.scale.assign(_scale(deviation))
        if self.slant:
            angles = [np.asarray(slant(batch)) for batch, _ in pairs.dataset(1000, shuffle=False)]
            deviation = max(float(np.concatenate(angles).std()), 1e-3)
            self.slant_scale.assign(deviation / _SLANT_DEVIATION)
        return self._fit(pairs, epochs, batch_size, verbose, 2e-3, metrics=["mse"])

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


@keras.saving.register_keras_serializable(package="wyner_keras")
class VectorCodec(Codec):
    """An autoencoder of columns of several kinds, each by its own likelihood.

    Real columns are Gaussian of a learned variance, binary ones Bernoulli, categorical ones
    categorical, counts negative binomial of a learned dispersion (Poisson is its limit). Values
    that are NaN count in no likelihood; the encoder is told which they are. Decoding gives the
    most probable value of each column, of counts the mean rounded.

    Args:
        kinds: of the columns: "real", "binary", "categorical" or "count".
        categories: of categorical columns their number, of others 0.
        code_size: number of features.
        noise: standard deviation of the noise on them while training.
        hidden: widths of the hidden layers.
        seed: of initial weights and noise.

    Example:
        >>> VectorCodec(("real", "count"), (0, 0), code_size=4).feature_size
        4

    Source: Nazábal et al., Handling incomplete heterogeneous data using VAEs, 2020; Lopez et al.,
    Deep generative modeling for single-cell transcriptomics, 2018 (counts).
    """

    def __init__(
        self,
        kinds: Sequence[str],
        categories: Sequence[int],
        code_size: int = 64,
        noise: float = 0.06,
        hidden: Sequence[int] = (256, 256),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(seed=seed, **kwargs)
        self.kinds, self.categories = tuple(kinds), tuple(categories)
        self.code_size, self.noise, self.hidden = code_size, noise, tuple(hidden)
        columns = len(self.kinds)
        widths = [max(1, count) for count in self.categories]
        self.encoder = MLP(code_size, self.hidden, seed=100 * seed + 1, name="encoder")
        # Each column's value, or one-hot, and whether it is known.
        self.encoder.build((None, sum(widths) + columns))
        self.standardise = keras.layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, name="standardise"
        )
        self.standardise.build((None, code_size))
        self.noise_layer = keras.layers.GaussianNoise(noise, seed=seed)
        self.decoder = MLP(sum(widths), self.hidden, seed=100 * seed + 2, name="decoder")
        self.decoder.build((None, code_size))
        fixed = {"shape": (columns,), "trainable": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.scale = self.add_weight(name="scale", initializer="ones", **fixed)
        # Log variance of a real column, log dispersion of a count.
        self.spread = self.add_weight(name="spread", shape=(columns,), initializer="zeros")
        self.built = True

    @property
    def feature_size(self) -> int:
        """Width of the features."""
        return self.code_size

    def _standard(self, column: int, value: Tensor) -> Tensor:
        """A real column standardised, a count's logarithm standardised, `(batch, 1)`."""
        value = ops.log1p(value) if self.kinds[column] == "count" else value
        return (value - self.mean[column]) / self.scale[column]

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of vectors `(batch, columns)`."""
        data = ops.cast(data, "float32")
        known = ops.cast(ops.logical_not(ops.isnan(data)), "float32")
        data = ops.where(known > 0, data, ops.zeros_like(data))
        parts = []
        for column, (kind, count) in enumerate(zip(self.kinds, self.categories, strict=True)):
            value, there = data[:, column : column + 1], known[:, column : column + 1]
            if kind == "categorical":
                places = ops.arange(count, dtype="float32")[None]
                part = ops.cast(ops.equal(value, places), "float32")
            else:
                part = value if kind == "binary" else self._standard(column, value)
            parts.append(part * there)
        inputs = ops.concatenate([*parts, known], axis=-1)
        return ops.cast(self.standardise(self.encoder(inputs), training=training), "float32")

    def _outputs(self, features: Tensor) -> list[Tensor]:
        """Of each column what its likelihood is made of, `(batch, 1)` or `(batch, categories)`."""
        outputs = ops.cast(self.decoder(features), "float32")
        stops = np.cumsum([max(1, count) for count in self.categories])
        return [
            outputs[:, stop - max(1, count) : stop]
            for stop, count in zip(stops, self.categories, strict=True)
        ]

    def _count_mean(self, column: int, output: Tensor) -> Tensor:
        """Mean of a count, positive: the exponential of what the decoder puts out, rescaled."""
        log_mean = output * self.scale[column] + self.mean[column]
        return ops.exp(ops.clip(log_mean, -10.0, 20.0))

    def decode(self, features: Tensor) -> Tensor:
        """Vectors `(batch, columns)` in the user's units: the most probable value of each."""
        columns = []
        for column, output in enumerate(self._outputs(features)):
            kind = self.kinds[column]
            if kind == "real":
                value = output * self.scale[column] + self.mean[column]
            elif kind == "binary":
                value = ops.cast(output > 0, "float32")
            elif kind == "count":
                value = ops.round(self._count_mean(column, output))
            else:
                # keras.ops.argmax breaks in ONNX export; the first of the largest, by comparison.
                most = ops.cast(ops.equal(output, ops.max(output, -1, keepdims=True)), "float32")
                first = most * ops.arange(output.shape[-1], 0, -1, dtype="float32")
                value = output.shape[-1] - ops.max(first, -1, keepdims=True)
            columns.append(value)
        return ops.concatenate(columns, axis=-1)

    def log_likelihood(self, data: Tensor, features: Tensor) -> Tensor:
        """log p(vector | features), nats an example `(batch,)`; NaN counts as nothing."""
        data = ops.cast(data, "float32")
        known = ops.cast(ops.logical_not(ops.isnan(data)), "float32")
        data = ops.where(known > 0, data, ops.zeros_like(data))
        terms = []
        for column, output in enumerate(self._outputs(features)):
            value, kind = data[:, column : column + 1], self.kinds[column]
            spread = ops.clip(self.spread[column], -8.0, 8.0)
            if kind == "real":
                # N(value | output, e^spread), both standardised
                error = ops.square(self._standard(column, value) - output)
                term = -0.5 * (error * ops.exp(-spread) + spread + math.log(2 * math.pi))
            elif kind == "binary":
                term = -ops.softplus(ops.where(value > 0, -output, output))
            elif kind == "categorical":
                places = ops.arange(output.shape[-1], dtype="float32")[None]
                chosen = ops.cast(ops.equal(value, places), "float32")
                term = ops.sum(ops.log_softmax(output, axis=-1) * chosen, -1, keepdims=True)
            else:
                term = _negative_binomial(value, self._count_mean(column, output), ops.exp(spread))
            terms.append(term * known[:, column : column + 1])
        return ops.sum(ops.concatenate(terms, axis=-1), axis=-1)

    def call(self, data: Tensor, training: bool = False) -> Tensor:
        """The features, with noise while training."""
        return self.noise_layer(self.encode(data, training=training), training=training)

    def compute_loss(
        self, x: Any = None, y: Any = None, y_pred: Any = None, *args: Any, **kwargs: Any
    ) -> Tensor:
        """Mean negative log-likelihood of an example, nats."""
        return -ops.mean(self.log_likelihood(y, y_pred))

    def train_on(
        self, pairs: Any, *, epochs: int, batch_size: int, verbose: Any = "auto"
    ) -> dict[str, list[float]]:
        """Train, then freeze; see `Codec.train_on`. The history's loss is in nats an example."""
        mean, deviation = _moments(pairs, ())
        counts = np.array([kind == "count" for kind in self.kinds])
        if counts.any():
            logs = [np.log1p(np.asarray(batch)) for batch, _ in pairs.dataset(_AT_ONCE, shuffle=False)]
            logs = np.concatenate(logs)
            mean = np.where(counts, np.nanmean(logs, axis=0), mean)
            deviation = np.where(counts, np.nanstd(logs, axis=0), deviation)
        self.mean.assign(mean)
        self.scale.assign(np.where(deviation > 1e-12, deviation, 1.0))
        return self._fit(pairs, epochs, batch_size, verbose, 2e-3)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {
            **super().get_config(),
            "kinds": list(self.kinds),
            "categories": list(self.categories),
            "code_size": self.code_size,
            "noise": self.noise,
            "hidden": list(self.hidden),
        }


def _negative_binomial(value: Tensor, mean: Tensor, dispersion: Tensor) -> Tensor:
    """log p of counts with variance mean + mean² / dispersion."""
    total = mean + dispersion
    return (
        _log_gamma(value + dispersion)
        - _log_gamma(dispersion)
        - _log_gamma(value + 1.0)
        + dispersion * (ops.log(dispersion) - ops.log(total))
        + value * (ops.log(mean) - ops.log(total))
    )


def _log_gamma(value: Tensor) -> Tensor:
    """log Γ of positive numbers: Stirling's series eight steps up, and eight logarithms back."""
    shifted = value + 8.0
    back = sum(ops.log(value + float(step)) for step in range(8))
    series = 1 / (12 * shifted) - 1 / (360 * shifted**3)
    return (shifted - 0.5) * ops.log(shifted) - shifted + 0.5 * math.log(2 * math.pi) + series - back
