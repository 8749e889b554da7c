"""The joint distributions of all pairs of variables, as `TreePrior.fit` takes them."""

import numpy as np


def pairwise(probabilities: np.ndarray) -> np.ndarray:
    """`(n, n, k, k)` of a distribution, an array with an axis a variable."""
    axes = range(probabilities.ndim)

    def marginal(*kept: int) -> np.ndarray:
        return np.einsum(probabilities, axes, kept)

    return np.stack(
        [[marginal(i, j) if i != j else np.diag(marginal(i)) for j in axes] for i in axes]
    )
