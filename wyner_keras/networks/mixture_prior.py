"""A learned prior of a Gaussian latent: a mixture of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from sklearn.mixture import GaussianMixture

Tensor = Any
_COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128)  # how many are tried
_LARGEST = 2**18  # numbers in the covariances of a prior
_ROWS_A_COMPONENT = 4  # for each dimension, at least
_PATIENCE = 2  # times that more may be no likelier
_LOOKED_AT = 50_000  # rows, at most
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
        most, size = self._tried()[-1], self.size

        self.shares = fitted_table(self, "shares", np.eye(1, most)[0])
        self.means = fitted_table(self, "means", np.zeros((most, size)))
        self.roots = fitted_table(self, "roots", np.tile(np.eye(size).ravel(), (most, 1)))
        self.built = True

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit to the mean of Gaussian posteriors, told by batches of mean and log variance."""
        parts = [[np.asarray(part) for part in posterior] for posterior in posteriors]
        means, logs = (np.concatenate(side) for side in zip(*parts, strict=True))
        rng = np.random.default_rng(0)
        z = means + np.exp(0.5 * logs) * rng.standard_normal(means.shape)
        found = fitted_mixture(z[rng.permutation(len(z))], self._tried())
        for weight, values in zip((self.shares, self.means, self.roots), found, strict=True):
            weight.assign(np.reshape(values, weight.shape))

    def call(self, noise: Tensor) -> Tensor:
        """Samples `(batch, size)` of standard normal noise `(batch, size)`."""
        return mixture_sample(ops.cast(noise, "float32"), *self._of_all())

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of p(value) of values `(batch, size)`, nats, `(batch,)`."""
        return log_mixture(ops.cast(value, "float32"), *self._of_all())

    def _tried(self) -> tuple[int, ...]:
        """How many components are tried, so many that a model stays small."""
        return tuple(
            count for count in _COMPONENTS if count == 1 or count * self.size**2 <= _LARGEST
        )

    def _of_all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Shares, means and roots, the same of every row."""
        roots = ops.reshape(self.roots, (1, -1, self.size, self.size))
        return self.shares[None], self.means[None], roots

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "size": self.size}


def fitted_table(layer: keras.layers.Layer, name: str, values: np.ndarray) -> Any:
    """A weight of a layer that is fitted, not trained, with the values it has until then."""
    return layer.add_weight(
        name=name,
        shape=values.shape,
        initializer=keras.initializers.Constant(values),
        trainable=False,
        autocast=False,
    )


def fitted_mixture(
    z: np.ndarray, components: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mixture of Gaussians of rows in any order but a sorted one.

    Args:
        z: `(rows, size)`, of which the first 50,000 count.
        components: how many are tried, 1 first: more until the first fifth of the rows, held out,
            is no likelier by them, twice.

    Returns:
        Shares `(most,)`, means `(most, size)`, Cholesky factors of the covariances `(most, size,
        size)`, for the most components that are tried; those that are not taken have no share.
    """
    z, size, most = z[:_LOOKED_AT], z.shape[1], max(components)
    held = len(z) // 5
    count, score, worse = 1, -math.inf, 0
    for more in components if held else ():
        if more > 1 and len(z) - held < more * _ROWS_A_COMPONENT * size:
            break
        likely = _mixture(z[held:], more).score(z[:held])
        if likely > score:
            count, score, worse = more, likely, 0
        elif (worse := worse + 1) == _PATIENCE:
            break
    fitted = _mixture(z, count)
    shares, means = np.zeros(most), np.zeros((most, size))
    roots = np.tile(np.eye(size), (most, 1, 1))
    shares[:count], means[:count] = fitted.weights_, fitted.means_
    roots[:count] = np.linalg.cholesky(fitted.covariances_)
    return shares, means, roots


def _mixture(z: np.ndarray, count: int) -> GaussianMixture:
    return GaussianMixture(count, reg_covar=_LEAST_VARIANCE, random_state=0).fit(z)


def mixture_sample(noise: Tensor, shares: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """Samples of mixtures, `(batch, size)`, a mixture a row or one for all.

    Args:
        noise: standard normal, `(batch, size)`, float32.
        shares: of components, `(batch or 1, components)`.
        means: `(batch or 1, components, size)`.
        roots: of covariances, `(batch or 1, components, size, size)`.
    """
    place = 0.5 * (1.0 + ops.erf(noise[:, :1] / math.sqrt(2.0)))  # uniform, (batch, 1)
    ends = ops.cumsum(shares, axis=1)
    # Which component's share of [0, 1) the place is in, one-hot, (batch, components).
    below = ops.cast(place >= ends[:, :-1], "float32")
    chosen = ops.concatenate([ops.ones_like(place), below], axis=1) - ops.concatenate(
        [below, ops.zeros_like(place)], axis=1
    )
    share = ops.sum(chosen * shares, axis=1, keepdims=True)
    start = ops.sum(chosen * (ends - shares), axis=1, keepdims=True)
    within = (place - start) / ops.maximum(share, _EDGE)
    own = ops.concatenate([_quantile(within), noise[:, 1:]], axis=1)
    most, size = means.shape[1:]
    mean = _of_chosen(chosen, means)
    root = _of_chosen(chosen, ops.reshape(roots, (-1, most, size * size)))
    return mean + ops.matmul(ops.reshape(root, (-1, size, size)), own[:, :, None])[:, :, 0]


def _of_chosen(chosen: Tensor, tables: Tensor) -> Tensor:
    """Rows `(batch, width)` of tables `(batch or 1, components, width)` by one-hot choices."""
    if tables.shape[0] == 1:
        # One for all: no table is repeated for each row.
        return ops.matmul(chosen, tables[0])
    return ops.sum(chosen[:, :, None] * tables, axis=1)


def log_mixture(value: Tensor, shares: Tensor, means: Tensor, roots: Tensor) -> Tensor:
    """The log density of mixtures at values `(batch, size)`, nats, `(batch,)`.

    Args:
        value: float32.
        shares: as the other arguments, those of `mixture_sample`.
        means: likewise.
        roots: likewise.
    """
    rest = value[:, None] - means  # (batch, components, size)
    # One mixture for all is solved once, whatever the batch.
    inverses = ops.solve_triangular(
        roots, ops.broadcast_to(ops.eye(value.shape[1]), ops.shape(roots)), lower=True
    )
    standard = ops.matmul(inverses, rest[..., None])[..., 0]
    logs = -0.5 * ops.sum(ops.square(standard) + math.log(2.0 * math.pi), axis=-1)
    logs = logs - ops.sum(ops.log(ops.diagonal(roots, axis1=2, axis2=3)), axis=-1)
    return ops.logsumexp(logs + ops.log(ops.maximum(shares, 1e-30)), axis=1)


def _quantile(p: Tensor) -> Tensor:
    """The standard normal quantile, to 5e-4.

    Source: Abramowitz and Stegun, Handbook of mathematical functions, 26.2.23.
    """
    p = ops.clip(p, _EDGE, 1.0 - _EDGE)
    t = ops.sqrt(-2.0 * ops.log(ops.minimum(p, 1.0 - p)))
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    under = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return ops.sign(p - 0.5) * (t - above / under)
