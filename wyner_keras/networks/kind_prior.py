"""A learned prior of a kind and quantities: a mixture of Gaussians for each kind."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.gumbel import gumbel, one_hot, uniform_of_normal
from wyner_keras.networks.fixed import fixed_weight
from wyner_keras.networks.mixture_prior import fitted_mixture, log_mixture, mixture_sample

Tensor = Any
_COMPONENTS = (1, 2, 4)  # of a kind, how many are tried
_LEAST_ROWS = 4  # of a kind for each dimension; with fewer it takes what all kinds have
_LEAST_SHARE = 1e-9  # keeps logits finite


@keras.saving.register_keras_serializable(package="wyner_keras")
class KindPrior(keras.layers.Layer):
    """p(k) p(g | k): kinds as often as they are, quantities g by a mixture of Gaussians a kind.

    Uniform beside N(0, I) until it is fitted. Values are one-hot kinds beside quantities. A kind is
    drawn by its own columns of noise, made uniform; quantities by theirs, as `MixturePrior` does.

    Args:
        k: number of kinds.
        size: dimensions of the quantities.

    Example:
        >>> prior = KindPrior(k=2, size=1)
        >>> prior.build(None)
        >>> np.asarray(prior(np.float32([[2.0, -1.0, 0.5]]))).round(3).tolist()
        [[1.0, 0.0, 0.5]]
    """

    def __init__(self, k: int, size: int, **kwargs: Any) -> None:
        # Noise in half precision would draw other values.
        super().__init__(**{"autocast": False, **kwargs})
        self.k, self.size = k, size

    def build(self, _: Any) -> None:
        """Create the tables, a row a kind; nothing trains them."""
        k, most, size = self.k, _COMPONENTS[-1], self.size

        self.logits = fixed_weight(self, "logits", np.full((k,), -np.log(k)))
        self.shares = fixed_weight(self, "shares", np.tile(np.eye(1, most), (k, 1)))
        self.means = fixed_weight(self, "means", np.zeros((k, most * size)))
        self.roots = fixed_weight(self, "roots", np.tile(np.eye(size).ravel(), (k, most)))
        self.built = True

    @property
    def kind_shares(self) -> Tensor:
        """p(z) of each kind, `(k,)`."""
        return ops.softmax(self.logits)

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Fit to the mean of posteriors, told by batches of probabilities, mean, log variance.

        A row counts for the kind that is likeliest for it; kinds' frequencies are exact.
        """
        parts = [[np.asarray(part, np.float64) for part in posterior] for posterior in posteriors]
        q, means, logs = (np.concatenate(side) for side in zip(*parts, strict=True))
        rng = np.random.default_rng(0)
        z = means + np.exp(0.5 * logs) * rng.standard_normal(means.shape)
        order = rng.permutation(len(z))
        z, kind = z[order], q[order].argmax(axis=1)
        whole = fitted_mixture(z, _COMPONENTS)
        mixtures = [
            fitted_mixture(own, _COMPONENTS) if len(own) >= _LEAST_ROWS * self.size + 1 else whole
            for own in (z[kind == value] for value in range(self.k))
        ]
        self.logits.assign(np.log(np.maximum(q.mean(axis=0), _LEAST_SHARE)))
        for weight, rows in zip(
            (self.shares, self.means, self.roots), zip(*mixtures, strict=True), strict=True
        ):
            weight.assign(np.stack([row.ravel() for row in rows]))

    def call(self, noise: Tensor) -> Tensor:
        """Samples `(batch, k + size)` of standard normal noise `(batch, k + size)`."""
        noise = ops.cast(noise, "float32")
        own, rest = noise[:, : self.k], noise[:, self.k :]
        kind = one_hot((self.logits + gumbel(uniform_of_normal(own)))[:, None])  # k ~ p(k)
        return ops.concatenate([kind, mixture_sample(rest, *self._of(kind))], axis=1)  # g ~ p(g|k)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of p(k) p(g | k) of one-hot kinds beside quantities, nats, `(batch,)`."""
        value = ops.cast(value, "float32")
        kind, rest = value[:, : self.k], value[:, self.k :]
        of_kind = ops.sum(kind * ops.log_softmax(self.logits), axis=1)
        return of_kind + log_mixture(rest, *self._of(kind))

    def _of(self, kind: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Shares, means and roots of the mixture of each row's kind, components on axis 1."""
        most, size = _COMPONENTS[-1], self.size
        return (
            ops.matmul(kind, self.shares),
            ops.reshape(ops.matmul(kind, self.means), (-1, most, size)),
            ops.reshape(ops.matmul(kind, self.roots), (-1, most, size, size)),
        )

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)
