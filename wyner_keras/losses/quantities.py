"""Quantities: directions of a Gaussian z that x and y agree on, each by itself."""

from __future__ import annotations

import math
from typing import NamedTuple

import numpy as np
from scipy.sparse import csr_array
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

    def scaled(self, points: tuple[np.ndarray, ...]) -> Quantities:
        """The same, of unit variance of some points."""
        scales = (np.maximum(side.std(axis=0), _ROUNDING) for side in self.variates(points))
        maps = tuple(map_ / scale for map_, scale in zip(self.maps, scales, strict=True))
        return self._replace(maps=maps)

    def some(self, which: slice | np.ndarray | list[int]) -> Quantities:
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
    points: tuple[np.ndarray, ...],
    apart: tuple[np.ndarray, ...],
    kinds: tuple[np.ndarray, np.ndarray] | None = None,
    ridge: float = 0.0,
) -> Quantities:
    """Canonical directions of points, as far as points apart are correlated in them too.

    Where kinds are told, the directions are those along which x and y vary together inside a kind,
    for their variance in all: the covariance is that of points less their kind's mean, the variance
    is not. What sets kinds apart has hardly any of the one and much of the other, so that
    directions turn away from it, and yet are affine, the same for every kind. What they still
    show of the kinds counts as noise: a correlation is at most that inside a kind.

    Args:
        points: by side, `(pairs, size)`.
        apart: likewise, of other pairs; a correlation is the lesser of the two, and is dropped
            where chance may have made it.
        kinds: of points and of points apart, each `(pairs,)`, from 0 on; None for one of all.
        ridge: added to each variance, a share of their mean, where points are few for their size;
            variates then have unit variance of the points apart.

    Source: Hotelling, Relations between two sets of variates, 1936; Vinod, Canonical ridge, 1976.
    """
    inside, inside_apart = kinds or [np.zeros(len(each[0]), int) for each in (points, apart)]
    found = canonical(points, inside, ridge)
    return agreeing(found.scaled(apart) if ridge else found, apart, inside_apart)


def agreeing(
    found: Quantities, apart: tuple[np.ndarray, ...], kinds: np.ndarray | None = None
) -> Quantities:
    """Directions that points apart are correlated in too, by no more than they are, the most first.

    Args:
        found: the directions.
        apart: points by side, `(pairs, size)`.
        kinds: of these, `(pairs,)`, from 0 on; None for one of all.
    """
    inside = np.zeros(len(apart[0]), int) if kinds is None else kinds
    variates = found.variates(apart)
    a, b = (_less_means(side, inside) for side in variates)
    scale = np.sqrt(np.prod([side.var(axis=0) for side in variates], axis=0))
    both = np.minimum(
        np.minimum(found.correlations, (a * b).mean(axis=0) / np.maximum(scale, 1e-12)), _MOST
    )
    # Fisher's test, of all directions at once.
    freedom = max(1, len(a) - 2 - len(np.unique(inside)))
    least = np.tanh(norm.isf(_SIGNIFICANT / len(both)) / math.sqrt(freedom))
    order = np.argsort(-both, kind="stable")[: int((both > least).sum())]
    return Quantities(found.centres, tuple(map_[:, order] for map_ in found.maps), both[order])


def canonical(points: tuple[np.ndarray, ...], kinds: np.ndarray, ridge: float) -> Quantities:
    """Canonical directions of points, and their correlations in these; see `correlated`."""
    whitened = []
    for side in points:
        values, vectors = np.linalg.eigh(np.atleast_2d(np.cov(side, rowvar=False)))
        kept = values > (_ROUNDING if ridge else _LEAST) * values.max()
        variances = values[kept] + ridge * values[kept].mean()
        whitened.append(vectors[:, kept] / np.sqrt(variances))
    x, y = (_less_means(side, kinds) @ white for side, white in zip(points, whitened, strict=True))
    left, seen, right = np.linalg.svd(x.T @ y / len(x), full_matrices=False)
    centres = tuple(side.mean(axis=0) for side in points)
    return Quantities(centres, (whitened[0] @ left, whitened[1] @ right.T), seen)


def _less_means(points: np.ndarray, kinds: np.ndarray) -> np.ndarray:
    """Points less the mean of their kind, `(pairs, size)`."""
    every = np.arange(len(kinds))
    members = csr_array((np.ones(len(kinds)), (kinds, every)), shape=(kinds.max() + 1, len(kinds)))
    means = (members @ points) / np.maximum(members.sum(axis=1), 1)[:, None]
    return points - means[kinds]
