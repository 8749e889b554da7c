"""Quantities: directions of a Gaussian z that x and y agree on, each by itself."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.stats import norm

_LEAST = 1e-3  # variance, as a share of the largest direction's, of what is no rounding
_ROUNDING = 1e-9  # the same where a ridge is added
_MOST = 0.999  # correlation, so that precisions are finite
_SIGNIFICANT = 0.05  # p of the test of all directions, above which they are chance


class Quantities(NamedTuple):
    """Directions in which points of x and y are correlated, the most first.

    Args:
        centres: by side, `(size,)`.
        maps: by side from points less the centre to variates of unit variance, `(size, count)`.
        correlations: of the variates, `(count,)`, in (0, 1).
    """

    centres: tuple[np.ndarray, ...]
    maps: tuple[np.ndarray, ...]
    correlations: np.ndarray

    def variates(self, points: tuple[np.ndarray, ...]) -> tuple[np.ndarray, ...]:
        """By side `(pairs, count)` of points `(pairs, size)`."""
        sides = zip(points, self.centres, self.maps, strict=True)
        return tuple((side - centre) @ map_ for side, centre, map_ in sides)

    def some(self, which: slice) -> Quantities:
        """Some of them."""
        maps = tuple(map_[:, which] for map_ in self.maps)
        return Quantities(self.centres, maps, self.correlations[which])

    def affine(self, side: int) -> tuple[np.ndarray, np.ndarray]:
        """Kernel `(size, 2 count)` and bias from points to mean and log variance of z's expert.

        With z of unit variance, and each variate √ρ z + √(1 − ρ) noise, x and y are independent
        given z and I(X, Y; Z) is the least that does it.

        Source: Wyner, The common information of two dependent random variables, 1975.
        """
        rho = self.correlations
        means = self.maps[side] / np.sqrt(rho)
        kernel = np.concatenate([means, np.zeros_like(means)], axis=1)
        bias = np.concatenate([-self.centres[side] @ means, np.log1p(-rho) - np.log(rho)])
        return kernel, bias

    def pmi(self, points: tuple[np.ndarray, ...]) -> np.ndarray:
        """Nats of every x with every y by all of them, `(pairs, pairs)`."""
        rho, (x, y) = self.correlations, self.variates(points)
        rest = 1 - rho**2
        own_x, own_y = (np.square(side) @ (0.5 * rho**2 / rest) for side in (x, y))
        return (x * rho / rest) @ y.T - own_x[:, None] - own_y - 0.5 * np.log(rest).sum()

    def nats(self) -> np.ndarray:
        """I(X, Y; Z) of each, `(count,)`: ½ log (1 + ρ) / (1 − ρ)."""
        return np.arctanh(self.correlations)


def correlated(
    points: tuple[np.ndarray, ...], apart: tuple[np.ndarray, ...], ridge: float = 0.0
) -> Quantities:
    """Canonical directions of points, as far as points apart are correlated in them too.

    Args:
        points: by side, `(pairs, size)`.
        apart: likewise, of other pairs; a correlation is the lesser of the two, and is dropped
            where chance may have made it.
        ridge: added to each variance, a share of their mean, where points are few for their size;
            variates then have unit variance of the points apart.

    Source: Hotelling, Relations between two sets of variates, 1936; Vinod, Canonical ridge, 1976.
    """
    centres = tuple(side.mean(axis=0) for side in points)
    whitened = []
    for side in points:
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(side, rowvar=False)))
        kept = values > (_ROUNDING if ridge else _LEAST) * values.max()
        variances = values[kept] + ridge * values[kept].mean()
        whitened.append(vectors[:, kept] / np.sqrt(variances))
    x, y = (
        (side - centre) @ white
        for side, centre, white in zip(points, centres, whitened, strict=True)
    )
    left, seen, right = np.linalg.svd(x.T @ y / len(x), full_matrices=False)
    found = Quantities(centres, (whitened[0] @ left, whitened[1] @ right.T), seen)
    a, b = (side - side.mean(axis=0) for side in found.variates(apart))
    if ridge:
        deviations = (np.maximum(side.std(axis=0), 1e-12) for side in (a, b))
        maps = tuple(m / d for m, d in zip(found.maps, deviations, strict=True))
        found = Quantities(centres, maps, seen)
    scale = np.sqrt(np.square(a).sum(axis=0) * np.square(b).sum(axis=0))
    both = np.minimum(np.minimum(seen, (a * b).sum(axis=0) / np.maximum(scale, 1e-12)), _MOST)
    # Fisher's test, of all directions at once.
    least = np.tanh(norm.isf(_SIGNIFICANT / len(both)) / math.sqrt(max(1, len(a) - 3)))
    order = np.argsort(-both, kind="stable")[: int((both > least).sum())]
    return Quantities(centres, tuple(map_[:, order] for map_ in found.maps), both[order])
