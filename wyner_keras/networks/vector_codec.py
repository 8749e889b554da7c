"""A codec of columns, by the likelihood of each."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.codec import Codec, moments, scale_of
from wyner_keras.networks.fixed import fixed_weight
from wyner_keras.networks.likelihoods import LIKELIHOODS, Likelihood
from wyner_keras.networks.mlp import MLP

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class VectorCodec(Codec):
    """An autoencoder of columns of several kinds, each by its own likelihood.

    `likelihoods.py` has the likelihood of each kind. Values that are NaN count in none; the encoder
    is told which they are. Decoding gives the most probable value of each column, of counts the
    mean.

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
        self.mean = fixed_weight(self, "mean", np.zeros(columns))
        self.scale = fixed_weight(self, "scale", np.ones(columns))
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
        """Vectors `(batch, columns)` in the user's units: the most probable values, mean counts."""
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
        mean, deviation = moments(pairs, ())
        logs = np.flatnonzero([LIKELIHOODS[kind].takes_log for kind in self.kinds])
        if len(logs):
            mean[logs], deviation[logs] = moments(pairs, (), lambda rows: np.log1p(rows[:, logs]))
        self.mean.assign(mean)
        self.scale.assign(scale_of(mean, deviation))
        return self._fit(pairs, epochs, batch_size, verbose)

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
