"""Entropies and mutual information of small discrete distributions, in nats."""

from __future__ import annotations

from typing import Any

import numpy as np
from numpy.typing import NDArray
from scipy import special

from wyner_keras.data.checks import as_real, check_number

Array = NDArray[np.float64]
_ROUNDING = 1e-6  # what a sum of probabilities may differ from 1 by


def check_probabilities(p: Any, name: str, rank: int | None = None) -> Array:
    """A distribution as float64 that sums to exactly 1.

    Args:
        p: probabilities, of any shape or of `rank` axes.
        name: for the message.
        rank: the number of axes; None takes any.

    Raises:
        ValueError: if it is not a distribution of that rank, or is masked or complex.
    """
    values = as_real(p, f"`{name}`", "an array of probabilities")
    if values.size == 0 or (rank is not None and values.ndim != rank):
        raise ValueError(
            f"`{name}` should be a non-empty array"
            f"{'' if rank is None else f' of rank {rank}'}. Received: shape={values.shape}"
        )
    if not np.isfinite(values).all() or values.min() < 0 or abs(values.sum() - 1) > _ROUNDING:
        raise ValueError(
            f"`{name}` should be probabilities that sum to 1. "
            f"Received: smallest {values.min()}, sum {values.sum()}"
        )
    return values / values.sum()


def entropy(p: Any) -> float:
    """H = −Σ p log p, over all entries of an array of probabilities.

    Args:
        p: probabilities of any shape; a joint distribution gives the joint entropy.

    Returns:
        Nats.

    Raises:
        ValueError: if they are not probabilities.

    Example:
        >>> round(entropy([0.5, 0.5]), 4)
        0.6931

    Source: Shannon, A mathematical theory of communication, 1948.
    """
    # Not −0.0 for a certain event.
    return max(0.0, float(special.entr(check_probabilities(p, "p")).sum()))


def entropies(p: Array) -> Array:
    """Entropy of each row of probabilities `(..., values)`, nats, `(...,)`."""
    found: Array = special.entr(p).sum(axis=-1)
    return found


def binary_entropy(p: float) -> float:
    """H(p) = −p log p − (1−p) log(1−p), nats.

    Raises:
        ValueError: if p is outside [0, 1].
    """
    if not 0 <= check_number(p, "`p`", "in [0, 1]") <= 1:
        raise ValueError(f"`p` should be in [0, 1]. Received: p={p}")
    return entropy([p, 1 - p])


def mutual_information(p_xy: Any) -> float:
    """I(X;Y) = H(X) + H(Y) − H(X,Y).

    Args:
        p_xy: joint distribution, `(values of x, values of y)`.

    Returns:
        Nats; a lower bound of Wyner's common information.

    Raises:
        ValueError: if it is not a joint distribution.

    Example:
        >>> round(mutual_information([[0.5, 0], [0, 0.5]]), 4)
        0.6931
    """
    p = check_probabilities(p_xy, "p_xy", rank=2)
    return max(0.0, entropy(p.sum(axis=1)) + entropy(p.sum(axis=0)) - entropy(p))


def bounds(p_xy: Any) -> tuple[float, float]:
    """I(X;Y) and min(H(X), H(Y)): Wyner's common information lies between them.

    Below: I(X,Y;Z) ≥ I(X;Z) ≥ I(X;Y) under X − Z − Y. Above: Z = X and Z = Y are allowed.

    Args:
        p_xy: joint distribution, `(values of x, values of y)`.

    Returns:
        Nats.

    Raises:
        ValueError: if it is not a joint distribution.

    Example:
        >>> lower, upper = bounds([[0.45, 0.05], [0.05, 0.45]])
        >>> round(lower, 4), round(upper, 4)
        (0.3681, 0.6931)

    Source: Wyner, The common information of two dependent random variables, 1975.
    """
    p = check_probabilities(p_xy, "p_xy", rank=2)
    return mutual_information(p), min(entropy(p.sum(axis=1)), entropy(p.sum(axis=0)))
