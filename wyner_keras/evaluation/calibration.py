"""What scores of pairs tell once it is known how far they can be trusted."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
from scipy.special import logsumexp

from wyner_keras.intervals import half_width

_TEMPERATURES = 2.0 ** np.arange(-1, 10.5, 0.5)
_STRANGERS = np.array([0.001, 0.002, 0.005, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4, 0.7, 1.0])
_LEAST, _MOST = 5, 100  # pairs that both are chosen by
_SLACK = 2.0  # nats of all pairs together, within which less is corrected


class Calibration(NamedTuple):
    """How far scores are trusted.

    Args:
        temperature: what they are divided by; above 1 where they are surer than they should be.
        strangers: share of pairs that are taken for wrong ones.
    """

    temperature: float
    strangers: float


_UNKNOWN = Calibration(1.0, 0.1)  # where pairs are too few to choose by


def calibrate(scores: np.ndarray) -> Calibration:
    """The calibration by which scores tell most, and the lowest temperature that does as well.

    As by Laplace's rule one pair more is counted, a wrong one: few pairs do not show that none is.

    Args:
        scores: of every x with every y, nats, `(n, n)`, those of pairs on the diagonal; −inf where
            two are no strangers and are not to be compared.

    Example:
        >>> calibrate(20 * np.eye(5)[np.arange(50) % 5][:, np.arange(50) % 5]).temperature
        1.0
    """
    if np.isnan(scores).any():
        return Calibration(1.0, 1.0)
    count = len(scores)
    own, wrong = np.arange(count), np.roll(np.arange(count), 1)
    told = np.empty((len(_TEMPERATURES), len(_STRANGERS)))
    for place, temperature in enumerate(_TEMPERATURES):
        ratio = log_ratios(scores, temperature)
        right, one = ratio[own, own], ratio[own, wrong]
        told[place] = [
            _mixed(right, share).sum() + _mixed(one, share).mean() for share in _STRANGERS
        ]
    of_temperature = told.max(axis=1)
    enough = np.flatnonzero(of_temperature >= of_temperature.max() - _SLACK)
    place = enough[np.abs(np.log(_TEMPERATURES[enough])).argmin()]
    return Calibration(float(_TEMPERATURES[place]), float(_STRANGERS[told[place].argmax()]))


def log_ratios(scores: np.ndarray, temperature: float) -> np.ndarray:
    """Log of how much likelier each y is a row's partner than any of the row is, `(n, m)`.

    Args:
        scores: nats `(n, m)`; −inf of those that are not compared.
        temperature: that they are divided by.

    Example:
        >>> log_ratios(np.log([[3.0, 1.0]]), 1.0).round(3).tolist()
        [[0.405, -0.693]]
    """
    cooled = scores / temperature
    compared = (scores != -np.inf).sum(axis=1, keepdims=True)
    return cooled - logsumexp(cooled, axis=1, keepdims=True) + np.log(compared)


def _mixed(ratios: np.ndarray, strangers: float) -> np.ndarray:
    with np.errstate(divide="ignore"):
        return np.logaddexp(np.log1p(-strangers) + ratios, np.log(strangers))


def _told(scores: np.ndarray, by: Calibration) -> tuple[np.ndarray, np.ndarray]:
    """What each pair tells, and how much its being there takes from the others, nats `(n,)`.

    The mean over pairs of the first, less the second, varies as the bound does.
    """
    ratios = log_ratios(scores, by.temperature)
    own = np.diagonal(ratios)
    told = _mixed(own, by.strangers)
    # d told / d own: where strangers decide, others take nothing.
    with np.errstate(divide="ignore"):
        weights = np.exp(np.log1p(-by.strangers) + own - told)
    return told, weights @ np.exp(ratios) / len(ratios)


class Told(NamedTuple):
    """What pairs tell of one another.

    Args:
        nats: a lower bound of the mutual information.
        most: that the bound could come to, log of the pairs that are judged at once.
        interval: in which the bound lies, whatever pairs are drawn, 95 %; NaN where it is unknown.
    """

    nats: float
    most: float
    interval: tuple[float, float]


def calibrated_bound(scores: np.ndarray, groups: np.ndarray | None = None) -> Told:
    """Lower bound of the mutual information by scores that may be surer than they should be.

    InfoNCE takes scores at their word: few pairs that are wrong, or of which a model is wrongly
    sure, bring it down to anything. Here a pair's ratio r = e^(s_ii / T) / mean_j e^(s_ij / T)
    becomes (1 − ε) r + ε, with T and ε chosen by other pairs: I is at least the mean of its log,
    since for strangers its mean is 1. A part of the pairs chooses, the rest is judged, in turn.

    Args:
        scores: of every x with every y, nats, `(n, n)`, those of pairs on the diagonal; the rows in
            random order.
        groups: of each pair the group, `(n,)`, whose pairs go together; None where none do.

    Returns:
        The bound, as it came out, and how far other pairs might move it.

    Example:
        >>> surely = np.where(np.arange(60)[:, None] % 3 == np.arange(60) % 3, 1.0, -1e3)
        >>> calibrated_bound(surely)[0] > 1
        True

    Source: Poole et al., On variational bounds of mutual information, 2019, section 2; Guo et al.,
    On calibration of modern neural networks, 2017 (temperature); Hampel, The influence curve and
    its role in robust estimation, 1974 (interval).
    """
    count = len(scores)
    if np.isnan(scores).any():
        return Told(np.nan, float(np.log(count)), (np.nan, np.nan))
    part = min(_MOST, count // 4)
    every, splits = np.arange(count), [(np.arange(0), np.arange(count))]
    if part >= _LEAST:
        chosen = np.array_split(every, count // part)
        splits = [(each, np.setdiff1d(every, each)) for each in chosen]
    influence, judged = np.zeros(count), np.zeros(count)
    bounds = []
    for few, rest in splits:
        by = calibrate(scores[np.ix_(few, few)]) if len(few) else _UNKNOWN
        told, taken = _told(scores[np.ix_(rest, rest)], by)
        bounds.append(told.mean())
        influence[rest] += told - taken + taken.mean()
        judged[rest] += 1
    bound, half = float(np.mean(bounds)), half_width(influence / judged, groups)
    most = float(np.mean([np.log(len(rest)) for _, rest in splits]))
    return Told(bound, most, (bound - half, bound + half))
