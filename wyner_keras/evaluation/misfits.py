"""Which pairs do not fit: a wrong partner, told from a row that is odd in itself."""

from __future__ import annotations

import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.special import logsumexp
from scipy.stats import rankdata

from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation.calibration import calibrate, log_ratios
from wyner_keras.evaluation.retrieval import pmi_of_model
from wyner_keras.received import received

_READ, _AT_ONCE = 1000, 100  # rows read and pairs scored at once, which bounds memory
_ROUNDING = 1e-4  # nats that float32 may be off by: a pmi is the same as another, or 0


@dataclass(frozen=True, kw_only=True)
class Misfits:
    """How ill the two rows of each pair fit each other; see `misfits`.

    Args:
        scores: of each pair, nats, `(pairs,)`: the higher, the worse its rows fit.
        pmi: pointwise mutual information of each pair, nats, `(pairs,)`.
        ranks: share of other partners that fit better than the own one, `(pairs,)`; of a pair
            that shares nothing it is 0.5 on average.
        others: how many other partners each pair was compared with.
        spread: variance of the rank that a stranger has, 1/12 where no two fit equally well.
        expected_against: share of true partners that would speak against each other, by the model.
        temperature: what pmi is to be divided by to tell most on these pairs: above 1 the model is
            surer than it should be.
        explained: whether that is why more pairs speak against each other than are expected.
        rows: how many different rows the side has that has fewer; None where each pair has its own.
        groups: how many groups the pairs are of; None where they have none.
        by_groups: the significance where they have: see `significance`.
    """

    scores: np.ndarray
    pmi: np.ndarray
    ranks: np.ndarray
    others: int
    spread: float = 1 / 12
    expected_against: float = 0.0
    temperature: float = 1.0
    explained: bool = False
    rows: int | None = None
    groups: int | None = None
    by_groups: float = 0.0

    @property
    def surplus(self) -> bool:
        """Whether more pairs speak against each other than are expected, by far."""
        return _is_more(self.against, self.expected_against, len(self.ranks))

    @property
    def order(self) -> np.ndarray:
        """Positions of the pairs, the worst fitting first, `(pairs,)`."""
        return np.argsort(-self.scores, kind="stable")

    @property
    def against(self) -> float:
        """Share of pairs whose rows speak against each other: a pmi below 0."""
        return float((self.pmi < -_ROUNDING).mean())

    @property
    def significance(self) -> float:
        """How far the mean rank lies below chance, in standard errors of what shares nothing.

        The ranks of n pairs that share nothing are those of strangers; those of one sample of m
        partners go together, so that their mean has 1/n + 1/m of their variance at most about.
        Pairs of one row go together: n and m are no more than there are different rows.

        Pairs of one group go together, too. So of groups it is the larger of two: how far the mean
        of the groups' ranks among other groups' rows lies below chance, as of so many pairs as
        there are groups; and how far the ranks among the rows of the own group do.
        """
        if self.groups is not None:
            return self.by_groups
        count = len(self.ranks) if self.rows is None else self.rows
        error = np.sqrt((1 / count + 1 / min(self.others, count)) * self.spread)
        return float((0.5 - self.ranks.mean()) / error) if error > 0 else 0.0


def misfits(model: Any, pairs: Pairs, *, others: int = 500, seed: int = 0) -> Misfits:
    """Score how ill x and y of each pair fit each other, by the model's information of the two.

    The score of (x, y) is what the pmi of x with its true partner would be on average, less what
    it is with y; and the same from y; the mean of the two. The average is over other rows y',
    weighted by the model's own p(y'|x), which is proportional to exp pmi(x, y'). A clear x with a
    wrong partner has a high score. An x that is odd in itself, of which the model reads little,
    is expected to fit nothing, and scores about 0 with whatever partner.

    Args:
        model: a WynerModel or a bundle.
        pairs: to be scored, held out or trained on.
        others: rows of each side, at most, that a pair is compared with.
        seed: of the draw of those.

    Returns:
        Scores in nats, and the order by them.

    Raises:
        ValueError: if an argument is not as said, or the model does not show its posteriors.

    Example:
        >>> worst = misfits(model, pairs).order[:20]  # doctest: +SKIP
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs. Received: pairs={received(pairs)}")
    check_whole(others, "`others`", minimum=1)
    pmi_of = pmi_of_model(model)
    if pmi_of is None:
        raise ValueError(
            "`model` should be a W-model, in Keras or as a bundle, with a z of "
            f"wyner_keras.latents. Received: model={received(model)}"
        )
    drawn = np.random.default_rng(seed).permutation(len(pairs))[:others]
    of_pairs = []
    for column, (name, store) in enumerate(zip(pairs.names, pairs.stores, strict=True)):
        rows, places = np.unique(pairs.index[:, column], return_inverse=True)
        modality = pairs.modalities[column]
        found = [
            model.posteriors(modality.check(store.take(part), name), name)
            for part in np.array_split(rows, -(-len(rows) // _READ))
        ]
        outputs = (np.concatenate(each) for each in zip(*found, strict=True))
        of_pairs.append([output[places] for output in outputs])
    x, y = of_pairs
    pmi, score, rank, spread, against = (np.empty(len(pairs)) for _ in range(5))
    groups = None if pairs.groups is None else np.unique(pairs.groups, return_inverse=True)[1]
    among = np.empty((2, len(pairs)))  # ranks among the rows of other groups, and of the own one
    for start in range(0, len(pairs), _AT_ONCE):
        part = slice(start, start + _AT_ONCE)
        own_x, own_y = ([output[part] for output in outputs] for outputs in (x, y))
        rest_x, rest_y = ([output[drawn] for output in outputs] for outputs in (x, y))
        pmi[part] = own = np.diagonal(np.asarray(pmi_of(own_x, own_y), np.float64))
        tables = (
            np.asarray(pmi_of(own_x, rest_y), np.float64),  # x with other y
            np.asarray(pmi_of(rest_x, own_y), np.float64).T,  # y with other x
        )
        strangers = [
            pairs.index[part, column, None] != pairs.index[drawn, column] for column in (1, 0)
        ]
        both = [_against(own, *each) for each in zip(tables, strangers, strict=True)]
        if groups is not None:
            same = groups[part, None] == groups[drawn]
            among[:, part] = [
                np.mean(
                    [
                        _share_above(own, table, mask & of)
                        for table, mask in zip(tables, strangers, strict=True)
                    ],
                    axis=0,
                )
                for of in (~same, same)
            ]
        score[part], rank[part], spread[part], against[part] = (
            np.mean(each, axis=0) for each in zip(*both, strict=True)
        )
    temperature, explained = _calibrated(
        [[output[drawn] for output in outputs] for outputs in (x, y)], pairs.index[drawn], pmi_of
    )
    return Misfits(
        scores=score,
        pmi=pmi,
        ranks=rank,
        others=len(drawn),
        spread=float(spread.mean()),
        expected_against=float(against.mean()),
        temperature=temperature,
        explained=explained,
        rows=min(len(np.unique(column)) for column in pairs.index.T),
        groups=None if groups is None else int(groups.max()) + 1,
        by_groups=0.0
        if groups is None
        else _of_groups(among, groups, groups[drawn], spread.mean()),
    )


def _of_groups(among: np.ndarray, groups: np.ndarray, drawn: np.ndarray, spread: float) -> float:
    """The significance of ranks among other groups' rows and the own group's.

    Args:
        among: these ranks, NaN where there are no such rows, `(2, pairs)`.
        groups: of the pairs, `(pairs,)`, from 0 on.
        drawn: of the rows that they were compared with.
        spread: variance of the rank that a stranger has.
    """
    found = [0.0]
    others, own = (~np.isnan(each) for each in among)
    if others.any() and spread > 0:
        sums, counts = (
            np.bincount(groups[others], each) for each in (among[0, others], np.ones(others.sum()))
        )
        means = sums[counts > 0] / counts[counts > 0]
        error = math.sqrt((1 / len(means) + 1 / len(np.unique(drawn))) * spread)
        found.append((0.5 - means.mean()) / error)
    if own.any():
        beside = np.maximum(np.bincount(drawn, minlength=groups.max() + 1)[groups[own]] - 1, 1)
        # Of a stranger among m others, m + 1 ranks being as likely.
        error = math.sqrt(2 / own.sum() * ((beside + 2) / (12 * beside)).mean())
        found.append((0.5 - among[1, own].mean()) / error)
    return float(max(found))


def _calibrated(
    outputs: list[list[np.ndarray]], index: np.ndarray, pmi_of: Callable[[Any, Any], Any]
) -> tuple[float, bool]:
    """The temperature of some pairs, and whether it explains how many speak against each other."""
    x, y = outputs
    parts = range(0, len(index), _AT_ONCE)
    table = np.concatenate(
        [
            np.asarray(pmi_of([output[start : start + _AT_ONCE] for output in x], y), np.float64)
            for start in parts
        ]
    )
    # A pair's row is no stranger to the partner that it has in another pair.
    linked = (index[:, None] == index[None]).any(axis=-1)
    table[linked & ~np.eye(len(index), dtype=bool)] = -np.inf
    temperature = calibrate(table).temperature
    shares = []
    for each in (table, table.T):
        ratios = log_ratios(each, temperature)
        below = ratios < -_ROUNDING
        weights = np.exp(ratios - logsumexp(ratios, axis=1, keepdims=True))
        expected = np.minimum((weights * below).sum(axis=1), 1.0)
        shares.append((np.diagonal(below).mean(), expected.mean()))
    against, expected = np.mean(shares, axis=0)
    return temperature, temperature > 1 and not _is_more(against, expected, len(index))


def _is_more(share: float, expected: float, count: int) -> bool:
    """Whether a share is above what is expected by 2 % and by three standard errors."""
    chance = 3 * math.sqrt(expected * (1 - expected) / count)
    return share > expected + max(0.02, chance)


def _against(own: np.ndarray, table: np.ndarray, strangers: np.ndarray) -> tuple[np.ndarray, ...]:
    """What a table of pmi says of each pair.

    Expected less own pmi; the share of strangers that fit better, ties by half; the variance of
    that share, had the own one been a stranger; how likely a true partner has a pmi below 0.

    Args:
        own: pmi of the pairs, `(rows,)`.
        table: pmi of one row of each with others, `(rows, others)`.
        strangers: a mask `(rows, others)` of those that are not its own partner.
    """
    weights = np.exp(table - logsumexp(table, axis=1, keepdims=True))
    expected = (weights * table).sum(axis=1)
    share = np.nan_to_num(_share_above(own, table, strangers), nan=0.5)
    places = rankdata((table / _ROUNDING).round(), axis=1) / table.shape[1]
    # Weights add up to 1 but for rounding, of large pmi to more.
    against = np.minimum((weights * (table < -_ROUNDING)).sum(axis=1), 1.0)
    return expected - own, share, places.var(axis=1), against


def _share_above(own: np.ndarray, table: np.ndarray, strangers: np.ndarray) -> np.ndarray:
    """Share of the strangers that fit better, ties by half; NaN where there are none, `(rows,)`."""
    above = table - own[:, None]
    better = np.where(np.abs(above) <= _ROUNDING, 0.5, above > 0) * strangers
    count = strangers.sum(axis=1)
    return np.where(count > 0, better.sum(axis=1) / np.maximum(count, 1), np.nan)
