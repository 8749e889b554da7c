"""What z may be: kinds, quantities, or both, of the most nats for the price of those it holds."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from typing import NamedTuple

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax, xlogy

from wyner_keras.losses.kinds import Clusters, clustered, merged, merges
from wyner_keras.losses.quantities import Quantities, correlated

Points = tuple[np.ndarray, ...]  # posterior means by side, (pairs, dimensions)
_OFFERED = 128  # kinds, at most; one for each 8 pairs at most
_CONFIDENCES = 0.5 ** np.arange(10)  # factors of the logits of kinds
_JUDGED = 500  # pairs, at most, that each choice is judged by


def nats_told(scores: np.ndarray) -> np.ndarray:
    """What each pair's score says beyond those of strangers, nats, `(pairs,)`; InfoNCE is the mean.

    Args:
        scores: of every x with every y, `(pairs, pairs)`; partners on the diagonal.
    """
    strangers = sum(logsumexp(scores, axis=axis) for axis in (0, 1)) / 2 - np.log(len(scores))
    return np.diag(scores) - strangers


class Choice(NamedTuple):
    """What z may be.

    Args:
        kinds: of each pair, `(pairs,)`, from 0 on; all 0 for quantities alone.
        quantities: inside the kinds; of no direction for kinds alone.
        value: nats that it tells, less the price of those that it holds.
    """

    kinds: np.ndarray
    quantities: Quantities
    value: float

    @property
    def sizes(self) -> tuple[int, int]:
        """Number of kinds, and dimensions of the quantities."""
        return int(self.kinds.max()) + 1, len(self.quantities.correlations)

    def told(self, points: Points, judged: Points) -> np.ndarray:
        """What it tells of pairs judged, as `nats_told`, its kinds being clusters of points."""
        scores = self.quantities.pmi(judged)
        if self.sizes[0] == 1:
            return nats_told(scores)
        readings = _readings(Clusters.of(points, self.kinds), judged)
        return max((nats_told(np.log(_ratios(*each)) + scores) for each in readings), key=np.mean)


def choices(
    points: Points, apart: Points, distinct: np.ndarray, price: float, seed: int
) -> tuple[Choice, Choice, Choice]:
    """Kinds alone, quantities alone, and either or both, each of the most value.

    Args:
        points: of pairs that z is made of.
        apart: of pairs that it is chosen by.
        distinct: places of those of which no two share a row.
        price: λ, nats that z tells a nat that it holds.
        seed: of clusters.
    """
    judged = tuple(side[distinct] for side in apart)
    found = [*_merging(_clustered(points, price, seed), points, apart, judged, price)]
    alone = _best(each for each in found if each.sizes[1] == 0)
    smooth = _best(each for each in found if each.sizes[0] == 1)
    return alone, smooth, _best(found)


def _best(found: Iterable[Choice]) -> Choice:
    return max(found, key=lambda choice: choice.value)


def _clustered(points: Points, price: float, seed: int) -> np.ndarray:
    """The cluster of each pair, `(pairs,)`, less those that tell nothing apart."""
    labels = clustered(points, max(2, min(_OFFERED, len(points[0]) // 8)), seed)
    clusters, rows = Clusters.of(points, labels), len(np.unique(points[0], axis=0))
    # Merged by pairs trained on, of which there are more, then by those apart, that nothing fitted.
    kinds: np.ndarray = _spread(merged(_table(clusters, points), price, rows), clusters)[labels]
    return kinds


def _merging(
    labels: np.ndarray, points: Points, apart: Points, judged: Points, price: float
) -> Iterator[Choice]:
    """Of every number of kinds, clusters being merged one by one, kinds with ever more quantities.

    Kinds that cut a quantity into pieces leave too little of it inside them, kinds of several
    labels leave what is no quantity: either tells less for its price than one kind a label. Kinds
    alone keep the ends of a quantity apart, which are rare and tell much; with quantities inside
    them kinds that are rare are merged first.

    Args:
        labels: the cluster of each pair, `(pairs,)`.
        points: of those pairs.
        apart: of pairs apart.
        judged: of those that choices are judged by, the first 500.
        price: λ.
    """
    clusters, table = Clusters.of(points, labels), _table(Clusters.of(points, labels), apart)
    share = np.bincount(labels) / len(labels)
    few = tuple(side[:_JUDGED] for side in judged)
    readings, read = _readings(clusters, few), _read(clusters, judged)
    one = np.zeros(len(share), int)
    none = correlated(points, judged).some(slice(0))
    for alone, path in ((True, merges(table)), (False, merges(table, a_nat=False))):
        for kinds in (*path, one):
            kinds = _spread(kinds, clusters)
            members = np.eye(kinds.max() + 1)[kinds]
            x, y = max(
                ((x @ members, y @ members) for x, y in readings),
                key=lambda each: _kinds_tell(*each),
            )
            held = -xlogy(share @ members, share @ members).sum()
            value = _kinds_tell(x, y) - price * held
            if alone:
                yield Choice(kinds[labels], none, value)
                continue
            inside = correlated(points, judged, (kinds[labels], kinds[read]))
            scores = np.log(_ratios(x, y))
            for place, nats in enumerate(inside.nats()):
                scores += inside.some(slice(place, place + 1)).pmi(few)
                held += nats
                last, value = value, float(nats_told(scores).mean() - price * held)
                if kinds.any() and value < last:
                    break  # the next ones are weaker still
                yield Choice(kinds[labels], inside.some(slice(place + 1)), value)


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


def _readings(clusters: Clusters, points: Points) -> list[tuple[np.ndarray, np.ndarray]]:
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


def _kinds_tell(x: np.ndarray, y: np.ndarray) -> float:
    """InfoNCE of kinds, of q(k|x) and q(k|y): that of `_ratios`, without every pair of rows."""
    over = _over_prior(x, y)
    own = np.log((over * y).sum(axis=1) + 1e-12)
    strangers = np.log(over @ y.mean(axis=0) + 1e-12) + np.log(y @ over.mean(axis=0) + 1e-12)
    return float((own - strangers / 2).mean())
