"""Whether a model finds an example's partner among others, by the information of the two."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import numpy as np

from wyner_keras.evaluation.calibration import calibrated_bound
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.families import latent_of
from wyner_keras.latents import Latent, can_rank
from wyner_serving.errors import BundleError
from wyner_serving.pmi import log_pmi, parts_of

_MOST = 1000  # pairs that are told apart
_DIGITS = 4  # of a pmi, after the point, that float32 leaves
_NEEDS = "a W-model, in Keras or as a bundle, that can rank"


def recall_at(scores: np.ndarray, k: int) -> float:
    """Share of rows whose own partner, that of the diagonal, is among the k best of its row.

    Of partners with equal scores any may come first: expected over their orders, so that scores
    that tell nothing find k of n.

    Args:
        scores: `(n, n)`, the higher the better.
        k: at least 1.

    Example:
        >>> recall_at(np.zeros((5, 5)), 1)
        0.2
    """
    better, equal = _ranks(scores)
    return float(np.clip((k - better) / equal, 0, 1).mean())


def median_rank(scores: np.ndarray) -> float:
    """The median over rows of the place of a row's own partner, 1 the best.

    Of partners with equal scores any may come first: the mean of their places.

    Args:
        scores: `(n, n)`, the higher the better; a row's own is that of the diagonal.

    Example:
        >>> median_rank(np.zeros((5, 5)))
        3.0
    """
    better, equal = _ranks(scores)
    return float(np.median(better + (equal + 1) / 2))


def _ranks(scores: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """How many of each row are better than its own, and how many as good, itself too."""
    own = np.diagonal(scores)[:, None]
    return (scores > own).sum(axis=1), (scores == own).sum(axis=1)


def pmi_scores(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The model's pointwise mutual information of every x with every y, as it ranks by them.

    Args:
        model: a WynerModel, a bundle or a client of one.
        x: examples `(n, *shape)`.
        y: examples `(m, *shape)`.

    Returns:
        Nats `(n, m)`; None of a model that cannot rank.
    """
    if not hasattr(model, "log_pmi") or (hasattr(model, "z") and not can_rank(model.z)):
        return None
    try:
        return np.asarray(model.log_pmi(x, y), np.float64)
    except BundleError:
        return None


def latent_of_model(model: Any, name: str = "z") -> Latent | None:
    """A latent of a model or a bundle by its name, "z", "u" or "v"; None where it shows none."""
    if not hasattr(model, "run_graph"):
        return None
    own = {"z": getattr(model, "z", None)}
    own |= {side.local_name: side.local for side in getattr(model, "sides", ())}
    entry = model.latent_entries[name]
    return own.get(name) or (entry and latent_of(entry))


def pmi_of_model(model: Any) -> Callable[[Any, Any], Any] | None:
    """The pmi of every x with every y by their posteriors of z; None of a model that has none."""
    latent = latent_of_model(model)
    if latent is None or hasattr(model, "pmi_of"):
        return getattr(model, "pmi_of", None)
    entry = getattr(model, "latent_entries", {}).get("z")
    parts = entry and parts_of(entry)
    return functools.partial(log_pmi, parts) if parts else latent.log_pmi


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """R@1, R@5 and the median rank both ways, and a calibrated InfoNCE, on at most 1,000 pairs."""
    x, y = evaluation.sides.values()
    order = np.random.default_rng(evaluation.seed).permutation(len(x.examples))[:_MOST]
    scores = pmi_scores(evaluation.model, x.examples[order], y.examples[x.partner[order]])
    if scores is None:
        kinds = ("found_first", "found_in_5", "median_rank")
        names = [f"{kind}_{made}" for kind in kinds for made in "yx"]
        return dict.fromkeys([*names, "partner_nats"], _NEEDS)
    n = evaluation.counts["partners"] = len(scores)
    # Partners that rounding alone sets apart may come in any order.
    ranked = np.round(scores, _DIGITS)
    found: dict[str, Figure | str] = {}
    for made, table in (("y", ranked), ("x", ranked.T)):
        for which, k in (("first", 1), ("in_5", 5)):
            found[f"found_{which}_{made}"] = Figure(recall_at(table, k), min(1.0, k / n))
        found[f"median_rank_{made}"] = Figure(median_rank(table), (n + 1) / 2)
    if n > 1:
        groups = evaluation.pairs.groups
        linked = x.partner[order] if groups is None else groups[x.pair[order]]
        told = calibrated_bound(scores, linked)
        found["partner_nats"] = Figure(told.nats, told.most)
        if not np.isnan(told.interval).any():
            evaluation.intervals["partner_nats"] = told.interval
    return found
