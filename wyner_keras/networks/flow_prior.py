"""A learned prior of a Gaussian latent: a flow from N(0, I)."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import compiled
from wyner_keras.networks.affine import Affine
from wyner_keras.networks.flow import ContinuousFlow

Tensor = Any
_CALIBRATED_BY, _AT_ONCE = 20_000, 1000  # samples
_LEAST_VARIANCE = 1e-4


@keras.saving.register_keras_serializable(package="wyner_keras")
class FlowPrior(keras.layers.Layer):
    """p(z) as what a flow makes of N(0, I); N(0, I) itself at first.

    Fitted, it is the Gaussian of the aggregated posterior's moments, which the flow starts from;
    `losses.ReaderMatching` trains the flow. Many dimensions that depend on each other in a way of
    their own are more than a mixture of few Gaussians can follow.

    Args:
        size: dimensions of z.
        steps: of the flow, as `hidden` and `seed`; see `ContinuousFlow`.
        hidden: of its velocity.
        seed: of the initial weights.

    Example:
        >>> prior = FlowPrior(2, hidden=(8,))
        >>> prior.build(None)
        >>> bool(np.allclose(prior(np.ones((3, 2), "f")), 1.0))
        True
    """

    def __init__(
        self,
        size: int,
        steps: int = 3,
        hidden: tuple[int, ...] = (512, 512, 512),
        seed: int = 0,
        **kwargs: Any,
    ) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.size = size
        self.flow = ContinuousFlow(size, steps, hidden, leading=0, seed=seed, name="flow")

    def build(self, _: Any) -> None:
        """Create the weights."""
        self.flow.build((None, 1))
        self.built = True

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Take the moments of the mean of Gaussian posteriors, told by mean and log variance."""
        parts = [[np.asarray(part, np.float64) for part in each] for each in posteriors]
        means, logs = (np.concatenate(side) for side in zip(*parts, strict=True))
        variance = np.cov(means, rowvar=False).reshape(self.size, self.size)
        self.flow.assign_affine(_gaussian(means.mean(0), variance + np.diag(np.exp(logs).mean(0))))

    def calibrate(self, seed: int) -> None:
        """Give samples the moments that the affine map had, whatever the velocity lacks."""
        noise = np.random.default_rng(seed).normal(size=(_CALIBRATED_BY, self.size)).astype("f")
        step = compiled(self.flow.ends, self.flow)
        ends = np.concatenate(
            [
                np.asarray(step(part, condition(len(part))), np.float64)
                for part in np.split(noise, len(noise) // _AT_ONCE)
            ]
        )
        reached = _gaussian(ends.mean(0), np.cov(ends, rowvar=False).reshape(self.size, -1))
        self.flow.assign_affine(self.flow.affine.after_inverse_of(reached))

    def call(self, noise: Tensor) -> Tensor:
        """Samples `(batch, size)` of standard normal noise `(batch, size)`."""
        return self.flow(ops.cast(noise, "float32"), condition(ops.shape(noise)[0]))

    def log_prob(self, value: Any) -> np.ndarray:
        """The log of p(value) of values `(batch, size)`, nats, `(batch,)` float64; eager."""
        value, none = np.asarray(value, np.float32), np.asarray(condition(len(value)))
        start = np.asarray(self.flow.inverse(value, none), np.float64)
        normal = -0.5 * (np.square(start) + math.log(2 * math.pi)).sum(axis=1)
        return normal + self.flow.log_determinant(value, none)

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        own = {name: getattr(self.flow, name) for name in ("steps", "seed")}
        hidden = list(self.flow.hidden)
        return {**super().get_config(), "size": self.size, "hidden": hidden, **own}


def condition(rows: Any) -> Tensor:
    """What the flow is conditioned on: nothing, `(rows, 1)`."""
    return ops.zeros((rows, 1))


def _gaussian(mean: np.ndarray, covariance: np.ndarray) -> Affine:
    """The affine map from N(0, I) to a Gaussian, whatever the condition."""
    size = len(mean)
    root = np.linalg.cholesky(covariance + _LEAST_VARIANCE * np.eye(size))
    return Affine(np.zeros((1, size)), np.zeros((1, size, size)), mean, root)
