"""The base model of the paper, eq. (5), trained on sources whose common information is known."""

from __future__ import annotations

from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras import objectives
from wyner_keras.data.checks import check_least
from wyner_keras.information import aggregated
from wyner_keras.information.shannon import Array
from wyner_keras.information.sources import Source
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.models import WynerConfig, WynerModel
from wyner_keras.models.stage import Stage
from wyner_keras.received import received
from wyner_keras.training import LearningRateSchedule, Ramp

Tensor = Any
_LEAST_PROBABILITY = 1e-7
_SAMPLES, _BATCH, _EVALUATED = 200_000, 2000, 40_000
_NODES, _GRID = 8, 500
_EPOCHS = 6


def base_model(
    source: Source, z: Latent, *, hidden: tuple[int, ...] = (64, 64), seed: int = 0
) -> WynerModel:
    """A W-model without U and V for the features of a source.

    Args:
        source: a `Source`.
        z: the family of the common latent.
        hidden: widths of the networks' hidden layers.
        seed: of the weights and of the noise.
    """
    width_x, width_y = source.widths
    return WynerModel(
        WynerConfig(
            z=z,
            u=None,
            v=None,
            hidden=hidden,
            joint_encoder="free",
            # A "delta" decoder without a wrapper ends in sigmoids: means of bits.
            decoder="gaussian" if source.likelihood == "gaussian" else "delta",
            alignment_weight=0.0,
            x_shape=(1, width_x, 1),
            y_shape=(1, width_y, 1),
            seed=seed,
        )
    )


class BaseStage(Stage):
    """Minimise (1+λ) D(q(z|x,y) ‖ p(z)) − E log p(x|z) − E log p(y|z), eq. (5).

    With the best p(z), p(x|z), p(y|z) for a q(z|x,y) it is H(X,Y) + I(X;Y|Z) + λ I(X,Y;Z), the
    Lagrangian of Wyner's problem with the weight 1/λ on conditional dependence: as λ falls to 0,
    I(X,Y;Z) rises to C(X;Y). At λ = 0 every Z with X − Z − Y is a minimum, Z = X too.

    A "gaussian" decoder has a learned variance; of a "delta" one the outputs are means of bits. The
    sum over a single categorical Z is carried out; any other Z is sampled.

    Args:
        model: of `base_model`.

    Source: the W-model paper, section 2.1.
    """

    term_names = ("kl_z", "reconstruction_x", "reconstruction_y")

    def __init__(self, model: WynerModel, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.common_information_weight = self.scheduled("common_information_weight", 0.0)

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """The joint encoder of z and the decoders."""
        return self.model.joint_parts

    def weights_of_terms(self) -> dict[str, Any]:
        """(1+λ), 1, 1."""
        weight = 1.0 + self.common_information_weight
        return {"kl_z": weight, "reconstruction_x": 1.0, "reconstruction_y": 1.0}

    def likelihood_of(self, features: Tensor, mean: Tensor, log_variance: Tensor | None) -> Tensor:
        """−log p(x|z), nats, `(batch,)`, of features and of what a decoder makes of z."""
        if log_variance is not None:
            return objectives.gaussian_negative_log_likelihood(features, mean, log_variance)
        mean = ops.clip(mean, _LEAST_PROBABILITY, 1 - _LEAST_PROBABILITY)
        return -ops.sum(features * ops.log(mean) + (1.0 - features) * ops.log(1.0 - mean), axis=-1)

    def expected(self, features: Tensor, parameters: Tensor, z: Tensor, side: str) -> Tensor:
        """E over q(z|x,y) of −log p(x|z), nats, `(batch,)`: a sum over states if `z` is None."""
        if z is not None:
            return self.likelihood_of(features, *self.model.decode(None, z, side))
        family: Any = self.model.config.z
        count = self.batch_count(features)
        each = self.likelihood_of(
            ops.repeat(features, family.k, axis=0),
            *(
                output if output is None else ops.tile(output, (count, 1))
                for output in self.model.decode(None, ops.eye(family.k), side)
            ),
        )
        probabilities = family.probabilities(parameters)[:, 0]
        return ops.sum(probabilities * ops.reshape(each, (-1, family.k)), axis=-1)

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch of features, nats per example `(batch,)`."""
        family = self.model.config.z
        x, y = self.model.features(x, "x"), self.model.features(y, "y")
        parameters = self.model.joint_z(x, y)[0]
        summed = isinstance(family, Categorical) and family.n == 1
        # q(z|x,y)
        z = None if summed else self.draw(family, parameters, self.batch_count(x))
        return {
            "kl_z": family.kl(parameters),
            "reconstruction_x": self.expected(x, parameters, z, "x"),
            "reconstruction_y": self.expected(y, parameters, z, "y"),
        }


@dataclass(frozen=True, kw_only=True)
class Point:
    """What a trained base model attains on a source.

    Args:
        weight: λ.
        information: I(X,Y;Z) of q(x,y) q(z|x,y), with the aggregated posterior, nats.
        kl_z: E D(q(z|x,y) ‖ p(z)), nats; not below the information.
        slack: D(q(x,y) q(z|x,y) ‖ p(z) p(x|z) p(y|z)), eq. (3), nats; not below D(q(x,y) ‖ p(x,y))
            nor below I(X;Y|Z). So no point lies under the theory's line.
    """

    weight: float
    information: float
    kl_z: float
    slack: float


def attained(stage: BaseStage, source: Source, seed: int = 0) -> Point:
    """What a stage's model attains: exactly on a discrete source, else on 40,000 fresh pairs.

    Args:
        stage: after training.
        source: what it was trained on.
        seed: of the pairs.
    """
    family: Any = stage.model.config.z
    x, y, weights, log_q = source.rows(_EVALUATED, seed + 1_000_000)
    parameters = np.asarray(stage.model.joint_z(x, y)[0])
    kl = np.asarray(family.kl(parameters), np.float64)
    if isinstance(family, DiagonalGaussian):
        information = _gaussian_information(family, parameters, weights)
        loss = _by_quadrature(stage, family, parameters, x, y)
    else:
        each = aggregated.states(family, parameters)
        entropy = aggregated.entropies(weights @ each)
        information = float(entropy - weights @ aggregated.entropies(each))
        loss = np.asarray(
            stage.expected(x, parameters, None, "x") + stage.expected(y, parameters, None, "y")
        )
    return Point(
        weight=float(stage.common_information_weight),
        information=information,
        kl_z=float(weights @ kl),
        slack=float(weights @ (kl + loss + log_q)),
    )


def _gaussian_information(
    family: DiagonalGaussian, parameters: np.ndarray, weights: Array
) -> float:
    """h(q̄) − E h(q(z|x,y)) of one dimension; q̄, a mixture, is integrated on a grid."""
    mean, log_variance = (np.asarray(part, np.float64)[:, 0] for part in family.moments(parameters))
    deviation = np.exp(0.5 * log_variance)
    grid = np.linspace((mean - 6 * deviation).min(), (mean + 6 * deviation).max(), _GRID)
    density = np.zeros(_GRID)
    for rows in np.array_split(np.arange(len(mean)), max(1, len(mean) // 4000)):
        scaled = (grid[:, None] - mean[rows]) / deviation[rows]
        density += np.exp(-0.5 * scaled**2) @ (weights[rows] / deviation[rows])
    density /= density.sum() * (grid[1] - grid[0])
    whole = float(aggregated.entropies(density) * (grid[1] - grid[0]))
    return whole - float(weights @ (0.5 * np.log(2 * np.pi * np.e) + 0.5 * log_variance))


def _by_quadrature(
    stage: BaseStage, family: DiagonalGaussian, parameters: np.ndarray, x: Any, y: Any
) -> Array:
    """E over q(z|x,y) of −log p(x|z) − log p(y|z), by Gauss–Hermite quadrature."""
    nodes, node_weights = np.polynomial.hermite_e.hermegauss(_NODES)
    total = np.zeros(len(x))
    for node, weight in zip(nodes, node_weights / node_weights.sum(), strict=True):
        z = family.sample(parameters, np.full((len(x), 1), node, np.float32))
        for features, side in ((x, "x"), (y, "y")):
            total += weight * np.asarray(stage.expected(features, parameters, z, side))
    return total


def trace(
    source: Source,
    z: Latent,
    weights: Sequence[float],
    *,
    start: float = 0.05,
    steps: int = 300,
    hidden: tuple[int, ...] = (64, 64),
    seed: int = 0,
) -> list[Point]:
    """Train a base model on samples of a source, and look at it at each λ.

    Args:
        source: where 200,000 pairs are drawn from.
        z: a `Categorical` of one variable, or a `DiagonalGaussian` of one dimension.
        weights: values of λ, falling; the last gets three times the steps.
        start: λ of a training before the first. An empty Z is a saddle point, which a large λ would
            hold a model with random weights at.
        steps: gradient steps for each λ, at least 60.
        hidden: widths of the networks' hidden layers.
        seed: of samples, weights and noise.

    Returns:
        One point for each λ.

    Raises:
        ValueError: if Z is of another kind, or `steps` below 60.

    Example:
        >>> points = trace(noisy_bits(0.1), Categorical(n=1, k=2), [0.2, 0.05])  # doctest: +SKIP
    """
    one = (isinstance(z, Categorical) and z.n == 1) or (
        isinstance(z, DiagonalGaussian) and z.dim == 1
    )
    if not one:
        raise ValueError(
            "`z` should be a Categorical of one variable or a DiagonalGaussian of one dimension. "
            f"Received: z={received(z)}"
        )
    steps = check_least(steps, "`steps`", 10 * _EPOCHS)
    keras.utils.set_random_seed(seed)
    stage = BaseStage(base_model(source, z, hidden=hidden, seed=seed))
    stage.compile(optimizer=keras.optimizers.Adam(), steps_per_execution=10)
    batches = _batches(source, seed)

    def fit(weight: float, epochs: int) -> None:
        stage.common_information_weight.assign(weight)
        stage.fit(
            batches,
            steps_per_epoch=steps // _EPOCHS // 10 * 10,
            epochs=epochs,
            callbacks=[LearningRateSchedule(Ramp(start=3e-3, end=6e-5))],
            verbose=0,
        )

    fit(start, 3 * _EPOCHS)
    points = []
    for weight in weights:
        fit(weight, _EPOCHS * (3 if weight == weights[-1] else 1))
        points.append(attained(stage, source, seed))
    return points


def _batches(source: Source, seed: int) -> tf.data.Dataset:
    """Endless batches of one sample of a source, gathered beforehand."""
    x, y = (side.reshape(-1, _BATCH, side.shape[1]) for side in source.draw(_SAMPLES, seed))
    options = tf.data.Options()
    # Its searches stall in-memory data.
    options.autotune.enabled = False
    batches = tf.data.Dataset.from_tensor_slices((x, y)).shuffle(len(x), seed=seed).repeat()
    return batches.with_options(options)
