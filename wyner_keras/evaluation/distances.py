"""How far a set of generated examples lies from a set of real ones, measured on features."""

from __future__ import annotations

from typing import Any

import numpy as np
from scipy import linalg
from sklearn.metrics import pairwise_distances_chunked
from sklearn.neighbors import NearestNeighbors

from wyner_keras.data.checks import as_real, check_whole
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.received import received

_NEIGHBOUR = 3  # that sets the radius of precision and recall
# Examples that each measure takes of either set, and what it needs.
_LEAST = {
    "frechet": (2, "4 held-out examples or more, two to compare with two"),
    "precision": (_NEIGHBOUR + 1, f"{2 * _NEIGHBOUR + 2} held-out examples or more"),
    "recall": (_NEIGHBOUR + 1, f"{2 * _NEIGHBOUR + 2} held-out examples or more"),
}


def frechet_distance(real: np.ndarray, generated: np.ndarray) -> float:
    """Squared Fréchet distance between Gaussians fitted to two sets of features `(n, features)`.

    `|m1 - m2|^2 + tr(C1) + tr(C2) - 2 tr((C1^(1/2) C2 C1^(1/2))^(1/2))`, by eigenvalues, which stay
    real where covariances are singular. The estimate falls with the number of samples, at least 2:
    compare only distances of equally many.

    Example:
        >>> cloud = np.random.default_rng(0).normal(size=(500, 3))
        >>> round(frechet_distance(cloud, cloud + [2, 0, 0]), 6)
        4.0

    Source: Dowson and Landau, The Fréchet distance between multivariate normal distributions,
    1982; Heusel et al., GANs trained by a two time-scale update rule, 2017.
    """
    real, generated = _features(real, generated, 2)
    shift = real.mean(0) - generated.mean(0)
    # C = A'A.
    first, second = ((rows - rows.mean(0)) / np.sqrt(len(rows) - 1) for rows in (real, generated))
    spread = np.square(first).sum() + np.square(second).sum()
    return max(float(shift @ shift + spread - 2 * _overlap(first, second)), 0.0)


def _overlap(first: np.ndarray, second: np.ndarray) -> float:
    """Trace of (C1^(1/2) C2 C1^(1/2))^(1/2), C = A'A: the sum of the singular values of A1 A2'."""
    if first.shape[1] > len(first):
        # A covariance of pixels would be their square.
        return float(linalg.svdvals(first @ second.T).sum())
    values, vectors = linalg.eigh(first.T @ first)
    root = second @ (vectors * np.sqrt(np.clip(values, 0, None)))
    return float(np.sqrt(np.clip(linalg.eigvalsh(root.T @ root), 0, None)).sum())


def _share_inside(points: np.ndarray, centres: np.ndarray, k: int) -> float:
    """Share of the points inside a ball around any centre, out to its k-th neighbour."""
    neighbours = NearestNeighbors(n_neighbors=k, algorithm="brute").fit(centres)
    radius = neighbours.kneighbors()[0][:, -1]  # a centre is not its own neighbour here
    # Distances by dot products round in the last digits of the norms.
    reach = radius + 1e-6 * (radius + np.linalg.norm(centres, axis=1))
    inside = [(block <= reach).any(1) for block in pairwise_distances_chunked(points, centres)]
    return float(np.concatenate(inside).mean())


def precision_recall(
    real: np.ndarray, generated: np.ndarray, k: int = _NEIGHBOUR
) -> tuple[float, float]:
    """Improved precision and recall, of features `(n, features)`, n > k.

    Precision is the share of generated points inside the real manifold, recall the share of real
    points inside the generated one; a manifold is the union of balls around its points, each out
    to its k-th nearest neighbour.

    Example:
        >>> cloud = np.random.default_rng(0).normal(size=(50, 3))
        >>> precision_recall(cloud, cloud)
        (1.0, 1.0)

    Source: Kynkäänniemi et al., Improved precision and recall metric for assessing generative
    models, 2019.
    """
    real, generated = _features(real, generated, check_whole(k, "`k`", minimum=1) + 1)
    # Norms are then no larger than distances, wherever the points lie.
    centre = real.mean(axis=0)
    real, generated = real - centre, generated - centre
    return _share_inside(generated, real, k), _share_inside(real, generated, k)


def _features(real: Any, generated: Any, least: int) -> list[np.ndarray]:
    """Both sets as float64 `(n, features)`, n at least `least`, finite and equally wide."""
    expected = f"features (n, features) of {least} rows or more, finite"
    pair = [as_real(real, "`real`", expected), as_real(generated, "`generated`", expected)]
    for name, values in zip(("real", "generated"), pair, strict=True):
        if values.ndim != 2 or len(values) < least or not np.isfinite(values).all():
            raise ValueError(f"`{name}` should be {expected}. Received: {received(values)}")
    if pair[0].shape[1] != pair[1].shape[1]:
        raise ValueError(
            "`real` and `generated` should have equally many features. "
            f"Received: {pair[0].shape[1]} and {pair[1].shape[1]}"
        )
    return pair


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Distance, precision and recall of conditional and of joint samples, each side's."""
    found: dict[str, Figure | str] = {}
    for made in evaluation.sides.values():
        plan, half = made.plan, len(made.plan.halves) // 2
        # The same size whatever a model can do: distances of other numbers do not compare.
        size = min(half, len(plan.conditional), len(plan.joint))
        orders = {"conditional": ("", plan.conditional), "joint": ("joint_", plan.joint)}
        orders = {task: each for task, each in orders.items() if task in evaluation.tasks}
        for measure, (least, needs) in _LEAST.items():
            if size < least:
                found |= {f"{measure}_{kind}{made.name}": needs for kind, _ in orders.values()}
        if size < 2 or not orders:
            continue
        real = made.features("real")[plan.halves]
        ceiling = _measured(real[:size], real[half : half + size])
        for task, (kind, order) in orders.items():
            measured = _measured(real[:size], made.features(task)[order[:size]])
            for measure, value in measured.items():
                found[f"{measure}_{kind}{made.name}"] = Figure(value, ceiling[measure])
        evaluation.counts[f"distances_{made.name}"] = size
    return found


def _measured(reference: np.ndarray, features: np.ndarray) -> dict[str, float]:
    found = {"frechet": frechet_distance(reference, features)}
    if len(reference) > _NEIGHBOUR:
        found["precision"], found["recall"] = precision_recall(reference, features)
    return found
