"""Linear directions of few examples' own values, beside what networks make of them."""

from __future__ import annotations

import itertools
import math
from typing import NamedTuple

import numpy as np

from wyner_keras.losses.choices import chance, nats_told
from wyner_keras.losses.quantities import Quantities, agreeing, canonical, correlated
from wyner_keras.networks.pair_encoder import LEAST_SQUARE

Values = tuple[np.ndarray, ...]  # by side, (pairs, values)

_COMPONENTS = 400  # principal ones of the values, at most, that directions are made of
_RIDGES = (0.01, 0.03, 0.1, 0.3)
_UNTUNED = 0.1  # the ridge of a test, for which none may be chosen
_POWERS = (0.0, 0.5, 1.0)  # of lengths, that examples' variates are divided by
_LENGTH = 0.05  # nats that a power of 1 has to add: what it takes away decoders do not see
_FACTORS = 0.5 ** np.arange(6)  # of pmis, which are too sure of what few pairs taught them
_LEAST_MORE = 0.02  # nats that directions have to add


class Directions(NamedTuple):
    """Canonical directions of values, and how far they and a critic are believed.

    Args:
        lines: from values to variates, the canonical directions.
        power: how far each example's variates are brought to one length, see `evened`.
        quantities: of the variates so evened, each by itself.
        factors: of the critic's pmi and of the directions'.
        scores: the sum of both, nats, of pairs apart, `(pairs, pairs)`.
    """

    lines: Quantities
    power: float
    quantities: Quantities
    factors: tuple[float, float]
    scores: np.ndarray

    def points(self, values: Values) -> Values:
        """Evened variates by side `(pairs, lines)` of values `(pairs, values)`."""
        return evened(self.lines.variates(values), self.power)

    def line(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Kernel `(values, lines)` and bias from values to variates."""
        kernel = self.lines.maps[side]
        return kernel, -self.lines.centres[side] @ kernel

    def affine(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Kernel `(lines, count)` and bias from evened variates to means of z's expert.

        A pmi is a product of two sides' means: by the root of its factor the means shrink.
        """
        kernel, bias = self.quantities.affine(side)
        count, root = len(self.quantities.correlations), math.sqrt(self.factors[1])
        return root * kernel[:, :count], root * bias[:count]

    def means(self, values: Values) -> Values:
        """Of z's expert, by side `(pairs, count)` of values `(pairs, values)`."""
        affine = (self.affine(side) for side in range(len(values)))
        points = self.points(values)
        return tuple(
            each @ kernel + bias for each, (kernel, bias) in zip(points, affine, strict=True)
        )

    @property
    def log_variances(self) -> np.ndarray:
        """Of z's expert, `(count,)`."""
        count = len(self.quantities.correlations)
        return self.quantities.affine(0)[1][count:]


def evened(variates: Values, power: float) -> Values:
    """Variates by side `(pairs, lines)`, each example's divided by its length to a power.

    By 1 all have one length. The contrast of a picture scales all of its variates, and their noise:
    a Gaussian's pmi would be sure of pictures of much contrast alone.
    """
    return tuple(
        side * np.square(side).sum(axis=1, keepdims=True).clip(LEAST_SQUARE) ** (-0.5 * power)
        for side in variates
    )


def directions(
    seen: Values,
    apart: Values,
    scores: np.ndarray,
    most: int,
    axes: Values | None = None,
) -> Directions | None:
    """Directions that tell partners from strangers better than a critic does alone.

    A network that few pairs have trained is too sure, and misses what a ridge regression of the
    values sees. Independent parts of z add: the sum of both pmis is that of a z of both.

    Args:
        seen: values by side, `(pairs, values)`, that directions are made of.
        apart: likewise, that ridge, power and factors are chosen by.
        scores: the critic's of the pairs apart, nats, `(pairs, pairs)`.
        most: directions, at most.
        axes: `principal(seen)`, where that is known.

    Returns:
        The directions; None where the critic alone does as well.
    """
    axes = principal(seen) if axes is None else axes
    points, held = _on(axes, seen, seen), _on(axes, seen, apart)
    best, nats = None, max(nats_told(factor * scores).mean() for factor in _FACTORS)
    for ridge in _RIDGES:
        lines = correlated(points, held, ridge=ridge).some(slice(most))
        if not len(lines.correlations):
            continue
        sides = lines.variates(points), lines.variates(held)
        for power in _POWERS:
            seen_even, even = (evened(side, power) for side in sides)
            found = agreeing(_each(seen_even).scaled(even), even)
            if not len(found.correlations):
                continue
            factors, both = _believed(scores, found.pmi(even))
            value = nats_told(both).mean() - _LENGTH * power
            if value > nats:
                best, nats = (ridge, power, lines, found, factors, both), value
    if best is None:
        return None
    ridge, power, lines, found, factors, summed = best
    more = nats_told(summed) - nats_told(scores)
    if more.mean() <= max(_LEAST_MORE, chance(more)):
        return None
    # Once more of all pairs, as correlated as those were.
    whole = tuple(np.concatenate(side) for side in zip(seen, apart, strict=True))
    axes = principal(whole)
    points = _on(axes, whole, whole)
    again = canonical(points, np.zeros(len(points[0]), int), ridge).scaled(points)
    again = again.some(slice(len(lines.correlations)))
    even = evened(again.variates(points), power)
    kept = found.maps[0].argmax(axis=0)
    each = _each(even).scaled(even).some(kept)._replace(correlations=found.correlations)
    centres = tuple(side.mean(axis=0) for side in whole)
    maps = tuple(axis @ map_ for axis, map_ in zip(axes, again.maps, strict=True))
    lines = Quantities(centres, maps, again.correlations)
    return Directions(lines, power, each, factors, summed)


def untuned(seen: Values, apart: Values, most: int, axes: Values) -> np.ndarray:
    """Scores of every x with every y apart, in whose making these pairs had no part.

    Products of canonical variates, weighed by their correlations among the pairs seen: no pmi, but
    what partners have more of than strangers, where anything is shared.

    Args:
        seen: values by side, `(pairs, values)`, that directions are made of.
        apart: likewise.
        most: directions, at most.
        axes: `principal(seen)`.

    Returns:
        `(pairs, pairs)`.
    """
    points, held = _on(axes, seen, seen), _on(axes, seen, apart)
    lines = canonical(points, np.zeros(len(points[0]), int), _UNTUNED).some(slice(most))
    x, y = lines.variates(held)
    found: np.ndarray = (x * lines.correlations) @ y.T
    return found


def _believed(scores: np.ndarray, own: np.ndarray) -> tuple[tuple[float, float], np.ndarray]:
    """The factors by which the sum of two pmis tells most, and that sum."""
    told = {
        (critics, its): nats_told(critics * scores + its * own).mean()
        for critics, its in itertools.product(_FACTORS, _FACTORS)
    }
    critics, its = max(told, key=told.__getitem__)
    return (critics, its), critics * scores + its * own


def _each(points: Values) -> Quantities:
    """Each column of points, as correlated as it is in these."""
    centres = tuple(side.mean(axis=0) for side in points)
    x, y = ((side - side.mean(axis=0)) / side.std(axis=0).clip(LEAST_SQUARE) for side in points)
    one = np.eye(x.shape[1])
    return Quantities(centres, (one, one), (x * y).mean(axis=0))


def principal(values: Values) -> Values:
    """Axes of most variance by side, `(values, components)`."""
    return tuple(
        np.linalg.svd(side - side.mean(axis=0), full_matrices=False)[2][:_COMPONENTS].T
        for side in values
    )


def _on(axes: Values, values: Values, others: Values) -> Values:
    """Others less the mean of values, on the axes, by side `(pairs, components)`."""
    sides = zip(axes, values, others, strict=True)
    return tuple((other - side.mean(axis=0)) @ axis for axis, side, other in sides)
