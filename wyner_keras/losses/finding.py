"""Kinds, a quantity or nothing: what z is, by what trained experts make of pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.spatial.distance import cdist
from scipy.special import logsumexp, softmax, xlogy

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses.directions import Directions, directions
from wyner_keras.losses.kinds import Clusters, clustered, merged, merges
from wyner_keras.losses.quantities import Quantities, correlated

Affine = tuple[np.ndarray, np.ndarray]

_SHUFFLES = 200  # of pairs that share nothing
_SIGNIFICANT = 0.05  # p of a permutation test, above which nothing is shared
_OFFERED = 128  # kinds, at most; one for each 8 pairs at most
_CONFIDENCES = 0.5 ** np.arange(10)  # factors of the logits of kinds
_JUDGED = 500  # pairs, at most, that each number of kinds is judged by
_SLACK = 0.05  # share of the nats that kinds may lack, for what is shared to be kinds alone
_LEAST_NATS = 0.05  # that a dimension of a quantity is kept for


@dataclass(frozen=True)
class Seen:
    """What the experts make of pairs; a row a pair, by side.

    Args:
        features: `(pairs, width)`.
        naturals: e_x and e_y, `(pairs, dimensions)`.
        precisions: of the experts, `(dimensions,)`, without the prior's 1.
        values: what experts read, `(pairs, values)`, where they have linear directions of it.
        directions: how many of these they have.
    """

    features: list[np.ndarray]
    naturals: list[np.ndarray]
    precisions: list[np.ndarray]
    values: list[np.ndarray]
    directions: int

    @property
    def means(self) -> tuple[np.ndarray, ...]:
        """Of q(z|x) and q(z|y), `(pairs, dimensions)`."""
        both = zip(self.naturals, self.precisions, strict=True)
        return tuple(e / (1.0 + precision) for e, precision in both)

    def nats(self) -> np.ndarray:
        """D(q(z|x,y) ‖ p(z)) that each dimension holds, `(dimensions,)`."""
        precision = 1.0 + sum(self.precisions)
        mean = sum(self.naturals) / precision
        second = np.square(mean).mean(axis=0) + 1.0 / precision
        return 0.5 * (second - 1.0 + np.log(precision))

    def outputs(self, z: Any, seed: int) -> list[Affine]:
        """By side kernel and bias from e to the parameters of z's expert, of a family told.

        Args:
            z: the family.
            seed: of the clustering.
        """
        if isinstance(z, DiagonalGaussian):
            agreed = correlated(self.means, self.means).some(slice(z.dim))
            # Of fewer directions that the sides agree on, the dimensions that hold most.
            return self.of(agreed) if len(agreed.correlations) == z.dim else self.widest(z.dim)
        found, rest = [], self.means
        for _ in range(z.n):
            labels = clustered(rest, z.k, seed)
            clusters = Clusters.of(rest, labels)
            found.append(self.of(clusters, z.k))
            # Less what the cluster says, but for the mean of all.
            rest = tuple(
                side - centres[labels] + side.mean(axis=0)
                for side, centres in zip(rest, clusters.centres, strict=True)
            )
        return [
            (np.concatenate([k for k, _ in side], axis=1), np.concatenate([b for _, b in side]))
            for side in zip(*found, strict=True)
        ]

    def of(self, what: Clusters | Quantities, count: int | None = None) -> list[Affine]:
        """By side kernel and bias from e to what clusters or quantities make of the means.

        Args:
            what: of the means, or of what is left of them.
            count: of values of z; where there are fewer clusters, some values share a centre.
        """
        found = []
        for side, precision in enumerate(self.precisions):
            kernel, bias = what.affine(side)
            places = np.resize(np.arange(len(bias)), len(bias) if count is None else count)
            found.append((kernel[:, places] / (1.0 + precision)[:, None], bias[places]))
        return found

    def widest(self, count: int, beside: Directions | None = None) -> list[Affine]:
        """By side kernel and bias from e to a Gaussian of the dimensions that hold most.

        Args:
            count: of the dimensions.
            beside: directions that are dimensions too; the kernel is then of e and of them.
        """
        kept = np.sort(np.argsort(-self.nats(), kind="stable")[:count])
        more = 0 if beside is None else len(beside.log_variances)
        shrunk = 1.0 if beside is None else math.sqrt(beside.factors[0])
        found = []
        for precision in self.precisions:
            means = np.zeros((len(precision) + more, count + more))
            means[: len(precision), :count] = np.diag(shrunk / precision)[:, kept]
            means[len(precision) :, count:] = np.eye(more)
            log_variances = -np.log(precision[kept])
            if beside is not None:
                log_variances = np.concatenate([log_variances, beside.log_variances])
            kernel = np.concatenate([means, np.zeros_like(means)], axis=1)
            found.append((kernel, np.concatenate([np.zeros(count + more), log_variances])))
        return found


def _nats_told(scores: np.ndarray) -> np.ndarray:
    """What each pair's score says beyond those of strangers, nats, `(pairs,)`; InfoNCE is the mean.

    Args:
        scores: of every x with every y, `(pairs, pairs)`; partners on the diagonal.
    """
    strangers = sum(logsumexp(scores, axis=axis) for axis in (0, 1)) / 2 - np.log(len(scores))
    return np.diag(scores) - strangers


def _table(clusters: Clusters, read: Seen) -> np.ndarray:
    """How often x and y of a pair are read to be in each two clusters, `(clusters, clusters)`."""
    values = [
        np.argmax(means @ kernel + bias, axis=1)
        for means, (kernel, bias) in zip(read.means, map(clusters.affine, (0, 1)), strict=True)
    ]
    table = np.zeros((len(clusters.centres[0]),) * 2)
    np.add.at(table, tuple(values), 1.0)
    return table


def _best(
    clusters: Clusters, share: np.ndarray, apart: Seen, distinct: np.ndarray, price: float
) -> np.ndarray:
    """The kind of each cluster, `(clusters,)`: as many kinds as tell most apart, less their price.

    Args:
        clusters: of pairs seen.
        share: of those pairs, `(clusters,)`.
        apart: pairs that it is judged by.
        distinct: places of those of which no two share a row.
        price: λ.
    """
    readings = _readings(clusters, apart, distinct[:_JUDGED])
    best, most = np.zeros(len(share), int), 0.0
    for kinds in merges(_table(clusters, apart)):
        kinds = _spread(kinds, clusters)
        members = np.eye(kinds.max() + 1)[kinds]
        nats = max(_nats_of(x @ members, y @ members).mean() for x, y in readings)
        value = nats + price * xlogy(share @ members, share @ members).sum()
        if value > most:
            best, most = kinds, value
    return best


def _spread(kinds: np.ndarray, clusters: Clusters) -> np.ndarray:
    """Clusters that nothing fell into are of the kind of the nearest into which something did."""
    centres, used = np.concatenate(clusters.centres, axis=1), np.flatnonzero(kinds >= 0)
    return kinds[used[cdist(centres, centres[used]).argmin(axis=1)]]


def _readings(
    clusters: Clusters, read: Seen, places: np.ndarray
) -> list[tuple[np.ndarray, np.ndarray]]:
    """q(k|x) and q(k|y) of pairs, each `(pairs, clusters)`, at every confidence."""
    logits = [
        means[places] @ kernel + bias
        for means, (kernel, bias) in zip(read.means, map(clusters.affine, (0, 1)), strict=True)
    ]
    return [tuple(softmax(each * side, axis=1) for side in logits) for each in _CONFIDENCES]


def _nats_of(x: np.ndarray, y: np.ndarray) -> np.ndarray:
    """What kinds tell of each pair, as `_nats_told`, of q(k|x) and q(k|y)."""
    p = (x.mean(axis=0) + y.mean(axis=0)) / 2
    # The pmi is log Σ_k q(k|x) q(k|y) / p(k).
    return _nats_told(np.log((x / np.maximum(p, 1e-12)) @ y.T + 1e-12))


def _kinds(
    seen: Seen, apart: Seen, distinct: np.ndarray, price: float, seed: int
) -> tuple[Clusters, np.ndarray]:
    """As many kinds as tell most, less their price, and what they tell, as `_nats_told`."""
    labels = clustered(seen.means, max(2, min(_OFFERED, len(seen.means[0]) // 8)), seed)
    clusters, rows = Clusters.of(seen.means, labels), len(np.unique(seen.means[0], axis=0))
    # Merged by pairs trained on, of which there are more, then by those apart, that nothing fitted.
    labels = _spread(merged(_table(clusters, seen), price, rows), clusters)[labels]
    share = np.bincount(labels) / len(labels)
    labels = _best(Clusters.of(seen.means, labels), share, apart, distinct, price)[labels]
    clusters = Clusters.of(seen.means, labels)
    readings = _readings(clusters, apart, distinct)
    return clusters, max((_nats_of(*each) for each in readings), key=np.mean)


def _quantities(
    seen: Seen, apart: Seen, distinct: np.ndarray, price: float
) -> tuple[Quantities, np.ndarray]:
    """As many quantities as tell most, less their price, and what they tell, as `_nats_told`."""
    points = tuple(side[distinct] for side in apart.means)
    found = correlated(seen.means, points)
    judged = tuple(side[:_JUDGED] for side in points)
    values, scores = [0.0], np.zeros((len(judged[0]),) * 2)
    for place, nats in enumerate(np.cumsum(found.nats())):
        scores += found.some(slice(place, place + 1)).pmi(judged)
        values.append(_nats_told(scores).mean() - price * nats)
    found = found.some(slice(int(np.argmax(values))))
    return found, _nats_told(found.pmi(points))


def find(
    seen: Seen, apart: Seen, distinct: np.ndarray, critic: Any, price: float, seed: int
) -> tuple[Any, list[Affine], dict[str, Any], Directions | None]:
    """Kinds, a quantity or nothing: of what tells as much as the critic, the least.

    Args:
        seen: pairs that z is made of.
        apart: pairs that it is chosen by.
        distinct: places of those of which no two share a row.
        critic: of the Gaussian.
        price: λ.
        seed: of clusters and shuffles.

    Returns:
        The family of z, by side kernel and bias from e to its expert, what was found, and linear
        directions that the expert has beside e.
    """
    count = len(distinct)
    scores = np.asarray(critic.pmi(*(e[distinct] for e in apart.naturals)), float)
    beside = None
    if seen.directions:
        held = tuple(side[distinct] for side in apart.values)
        beside = directions(tuple(seen.values), held, scores, _nats_told, seen.directions)
        scores = scores if beside is None else beside.scores
    told = _nats_told(scores)
    # A permutation test of I(X; Y) = 0: strangers' scores are the same in every order.
    rng, every = np.random.default_rng(seed), np.arange(count)
    shuffled = [scores[every, rng.permutation(count)].mean() for _ in range(_SHUFFLES)]
    p = (1 + np.sum(np.array(shuffled) >= np.diag(scores).mean())) / (1 + _SHUFFLES)
    if p > _SIGNIFICANT:
        z: Any = Categorical(n=1, k=2)
        silent = [(np.zeros((len(each), z.size)), np.zeros(z.size)) for each in seen.precisions]
        return z, silent, {"shared": "nothing", "nats": 0.0, "p": float(p)}, None

    def error(nats: np.ndarray) -> float:
        return 2.0 * float(nats.std()) / math.sqrt(count)

    def enough(nats: np.ndarray) -> bool:
        lacking = told - nats
        return bool(lacking.mean() <= max(error(lacking), _SLACK * told.mean()))

    clusters, of_kinds = _kinds(seen, apart, distinct, price, seed)
    quantities, of_quantities = _quantities(seen, apart, distinct, price)
    kinds, dimensions = len(clusters.centres[0]), len(quantities.correlations)

    found: dict[str, Any] = {"p": float(p), "nats": max(0.0, float(told.mean()))}
    found |= {"kinds": kinds, "nats_of_kinds": float(of_kinds.mean())}
    found |= {"dimensions": dimensions, "nats_of_dimensions": float(of_quantities.mean())}
    more = of_quantities - of_kinds
    if kinds > 1 and enough(of_kinds) and more.mean() <= error(more):
        found["nats"] = max(found["nats"], found["nats_of_kinds"])
        z = Categorical(n=1, k=kinds)
        return z, seen.of(clusters), {"shared": "kinds", **found}, None
    if dimensions and enough(of_quantities):
        found["nats"] = max(found["nats"], found["nats_of_dimensions"])
        z = DiagonalGaussian(dim=dimensions)
        return z, seen.of(quantities), {"shared": "a quantity", **found}, None
    # Neither: the critic's own dimensions that hold anything, and directions.
    count = max(1, int(np.sum(seen.nats() > _LEAST_NATS)))
    outputs = seen.widest(count, beside)
    found["dimensions"] = outputs[0][0].shape[1] // 2
    z = DiagonalGaussian(dim=found["dimensions"])
    return z, outputs, {"shared": "a quantity", **found}, beside


def words(found: Mapping[str, Any]) -> str:
    """What `find` found, for people."""
    if found["shared"] == "nothing":
        return f"nothing that was found (p = {found['p']:.2f} by shuffled partners)"
    if found["shared"] == "kinds":
        what = f"{found['kinds']} kinds"
    else:
        what = f"a quantity of {found['dimensions']} dimension" + "s" * (found["dimensions"] > 1)
    return f"{what}: {found['nats']:.2f} nats or more"
