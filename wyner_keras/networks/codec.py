"""Codecs: examples of one side to standardised features and back."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.likelihoods import LIKELIHOODS, Likelihood
from wyner_keras.networks.mlp import MLP
from wyner_keras.networks.shear import Shear, slant

Tensor = Any
logger = logging.getLogger(__name__)

# One slant decides over more pixels than one of many code features does.
_SLANT_DEVIATION = 2.0
_LEAST_SCALE = 1e-7  # of what varies, as a share of its mean: float32 tells no less apart
_AT_ONCE = 10_000  # rows whose moments are taken at once


class Codec(keras.Model):
    """Examples to features of mean 0 and variance 1 and back, trained by `train_on`, then frozen.

    Args:
        seed: of initial weights and noise.
    """

    built: bool
    trainable: bool

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        # Under mixed precision the networks alone compute in half.
        super().__init__(**{"autocast": False, **kwargs})
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

    @property
    def noise_units(self) -> np.ndarray | None:
        """Standard deviation, in the data's units, of each noise that `log_prob` has at spread 0.

        `(noises,)`, NaN for one that is no deviation; None of a codec without `log_prob`.
        """
        return None

    def log_prob(self, data: Tensor, features: Tensor, spread: Tensor) -> Tensor:
        """The log of p(example | features), the density in the data's units.

        Args:
            data: examples `(batch, *shape)`.
            features: `(batch, feature_size)`.
            spread: of the noise around what is decoded, the log of its variance in squares of
                `noise_units`, `(noises,)`.

        Returns:
            Nats per example, `(batch,)`; values that are NaN count as nothing.
        """
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
        if not self.trainable:  # or it would unfreeze what a user's own layer keeps
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


def _moments(
    pairs: Any, axes: tuple[int, ...], of: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation `of` rows over the first axis and `axes`, NaN left out, float64."""
    total = squares = count = 0.0
    for batch, _ in pairs.dataset(_AT_ONCE, shuffle=False):
        rows = of(np.asarray(batch, np.float64))
        known = ~np.isnan(rows)
        rows = np.where(known, rows, 0.0)
        total = total + rows.sum(axis=(0, *axes))
        squares = squares + np.square(rows).sum(axis=(0, *axes))
        count = count + known.sum(axis=(0, *axes))
    count = np.maximum(count, 1.0)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))


def _log_gaussian(data: Tensor, mean: Tensor, spread: Tensor, units: Tensor) -> Tensor:
    """Log N(data | mean, e^spread units²) summed over all axes but the first, `(batch,)`."""
    log_variance = spread + 2.0 * ops.log(units)
    error = ops.square(ops.cast(data, "float32") - mean) * ops.exp(-log_variance)
    terms = -0.5 * (error + log_variance + math.log(2 * math.pi))
    return ops.sum(terms, axis=tuple(range(1, len(terms.shape))))


def _scale(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """What to divide by, whatever the units: 1 for what never varies."""
    return np.where(deviation > np.maximum(_LEAST_SCALE * np.abs(mean), 1e-30), deviation, 1.0)


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
        fixed = {"shape": (self.feature_size,), "trainable": False, "autocast": False}
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
        return _log_gaussian(data, self.decode(features), spread, self._units())

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
        self.scale.assign(_scale(mean, deviation).ravel())
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
        fixed = {"trainable": False, "autocast": False}
        self.slant_scale = self.add_weight(
            name="slant_scale", shape=(), initializer="ones", **fixed
        )
        if not self.is_image:
            self.mean = self.add_weight(
                name="mean", shape=(channels,), initializer="zeros", **fixed
            )
            self.scale = self.add_weight(
                name="scale", shape=(channels,), initializer="ones", **fixed
            )
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
        return _log_gaussian(data, self.decode(features), spread, units)

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
            self.scale.assign(_scale(mean, deviation))
        if self.slant:
            angles = [np.asarray(slant(batch)) for batch, _ in pairs.dataset(1000, shuffle=False)]
            spread = max(float(np.concatenate(angles).std()), 1e-3)
            self.slant_scale.assign(spread / _SLANT_DEVIATION)
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

    `likelihoods.py` has the likelihood of each kind. Values that are NaN count in none; the encoder
    is told which they are. Decoding gives the most probable value of each column.

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
        # Columns alike are computed together: places in the vector, by likelihood and width.
        self.groups: dict[tuple[str, int], np.ndarray] = {}
        for place, (kind, count) in enumerate(zip(self.kinds, self.categories, strict=True)):
            group = kind, LIKELIHOODS[kind].width(count)
            self.groups[group] = np.append(self.groups.get(group, np.zeros(0, int)), place)
        outputs = sum(width * len(places) for (_, width), places in self.groups.items())
        self.encoder = MLP(code_size, self.hidden, seed=100 * seed + 1, name="encoder")
        # Each column's value, or one-hot, and whether it is known.
        self.encoder.build((None, outputs + columns))
        self.standardise = keras.layers.BatchNormalization(
            center=False, scale=False, momentum=0.98, name="standardise"
        )
        self.standardise.build((None, code_size))
        self.noise_layer = keras.layers.GaussianNoise(noise, seed=seed)
        self.decoder = MLP(outputs, self.hidden, seed=100 * seed + 2, name="decoder")
        self.decoder.build((None, code_size))
        fixed = {"shape": (columns,), "trainable": False, "autocast": False}
        self.mean = self.add_weight(name="mean", initializer="zeros", **fixed)
        self.scale = self.add_weight(name="scale", initializer="ones", **fixed)
        self.spread = self.add_weight(
            name="spread", shape=(columns,), initializer="zeros", autocast=False
        )
        self.built = True

    @property
    def feature_size(self) -> int:
        """Width of the features."""
        return self.code_size

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of vectors `(batch, columns)`."""
        data, known = _known(data)
        parts = [
            ops.reshape(
                likelihood.inputs(_of(data, places), mean, scale, width) * _of(known, places),
                (-1, width * len(places)),
            )
            for likelihood, width, places, mean, scale, _ in self._each_group()
        ]
        inputs = ops.concatenate([*parts, known], axis=-1)
        return ops.cast(self.standardise(self.encoder(inputs), training=training), "float32")

    def _each_group(
        self, spread: Tensor | None = None
    ) -> Iterator[tuple[Likelihood, int, np.ndarray, Tensor, Tensor, Tensor]]:
        """Likelihood, width, places, and of these mean, scale and spread, each `(columns, 1)`."""
        spread = ops.clip(self.spread, -8.0, 8.0) if spread is None else spread
        for (kind, width), places in self.groups.items():
            moments = (
                ops.take(values, places, axis=0)[:, None]
                for values in (self.mean, self.scale, spread)
            )
            yield (LIKELIHOODS[kind], width, places, *moments)

    def _outputs(self, features: Tensor) -> list[Tensor]:
        """What each group's likelihood is made of, `(batch, columns, width)`."""
        outputs = ops.cast(self.decoder(features), "float32")
        sizes = [width * len(places) for (_, width), places in self.groups.items()]
        return [
            ops.reshape(outputs[:, stop - size : stop], (-1, len(places), width))
            for (_, width), places, size, stop in zip(
                self.groups, self.groups.values(), sizes, np.cumsum(sizes), strict=True
            )
        ]

    def decode(self, features: Tensor) -> Tensor:
        """Vectors `(batch, columns)` in the user's units: the most probable value of each."""
        modes = [
            likelihood.mode(output, mean, scale)[:, :, 0]
            for (likelihood, _, _, mean, scale, _), output in zip(
                self._each_group(), self._outputs(features), strict=True
            )
        ]
        order = np.argsort(np.concatenate([*self.groups.values()]))
        return ops.take(ops.concatenate(modes, axis=-1), order, axis=-1)

    @property
    def noise_units(self) -> np.ndarray:
        """Of each column its deviation, of its logarithm where it is; NaN for discrete kinds."""
        return np.where(self._discrete(), np.nan, np.asarray(self.scale))

    def _discrete(self) -> np.ndarray:
        return np.array([LIKELIHOODS[kind].discrete for kind in self.kinds])

    def log_prob(self, data: Tensor, features: Tensor, spread: Tensor) -> Tensor:
        """By each column's likelihood; see `Codec.log_prob`. Counts have dispersion e^spread."""
        _, known = _known(data)
        # A density of standardised values over their unit is one of the user's.
        stretch = ops.where(self._discrete(), 0.0, ops.log(self.scale))
        return self.log_likelihood(data, features, spread) - ops.sum(known * stretch, axis=1)

    def log_likelihood(
        self, data: Tensor, features: Tensor, spread: Tensor | None = None
    ) -> Tensor:
        """The log of p(standardised vector | features), nats an example `(batch,)`.

        Args:
            data: vectors `(batch, columns)`; NaN counts as nothing.
            features: `(batch, feature_size)`.
            spread: of each column, `(columns,)`; None for what training learnt.
        """
        data, known = _known(data)
        terms = [
            likelihood.log_prob(_of(data, places), output, mean, scale, own) * _of(known, places)
            for (likelihood, _, places, mean, scale, own), output in zip(
                self._each_group(spread), self._outputs(features), strict=True
            )
        ]
        return ops.sum(ops.concatenate(terms, axis=1), axis=(1, 2))

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
        logs = np.flatnonzero([LIKELIHOODS[kind].takes_log for kind in self.kinds])
        if len(logs):
            mean[logs], deviation[logs] = _moments(pairs, (), lambda rows: np.log1p(rows[:, logs]))
        self.mean.assign(mean)
        self.scale.assign(_scale(mean, deviation))
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


def _of(values: Tensor, places: np.ndarray) -> Tensor:
    """Some columns of values `(batch, columns)`, `(batch, places, 1)`."""
    return ops.take(values, places, axis=1)[:, :, None]


def _known(data: Tensor) -> tuple[Tensor, Tensor]:
    """Values with 0 for NaN, and 1 where a value is known, each `(batch, columns)`."""
    data = ops.cast(data, "float32")
    missing = ops.isnan(data)
    return ops.where(missing, 0.0, data), 1.0 - ops.cast(missing, "float32")
