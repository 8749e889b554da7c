"""Intervals of 95 % for shares and means, and p values of permutations."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq
from scipy.stats import t as student

_Z = 1.959964  # 97.5 % of N(0, 1)
_ROUNDING = 1e-4  # deviations of permutations, by which float32 may set apart what is equal


def wilson(share: float, count: float) -> tuple[float, float]:
    """Wilson's interval of a share of independent examples, 95 %.

    Args:
        share: that was found, in [0, 1].
        count: of the examples, above 0.

    Example:
        >>> [round(end, 3) for end in wilson(0.5, 100)]
        [0.404, 0.596]

    Source: Wilson, Probable inference, the law of succession, and statistical inference, 1927.
    """
    z = _Z**2 / count
    middle = (share + z / 2) / (1 + z)
    half = np.sqrt(z * share * (1 - share) + z**2 / 4) / (1 + z)
    return max(0.0, float(middle - half)), min(1.0, float(middle + half))


def mann_whitney(share: float, first: int, second: int) -> tuple[float, float]:
    """Interval of P(A < B), 95 %, as found among all pairs of `first` A's and `second` B's.

    The share that lies 1.96 of its own deviations from what was found, on either side, so that it
    has a width where none or all are smaller.

    Args:
        share: that was found, in [0, 1].
        first: how many A's, at least 1.
        second: how many B's, at least 1.

    Example:
        >>> [round(end, 2) for end in mann_whitney(1.0, 100, 100)]
        [0.98, 1.0]

    Source: Newcombe, Confidence intervals for an effect size measure based on the Mann–Whitney
    statistic, part 2, 2006, method 5; the variance is Hanley and McNeil's of 1982.
    """

    def excess(theta: float) -> float:
        more = (first + second) / 2 - 1
        spread = (1 - theta) / (2 - theta) + theta / (1 + theta)
        variance = theta * (1 - theta) * (1 + more * spread) / (first * second)
        return float((share - theta) ** 2 - _Z**2 * variance)

    # At 0 and at 1 it is 0 as well: the ends that are sought lie beyond what was found.
    low = 0.0 if share <= 0 else brentq(excess, 0.0, share - 1e-9)
    high = 1.0 if share >= 1 else brentq(excess, share + 1e-9, 1.0)
    return low, high


def mean_error(values: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Standard error of a mean of values, of which those of one group go together.

    Args:
        values: `(n,)`.
        groups: of each the group, `(n,)`; None where each is one by itself.

    Returns:
        The error; NaN of a single group.

    Example:
        >>> values = np.repeat([1.0, 2.0, 3.0], 10)
        >>> [round(mean_error(values, of), 2) for of in (None, np.repeat([0, 1, 2], 10))]
        [0.15, 0.58]

    Source: Liang and Zeger, Longitudinal data analysis using generalized linear models, 1986.
    """
    sums = values - values.mean()
    if groups is not None:
        sums = np.bincount(np.unique(groups, return_inverse=True)[1], sums)
    if len(sums) < 2:
        return float("nan")
    return float(np.sqrt(np.square(sums).sum() * len(sums) / (len(sums) - 1)) / len(values))


def half_width(values: np.ndarray, groups: np.ndarray | None = None) -> float:
    """Half the width of Student's interval of a mean, 95 %; NaN of a single group.

    Args:
        values: `(n,)`.
        groups: as of `mean_error`.

    Example:
        >>> round(half_width(np.array([1.0, 2.0, 3.0])), 2)
        2.48
    """
    count = len(values) if groups is None else len(np.unique(groups))
    return float(student.ppf(0.975, max(1, count - 1))) * mean_error(values, groups)


def permutation_p(statistics: np.ndarray) -> float:
    """The p value of a permutation test: how often a statistic is as large as the first.

    Of few rows, or of few different ones, many permutations give the same but for rounding.

    Args:
        statistics: `(1 + permutations,)`, the one that was found first.

    Example:
        >>> permutation_p(np.array([3.0, 1.0, 4.0, 2.0]))
        0.5

    Source: Phipson and Smyth, Permutation p-values should never be zero, 2010.
    """
    least = statistics[0] - _ROUNDING * statistics.std()
    return float(np.mean(~(statistics < least)))
