"""A learned prior of a Gaussian latent: a mixture of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.mixture import GaussianMixture

Tensor = Any
_COMPONENTS = (1, 2, 4, 8, 16)  # how many are tried
_ROWS_A_COMPONENT = 4  # for each dimension, at least
_LOOKED_AT = 10_000  # rows, at most
_LEAST_VARIANCE = 1e-3
_EDGE = 1e-6  # of probabilities that have a quantile


@keras.saving.register_keras_serializable(package="wyner_keras")
class MixturePrior(keras.layers.Layer):
    """p(z) as a mixture of Gaussians; N(0, I) until it is fitted.

    Fitted to the aggregated posterior, the mean of q(z|x,y) over pairs, with as many components as
    held-out rows ask for. One standard normal number chooses the component and, by what is left of
    it within its share, stays one of the component's own.

    Args:
        size: dimensions of z.

    Example:
        >>> prior = MixturePrior(2)
        >>> prior.build(None)
        >>> bool(np.allclose(prior(np.ones((3, 2), "f")), 1.0, atol=1e-3))
        True

    Source: Tomczak and Welling, VAE with a VampPrior, 2018, on the aggregated posterior as prior;
    Rosenblatt, Remarks on a multivariate transformation, 1952.
    """

    def __init__(self, size: int, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.size = size

    def build(self, _: Any) -> None:
        """Create the weights; nothing trains them."""
        most, size = _COMPONENTS[-1], self.size

        def table(name: str, values: np.ndarray) -> Any:
            return self.add_weight(
                name=name,
                shape=values.shape,
                initializer=keras.initializers.Constant(values),
                trainable=False,
                autocast=False,
            )

        self.shares = table("shares", np.eye(1, most)[0])
        self.means = table("means", np.zeros((most, size)))
        self.roots = table("roots", np.tile(np.eye(size).ravel(), (most, 1)))
        self.built = True

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit to the mean of Gaussian posteriors, told by batches of mean and log variance."""
        parts = [[np.asarray(part) for part in posterior] for posterior in posteriors]
        means, logs = (np.concatenate(side) for side in zip(*parts, strict=True))
        rng = np.random.default_rng(0)
        z = means + np.exp(0.5 * logs) * rng.standard_normal(means.shape)
        z = z[rng.permutation(len(z))[:_LOOKED_AT]]
        held = len(z) // 5
        tried = [
            count
            for count in _COMPONENTS
            if count == 1 or (len(z) - held) >= count * _ROWS_A_COMPONENT * self.size
        ]
        scores = [_mixture(z[held:], count).score(z[:held]) for count in tried] if held else [0.0]
        fitted = _mixture(z, tried[int(np.argmax(scores))])
        count, most = fitted.n_components, _COMPONENTS[-1]
        shares, centres = np.zeros(most), np.zeros((most, self.size))
        roots = np.tile(np.eye(self.size), (most, 1, 1))
        shares[:count], centres[:count] = fitted.weights_, fitted.means_
        roots[:count] = np.linalg.cholesky(fitted.covariances_)
        for weight, values in (
            (self.shares, shares),
            (self.means, centres),
            (self.roots, roots.reshape(most, -1)),
        ):
            weight.assign(values)

    def call(self, noise: Tensor) -> Tensor:
        """Samples `(batch, size)` of standard normal noise `(batch, size)`."""
        noise = ops.cast(noise, "float32")
        place = 0.5 * (1.0 + ops.erf(noise[:, :1] / math.sqrt(2.0)))  # uniform, (batch, 1)
        ends = ops.cumsum(self.shares)[None]
        # Which component's share of [0, 1) the place is in, one-hot, (batch, components).
        below = ops.cast(place >= ends[:, :-1], "float32")
        chosen = ops.concatenate([ops.ones_like(place), below], axis=1) - ops.concatenate(
            [below, ops.zeros_like(place)], axis=1
        )
        share = ops.sum(chosen * self.shares, axis=1, keepdims=True)
        start = ops.sum(chosen * (ends - self.shares), axis=1, keepdims=True)
        within = (place - start) / ops.maximum(share, _EDGE)
        own = ops.concatenate([_quantile(within), noise[:, 1:]], axis=1)
        roots = ops.reshape(ops.matmul(chosen, self.roots), (-1, self.size, self.size))
        return ops.matmul(chosen, self.means) + ops.matmul(roots, own[:, :, None])[:, :, 0]

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of p(value) of values `(batch, size)`, nats, `(batch,)`."""
        most = _COMPONENTS[-1]
        roots = ops.reshape(self.roots, (most, self.size, self.size))
        diagonals = ops.diagonal(roots, axis1=1, axis2=2)
        rest = ops.cast(value, "float32")[None] - self.means[:, None]  # (components, batch, size)
        standard = ops.solve_triangular(roots, ops.transpose(rest, (0, 2, 1)), lower=True)
        logs = -0.5 * ops.sum(ops.square(standard) + math.log(2.0 * math.pi), axis=1)
        logs = logs - ops.sum(ops.log(diagonals), axis=1, keepdims=True)
        shares = ops.log(ops.maximum(self.shares, 1e-30))
        return ops.logsumexp(logs + shares[:, None], axis=0)

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size}


def _mixture(z: np.ndarray, count: int) -> GaussianMixture:
    return GaussianMixture(count, reg_covar=_LEAST_VARIANCE, random_state=0).fit(z)


def _quantile(p: Tensor) -> Tensor:
    """The standard normal quantile, to 5e-4.

    Source: Abramowitz and Stegun, Handbook of mathematical functions, 26.2.23.
    """
    p = ops.clip(p, _EDGE, 1.0 - _EDGE)
    t = ops.sqrt(-2.0 * ops.log(ops.minimum(p, 1.0 - p)))
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    under = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return ops.sign(p - 0.5) * (t - above / under)
