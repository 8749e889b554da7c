"""Information that a posterior q(z|w) carries about w, from its distributions on a sample of w.

Posteriors come in parts, a `Distribution` for each: so many rows as fit into memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np
from keras import ops
from scipy.special import logsumexp

from wyner_keras.information.shannon import Array, entropies
from wyner_keras.repeated import can_be_repeated, repeated

_AT_ONCE = 2**16  # values under rows


def log_posteriors(distribution: Any, values: np.ndarray) -> Array:
    """Log q(value_i | w_j), every value under every row, `(values, rows)`."""
    rows = len(distribution.outputs()[0])
    # A call takes longer than what it computes for one value.
    most = max(1, _AT_ONCE // rows) if can_be_repeated(distribution, rows) else 1
    found = []
    for part in np.array_split(values, -(-len(values) // most)):
        under = ops.convert_to_tensor(np.repeat(part, rows, axis=0))
        told = repeated(distribution, len(part)).log_prob(under)
        found.append(np.asarray(told, np.float64).reshape(len(part), rows))
    return np.concatenate(found)


def states(distribution: Any, values: np.ndarray) -> Array:
    """Probabilities q(z|w) of every value of z, `(rows, values)`, that sum to 1."""
    p = np.exp(log_posteriors(distribution, values).T)
    return p / p.sum(axis=1, keepdims=True)


def exact_information(parts: Iterable[Array]) -> float:
    """I(W;Z) = E D(q(z|w) ‖ q̄(z)) for w uniform on the rows: no bound, but that sample's own.

    q̄ is the mean of q(z|w) over the rows. Of the distribution that the rows were drawn from it is
    an estimate, on average too small by at most log(1 + (values − 1) / rows), for many rows half
    of it.

    Args:
        parts: of q(z|w), each `(rows, values)`, see `states`.

    Returns:
        Nats.
    """
    total: Any = 0.0
    inside, rows = 0.0, 0
    for p in parts:
        total, inside, rows = total + p.sum(axis=0), inside + entropies(p).sum(), rows + len(p)
    return max(0.0, float(entropies(total / rows) - inside / rows))


def contrastive_bounds(scores: Array, linked: np.ndarray | None = None) -> tuple[float, float]:
    """Bounds of I(W;Z) from scores of every z_i under every w_j, z_i drawn for w_i.

    Below, InfoNCE: E log [e^(s_ii) / mean_j e^(s_ij)], a lower bound for any score and never above
    log rows. Above, leave-one-out: the mean without j = i, and without those that go together with
    i, which know z_i; an upper bound if the scores are log q(z_i|w_j). Both hold on average over
    samples.

    Args:
        scores: `(rows, rows)`, of two rows at least.
        linked: which rows go together, a mask `(rows, rows)`; None where none do. A row that all
            others go together with has no part in the upper bound, unless none has.

    Returns:
        Nats, lower and upper.

    Source: Poole, Ozair, van den Oord, Alemi and Tucker, On variational bounds of mutual
    information, 2019, section 2.
    """
    rows, own = len(scores), np.diagonal(scores)
    lower = own - logsumexp(scores, axis=1) + np.log(rows)
    apart = ~np.eye(rows, dtype=bool)
    if linked is not None and (apart & ~linked).any():
        apart &= ~linked
    kept = apart.any(axis=1)
    others = logsumexp(np.where(apart, scores, -np.inf)[kept], axis=1)
    upper = own[kept] - others + np.log(apart[kept].sum(axis=1))
    return float(lower.mean()), float(upper.mean())
