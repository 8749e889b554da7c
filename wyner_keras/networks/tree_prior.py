"""A learned prior of categorical variables: the tree that fits their joint distribution best."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
import numpy as np
from keras import ops
from scipy.sparse import csgraph

from wyner_keras.data.checks import as_real
from wyner_keras.gumbel import gumbel, one_hot
from wyner_keras.networks.fixed import fixed_weight

Tensor = Any
_LEAST_PROBABILITY = 1e-9  # of a pair of values; keeps logits finite


@keras.saving.register_keras_serializable(package="wyner_keras")
class TreePrior(keras.layers.Layer):
    """p(z) = p(z_r) Π p(z_n | z_parent(n)) of categorical variables; uniform until it is fitted.

    Of all such trees, the maximum spanning tree of the variables' mutual information is the one
    with the least D(q ‖ p), and its conditionals are q's. One variable has its own probabilities.

    Args:
        n: number of variables.
        k: number of values of each.

    Example:
        >>> prior = TreePrior(n=2, k=2)
        >>> prior.build(None)
        >>> both = np.diag([0.5, 0.5])  # both variables always the same
        >>> prior.fit_joint(np.array([[both, both], [both, both]]))
        >>> z = np.asarray(prior(np.random.default_rng(0).random((4, 4), "f")))
        >>> bool((z[:, :2] == z[:, 2:]).all())
        True

    Source: Chow and Liu, Approximating discrete probability distributions with dependence trees,
    1968.
    """

    def __init__(self, n: int, k: int, **kwargs: Any) -> None:
        # Noise in half precision would draw other values.
        super().__init__(**{"autocast": False, **kwargs})
        self.n, self.k = n, k

    def build(self, _: Any) -> None:
        """Create the tables; nothing trains them."""
        n, k = self.n, self.k
        # One-hot rows, a step of sampling each: which variable, and which is its parent (none: 0).
        self.variable = fixed_weight(self, "variable", np.eye(n))
        self.parent = fixed_weight(self, "parent", np.zeros((n, n)))
        # log p(value | parent's value), (step, parent's value, value); without a parent rows agree.
        self.logits = fixed_weight(self, "logits", np.zeros((n, k, k)))
        self.built = True

    @property
    def kind_shares(self) -> Tensor | None:
        """p(z) of each value of the only variable, `(k,)`; None of several, which depend."""
        return ops.softmax(self.logits[0, 0]) if self.n == 1 else None

    def fit(self, posteriors: Iterable[tuple[Tensor, ...]]) -> None:
        """Set the tree that is nearest to the mean of posteriors, told by batches of `outputs`."""
        n, count = self.n, 0
        together = np.zeros((n, n, self.k, self.k))
        alone = np.zeros((n, self.k))
        for (probabilities,) in posteriors:
            q = np.asarray(probabilities, np.float64).reshape(-1, n, self.k)
            together += np.einsum("bik,bjl->ijkl", q, q)
            alone += q.sum(axis=0)
            count += len(q)
        # Given x and y different variables are independent, but one is not of itself.
        for variable, probabilities in enumerate(alone):
            together[variable, variable] = np.diag(probabilities)
        self.fit_joint(together / count)

    def fit_joint(self, joint: np.ndarray) -> None:
        """Set the tree that is nearest to a distribution.

        Args:
            joint: P(z_i = a, z_j = b), `(n, n, k, k)`; of i = j the probabilities on the diagonal.

        Raises:
            ValueError: for another shape, masked or complex values.
        """
        n, k = self.n, self.k
        joint = as_real(joint, "`joint`", f"an array of shape {(n, n, k, k)}")
        if joint.shape != (n, n, k, k):
            raise ValueError(
                f"`joint` should have shape {(n, n, k, k)}. Received: shape={joint.shape}"
            )
        joint = np.maximum(joint, _LEAST_PROBABILITY)
        joint /= joint.sum(axis=(2, 3), keepdims=True)
        single = joint[np.arange(n), np.arange(n)].sum(axis=1)
        product = single[:, None, :, None] * single[None, :, None, :]
        information = np.einsum("ijab,ijab->ij", joint, np.log(joint / product))
        # 0 would stand for no edge.
        lengths = -1.0 - np.maximum(information, 0.0)
        np.fill_diagonal(lengths, 0.0)
        tree = csgraph.minimum_spanning_tree(lengths)
        order, parents = csgraph.breadth_first_order(tree, 0, directed=False)
        variable, parent = np.eye(n)[order], np.zeros((n, n))
        logits = np.empty((n, k, k))
        logits[0] = np.log(single[order[0]])
        for step, chosen in enumerate(order[1:], 1):
            before = parents[chosen]
            parent[step, before] = 1.0
            pair = joint[before, chosen]
            logits[step] = np.log(pair / pair.sum(axis=1, keepdims=True))
        for weight, values in (
            (self.variable, variable),
            (self.parent, parent),
            (self.logits, logits),
        ):
            weight.assign(values)

    def call(self, noise: Tensor) -> Tensor:
        """One-hot samples `(batch, n*k)` of uniform noise `(batch, n*k)`."""
        n, k = self.n, self.k
        noise = ops.reshape(ops.cast(noise, "float32"), (-1, n, k))
        found = ops.zeros_like(noise)
        for step in range(n):
            parent = self.parent[step]
            value = ops.sum(found * parent[:, None], axis=1) + (1.0 - ops.sum(parent)) / k
            own_noise = ops.sum(noise * self.variable[step][:, None], axis=1)
            sample = one_hot((ops.matmul(value, self.logits[step]) + gumbel(own_noise))[:, None])
            found = found + self.variable[step][None, :, None] * sample[:, None, :]
        return ops.reshape(found, (-1, n * k))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of p(z) of one-hot values `(batch, n*k)`, nats per example, `(batch,)`."""
        value = ops.reshape(ops.cast(value, "float32"), (-1, self.n, self.k))
        # Of each step the variable's value and its parent's, `(batch, step, k)`.
        own, before = ops.matmul(self.variable, value), ops.matmul(self.parent, value)
        before = before + (1.0 - ops.sum(self.parent, axis=1)[:, None]) / self.k
        conditional = ops.log_softmax(self.logits, axis=-1)  # uniform until fitted
        terms = ops.matmul(before[:, :, None], conditional)[:, :, 0] * own
        return ops.sum(terms, axis=(1, 2))

    def compute_output_shape(self, noise_shape: Any) -> tuple[Any, ...]:
        """The shape of the noise."""
        return tuple(noise_shape)
