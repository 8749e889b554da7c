"""How far a set of generated images lies from a set of real ones, measured on features."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy import linalg
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from wyner_keras.data.checks import as_real, check_least


class PrecisionRecall(NamedTuple):
    """Improved precision and recall, each a share in [0, 1]."""

    precision: float
    recall: float


def _features(real: np.ndarray, generated: np.ndarray, least: int) -> tuple[np.ndarray, np.ndarray]:
    expected = "features of shape (n, features)"
    pair = as_real(real, "`real`", expected), as_real(generated, "`generated`", expected)
    for name, values in zip(("real", "generated"), pair, strict=True):
        if values.ndim != 2 or len(values) < least:
            raise ValueError(
                f"`{name}` should be features of shape (n, features) with n at least {least}. "
                f"Received: shape {values.shape}"
            )
        if not np.isfinite(values).all():
            raise ValueError(f"`{name}` should be finite. Received: NaN or infinity")
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(
            "`real` and `generated` should have equally many features. "
            f"Received: {pair[0].shape[1]} and {pair[1].shape[1]}"
        )
    return pair


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Fréchet distance between the Gaussians fitted to two sets of features.

    `|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^(1/2) C2 C1^(1/2))^(1/2))`. The square roots go
    through symmetric eigenvalues, which stay real where covariances are singular, as those of
    features that are often zero are.

    The estimate falls with the number of samples: compare only distances of equally many.

    Args:
        real: `(n, features)`.
        generated: `(m, features)`.

    Returns:
        The squared distance, in squared units of the features, at least 0.

    Raises:
        ValueError: fewer than two rows, values that are not finite, masked or complex, or different
            numbers of features.

    Example:
        >>> import numpy as np
        >>> cloud = np.random.default_rng(0).normal(size=(500, 3))
        >>> round(frechet_distance(cloud, cloud + [2, 0, 0]), 6)
        4.0

    Source:
        Dowson and Landau, The Fréchet distance between multivariate normal distributions, 1982;
        Heusel et al., GANs trained by a two time-scale update rule, 2017.
    """
    real, generated = _features(real, generated, least=2)
    shift = real.mean(0) - generated.mean(0)
    first, second = (np.atleast_2d(np.cov(rows, rowvar=False)) for rows in (real, generated))
    values, vectors = linalg.eigh(first)
    root = (vectors * np.sqrt(np.clip(values, 0, None))) @ vectors.T
    overlap = np.sqrt(np.clip(linalg.eigvalsh(root @ second @ root), 0, None)).sum()
    distance = shift @ shift + np.trace(first) + np.trace(second) - 2 * overlap
    return max(float(distance), 0.0)


def _share_inside(points: np.ndarray, centres: np.ndarray, k: int) -> float:
    """Share of the points inside a ball around any centre, out to its k-th neighbour."""
    neighbours = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(centres)
    radius = neighbours.kneighbors()[0][:, -1]  # a centre is not its own neighbour here
    reach = radius + 1e-6 * (1 + radius)  # distances by dot products round in the last digits
    inside = [(block <= reach).any(1) for block in pairwise_distances_chunked(points, centres)]
    return float(np.concatenate(inside).mean())


def precision_recall(real: np.ndarray, generated: np.ndarray, k: int = 3) -> PrecisionRecall:
    """Improved precision and recall.

    Precision is the share of generated points inside the real manifold, recall the share of real
    points inside the generated one; a manifold is the union of balls around its points, each out
    to its k-th nearest neighbour. Distances are computed in blocks of bounded memory.

    Args:
        real: features `(n, features)`, n > k.
        generated: features `(m, features)`, m > k; best with m = n.
        k: the neighbour that sets the radius.

    Returns:
        `(precision, recall)`, shares in [0, 1].

    Raises:
        ValueError: k below one, too few rows, values that are not finite, masked or complex, or
            different numbers of features.

    Example:
        >>> import numpy as np
        >>> cloud = np.random.default_rng(0).normal(size=(50, 3))
        >>> precision_recall(cloud, cloud)
        PrecisionRecall(precision=1.0, recall=1.0)

    Source:
        Kynkäänniemi et al., Improved precision and recall metric for assessing generative models,
        2019.
    """
    k = check_least(k, "`k`", 1)
    real, generated = _features(real, generated, least=k + 1)
    return PrecisionRecall(_share_inside(generated, real, k), _share_inside(real, generated, k))
