"""Kinds, a quantity, both or nothing: what z is, by what trained experts make of pairs."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

import numpy as np

from wyner_keras.intervals import permutation_p
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses.choices import (
    among_strangers,
    chance,
    choices,
    nats_told,
    tells_more,
)
from wyner_keras.losses.directions import Directions, directions, principal, untuned
from wyner_keras.losses.kinds import Clusters, clustered
from wyner_keras.losses.quantities import Quantities, correlated
from wyner_keras.product import Product

Affine = tuple[np.ndarray, np.ndarray]

_SHUFFLES = 200  # of pairs that share nothing
_SIGNIFICANT = 0.05  # p of a permutation test, above which nothing is shared
_SLACK = 0.05  # share of the nats that kinds may lack, for what is shared to be kinds alone
_SLIGHT = 0.01  # the same share, for what is shared to be a quantity of few dimensions
_REST = 0.15  # share of what even the critic leaves untold, that kinds with quantities may lack
_PAIRS_A_KIND = 2  # at least, for each dimension inside it
_BLUNT = 2.0  # nats below InfoNCE's ceiling, from where it hardly asks for more
_SATURATED = 1.0  # nats below the log of the pairs judged, from where chance excuses nothing
_MOSTLY = 0.5  # share of the nats that kinds beside a quantity can hold there, at least
_LEAST_NATS = 0.05  # that a dimension of a quantity is kept for
# Kinds for each dimension of a quantity that tells as much, from where they are pieces of it: in
# general position kinds take as many dimensions as there are, less one.
_PIECES = 4
_SURE = 0.9  # share of their entropy that kinds tell, from where they are no pieces
_HALVES = 2  # pieces, at least, that kinds alone cut each kind into for each quantity inside it


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
        found, rest = [], self.means
        inside: np.ndarray | None = None
        for part in z.describe()["pmi"]:
            if part["form"] == "gaussian":
                kinds = None if inside is None else (inside, inside)
                agreed = correlated(self.means, self.means, kinds).some(slice(part["dim"]))
                # Of fewer directions that the sides agree on, the dimensions that hold most.
                enough = len(agreed.correlations) == part["dim"]
                found.append(self.of(agreed) if enough else self.widest(part["dim"]))
                continue
            for _ in range(part["n"]):
                # Where their number is told, spheres: experts less sure make figures better.
                inside = clustered(rest, part["k"], seed, spheres=True)
                clusters = Clusters.of(rest, inside, spheres=True)
                found.append(self.of(clusters, part["k"]))
                # Less what the cluster says, but for the mean of all.
                rest = tuple(
                    side - centres[inside] + side.mean(axis=0)
                    for side, centres in zip(rest, clusters.centres, strict=True)
                )
        return beside(*found)

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

    def widest(self, count: int, linear: Directions | None = None) -> list[Affine]:
        """By side kernel and bias from e to a Gaussian of the dimensions that hold most.

        Args:
            count: of the dimensions.
            linear: directions that are dimensions too; the kernel is then of e and of them.
        """
        kept = np.sort(np.argsort(-self.nats(), kind="stable")[:count])
        more = 0 if linear is None else len(linear.log_variances)
        shrunk = 1.0 if linear is None else math.sqrt(linear.factors[0])
        found = []
        for precision in self.precisions:
            means = np.zeros((len(precision) + more, count + more))
            means[: len(precision), :count] = np.diag(shrunk / precision)[:, kept]
            means[len(precision) :, count:] = np.eye(more)
            log_variances = -np.log(precision[kept])
            if linear is not None:
                log_variances = np.concatenate([log_variances, linear.log_variances])
            kernel = np.concatenate([means, np.zeros_like(means)], axis=1)
            found.append((kernel, np.concatenate([np.zeros(count + more), log_variances])))
        return found


class Found(NamedTuple):
    """What z is.

    Args:
        z: its family.
        outputs: by side kernel and bias from e to z's expert.
        words: what was found, see `words`.
        directions: linear ones that the expert has beside e, or None.
        nats: that z tells of each pair judged, `(pairs,)`.
    """

    z: Any
    outputs: list[Affine]
    words: dict[str, Any]
    directions: Directions | None
    nats: np.ndarray


def beside(*parts: list[Affine]) -> list[Affine]:
    """By side kernel and bias to the parameters of independent parts, one after the other."""
    return [
        (np.concatenate([k for k, _ in side], axis=1), np.concatenate([b for _, b in side]))
        for side in zip(*parts, strict=True)
    ]


def find(
    seen: Seen,
    apart: Seen,
    distinct: np.ndarray,
    tested: np.ndarray | None,
    critic: Any,
    price: float,
    seed: int,
    ceiling: float = math.inf,
    groups: np.ndarray | None = None,
    tests: int = 1,
) -> Found:
    """Kinds, a quantity, both or nothing: of what tells as much as the critic, the least.

    Both are chosen where they are of the most value, kinds alone tell less or are many pieces of
    them, and there are fewer dimensions than there would be without kinds. Kinds that few
    dimensions tell as well are pieces of a quantity: an angle, say, is no kind. How many dimensions
    a quantity has is not told near the ceiling: what seems to tell nothing more may tell what was
    not asked for. So kinds beside it have to hold much of what is told there.

    Args:
        seen: pairs that z is made of.
        apart: pairs that it is chosen by.
        distinct: places of those of which no two share a row.
        tested: places of those whose partners may be exchanged; None where experts were trained on
            these pairs: whether anything is shared is not asked then.
        critic: of the Gaussian.
        price: λ.
        seed: of clusters and shuffles.
        ceiling: nats that InfoNCE asked for at most, where what z holds is trained further; none
            where this is its last word.
        groups: of those tested, whose partners may be exchanged inside a group, and groups as
            wholes; None where each may with any.
        tests: how often pairs are asked whether they share anything, this time included.
    """
    count = len(distinct)
    axes = principal(tuple(seen.values)) if seen.directions else ()
    p = None
    if tested is not None:
        p = min(1.0, tests * _chance_of(seen, apart, tested, groups, critic, seed, axes))
    if p is not None and p > _SIGNIFICANT:
        z: Any = Categorical(n=1, k=2)
        silent = [(np.zeros((len(each), z.size)), np.zeros(z.size)) for each in seen.precisions]
        words = {"shared": "nothing", "nats": 0.0, "p": p}
        return Found(z, silent, words, None, np.zeros(count))
    scores = _scored(critic, apart, distinct)
    linear = None
    if seen.directions:
        held = tuple(side[distinct] for side in apart.values)
        linear = directions(tuple(seen.values), held, scores, seen.directions, axes)
        scores = scores if linear is None else linear.scores
    told = among_strangers(nats_told(scores))
    mean = float(told.mean())
    # Of few images, told by detail, a little lacks much near all that pairs can show; and what
    # directions tell is more than chance makes it.
    detailed = bool(seen.directions) and mean > math.log(count) - _SATURATED
    detailed |= linear is not None

    def enough(nats: np.ndarray, slack: float, most: np.ndarray = told) -> bool:
        lacking = most - nats
        return bool(lacking.mean() <= max(0.0 if detailed else chance(lacking), slack))

    points, judged = seen.means, tuple(side[distinct] for side in apart.means)
    last_word = math.isinf(ceiling) and not seen.directions
    alone, smooth, best = choices(points, apart.means, distinct, price, seed, last_word=last_word)
    of_kinds, of_quantities, of_best = (each.told(points, judged) for each in (alone, smooth, best))
    (kinds, _), (_, dimensions) = alone.sizes, smooth.sizes

    found: dict[str, Any] = {"p": p, "nats": max(0.0, mean)}
    found |= {"kinds": kinds, "nats_of_kinds": float(of_kinds.mean())}
    found |= {"dimensions": dimensions, "nats_of_dimensions": float(of_quantities.mean())}

    def chosen(what: str, z: Any, nats: np.ndarray, *parts: list[Affine]) -> Found:
        words = {"shared": what, **found, "nats": max(found["nats"], float(nats.mean()))}
        return Found(z, beside(*parts), words, None, nats)

    slack, rest = _SLACK * mean, _REST * (math.log(count) - mean)
    kinds_do = kinds > 1 and enough(of_kinds, slack)
    slight = _SLIGHT * mean
    blunt = mean > ceiling - _BLUNT
    dimensions_do = dimensions > 0 and not blunt and enough(of_quantities, slight)
    widest = max(1, int(np.sum(seen.nats() > _LEAST_NATS)))
    (inside, least), most = best.sizes, dimensions if dimensions_do else widest
    pairs = len(np.unique(points[0], axis=0))
    seen_inside = inside > 1 and pairs >= inside * _PAIRS_A_KIND * least
    # Few kinds may be a fold of a quantity, of whose other dimensions the critic was not asked.
    seen_inside &= not blunt or math.log(inside) >= _MOSTLY * mean
    # Each pair its own concept is told by many kinds and dimensions nearly as well: what the
    # critic leaves untold is little then, and a kind has few pairs.
    if (
        seen_inside
        and 0 < least < most
        and enough(of_best, rest)
        and not tells_more(of_quantities, of_best)
    ):
        found["nats_of_both"] = float(of_best.mean())
        # Beside kinds that do, quantities tell more than chance has it, or kinds are their pieces.
        cut = kinds >= inside * _HALVES**least
        if not kinds_do or cut or tells_more(of_best, of_kinds):
            found |= {"kinds": inside, "dimensions": least}
            z = Product(Categorical(n=1, k=inside), DiagonalGaussian(dim=least))
            parts = seen.of(Clusters.of(points, best.kinds)), seen.of(best.quantities)
            return chosen("kinds and a quantity", z, of_best, *parts)
    few = 0 < dimensions <= kinds / _PIECES and not blunt and not detailed
    few &= of_kinds.mean() < _SURE * alone.entropy
    pieces = few and enough(of_quantities, slack, of_kinds if kinds_do else told)
    if kinds_do and not tells_more(of_quantities, of_kinds) and not pieces:
        z = Categorical(n=1, k=kinds)
        return chosen("kinds", z, of_kinds, seen.of(Clusters.of(points, alone.kinds)))
    if dimensions_do or pieces:
        z = DiagonalGaussian(dim=dimensions)
        return chosen("a quantity", z, of_quantities, seen.of(smooth.quantities))
    # None of them: the critic's own dimensions that hold anything, and directions.
    outputs = seen.widest(widest, linear)
    found["dimensions"] = outputs[0][0].shape[1] // 2
    z = DiagonalGaussian(dim=found["dimensions"])
    return Found(z, outputs, {"shared": "a quantity", **found}, linear, told)


def _scored(critic: Any, apart: Seen, places: np.ndarray) -> np.ndarray:
    """The critic's pmi of every x with every y of some pairs, nats, `(places, places)`."""
    return np.asarray(critic.pmi(*(e[places] for e in apart.naturals)), float)


def _chance_of(
    seen: Seen,
    apart: Seen,
    tested: np.ndarray,
    groups: np.ndarray | None,
    critic: Any,
    seed: int,
    axes: tuple[np.ndarray, ...],
) -> float:
    """The p of a permutation test of I(X; Y) = 0, by scores that no choice was made of.

    They are the critic's and, where there are linear directions, those of `untuned`: strangers'
    are the same in every order. Where there are groups each is tested twice: inside them, and of
    groups as wholes. The least p counts as often as there are tests (Bonferroni).
    """
    tables = [_scored(critic, apart, tested)]
    if seen.directions:
        held = tuple(side[tested] for side in apart.values)
        tables.append(untuned(tuple(seen.values), held, seen.directions, axes))
    rng = np.random.default_rng(seed)
    found = _chances(tables, groups, rng)
    if groups is not None:
        found += _chances([_of_wholes(scores, groups) for scores in tables], None, rng)
    return min(1.0, len(found) * min(found))


def _chances(
    tables: list[np.ndarray], groups: np.ndarray | None, rng: np.random.Generator
) -> list[float]:
    """Of each table the p of its diagonal among partners in other orders, those inside groups."""
    every = np.arange(len(tables[0]))
    orders = [every]
    for _ in range(_SHUFFLES):
        order = rng.permutation(len(every))
        if groups is not None:
            order[np.argsort(groups, kind="stable")] = order[
                np.argsort(groups[order], kind="stable")
            ]
        orders.append(order)
    means = ([scores[every, order].mean() for order in orders] for scores in tables)
    return [permutation_p(np.array(each)) for each in means]


def _of_wholes(scores: np.ndarray, groups: np.ndarray) -> np.ndarray:
    """Mean scores of the x of a group with the y of a group, `(groups, groups)`."""
    numbers = np.unique(groups, return_inverse=True)[1]
    members = np.eye(numbers.max() + 1)[numbers]
    members = members / members.sum(axis=0)
    found: np.ndarray = members.T @ scores @ members
    return found


def words(found: Mapping[str, Any]) -> str:
    """What `find` found, for people."""
    if found["shared"] == "nothing":
        return f"nothing that was found (p = {found['p']:.2f} by shuffled partners)"
    kinds = f"{found['kinds']} kinds"
    quantity = f"a quantity of {found['dimensions']} dimension" + "s" * (found["dimensions"] > 1)
    what = {"kinds": kinds, "a quantity": quantity}.get(found["shared"], f"{kinds} and {quantity}")
    if found["p"] is None:
        return f"{what}; untested, since no pairs are apart from others"
    return f"{what}: {found['nats']:.2f} nats or more"
