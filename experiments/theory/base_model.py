"""The base model of the paper, eq. (5), trained on sources of known common information."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops
from scipy.special import softmax

from experiments.loss_model import LossModel, sample_gaussian
from experiments.theory.sources import Source
from wyner_keras.data.checks import check_whole
from wyner_keras.information.shannon import Array, entropies
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.received import received
from wyner_keras.schedules import Ramp, Schedule

Tensor = Any
# One categorical variable, or one Gaussian dimension.
CommonLatent = Categorical | DiagonalGaussian

_SAMPLES, _BATCH, _EVALUATED = 200_000, 2000, 40_000
_NODES, _GRID = 8, 500
_EPOCHS, _STEPS_PER_EXECUTION = 6, 10
_LEARNING_RATE = Ramp(start=3e-3, end=6e-5)


class BaseModel(LossModel):
    """The paper's base model of a source's features: Z alone, with stochastic decoders.

    It minimises (1+λ) D(q(z|x,y) ‖ p(z)) − E log p(x|z) − E log p(y|z), eq. (5). With the best
    p(z), p(x|z), p(y|z) for a q(z|x,y), that is H(X,Y) + I(X;Y|Z) + λ I(X,Y;Z): the Lagrangian of
    Wyner's problem, with the weight 1/λ on conditional dependence. As λ falls to 0, I(X,Y;Z) rises
    to C(X;Y). At λ = 0 every Z with X − Z − Y is a minimum, Z = X too.

    Expectations over a categorical Z are sums over its states; a Gaussian Z is sampled.

    Args:
        source: whose features are modelled.
        z: the common latent.
        hidden: widths of the networks' hidden layers.
        seed: of the initial weights and of the noise.

    Raises:
        ValueError: if Z is of another kind.

    Source: the W-model paper, section 2.1.
    """

    def __init__(
        self, source: Source, z: CommonLatent, *, hidden: Sequence[int] = (64, 64), seed: int = 0
    ) -> None:
        super().__init__(seed)
        one_categorical = isinstance(z, Categorical) and z.n == 1
        one_gaussian = isinstance(z, DiagonalGaussian) and z.dim == 1
        if not (one_categorical or one_gaussian):
            raise ValueError(
                "`z` should be a Categorical of one variable or a DiagonalGaussian of one "
                f"dimension. Received: z={received(z)}"
            )
        self.z = z
        self.states = z.k if isinstance(z, Categorical) else None  # None: Z is Gaussian
        self.gaussian_decoder = source.likelihood == "gaussian"
        self.encoder = self.mlp(z.parameter_size, hidden, *source.widths)
        outputs = 2 if self.gaussian_decoder else 1  # mean and log variance, or logit
        self.decoder_x, self.decoder_y = (
            self.mlp(outputs * width, hidden, z.size) for width in source.widths
        )
        self.common_information_weight = self.scheduled("common_information_weight", 0.0)

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """(1+λ) D(q(z|x,y) ‖ p(z)), −E log p(x|z) and −E log p(y|z), `(batch,)` each."""
        parameters = self.encoder([x, y])
        z = None
        if self.states is None:
            z = sample_gaussian(parameters, self.normal(ops.shape(x)[0], 1))
        return {
            "kl_z": (1.0 + self.common_information_weight) * self.kl(parameters),
            "reconstruction_x": self.expected_loss(x, parameters, z, "x"),
            "reconstruction_y": self.expected_loss(y, parameters, z, "y"),
        }

    def kl(self, parameters: Tensor) -> Tensor:
        """D(q(z|x,y) ‖ p(z)), nats, `(batch,)`; p(z) is uniform or standard normal."""
        return self.z(parameters).kl()

    def expected_loss(
        self, features: Tensor, parameters: Tensor, z: Tensor | None, side: str
    ) -> Tensor:
        """−log p(x|z), nats, `(batch,)`; if z is None, its expectation over a categorical q(z|x,y).

        Args:
            features: of side "x" or "y", `(batch, width)`.
            parameters: of q(z|x,y), `(batch, parameters)`.
            z: samples `(batch, size)`, or None.
            side: "x" or "y".
        """
        decoder = self.decoder_x if side == "x" else self.decoder_y
        if z is not None:
            return self.negative_log_likelihood(features, decoder(z))
        outputs = decoder(ops.eye(self.states))  # (states, outputs)
        losses = self.negative_log_likelihood(features[:, None], outputs[None])  # (batch, states)
        return ops.sum(ops.softmax(parameters, axis=-1) * losses, axis=-1)

    def negative_log_likelihood(self, features: Tensor, outputs: Tensor) -> Tensor:
        """−log p(x|z), nats, summed over the last axis; the other axes are broadcast."""
        if not self.gaussian_decoder:
            return ops.sum(ops.softplus(outputs) - features * outputs, axis=-1)
        mean, log_variance = ops.split(outputs, 2, axis=-1)
        squares = ops.square(features - mean) * ops.exp(-log_variance)
        return 0.5 * ops.sum(squares + log_variance + np.log(2 * np.pi), axis=-1)


@dataclass(frozen=True, kw_only=True)
class Point:
    """What a trained base model attains on a source.

    Args:
        weight: λ.
        information: I(X,Y;Z) of q(x,y) q(z|x,y), by the aggregated posterior, nats.
        kl_z: E D(q(z|x,y) ‖ p(z)), nats; not below the information.
        slack: D(q(x,y) q(z|x,y) ‖ p(z) p(x|z) p(y|z)), eq. (3), nats; not below D(q(x,y) ‖ p(x,y))
            nor below I(X;Y|Z). So no point lies under the theory's line.
    """

    weight: float
    information: float
    kl_z: float
    slack: float


def measure_point(model: BaseModel, source: Source, seed: int = 0) -> Point:
    """Measure a model: exactly on a discrete source, otherwise on 40,000 fresh pairs.

    Args:
        model: the trained model.
        source: what it was trained on.
        seed: of the training; the pairs are drawn by another.
    """
    x, y, weights, log_q = source.rows(_EVALUATED, seed + 1_000_000)
    parameters = np.asarray(model.encoder([x, y]))
    kl = np.asarray(model.kl(parameters), np.float64)
    if model.states is None:
        information = _gaussian_information(parameters, weights)
        loss = _loss_by_quadrature(model, parameters, x, y)
    else:
        q = softmax(parameters.astype(np.float64), axis=1)
        information = float(entropies(weights @ q) - weights @ entropies(q))
        loss = np.asarray(
            model.expected_loss(x, parameters, None, "x")
            + model.expected_loss(y, parameters, None, "y")
        )
    return Point(
        weight=float(model.common_information_weight),
        information=information,
        kl_z=float(weights @ kl),
        slack=float(weights @ (kl + loss + log_q)),
    )


def _gaussian_information(parameters: np.ndarray, weights: Array) -> float:
    """h(q̄) − E h(q(z|x,y)) in one dimension; the mixture q̄ is integrated on a grid."""
    mean, log_variance = parameters.astype(np.float64).T
    deviation = np.exp(0.5 * log_variance)
    grid = np.linspace((mean - 6 * deviation).min(), (mean + 6 * deviation).max(), _GRID)
    density = np.zeros(_GRID)
    for rows in np.array_split(np.arange(len(mean)), max(1, len(mean) // 4000)):
        scaled = (grid[:, None] - mean[rows]) / deviation[rows]
        density += np.exp(-0.5 * scaled**2) @ (weights[rows] / deviation[rows])
    step = grid[1] - grid[0]
    density /= density.sum() * step
    entropy = float(entropies(density) * step)
    return entropy - float(weights @ (0.5 * np.log(2 * np.pi * np.e) + 0.5 * log_variance))


def _loss_by_quadrature(model: BaseModel, parameters: np.ndarray, x: Any, y: Any) -> Array:
    """E over q(z|x,y) of −log p(x|z) − log p(y|z), by Gauss–Hermite quadrature, `(batch,)`."""
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(_NODES)
    total = np.zeros(len(x))
    for node, weight in zip(nodes, node_weights / node_weights.sum(), strict=True):
        z = sample_gaussian(parameters, np.float32(node))
        for features, side in ((x, "x"), (y, "y")):
            total += weight * np.asarray(model.expected_loss(features, parameters, z, side))
    return total


def trade_off_curve(
    source: Source,
    z: CommonLatent,
    weights: Sequence[float],
    *,
    start: float = 0.05,
    steps: int = 300,
    hidden: Sequence[int] = (64, 64),
    seed: int = 0,
) -> list[Point]:
    """Train a base model on samples of a source, and measure it at each λ.

    Args:
        source: where 200,000 pairs are drawn from.
        z: a `Categorical` of one variable, or a `DiagonalGaussian` of one dimension.
        weights: values of λ, falling; the last gets three times the steps.
        start: λ of a training before the first. An empty Z is a saddle point, at which a large λ
            would hold a model with random weights.
        steps: gradient steps for each λ, at least 60.
        hidden: widths of the networks' hidden layers.
        seed: of samples, weights and noise.

    Returns:
        One point for each λ.

    Raises:
        ValueError: if Z is of another kind, or `steps` is below 60.

    Example:
        >>> trade_off_curve(noisy_bits(0.1), Categorical(n=1, k=2), [0.2, 0.05])  # doctest: +SKIP
    """
    steps = check_whole(steps, "`steps`", minimum=_EPOCHS * _STEPS_PER_EXECUTION)
    keras.utils.set_random_seed(seed)  # which `tf.data`'s shuffling mixes into its own
    model = BaseModel(source, z, hidden=hidden, seed=seed)
    model.compile(optimizer=keras.optimizers.Adam(), steps_per_execution=_STEPS_PER_EXECUTION)
    batches = _batches(source, seed)
    per_epoch = steps // _EPOCHS // _STEPS_PER_EXECUTION * _STEPS_PER_EXECUTION

    def fit(weight: float, epochs: int) -> None:
        model.common_information_weight.assign(weight)
        model.fit(
            batches,
            steps_per_epoch=per_epoch,
            epochs=epochs,
            callbacks=[Schedule(learning_rate=_LEARNING_RATE)],
            shuffle=False,
            verbose=0,
        )

    fit(start, 3 * _EPOCHS)
    points = []
    for number, weight in enumerate(weights, 1):
        fit(weight, _EPOCHS * (3 if number == len(weights) else 1))
        points.append(measure_point(model, source, seed))
    return points


def _batches(source: Source, seed: int) -> tf.data.Dataset:
    """Endless batches of one sample of a source."""
    x, y = (side.reshape(-1, _BATCH, side.shape[1]) for side in source.draw(_SAMPLES, seed))
    options = tf.data.Options()
    # Autotune stalls on data that is in memory.
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed).repeat()
    return batches.with_options(options)
