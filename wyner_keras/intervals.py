"""Intervals of 95 % for shares, and p values of permutations."""

from __future__ import annotations

import numpy as np
from scipy.optimize import brentq

_Z = 1.959964  # 97.5 % of N(0, 1)


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


def permutation_p(statistics: np.ndarray) -> float:
    """The p value of a permutation test: how often a statistic is as large as the first.

    Args:
        statistics: `(1 + permutations,)`, the one that was found first.

    Example:
        >>> permutation_p(np.array([3.0, 1.0, 4.0, 2.0]))
        0.5

    Source: Phipson and Smyth, Permutation p-values should never be zero, 2010.
    """
    return float(np.mean(statistics >= statistics[0]))
