"""Walks through a latent, each made of z to decode: what a picture of the latent shows."""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from typing import NamedTuple

import numpy as np
from scipy.special import entr

# Steps along a dimension of a standard normal, and which share of the prior lies below each.
_DEVIATIONS = (-2.0, -1.0, 0.0, 1.0, 2.0)
_QUANTILES = ("2 %", "16 %", "median", "84 %", "98 %")
_LEAST = float(np.finfo(np.float64).tiny)  # keeps a logarithm finite


class Sweep(NamedTuple):
    """A walk through one part of a latent, the other parts at their centre.

    Args:
        name: of the part.
        quantity: whether the steps are amounts, in order; else they are kinds.
        steps: what each step is.
        values: samples to decode, `(steps, size)`.
        shares: of the data at each step, `(steps,)`; None where that is not known or no share.
        nats: what the part holds of the data, of a quantity at most; None where that is not known.
        strength: share of the latent's effect on what is decoded, to first order; None likewise.
    """

    name: str
    quantity: bool
    steps: tuple[str, ...]
    values: np.ndarray
    shares: np.ndarray | None = None
    nats: float | None = None
    strength: float | None = None


def _sorted(found: list[Sweep]) -> tuple[Sweep, ...]:
    """The strongest first, or those that hold most."""
    return tuple(sorted(found, key=lambda each: -(each.strength or each.nats or 0.0)))


def categorical_centre(probabilities: np.ndarray | None, n: int, k: int) -> np.ndarray:
    """The one-hot vectors of the commonest categories, `(n*k,)`; of the first ones without data."""
    mean = np.zeros((n, k)) if probabilities is None else probabilities.mean(axis=0)
    return np.eye(k, dtype=np.float32)[mean.argmax(axis=1)].reshape(-1)


def categorical_sweeps(
    probabilities: np.ndarray | None, n: int, k: int, effect: np.ndarray | None = None
) -> tuple[Sweep, ...]:
    """A sweep for each of n variables: its k values, the commonest first.

    Args:
        probabilities: of data, `(rows, n, k)`; None where there are none.
        n: number of variables.
        k: number of values of each.
        effect: features that a value adds, `(n*k, features)`, by which variables are sorted.

    Returns:
        Sweeps whose nats are exact for the rows: I(row; variable).
    """
    centre = categorical_centre(probabilities, n, k)
    changes = None if effect is None else effect.reshape(n, k, -1).var(axis=1).sum(axis=-1)
    found = []
    for place in range(n):
        order, shares, nats = np.arange(k), None, None
        if probabilities is not None:
            q = probabilities[:, place].astype(np.float64)
            mean = q.mean(axis=0)
            order = np.argsort(-mean, kind="stable")
            shares = mean[order]
            nats = max(0.0, float(entr(mean).sum() - entr(q).sum(axis=1).mean()))
        values = np.tile(centre, (k, 1)).reshape(k, n, k)
        values[:, place] = np.eye(k, dtype=np.float32)[order]
        name = "value" if n == 1 else f"variable {place + 1}"
        steps = tuple(f"value {value + 1}" for value in order)
        strength = None if changes is None else float(changes[place] / max(changes.sum(), _LEAST))
        found.append(Sweep(name, False, steps, values.reshape(k, -1), shares, nats, strength))
    return _sorted(found)


def gaussian_sweeps(
    posteriors: Sequence[np.ndarray] | None, dim: int, effect: np.ndarray | None = None
) -> tuple[Sweep, ...]:
    """A sweep of each dimension at quantiles of N(0, 1), the others at their mean over data.

    N(0, I) looks the same from all sides. With an effect, sweeps run along the directions in which
    it is largest, by its singular vectors, in place of the dimensions.

    Args:
        posteriors: means and log variances of data, each `(rows, dim)`; None where there are none.
        dim: number of dimensions.
        effect: features that a unit of each dimension adds, `(dim, features)`.

    Returns:
        Sweeps whose nats are ½ log of the data's variance over the posteriors' (geometric mean):
        at least I(row; dimension), and equal to it where the dimension is Gaussian over the data.
    """
    centre = np.zeros(dim)
    nats: list[float | None] = [None] * dim
    if posteriors is not None:
        mean, log_variance = (np.asarray(each, np.float64) for each in posteriors)
        centre = mean.mean(axis=0)
        spread = mean.var(axis=0) + np.exp(log_variance).mean(axis=0)
        nats = [*np.maximum(0.0, 0.5 * (np.log(spread) - log_variance.mean(axis=0))).tolist()]
    if effect is None:
        return _sorted(
            [
                Sweep(f"dimension {place + 1}", True, _QUANTILES, values, None, nats[place])
                for place, values in enumerate(_along(centre, np.eye(dim)))
            ]
        )
    # All directions of the latent, but not of what is decoded: of pixels they would be a square.
    every = dim > effect.shape[1]
    directions, sizes, changes = np.linalg.svd(effect.astype(np.float64), full_matrices=every)
    # Of either sign; the one whose largest change is upwards.
    largest = np.take_along_axis(changes, np.abs(changes).argmax(axis=1)[:, None], axis=1)[:, 0]
    directions[:, : len(sizes)] *= np.where(largest[: len(sizes)] < 0, -1, 1)
    strengths = np.zeros(dim)
    strengths[: len(sizes)] = sizes**2 / max(float((sizes**2).sum()), _LEAST)
    return tuple(
        Sweep(f"direction {place + 1}", True, _QUANTILES, values, None, None, strengths[place])
        for place, values in enumerate(_along(centre, directions.T))
    )


def _along(centre: np.ndarray, directions: np.ndarray) -> Iterator[np.ndarray]:
    """Of each direction the steps from the foot of the centre on it, `(steps, dim)`."""
    for direction in directions:
        foot = centre - (centre @ direction) * direction
        yield (foot + np.outer(_DEVIATIONS, direction)).astype(np.float32)


def together(
    kinds: Sequence[Sweep],
    quantities: Sequence[Sweep],
    centre: np.ndarray,
    effect: np.ndarray | None = None,
) -> tuple[Sweep, ...]:
    """Sweeps of a latent of two parts, each sweep with the other part at the centre.

    Args:
        kinds: sweeps of the first part, of one variable.
        quantities: of the second part.
        centre: of the whole, `(size,)`.
        effect: features that each element adds, `(size, features)`, by which sweeps are sorted;
            None leaves the kinds first.

    Returns:
        The sweeps, their strengths shares of the whole latent's effect.
    """
    k = kinds[0].values.shape[1]
    wholes = [1.0, 1.0]
    if effect is not None:
        moved = [effect[:k].var(axis=0).sum(), np.square(effect[k:]).sum()]
        wholes = [float(each / max(sum(moved), _LEAST)) for each in moved]
    found = []
    for part, place, whole in (
        (kinds, slice(k), wholes[0]),
        (quantities, slice(k, None), wholes[1]),
    ):
        for sweep in part:
            values = np.tile(centre, (len(sweep.values), 1))
            values[:, place] = sweep.values
            strength = None if sweep.strength is None else sweep.strength * whole
            found.append(sweep._replace(values=values, strength=strength))
    return tuple(found) if effect is None else _sorted(found)
