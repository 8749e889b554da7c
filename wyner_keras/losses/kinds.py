"""Kinds: values of a discrete z, of points that fall into clusters."""

from __future__ import annotations

from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from sklearn.cluster import KMeans
from sklearn.covariance import ledoit_wolf

_TRIES = 4  # starts of k-means; the one of least variance within clusters is kept
_ROUNDS = 2  # of k-means by the covariance within clusters
_SET_APART = 1.5  # variance by that covariance, from which on a direction sets clusters apart
_LEAST_VARIANCE = 1e-6


class Clusters(NamedTuple):
    """Clusters of pairs, seen from both sides: Gaussians of one covariance.

    Args:
        centres: by side, `(clusters, size)`.
        metrics: by side, the inverse of the covariance within clusters, `(size, size)`.
    """

    centres: tuple[np.ndarray, ...]
    metrics: tuple[np.ndarray, ...]

    @classmethod
    def of(cls, points: tuple[np.ndarray, ...], labels: np.ndarray) -> Clusters:
        """The clusters of points `(pairs, size)` by side, whose numbers from 0 on are `labels`.

        Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance
        matrices, 2004.
        """
        members = np.eye(labels.max() + 1)[labels]
        centres = tuple(members.T @ side / members.sum(axis=0)[:, None] for side in points)
        sides = zip(points, centres, strict=True)
        return cls(centres, tuple(_metric(side - centre[labels]) for side, centre in sides))

    def affine(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Kernel `(size, clusters)` and bias of equally likely Gaussian clusters' logits."""
        centre = self.centres[side]
        kernel = self.metrics[side] @ centre.T
        return kernel, -0.5 * np.einsum("ki,ik->k", centre, kernel)


def _metric(errors: np.ndarray) -> np.ndarray:
    """The inverse of a covariance, of `(rows, size)` around 0."""
    covariance = ledoit_wolf(errors, assume_centered=True)[0]
    found: np.ndarray = np.linalg.inv(covariance + _LEAST_VARIANCE * np.eye(len(covariance)))
    return found


def clustered(points: tuple[np.ndarray, ...], count: int, seed: int) -> np.ndarray:
    """The cluster of each pair, `(pairs,)`, numbered from 0 on.

    By k-means; then twice where the covariance within clusters is 1, in the directions that set
    them apart. What varies alike inside all clusters, a quantity say, cuts none of them in two.

    Args:
        points: by side, `(pairs, size)`.
        count: of clusters; fewer where there are not as many different pairs.
        seed: of the starts.
    """
    joined = np.concatenate(points, axis=1)
    count = min(count, len(np.unique(joined, axis=0)))
    labels = KMeans(count, n_init=_TRIES, random_state=seed).fit_predict(joined)
    for _ in range(_ROUNDS if 1 < count < len(joined) else 0):
        labels = KMeans(count, n_init=1, random_state=seed).fit_predict(_apart(joined, labels))
    found: np.ndarray = np.unique(labels, return_inverse=True)[1]
    return found


def _apart(joined: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Coordinates in which clusters have covariance 1 inside, those that set them apart."""
    clusters = Clusters.of((joined,), labels)
    white = joined @ np.linalg.cholesky(clusters.metrics[0])
    values, vectors = np.linalg.eigh(np.cov(white, rowvar=False))
    return white @ vectors[:, values > min(_SET_APART, values.max())]


def nested(points: tuple[np.ndarray, ...], labels: np.ndarray) -> Iterator[np.ndarray]:
    """Join clusters one by one, those first that lie nearest by the covariance within.

    Clusters along a direction in which all of them are wide, as kinds are along a quantity inside
    them, lie near. It is the greedy way to the least determinant of that covariance.

    Args:
        points: by side, `(pairs, size)`.
        labels: the cluster of each pair, `(pairs,)`, from 0 on.

    Yields:
        The kind of each cluster, `(clusters,)`: all apart, one kind less, and so on to two kinds.

    Source: Friedman and Rubin, On some invariant criteria for grouping data, 1967.
    """
    joined = np.concatenate(points, axis=1)
    found = Clusters.of((joined,), labels)
    centres, counts = found.centres[0], np.bincount(labels).astype(float)
    within = np.linalg.inv(found.metrics[0])
    kinds = np.arange(len(centres))
    while len(centres) > 1:
        yield kinds
        white = centres @ np.linalg.cholesky(np.linalg.inv(within))
        weights = counts[:, None] * counts / (counts[:, None] + counts)
        gaps = weights * cdist(white, white, "sqeuclidean")
        np.fill_diagonal(gaps, np.inf)
        i, j = sorted(map(int, np.unravel_index(np.argmin(gaps), gaps.shape)))
        between = centres[i] - centres[j]
        within = within + weights[i, j] / len(joined) * np.outer(between, between)
        centres[i] = np.average(centres[[i, j]], axis=0, weights=counts[[i, j]])
        counts[i] += counts[j]
        centres, counts = np.delete(centres, j, axis=0), np.delete(counts, j)
        kinds = np.where(kinds == j, i, kinds - (kinds > j))
