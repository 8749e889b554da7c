"""A learned prior of a Gaussian latent: a mixture of Gaussians."""

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.special import logsumexp
from sklearn.cluster import KMeans

from wyner_keras.networks.fixed import fixed_weight

Tensor = Any
_COMPONENTS = (1, 2, 4, 8, 16, 32, 64, 128, 256)  # how many are tried
_ALWAYS, _LARGEST = 16, 2**20  # components; numbers in covariances, from there on
_ROWS_A_COMPONENT = 8  # at least
_STEPS, _PRODUCTS = 10, 3e9  # of expectation and maximisation, and what they take, at most
_A_VALUE = 200  # products that take as long as one exponential and what is around it
_PATIENCE = 2  # times that more may be less likely
_SLACK = 1e-3  # nats a dimension that rows may be less likely by more components
_LOOKED_AT, _AT_ONCE = 50_000, 5_000  # rows, at most
_LEAST_VARIANCE = 1e-3
_NO_SHARE = 1e-30  # keeps logs finite
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
        # So many that a model stays small.
        self.tried = [
            count for count in _COMPONENTS if count <= _ALWAYS or count * size**2 <= _LARGEST
        ]

    def build(self, _: Any) -> None:
        """Create the weights; nothing trains them."""
        most, size = self.tried[-1], self.size

        self.shares = fixed_weight(self, "shares", np.eye(1, most)[0])
        self.means = fixed_weight(self, "means", np.zeros((most, size)))
        self.roots = fixed_weight(self, "roots", np.tile(np.eye(size).ravel(), (most, 1)))
        self.built = True

    def load_own_variables(self, store: Any) -> None:
        """Take tables of fewer components too, which models had; the others have no share."""
        for place, weight in enumerate((self.shares, self.means, self.roots)):
            table, kept = np.array(weight), np.asarray(store[str(place)])
            if weight is self.shares:
                table[:] = 0.0
            table[: len(kept)] = kept
            weight.assign(table)

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit to the mean of Gaussian posteriors, told by batches of mean and log variance."""
        parts = [[np.asarray(part) for part in posterior] for posterior in posteriors]
        means, logs = (np.concatenate(side) for side in zip(*parts, strict=True))
        rng = np.random.default_rng(0)
        order = rng.permutation(len(means))[:_LOOKED_AT]
        means, logs = means[order], logs[order]
        z = means + np.exp(0.5 * logs) * rng.standard_normal(means.shape)
        found = fitted_mixture(z, self.tried)
        for weight, values in zip((self.shares, self.means, self.roots), found, strict=True):
            weight.assign(np.reshape(values, weight.shape))

    def call(self, noise: Tensor) -> Tensor:
        """Samples `(batch, size)` of standard normal noise `(batch, size)`."""
        return mixture_sample(ops.cast(noise, "float32"), *self._of_all())

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of p(value) of values `(batch, size)`, nats, `(batch,)`."""
        return log_mixture(ops.cast(value, "float32"), *self._of_all())

    def _of_all(self) -> tuple[Tensor, Tensor, Tensor]:
        """Shares, means and roots, the same of every row."""
        roots = ops.reshape(self.roots, (1, -1, self.size, self.size))
        return self.shares[None], self.means[None], roots

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)


def fitted_mixture(
    z: np.ndarray, components: Sequence[int]
) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mixture of Gaussians of rows in any order but a sorted one.

    Args:
        z: `(rows, size)`, of which the first 50,000 count.
        components: how many are tried, 1 first: more until the first fifth of the rows, held out,
            is less likely by them, twice. Of those that are as likely, the most are taken, which
            leave the least room between them.

    Returns:
        Shares `(most,)`, means `(most, size)`, Cholesky factors of the covariances `(most, size,
        size)`, for the most components that are tried; those that are not taken have no share.
    """
    z, size, most = z[:_LOOKED_AT].astype(np.float64), z.shape[1], components[-1]
    held = len(z) // 5
    count, score, worse = 1, -math.inf, 0
    for more in components if held else ():
        if more > 1 and len(z) - held < more * _ROWS_A_COMPONENT:
            break
        likely = logsumexp(_logs(z[:held], _mixture(z[held:], more)), axis=1).mean()
        if likely > score - _SLACK * size:
            count, score, worse = more, max(score, likely), 0
        elif (worse := worse + 1) == _PATIENCE:
            break
    shares, means = np.zeros(most), np.zeros((most, size))
    roots = np.tile(np.eye(size), (most, 1, 1))
    shares[:count], means[:count], roots[:count] = _mixture(z, count)
    return shares, means, roots


def _mixture(z: np.ndarray, count: int) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """Shares, means and Cholesky factors of so many Gaussians, of rows `(rows, size)`.

    K-means, then steps of expectation and maximisation as far as there is time for them.
    """
    rows, size = z.shape
    if count == 1:
        return _maximised(z, np.ones((rows, 1)))
    labels = KMeans(count, n_init=1, random_state=0).fit(z).labels_
    found = _maximised(z, np.equal.outer(labels, np.arange(count)).astype(float))
    products = rows * count * (size**2 + _A_VALUE)
    for _ in range(min(_STEPS, int(_PRODUCTS / products))):
        found = _maximised(z, _expected(z, found))
    return found


def _expected(z: np.ndarray, mixture: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """How far each row is of each component, `(rows, count)`; some rows at a time, for memory."""
    of = np.empty((len(z), len(mixture[0])))
    for start in range(0, len(z), _AT_ONCE):
        logs = _logs(z[start : start + _AT_ONCE], mixture)
        of[start : start + _AT_ONCE] = np.exp(logs - logsumexp(logs, axis=1, keepdims=True))
    return of


def _maximised(z: np.ndarray, of: np.ndarray) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    """The mixture of rows that are of components so far, `(rows, count)`.

    A component has few rows for its covariance: that inside all of them counts as `size` rows more.
    """
    (rows, size), counts = z.shape, of.sum(axis=0)
    means = (of.T @ z) / np.maximum(counts, _EDGE)[:, None]
    squares = np.empty((len(counts), size, size))
    for place, mean in enumerate(means):
        own = of[:, place] > _EDGE
        rest = (z[own] - mean) * np.sqrt(of[own, place])[:, None]
        squares[place] = rest.T @ rest
    inside = squares.sum(axis=0) / rows
    covariances = (squares + size * inside) / (counts + size)[:, None, None]
    covariances += _LEAST_VARIANCE * np.eye(size)
    return counts / rows, means, np.linalg.cholesky(covariances)


def _logs(z: np.ndarray, mixture: tuple[np.ndarray, np.ndarray, np.ndarray]) -> np.ndarray:
    """The log of each component's share and density at rows `(rows, size)`, `(rows, count)`."""
    columns = []
    for share, mean, root in zip(*mixture, strict=True):
        standard = (z - mean) @ np.linalg.inv(root).T
        size = np.log(np.diag(root)).sum() + 0.5 * len(mean) * math.log(2.0 * math.pi)
        columns.append(
            math.log(max(share, _NO_SHARE)) - size - 0.5 * np.square(standard).sum(axis=1)
        )
    return np.stack(columns, axis=1)


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
    return ops.logsumexp(logs + ops.log(ops.maximum(shares, _NO_SHARE)), axis=1)


def _quantile(p: Tensor) -> Tensor:
    """The standard normal quantile, to 5e-4.

    Source: Abramowitz and Stegun, Handbook of mathematical functions, 26.2.23.
    """
    p = ops.clip(p, _EDGE, 1.0 - _EDGE)
    t = ops.sqrt(-2.0 * ops.log(ops.minimum(p, 1.0 - p)))
    above = 2.515517 + t * (0.802853 + t * 0.010328)
    under = 1.0 + t * (1.432788 + t * (0.189269 + t * 0.001308))
    return ops.sign(p - 0.5) * (t - above / under)
