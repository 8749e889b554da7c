"""Whether a model finds an example's partner among others, by the information of the two."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.information.aggregated import contrastive_bounds
from wyner_keras.latents import Latent, latent_of

_MOST = 1000  # pairs that are told apart
_AT_ONCE = 100  # rows scored at once, which bounds memory
_NEEDS = "a W-model, in Keras or as a bundle, with a z of wyner_keras.latents"


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
    own = np.diagonal(scores)[:, None]
    better, equal = (scores > own).sum(axis=1), (scores == own).sum(axis=1)
    return float(np.clip((k - better) / equal, 0, 1).mean())


def pmi_scores(model: Any, x: np.ndarray, y: np.ndarray) -> np.ndarray | None:
    """The model's pointwise mutual information of every x with every y; see `Latent.log_pmi`.

    Args:
        model: a WynerModel or a bundle.
        x: examples `(n, *shape)`.
        y: examples `(m, *shape)`.

    Returns:
        Nats `(n, m)`; None of a model that does not show its posteriors.
    """
    latent = latent_of_model(model)
    if latent is None:
        return None
    of_x, of_y = (posteriors(model, name, rows) for name, rows in (("x", x), ("y", y)))
    blocks = [
        np.asarray(latent.log_pmi([part[start : start + _AT_ONCE] for part in of_x], of_y))
        for start in range(0, len(x), _AT_ONCE)
    ]
    return np.concatenate(blocks).astype(np.float64)


def latent_of_model(model: Any, name: str = "z") -> Latent | None:
    """A latent of a model or a bundle by its name, "z", "u" or "v"; None where it shows none."""
    if not hasattr(model, "run_graph"):
        return None
    own = {"z": getattr(model, "z", None)}
    own |= {side.local_name: side.local for side in getattr(model, "sides", ())}
    entry = model.latent_entries[name]
    return own.get(name) or (entry and latent_of(entry))


def posteriors(model: Any, name: str, examples: np.ndarray) -> list[np.ndarray]:
    """What tells q(z|x) of each example, see `Distribution.outputs`; in parts of a batch."""
    parts = np.array_split(examples, -(-len(examples) // model.batch_size))
    outputs = [model.run_graph(f"posterior_{name}_z", {name: part}) for part in parts]
    return [np.concatenate(output) for output in zip(*outputs, strict=True)]


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """R@1 and R@5 both ways, and InfoNCE, on at most 1,000 pairs of different x."""
    x, y = evaluation.sides.values()
    order = np.random.default_rng(evaluation.seed).permutation(len(x.examples))[:_MOST]
    scores = pmi_scores(evaluation.model, x.examples[order], y.examples[x.partner[order]])
    if scores is None:
        names = [f"found_{which}_{made}" for which in ("first", "in_5") for made in "yx"]
        return dict.fromkeys([*names, "partner_nats"], _NEEDS)
    n = evaluation.counts["partners"] = len(scores)
    found: dict[str, Figure | str] = {}
    for which, k in (("first", 1), ("in_5", 5)):
        for made, table in (("y", scores), ("x", scores.T)):
            found[f"found_{which}_{made}"] = Figure(recall_at(table, k), min(1.0, k / n))
    if n > 1:
        found["partner_nats"] = Figure(contrastive_bounds(scores)[0], float(np.log(n)))
    return found
