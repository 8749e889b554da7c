"""Kinds: values of a discrete z, of points that fall into clusters."""

from __future__ import annotations

import math
from collections.abc import Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.stats import chi2
from sklearn.cluster import KMeans
from sklearn.covariance import ledoit_wolf

_TRIES = 4  # starts of k-means; the one of least variance within clusters is kept
_ROUNDS = 2  # of k-means by the covariance within clusters
_SET_APART = 1.5  # variance by that covariance, from which on a direction sets clusters apart
_LEAST_VARIANCE = 1e-6
_SIGNIFICANT = 0.05  # p of a G-test, of all pairs of values at once, that keeps two apart


class Clusters(NamedTuple):
    """Clusters of pairs, seen from both sides: Gaussians of one covariance.

    Args:
        centres: by side, `(clusters, size)`.
        metrics: by side, the inverse of the covariance within clusters, `(size, size)`.
    """

    centres: tuple[np.ndarray, ...]
    metrics: tuple[np.ndarray, ...]

    @classmethod
    def of(
        cls, points: tuple[np.ndarray, ...], labels: np.ndarray, *, spheres: bool = False
    ) -> Clusters:
        """The clusters of points `(pairs, size)` by side, whose numbers from 0 on are `labels`.

        Args:
            points: by side, `(pairs, size)`.
            labels: `(pairs,)`.
            spheres: whether clusters are as wide in every direction.

        Source: Ledoit and Wolf, A well-conditioned estimator for large-dimensional covariance
        matrices, 2004.
        """
        members = np.eye(labels.max() + 1)[labels]
        centres = tuple(members.T @ side / members.sum(axis=0)[:, None] for side in points)
        sides = zip(points, centres, strict=True)
        metric = _sphere if spheres else _metric
        return cls(centres, tuple(metric(side - centre[labels]) for side, centre in sides))

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


def _sphere(errors: np.ndarray) -> np.ndarray:
    """The inverse of a variance that all coordinates have, times the identity."""
    found: np.ndarray = np.eye(errors.shape[1]) / max(
        float(np.square(errors).mean()), _LEAST_VARIANCE
    )
    return found


def clustered(
    points: tuple[np.ndarray, ...], count: int, seed: int, *, spheres: bool = False
) -> np.ndarray:
    """The cluster of each pair, `(pairs,)`, numbered from 0 on.

    By k-means; then twice where the covariance within clusters is 1, in the directions that set
    them apart. What varies alike inside all clusters, a quantity say, cuts none of them in two.

    Args:
        points: by side, `(pairs, size)`.
        count: of clusters; fewer where there are not as many different pairs.
        seed: of the starts.
        spheres: whether it is k-means alone.
    """
    joined = np.concatenate(points, axis=1)
    different = len(np.unique(joined, axis=0))
    count = min(count, different)
    labels = KMeans(count, n_init=_TRIES, random_state=seed).fit_predict(joined)
    for _ in range(_ROUNDS if 1 < count < different and not spheres else 0):
        labels = KMeans(count, n_init=1, random_state=seed).fit_predict(_apart(joined, labels))
    found: np.ndarray = np.unique(labels, return_inverse=True)[1]
    return found


def _apart(joined: np.ndarray, labels: np.ndarray) -> np.ndarray:
    """Coordinates in which clusters have covariance 1 inside, those that set them apart."""
    clusters = Clusters.of((joined,), labels)
    white = joined @ np.linalg.cholesky(clusters.metrics[0])
    values, vectors = np.linalg.eigh(np.cov(white, rowvar=False))
    return white @ vectors[:, values >= min(_SET_APART, values.max())]


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


def merged(table: np.ndarray, price: float, rows: int) -> np.ndarray:
    """Merge values that tell nothing apart: the kinds that two sides agree on.

    Two values become one where that loses less than `price` times the entropy it saves, so that
    I(Z_x; Z_y) − price · H(Z) grows, or where x and y, each read to have one of the two, agree no
    more than chance would have it (G-test, by Bonferroni). The pair that loses least a nat saved
    is first.

    Args:
        table: joint probabilities of the values that x and y are read to have, `(k, k)`.
        price: λ, nats of information a nat of entropy.
        rows: different examples behind the table, at the least of the sides.

    Returns:
        The kind of each value, `(k,)`, from 0 on; −1 for values that nothing has.

    Example:
        >>> merged(np.kron(np.eye(2), np.full((2, 2), 0.125)), price=0.1, rows=1000).tolist()
        [0, 0, 1, 1]

    Source: Slonim and Tishby, Agglomerative information bottleneck, 1999.
    """
    used = table.sum(axis=0) + table.sum(axis=1) > 0
    joint, found = table[np.ix_(used, used)] / table.sum(), np.full(len(table), -1)
    found[used] = np.arange(len(joint))
    sums = _sums(joint), _sums(joint.T)
    while len(joint) > 1:
        chance = chi2.isf(_SIGNIFICANT / math.comb(len(joint), 2), 1)
        lost, saved = _losses(joint, *sums)
        needless = (lost < price * saved) | (2 * rows * _agreement(joint) < chance)
        np.fill_diagonal(needless, False)
        if not needless.any():
            break
        ratio = np.where(needless, lost / saved, np.inf)
        i, j = sorted(map(int, np.unravel_index(np.argmin(ratio), ratio.shape)))
        before, joint = joint, _joined(joint, i, j)
        sums = (
            _joined_sums(sums[0], before, joint, i, j),
            _joined_sums(sums[1], before.T, joint.T, i, j),
        )
        found = np.where(found == j, i, found - (found > j))
    return found


def _joined(joint: np.ndarray, i: int, j: int) -> np.ndarray:
    for axis in (0, 1):
        joint = np.moveaxis(joint, axis, 0).copy()
        joint[i] += joint[j]
        joint = np.moveaxis(np.delete(joint, j, axis=0), 0, axis)
    return joint


def _term(p: np.ndarray) -> np.ndarray:
    return p * np.log(np.where(p > 0, p, 1.0))


def _agreement(joint: np.ndarray) -> np.ndarray:
    """Nats of I(Z_x; Z_y) between every two values, where both sides have one of them, `(k, k)`."""
    own = np.diag(joint)
    cells = np.stack(np.broadcast_arrays(own[:, None], joint, joint.T, own[None]))  # ii, ij, ji, jj
    sums = np.stack([cells[a] + cells[b] for a, b in ((0, 1), (2, 3), (0, 2), (1, 3))])
    return _term(cells).sum(axis=0) - _term(sums).sum(axis=0) + _term(cells.sum(axis=0))


def _sums(joint: np.ndarray) -> np.ndarray:
    """Of every two rows the sum of p log p of their own sum, `(k, k)`."""
    return np.stack([_term(row + joint).sum(axis=1) for row in joint])


def _joined_sums(
    sums: np.ndarray, before: np.ndarray, joint: np.ndarray, i: int, j: int
) -> np.ndarray:
    """`_sums` of what value j was joined to value i, by those of before: two columns changed."""
    changed = _pairwise(joint[:, i]) - np.delete(
        np.delete(_pairwise(before[:, i]) + _pairwise(before[:, j]), j, axis=0), j, axis=1
    )
    sums = np.delete(np.delete(sums, j, axis=0), j, axis=1) + changed
    sums[i] = sums[:, i] = _term(joint[i] + joint).sum(axis=1)
    return sums


def _pairwise(values: np.ndarray) -> np.ndarray:
    """Of every two values p log p of their sum, `(k, k)`."""
    return _term(values[:, None] + values[None])


def _losses(
    joint: np.ndarray, of_rows: np.ndarray, of_columns: np.ndarray
) -> tuple[np.ndarray, np.ndarray]:
    """Nats of I(Z_x; Z_y) lost and of H(Z) saved by joining two values, `(k, k)`; inf, 1 of one.

    Args:
        joint: probabilities `(k, k)`.
        of_rows: `_sums` of it.
        of_columns: of its transpose.
    """
    p_x, p_y = joint.sum(axis=1), joint.sum(axis=0)
    p = (p_x + p_y) / 2

    def drop(values: np.ndarray) -> np.ndarray:
        """How much Σ p log p falls short of (p_i + p_j) log (p_i + p_j)."""
        return _pairwise(values) - _term(values)[:, None] - _term(values)[None]

    diagonal, gained = np.diag(joint), np.zeros_like(joint)
    # Cells (i, m) and (j, m) become one, for m of neither; then the four that i and j share.
    for cells, sums in ((joint, of_rows), (joint.T, of_columns)):
        terms = _term(cells)
        whole, own = terms.sum(axis=1), np.diag(terms)
        at_own = _term(diagonal[:, None] + cells.T) - own[:, None] - terms.T  # m = i
        gained += sums - whole[:, None] - whole[None] - at_own - at_own.T
    terms = _term(joint)
    four = diagonal[:, None] + diagonal[None] + joint + joint.T
    gained += _term(four) - terms - terms.T - _term(diagonal)[:, None] - _term(diagonal)[None]
    lost = drop(p_x) + drop(p_y) - gained
    saved = drop(p)
    np.fill_diagonal(lost, np.inf)
    np.fill_diagonal(saved, 1.0)
    return lost, np.maximum(saved, 1e-12)
