"""Whether x and y depend on one another at all: a permutation test of I(X;Y) = 0."""

from __future__ import annotations

import math
from dataclasses import dataclass

import numpy as np
from scipy.special import ndtri
from scipy.stats import rankdata

from wyner_keras.data import Pairs
from wyner_keras.data.apart import LEAST, NEEDS, pairs_apart
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.evaluation.spaces import Standard, scores
from wyner_keras.intervals import permutation_p
from wyner_keras.received import received

_COORDINATES = 20  # of a side
_WIDTHS = (0.5, 1.0, 2.0)  # of the kernels, in units of √coordinates
_WAVES = 40  # random Fourier features of a kernel
_ROOM = 2**28  # bytes that one side's examples may take


@dataclass(frozen=True, kw_only=True)
class DependenceTest:
    """What `dependence_test` found.

    Args:
        statistic: the largest of the views, in deviations of its permutations.
        critical: what one of 20 permutations exceeds.
        p_value: how often a permutation's statistic is as large, the pairs' own counted in.
        permutations: how many there were.
        pairs: how many pairs were used.
    """

    statistic: float
    critical: float
    p_value: float
    permutations: int
    pairs: int


def dependence_test(
    pairs: Pairs, *, permutations: int = 499, rows: int = 2000, seed: int = 0
) -> DependenceTest:
    """Test whether x and y of pairs are independent, I(X;Y) = 0, with no model.

    Each side becomes at most 20 coordinates, its columns or else principal components, each by its
    ranks as a normal variable. Nine views are compared with those of shuffled partners: squared
    correlations of coordinates, of one with the square of another, of squares, each summed and the
    largest alone; and HSIC by random Fourier features of Gaussian kernels of three widths. The
    statistic is the largest view, each in deviations of its own permutations. As all of it is the
    same function of every permutation the p value is exact, whatever x and y are; where rows are
    on both sides, but for the one in n that a permutation brings to itself.

    Only pairs that share no row and no group are used, see `pairs_apart`; of those that are linked
    one is drawn. What shows beyond the first 20 principal components alone is not seen.

    Args:
        pairs: images, vectors and series alike; labels are not read.
        permutations: at least 19; p is at least 1 / (permutations + 1).
        rows: the most pairs to use, at least 20; fewer where they take more than 256 MiB.
        seed: of the draws.

    Returns:
        The statistic and its p value: at most 0.05 in one of 20 sets of pairs that share nothing.

    Raises:
        ValueError: if an argument is not as said, or fewer than 20 pairs are apart.

    Example:
        >>> x = np.random.default_rng(0).normal(size=(200, 3))
        >>> dependence_test(Pairs(x, x**2), permutations=99).p_value
        0.01

    Source: Gretton et al., A kernel statistical test of independence, 2007 (HSIC); Zhang et al.,
    Large-scale kernel methods for independence testing, 2018 (random Fourier features); Schrab et
    al., MMD aggregated two-sample test, 2023 (several kernels at once). Benchmark:
    benchmarks/dependence.py.
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs. Received: {received(pairs)}")
    check_whole(permutations, "`permutations`", minimum=19)
    check_whole(rows, "`rows`", minimum=LEAST)
    check_whole(seed, "`seed`")
    room = _ROOM // (4 * max(math.prod(modality.shape) for modality in pairs.modalities))
    chosen = pairs_apart(pairs, rows=max(LEAST, min(rows, room)), seed=seed)
    rng = np.random.default_rng(seed)
    x, y = (_views(_coordinates(pairs, column, chosen), rng) for column in (0, 1))
    orders = [np.arange(len(chosen))] + [rng.permutation(len(chosen)) for _ in range(permutations)]
    found = np.array([_statistics(x, [view[order] for view in y]) for order in orders])
    deviation = found.std(axis=0)
    largest = ((found - found.mean(axis=0)) / np.where(deviation > 0, deviation, 1)).max(axis=1)
    return DependenceTest(
        statistic=float(largest[0]),
        critical=float(np.quantile(largest[1:], 0.95)),
        p_value=permutation_p(largest),
        permutations=permutations,
        pairs=len(chosen),
    )


def _coordinates(pairs: Pairs, column: int, chosen: np.ndarray) -> np.ndarray:
    """Normal scores of a side's coordinates, `(n, coordinates)`: no outlier decides."""
    modality = pairs.modalities[column]
    examples = modality.check(
        pairs.stores[column].take(pairs.index[chosen, column]), pairs.names[column]
    )
    values = scores(Standard(examples, modality.describe())(examples), _COORDINATES)
    # Rounding must not rank what is equal.
    ranks = rankdata(values.round(9), axis=0)
    return np.asarray(ndtri((ranks - 0.5) / len(values)))


def _views(coordinates: np.ndarray, rng: np.random.Generator) -> list[np.ndarray]:
    """Coordinates, their squares, and Fourier features of each width, all of mean 0."""
    size = coordinates.shape[1]
    views = [coordinates, coordinates**2]
    for width in _WIDTHS:
        waves = rng.normal(size=(size, _WAVES)) / (width * math.sqrt(size))
        views.append(np.cos(coordinates @ waves + rng.uniform(0, 2 * np.pi, _WAVES)))
    views = [view - view.mean(axis=0) for view in views]
    scaled = [view / np.maximum(view.std(axis=0), 1e-9) for view in views[:2]]
    return [view.astype(np.float32) for view in [*scaled, *views[2:]]]


def _statistics(x: list[np.ndarray], y: list[np.ndarray]) -> list[float]:
    """Squares of cross-covariances, view by view: nine numbers."""
    found: list[float] = []
    linear, squares = ([np.square(view.T @ y[k]) for view in x[:2]] for k in (0, 1))
    for tables in ([linear[0]], [linear[1], squares[0]], [squares[1]]):
        found += [sum(float(table.sum()) for table in tables), max(map(np.max, tables))]
    return found + [float(np.square(a.T @ b).sum()) for a, b in zip(x[2:], y[2:], strict=True)]


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """The test on held-out pairs, which no model has a part in."""
    if evaluation.apart is None:
        return {"dependence": NEEDS}
    found = dependence_test(evaluation.pairs, seed=evaluation.seed)
    evaluation.counts["dependence"] = found.pairs
    evaluation.p_values["dependence"] = found.p_value
    return {"dependence": Figure(found.statistic, found.critical)}
