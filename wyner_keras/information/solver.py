"""Wyner's common information of any small discrete pair, by column generation.

Given Z = z, X and Y are independent, so a Z is a decomposition of the joint distribution into
products, p(x,y) = Σ_z p(z) a_z(x) b_z(y), and with I(X,Y;Z) = H(X,Y) − Σ_z p(z) [H(a_z) + H(b_z)]

    C(X;Y) = H(X,Y) − max { Σ_z p(z) [H(a_z) + H(b_z)] : Σ_z p(z) a_z b_zᵀ = p(x,y) }.

For a fixed list of products (a, b) that is a linear program in p(z). Its dual prices M(x,y) say
which product to add: the one with the largest H(a) + H(b) − aᵀ M b. For a given b the best a is
softmax(−M b) and the other way round, so it is found by alternation from many starts. Weak duality
bounds the error: for every M,

    C(X;Y) ≥ H(X,Y) − Σ p(x,y) M(x,y) − max { H(a) + H(b) − aᵀ M b }.

A basic solution has at most |X||Y| products, which is the bound on |Z|.
"""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import special
from scipy.optimize import linprog

from wyner_keras.data.checks import check_number, check_whole
from wyner_keras.information.shannon import Array, check_probabilities, entropies, entropy

_MOST_RECTANGLES = 4096
_STEPS = 200  # of alternation, at most
_FORBIDDEN = -1e30  # exp of it is 0, and 0 times it still is


@dataclass(frozen=True, kw_only=True)
class CommonInformation:
    """A solution: the value, how wrong it can be, and the Z that attains it.

    Args:
        value: I(X,Y;Z) of the Z found, nats: an upper bound of C(X;Y), attained.
        lower_bound: nats; C(X;Y) is not below it, if no better start for the pricing exists.
        p_z: `(values of z,)`.
        p_x_given_z: `(values of z, values of x)`.
        p_y_given_z: `(values of z, values of y)`.
    """

    value: float
    lower_bound: float
    p_z: Array
    p_x_given_z: Array
    p_y_given_z: Array


def _rectangles(support: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """All maximal sets of rows and of columns whose product lies in the support, as masks."""
    found = {row.tobytes(): row for row in support}
    pending = list(found.values())
    while pending:
        current = pending.pop()
        for row in support:
            both = current & row
            if both.any() and both.tobytes() not in found:
                found[both.tobytes()] = both
                pending.append(both)
                if len(found) > _MOST_RECTANGLES:
                    raise ValueError(
                        "The support of `p_xy` should have at most "
                        f"{_MOST_RECTANGLES} maximal rectangles. Received: more"
                    )
    columns = np.array(list(found.values()))
    rows = np.array([support[:, column].all(axis=1) for column in columns])
    return rows, columns


class _Pricing:
    """The products that a price matrix favours."""

    def __init__(self, support: np.ndarray, starts: int, seed: int) -> None:
        rows, columns = _rectangles(support)
        self.starts, self.rng = starts, np.random.default_rng(seed)
        self.rows = np.where(rows, 0.0, _FORBIDDEN)
        self.columns = np.where(columns, 0.0, _FORBIDDEN)

    def products(self, prices: Array, warm: Array) -> tuple[Array, Array]:
        """Local maxima (a, b), each `(n, values)`, from random starts and from `warm` b's."""
        count = len(self.rows)
        which = np.repeat(np.arange(count), self.starts)
        # Concentrated and even starts alike.
        sharpness = self.rng.choice([1.0, 4.0, 16.0], size=(len(which), 1))
        noise = sharpness * self.rng.standard_normal((len(which), prices.shape[1]))
        b = special.softmax(noise + self.columns[which], axis=1)
        if len(warm):
            fits = (warm[:, None, :] * (self.columns < 0)[None]).sum(axis=2) == 0
            place, rectangle = np.nonzero(fits)
            b, which = np.concatenate([b, warm[place]]), np.concatenate([which, rectangle])
        rows, columns = self.rows[which], self.columns[which]
        for _ in range(_STEPS):
            a = special.softmax(rows - b @ prices.T, axis=1)
            previous, b = b, special.softmax(columns - a @ prices, axis=1)
            if np.abs(b - previous).max() < 1e-12:
                break
        return a, b


def _values(a: Array, b: Array, prices: Array) -> Array:
    return entropies(a) + entropies(b) - np.einsum("nx,xy,ny->n", a, prices, b)


def wyner_common_information(
    p_xy: Any, *, tolerance: float = 1e-5, starts: int = 24, rounds: int = 300, seed: int = 0
) -> CommonInformation:
    """The smallest I(X,Y;Z) over all Z with X − Z − Y, for a discrete pair.

    Args:
        p_xy: joint distribution, `(values of x, values of y)`; five values a side take seconds,
            more where most of them exclude one another.
        tolerance: nats between the value and its lower bound at which to stop.
        starts: random starts of the pricing for each maximal rectangle of the support.
        rounds: the most linear programs to solve.
        seed: of the starts.

    Returns:
        The value in nats with its lower bound, and Z.

    Raises:
        ValueError: if it is not a joint distribution, or a setting is not positive.

    Example:
        >>> round(wyner_common_information([[0.45, 0.05], [0.05, 0.45]]).value, 4)
        0.605

    Source: Wyner, The common information of two dependent random variables, 1975, for the quantity
    and |Z| ≤ |X||Y|; the algorithm is the Dantzig–Wolfe column generation, described above.
    """
    p = check_probabilities(p_xy, "p_xy", rank=2)
    if not check_number(tolerance, "`tolerance`", "positive") > 0:
        raise ValueError(f"`tolerance` should be positive. Received: {tolerance}")
    starts = check_whole(starts, "`starts`", minimum=1)
    rounds = check_whole(rounds, "`rounds`", minimum=1)
    seed = check_whole(seed, "`seed`")
    keep_x, keep_y = p.sum(axis=1) > 0, p.sum(axis=0) > 0
    inner = p[np.ix_(keep_x, keep_y)]
    value, lower, weights, a, b = _generate(inner, tolerance, starts, rounds, seed)
    p_x_given_z = np.zeros((len(weights), len(p)))
    p_y_given_z = np.zeros((len(weights), p.shape[1]))
    p_x_given_z[:, keep_x], p_y_given_z[:, keep_y] = a, b
    return CommonInformation(
        value=value,
        lower_bound=lower,
        p_z=weights,
        p_x_given_z=p_x_given_z,
        p_y_given_z=p_y_given_z,
    )


def _first_products(p: Array) -> tuple[Array, Array]:
    """Those of Z = X, of Z = Y and of Z = (X,Y): any of them is a solution."""
    pairs = tuple(np.eye(size)[at] for size, at in zip(p.shape, np.nonzero(p), strict=True))
    a, b = zip(*_sides_alone(p), pairs, strict=True)
    return np.concatenate(a), np.concatenate(b)


def _sides_alone(p: Array) -> tuple[tuple[Array, Array], ...]:
    """p(x|z) and p(y|z) of Z = X, and of Z = Y."""
    of_x = np.eye(len(p)), p / p.sum(axis=1, keepdims=True)
    of_y = (p / p.sum(axis=0)).T, np.eye(p.shape[1])
    return of_x, of_y


def _generate(
    p: Array, tolerance: float, starts: int, rounds: int, seed: int
) -> tuple[float, float, Array, Array, Array]:
    """Value, lower bound, p(z), p(x|z), p(y|z) of a distribution without empty rows or columns."""
    support, joint_entropy = p > 0, entropy(p)
    pricing = _Pricing(support, starts, seed)
    a, b = _first_products(p)
    # Of these prices the bound is −I(X;Y).
    centre = np.where(support, -np.log(np.outer(p.sum(axis=1), p.sum(axis=0))), 0.0)
    lower = -np.inf
    for _ in range(rounds):
        gains = entropies(a) + entropies(b)
        products = np.einsum("nx,ny->xyn", a, b)[support]
        solved = linprog(-gains, A_eq=products, b_eq=p[support], method="highs")
        used = solved.x > 0
        value, weights, best = joint_entropy + solved.fun, solved.x[used], (a[used], b[used])
        prices = np.zeros_like(p)
        prices[support] = -solved.eqlin.marginals
        # The prices of one program jump about; halfway to the best ones so far they settle.
        point = 0.5 * (prices + centre)
        new_a, new_b = pricing.products(point, b[used])
        excess = max(0.0, float(_values(new_a, new_b, point).max()))
        bound = joint_entropy - float((p * point).sum()) - excess
        if bound > lower:
            lower, centre = bound, point
        if value - lower <= tolerance:
            break
        chosen = _paying(new_a, new_b, _values(new_a, new_b, prices))
        a, b = np.concatenate([a, new_a[chosen]]), np.concatenate([b, new_b[chosen]])
    value, weights = max(0.0, float(value)), weights / weights.sum()
    # Linear programs keep p to some 1e-7: Z = X and Z = Y are known exactly.
    for axis, products in zip((1, 0), _sides_alone(p), strict=True):
        marginal = p.sum(axis=axis)
        if (exact := entropy(marginal)) <= value:
            value, weights, best = exact, marginal, products
    return value, min(max(0.0, lower), value), weights, *best


def _paying(a: Array, b: Array, excess: Array) -> np.ndarray:
    """Indices of the products that would raise a linear program's value, each once."""
    order = np.argsort(-excess)
    order = order[excess[order] > 0]
    rounded = np.round(np.concatenate([a[order], b[order]], axis=1), 6)
    return order[np.sort(np.unique(rounded, axis=0, return_index=True)[1])]
