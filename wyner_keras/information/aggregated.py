"""Information that a posterior q(z|w) carries about w, from its distributions on a sample of w.

Posteriors come in parts, a `Distribution` for each: so many rows as fit into memory at once.
"""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from keras import ops
from scipy.special import logsumexp

from wyner_keras.information.shannon import Array

_AT_ONCE = 2**16  # values under rows


def log_posteriors(distribution: Any, values: np.ndarray) -> Array:
    """Log q(value_i | w_j), every value under every row, `(values, rows)`."""
    rows = len(distribution.outputs()[0])
    # A call takes longer than what it computes for one value.
    most = max(1, _AT_ONCE // rows) if _is_of_rows(distribution, rows) else 1
    found = []
    for part in np.array_split(values, -(-len(values) // most)):
        several = distribution if len(part) == 1 else _repeated(distribution, len(part))
        told = several.log_prob(ops.convert_to_tensor(np.repeat(part, rows, axis=0)))
        found.append(np.asarray(told, np.float64).reshape(len(part), rows))
    return np.concatenate(found)


def _is_of_rows(part: Any, rows: int) -> bool:
    """Whether a distribution has nothing but tensors of so many rows, and distributions of such."""
    if is_dataclass(part):
        return all(_is_of_rows(getattr(part, each.name), rows) for each in fields(part))
    return np.shape(part)[:1] == (rows,)


def _repeated(part: Any, count: int) -> Any:
    """All rows of a distribution, or of a tensor, so many times."""
    if is_dataclass(part) and not isinstance(part, type):
        repeated = {each.name: _repeated(getattr(part, each.name), count) for each in fields(part)}
        return replace(part, **repeated)
    return ops.tile(part, (count, *[1] * (len(part.shape) - 1)))


def states(distribution: Any, values: np.ndarray) -> Array:
    """Probabilities q(z|w) of every value of z, `(rows, values)`, that sum to 1."""
    p = np.exp(log_posteriors(distribution, values).T)
    return p / p.sum(axis=1, keepdims=True)


def entropies(p: Array) -> Array:
    """Entropy of each row, nats, `(rows,)`."""
    return -(p * np.log(np.maximum(p, np.finfo(np.float64).tiny))).sum(axis=-1)


def exact_information(parts: Iterable[Array]) -> float:
    """I(W;Z) = E D(q(z|w) ‖ q̄(z)) for w uniform on the rows: no bound, but that sample's own.

    q̄ is the mean of q(z|w) over the rows. Of the distribution that the rows were drawn from it is
    an estimate, on average too small by at most (values − 1) / (2 rows).

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


def contrastive_bounds(scores: Array) -> tuple[float, float]:
    """Bounds of I(W;Z) from scores of every z_i under every w_j, z_i drawn for w_i.

    Below, InfoNCE: E log [e^(s_ii) / mean_j e^(s_ij)], a lower bound for any score and never above
    log rows. Above, leave-one-out: the mean without j = i; an upper bound if the scores are
    log q(z_i|w_j). Both hold on average over samples.

    Args:
        scores: `(rows, rows)`, of two rows at least.

    Returns:
        Nats, lower and upper.

    Source: Poole, Ozair, van den Oord, Alemi and Tucker, On variational bounds of mutual
    information, 2019, section 2.
    """
    rows, own = len(scores), np.diagonal(scores)
    others = np.where(np.eye(rows, dtype=bool), -np.inf, scores)
    lower = own - logsumexp(scores, axis=1) + np.log(rows)
    upper = own - logsumexp(others, axis=1) + np.log(rows - 1)
    return float(lower.mean()), float(upper.mean())
