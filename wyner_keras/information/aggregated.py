"""Information that a posterior q(z|w) carries about w, from its parameters on a sample of w."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_keras.information.shannon import Array
from wyner_keras.latents import Categorical, Latent

_MOST_STATES = 10_000
_CELLS = 2_000_000  # of one block of work, which bounds its memory


def is_enumerable(family: Latent) -> bool:
    """Whether a latent has so few states that sums over all of them are cheap."""
    return isinstance(family, Categorical) and family.k**family.n <= _MOST_STATES


def states(family: Categorical, parameters: Any) -> Array:
    """Probabilities of every state of a categorical latent, `(rows, k**n)`.

    Args:
        family: the latent, enumerable.
        parameters: logits `(rows, n*k)`.
    """
    probabilities = np.asarray(family.probabilities(parameters), np.float64)
    joint = probabilities[:, 0]
    for variable in range(1, family.n):
        joint = (joint[:, :, None] * probabilities[:, None, variable]).reshape(len(joint), -1)
    return joint


def aggregated(family: Categorical, parameters: np.ndarray) -> Array:
    """The aggregated posterior q̄(z), the mean of q(z|w) over the rows, `(k**n,)`."""
    step = max(1, _CELLS // family.k**family.n)
    blocks = range(0, len(parameters), step)
    return sum(states(family, parameters[i : i + step]).sum(axis=0) for i in blocks) / len(
        parameters
    )


def entropies(p: Array) -> Array:
    """Entropy of each row, nats, `(rows,)`."""
    return -(p * np.log(np.maximum(p, np.finfo(np.float64).tiny))).sum(axis=-1)


def exact_information(family: Categorical, parameters: np.ndarray) -> float:
    """I(W;Z) = E D(q(z|w) ‖ q̄(z)) for w uniform on the rows: no bound, but that sample's own.

    Of the distribution the rows were drawn from it is an estimate, on average too small by at most
    (states − 1) / (2 rows).

    Args:
        family: the latent, enumerable.
        parameters: of q(z|w) `(rows, n*k)`.

    Returns:
        Nats.
    """
    mean = aggregated(family, parameters)
    each = np.asarray(family.probabilities(parameters), np.float64)
    return max(0.0, float(entropies(mean) - entropies(each).sum(axis=1).mean()))


def log_posteriors(family: Latent, values: np.ndarray, parameters: np.ndarray) -> Array:
    """Values of log q(value_i | w_j), every value under every row, `(values, rows)`."""
    step = max(1, _CELLS // (len(values) * parameters.shape[1]))
    blocks = []
    for start in range(0, len(parameters), step):
        block = parameters[start : start + step]
        negative = family.negative_log_likelihood(
            np.tile(block, (len(values), 1)), np.repeat(values, len(block), axis=0)
        )
        blocks.append(-np.asarray(negative, np.float64).reshape(len(values), len(block)))
    return np.concatenate(blocks, axis=1)


def _log_sum_exp(scores: Array) -> Array:
    most = scores.max(axis=1, keepdims=True)
    return most[:, 0] + np.log(np.exp(scores - most).sum(axis=1))


def contrastive_bounds(scores: Array) -> tuple[float, float]:
    """Bounds of I(W;Z) from scores of every z_i under every w_j, z_i drawn for w_i.

    Below, InfoNCE: E log [e^(s_ii) / mean_j e^(s_ij)], a lower bound for any score and never above
    log rows. Above, leave-one-out: the mean without j = i; an upper bound if the scores are
    log q(z_i|w_j). Both hold on average over samples.

    Args:
        scores: `(rows, rows)`.

    Returns:
        Nats, lower and upper.

    Source: Poole, Ozair, van den Oord, Alemi and Tucker, On variational bounds of mutual
    information, 2019, section 2.
    """
    rows, own = len(scores), np.diagonal(scores)
    others = np.where(np.eye(rows, dtype=bool), -np.inf, scores)
    lower = own - _log_sum_exp(scores) + np.log(rows)
    upper = own - _log_sum_exp(others) + np.log(rows - 1)
    return float(lower.mean()), float(upper.mean())
