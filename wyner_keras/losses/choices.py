"""What z may be: kinds, quantities, or both, of the most nats for the price of those it holds."""

from __future__ import annotations

import itertools
import math
from collections.abc import Iterable, Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax

from wyner_keras.information.shannon import entropy
from wyner_keras.losses.kinds import Clusters, clustered, merged, nested
from wyner_keras.losses.quantities import Quantities, correlated

Points = tuple[np.ndarray, ...]  # posterior means by side, (pairs, dimensions)
Read = tuple[np.ndarray, np.ndarray]  # q(k|x) and q(k|y), (pairs, kinds)
_OFFERED = 128  # kinds, at most; one for each 8 pairs at most
_MANY = 32  # kinds, above which every fourth number is tried with quantities inside
_CONFIDENCES = 0.5 ** np.arange(10)  # factors of the logits of kinds
_JUDGED = 500  # pairs, at most, that each choice is judged by
_NEAR = 1.5  # nats below the log of the pairs judged, from where they can hardly show more
_DETERMINED = 0.6  # share of a direction's variance that others predict, where it is none of itself
_RIDGES = (0.03, 0.1, 0.3)  # of quantities alone
_STRANGERS = (0.02, 0.05, 0.1)  # shares of pairs that may be strangers
_SMOOTH = 1000  # pairs, at most, that predictions are made of


def nats_told(scores: np.ndarray) -> np.ndarray:
    """What each pair's score says beyond those of strangers, nats, `(pairs,)`; InfoNCE is the mean.

    Args:
        scores: of every x with every y, `(pairs, pairs)`; partners on the diagonal.
    """
    strangers = sum(logsumexp(scores, axis=axis) for axis in (0, 1)) / 2 - np.log(len(scores))
    found: np.ndarray = np.diag(scores) - strangers
    return found


def among_strangers(nats: np.ndarray) -> np.ndarray:
    """What pairs tell where a share of them may be strangers, the share that makes it most.

    One wrong pair of which kinds are sure would else take off what hundreds tell, and hide in its
    chance what other kinds tell more. See `calibrated_bound`.

    Args:
        nats: of each pair, `(pairs,)`.
    """
    told = [np.logaddexp(np.log1p(-share) + nats, np.log(share)) for share in _STRANGERS]
    found: np.ndarray = max((nats, *told), key=np.mean)
    return found


def chance(nats: np.ndarray) -> float:
    """Two standard errors of the mean of what pairs tell, or of a difference of it."""
    return 2.0 * float(nats.std()) / math.sqrt(len(nats))


def tells_more(nats: np.ndarray, others: np.ndarray) -> bool:
    """Whether of the same pairs more is told on average, beyond what chance makes it."""
    return bool((nats - others).mean() > chance(nats - others))


class Choice(NamedTuple):
    """What z may be.

    Args:
        kinds: of each pair, `(pairs,)`, from 0 on; all 0 for quantities alone.
        quantities: inside the kinds; of no direction for kinds alone.
        value: nats that it tells, less the price of those that it holds.
        nats: that kinds alone tell of each pair judged, `(pairs,)`; of others empty.
    """

    kinds: np.ndarray
    quantities: Quantities
    value: float
    nats: np.ndarray = np.zeros(0)

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of kinds, and dimensions of the quantities."""
        return int(self.kinds.max()) + 1, len(self.quantities.correlations)

    @property
    def entropy(self) -> float:
        """H(K) of the kinds, nats."""
        return entropy(np.bincount(self.kinds) / len(self.kinds))

    def told(self, points: Points, judged: Points) -> np.ndarray:
        """What it tells of pairs judged, see `among_strangers`, kinds being clusters of points."""
        scores = self.quantities.pmi(judged)
        if self.sizes[0] == 1:
            return among_strangers(nats_told(scores))
        readings = _readings(Clusters.of(points, self.kinds), judged)
        told = (nats_told(np.log(_ratios(*each)) + scores) for each in readings)
        return max(map(among_strangers, told), key=np.mean)


def choices(
    points: Points,
    apart: Points,
    distinct: np.ndarray,
    price: float,
    seed: int,
    *,
    last_word: bool = True,
) -> tuple[Choice, Choice, Choice]:
    """Kinds alone, quantities alone, and either or both, each of the most value.

    Args:
        points: of pairs that z is made of.
        apart: of pairs that it is chosen by.
        distinct: places of those of which no two share a row.
        price: λ, nats that z tells a nat that it holds.
        seed: of clusters.
        last_word: whether no later stage finds what pairs judged are too few to show.
    """
    judged = tuple(side[distinct] for side in apart)
    found = [*_joining(_clustered(points, price, seed), points, judged, price, last_word)]
    alone = _fewest([each for each in found if len(each.nats)])
    either = [each for each in found if not len(each.nats)]
    smooth = _best(each for each in either if each.sizes[0] == 1)
    if last_word:
        smooth = _shrunk(smooth, points, judged, price)
    return alone, smooth, _best([*either, smooth])


def _shrunk(smooth: Choice, points: Points, judged: Points, price: float) -> Choice:
    """Quantities by a ridge where they tell more: experts know what they saw by heart as well.

    Not inside kinds: with a ridge directions turn less from what sets kinds apart.
    """
    few = tuple(side[:_JUDGED] for side in judged)
    scores, start = np.zeros((len(few[0]),) * 2), smooth._replace(value=0.0)
    for ridge in _RIDGES:
        lines = correlated(points, judged, ridge=ridge)
        grown = [*_growing(start, scores, lines, points, few, price, last_word=True)]
        if grown and tells_more(*(each.told(points, judged) for each in (_best(grown), smooth))):
            smooth = _best(grown)
    return smooth


def _best(found: Iterable[Choice]) -> Choice:
    return max(found, key=lambda choice: choice.value)


def _fewest(found: Sequence[Choice]) -> Choice:
    """Of kinds alone the fewest whose value is less than the most by no more than chance makes it.

    None of the numbers between may be less by more. Two standard errors of the difference: Breiman
    and others, Classification and regression trees, 1984, section 3.4.3, have one of the value.
    """
    best = _best(found)

    def as_good(choice: Choice) -> bool:
        return best.value - choice.value <= chance(best.nats - choice.nats)

    fewer = [each for each in found if each.sizes[0] <= best.sizes[0]]
    fewer.sort(key=lambda choice: -choice.sizes[0])
    return list(itertools.takewhile(as_good, fewer))[-1]


def _clustered(points: Points, price: float, seed: int) -> np.ndarray:
    """The cluster of each pair, `(pairs,)`, less those that tell nothing apart."""
    labels = clustered(points, max(2, min(_OFFERED, len(points[0]) // 8)), seed)
    clusters, rows = Clusters.of(points, labels), len(np.unique(points[0], axis=0))
    kinds: np.ndarray = _spread(merged(_table(clusters, points), price, rows), clusters)[labels]
    return kinds


def _joining(
    labels: np.ndarray, points: Points, judged: Points, price: float, last_word: bool
) -> Iterator[Choice]:
    """Of every number of kinds, clusters being joined one by one, kinds with ever more quantities.

    Kinds that cut a quantity into pieces leave too little of it inside them, kinds of several
    labels leave what is no quantity: either tells less for its price than one kind a label.

    So many pairs show the log of their number at most. Where quantities alone come near it, a
    direction that they do not determine counts as telling twice its price.

    Args:
        labels: the cluster of each pair, `(pairs,)`.
        points: of those pairs.
        judged: of those that choices are judged by: kinds alone by all, others by the first 500.
        price: λ.
        last_word: see `choices`.
    """
    clusters = Clusters.of(points, labels)
    share = np.bincount(labels) / len(labels)
    few, readings = tuple(side[:_JUDGED] for side in judged), _readings(clusters, judged)
    of_few = [(x[:_JUDGED], y[:_JUDGED]) for x, y in readings]
    read, one = _read(clusters, judged), np.zeros(len(share), int)
    none = correlated(points, judged).some(slice(0))
    for kinds in (*nested(points, labels), one):
        members = np.eye(kinds.max() + 1)[kinds]
        held = entropy(share @ members)
        nats = _surest(readings, members)[1]
        yield Choice(kinds[labels], none, float(nats.mean() - price * held), nats)
        if kinds.max() > _MANY and kinds.max() % 4:
            continue
        (x, y), nats = _surest(of_few, members)
        start = Choice(kinds[labels], none, float(nats.mean()) - price * held)
        yield start
        inside = correlated(points, judged, (kinds[labels], kinds[read]))
        yield from _growing(start, np.log(_ratios(x, y)), inside, points, few, price, last_word)


def _growing(
    start: Choice,
    scores: np.ndarray,
    inside: Quantities,
    points: Points,
    judged: Points,
    price: float,
    last_word: bool,
) -> Iterator[Choice]:
    """Kinds with ever more quantities inside them, as far as these are of value.

    Args:
        start: the kinds.
        scores: by them, nats of every x judged with every y, `(pairs, pairs)`.
        inside: the quantities, the most correlated first.
        points: of the pairs.
        judged: of those that it is judged by.
        price: λ.
        last_word: see `choices`.
    """
    value, kept = start.value, list[int]()
    told = float(among_strangers(nats_told(scores)).mean())
    for place, more in enumerate(inside.nats()):
        near = last_word and kept and told > math.log(len(scores)) - _NEAR
        scores_then = scores + inside.some(slice(place, place + 1)).pmi(judged)
        told_then = float(among_strangers(nats_told(scores_then)).mean())
        value_then = value + told_then - told - price * more
        if value_then < value and start.sizes[0] > 1:
            break  # the next ones are weaker still
        if value_then < value and near:
            if _determined(inside.some([*kept, place]), points, judged):
                continue
            value_then = value + price * more
        kept.append(place)
        scores, told, value = scores_then, told_then, value_then
        yield Choice(start.kinds, inside.some(kept), value)


def _determined(inside: Quantities, points: Points, judged: Points) -> bool:
    """Whether smooth functions of the directions before the last predict it, by either side."""
    from sklearn.kernel_ridge import KernelRidge

    left = []
    for own, other in zip(inside.variates(points), inside.variates(judged), strict=True):
        own = own[:_SMOOTH]
        smooth = KernelRidge(kernel="rbf", gamma=0.5 / (own.shape[1] - 1), alpha=0.1)
        error = other[:, -1] - smooth.fit(own[:, :-1], own[:, -1]).predict(other[:, :-1])
        left.append(error.var() / other[:, -1].var())
    return float(np.mean(left)) < 1 - _DETERMINED


def _surest(readings: list[Read], members: np.ndarray) -> tuple[Read, np.ndarray]:
    """q(k|x) and q(k|y) of kinds made of clusters, as sure as tells most, and what they tell."""
    joined = [(x @ members, y @ members) for x, y in readings]
    told = [_kinds_tell(*each) for each in joined]
    best = int(np.argmax([each.mean() for each in told]))
    return joined[best], told[best]


def _table(clusters: Clusters, points: Points) -> np.ndarray:
    """How often x and y of a pair are read to be in each two clusters, `(clusters, clusters)`."""
    table = np.zeros((len(clusters.centres[0]),) * 2)
    np.add.at(table, tuple(np.argmax(each, axis=1) for each in _logits(clusters, points)), 1.0)
    return table


def _logits(clusters: Clusters, points: Points) -> list[np.ndarray]:
    """By side `(pairs, clusters)`."""
    maps = map(clusters.affine, (0, 1))
    return [side @ kernel + bias for side, (kernel, bias) in zip(points, maps, strict=True)]


def _read(clusters: Clusters, points: Points) -> np.ndarray:
    """The cluster that both sides of each pair together are read to be in, `(pairs,)`."""
    found: np.ndarray = np.argmax(sum(_logits(clusters, points)), axis=1)
    return found


def _spread(kinds: np.ndarray, clusters: Clusters) -> np.ndarray:
    """Clusters that nothing fell into are of the kind of the nearest into which something did."""
    centres, used = np.concatenate(clusters.centres, axis=1), np.flatnonzero(kinds >= 0)
    return kinds[used[cdist(centres, centres[used]).argmin(axis=1)]]


def _readings(clusters: Clusters, points: Points) -> list[Read]:
    """q(k|x) and q(k|y) of pairs, each `(pairs, clusters)`, at every confidence."""
    logits = _logits(clusters, points)
    return [tuple(softmax(each * side, axis=1) for side in logits) for each in _CONFIDENCES]


def _over_prior(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """q(k|x) / p(k), `(pairs, kinds)`."""
    found: np.ndarray = x / np.maximum((x.mean(axis=0) + y.mean(axis=0)) / 2, 1e-12)
    return found


def _ratios(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """Of every x with every y e to their pmi by kinds: Σ_k q(k|x) q(k|y) / p(k)."""
    found: np.ndarray = _over_prior(x, y) @ y.T + 1e-12
    return found


def _kinds_tell(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What kinds tell of each pair, nats `(pairs,)`, of q(k|x) and q(k|y); InfoNCE is the mean.

    As of `_ratios`, without every pair of rows.
    """
    over = _over_prior(x, y)
    own = np.log((over * y).sum(axis=1) + 1e-12)
    strangers = np.log(over @ y.mean(axis=0) + 1e-12) + np.log(y @ over.mean(axis=0) + 1e-12)
    return among_strangers(own - strangers / 2)
