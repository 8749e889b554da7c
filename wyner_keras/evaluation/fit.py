"""How well samples fit the true partner, and how much reconstructions keep."""

from __future__ import annotations

import numpy as np

from wyner_keras.evaluation.held import Evaluation, Held
from wyner_keras.evaluation.report import Figure
from wyner_keras.evaluation.spaces import Standard, chunked

_MOST = 1000  # examples that are reconstructed


def energy_score(samples: np.ndarray, truth: np.ndarray) -> np.ndarray:
    """Energy score of samples for what came true: E‖Y − y‖ − ½ E‖Y − Y'‖, less is better.

    A proper score: expected over y it is least for samples of y's own distribution. Pairs of
    different samples alone count, so that it does not depend on their number.

    Args:
        samples: `(n, samples, features)`, at least two.
        truth: `(n, features)`.

    Returns:
        `(n,)`, in units of the features.

    Example:
        >>> energy_score(np.array([[[0.0], [2.0]]]), np.array([[1.0]]))
        array([0.])

    Source: Gneiting and Raftery, Strictly proper scoring rules, prediction, and estimation, 2007.
    """
    count = samples.shape[1]
    error = np.linalg.norm(samples - truth[:, None], axis=-1).mean(axis=1)
    spread = sum(
        np.linalg.norm(samples[:, shift:] - samples[:, :-shift], axis=-1).sum(axis=1)
        for shift in range(1, count)
    )
    return error - spread / (count * (count - 1))


def _gain(score: np.ndarray, baseline: np.ndarray) -> Figure:
    """The share by which a mean score improves on another; 0 is no gain, 1 the most."""
    base = float(baseline.mean())
    return Figure(1 - float(score.mean()) / base if base > 0 else 0.0, 0.0)


def conditional(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Gain in energy score of samples given x on those given another x, and on joint samples."""
    found: dict[str, Figure | str] = {}
    joint = "joint" in evaluation.tasks
    for made in evaluation.made("conditional"):
        if len(made.plan.diverse) < 2:
            names = [f"fit_{made.name}", f"fit_joint_{made.name}"][: 1 + joint]
            found |= dict.fromkeys(names, "2 held-out examples or more")
            continue
        samples = made.ask("diverse")
        vectors = made.space(made.flat(samples)).reshape(*samples.shape[:2], -1)
        truth = made.space(made.examples[made.other.partner[made.plan.diverse]])
        score = energy_score(vectors, truth)
        # Inputs are in random order: the next one is another x.
        found[f"fit_{made.name}"] = _gain(score, energy_score(np.roll(vectors, 1, 0), truth))
        evaluation.counts[f"fit_{made.name}"] = len(truth)
        if joint:
            rng, pairs = np.random.default_rng(evaluation.seed), made.space(made.ask("joint"))
            # None twice: its distance to itself would count as variety, less than there is.
            count = min(len(pairs), samples.shape[1])
            drawn = pairs[np.stack([rng.permutation(len(pairs))[:count] for _ in samples])]
            name = f"fit_joint_{made.name}"
            found[name] = "2 joint samples or more"
            if count > 1:
                found[name] = _gain(score, energy_score(drawn, truth))
    return found


def explained(real: np.ndarray, made: np.ndarray) -> float:
    """Share of the variance of real vectors `(n, features)` that others explain; 1 is all."""
    variance = np.square(real - real.mean(axis=0)).sum()
    return float(1 - np.square(real - made).sum() / variance) if variance > 0 else 0.0


def reconstruction(evaluation: Evaluation) -> dict[str, Figure | str]:
    """What x through (z, u), both sampled, keeps of x."""
    found: dict[str, Figure | str] = {}
    for side in evaluation.sides.values():
        encode, decode = (
            getattr(evaluation.model, f"{do}_{side.name}", None) for do in ("encode", "decode")
        )
        if encode is None or decode is None:
            found[f"reconstruction_{side.name}"] = "a model that encodes and decodes"
            continue
        order = np.random.default_rng(evaluation.seed).permutation(len(side.examples))[:_MOST]
        real = side.examples[order]
        made = decode(*encode(real, seed=evaluation.seed))
        kept = _of_features if side.entry.get("columns") is None else _of_columns
        found |= {f"{name}_{side.name}": each for name, each in kept(side, real, made).items()}
        evaluation.counts[f"reconstruction_{side.name}"] = len(real)
    return found


def _of_features(side: Held, real: np.ndarray, made: np.ndarray) -> dict[str, Figure]:
    """Share of the variance of features; the ceiling is the codec alone."""
    features, ceiling = side.space(real), 1.0
    if side.side is not None:
        again = chunked(lambda part: side.side.codec.decode(side.side.encode(part)), real)
        ceiling = explained(features, side.space(again))
    return {"reconstruction": Figure(explained(features, side.space(made)), ceiling)}


def _of_columns(side: Held, real: np.ndarray, made: np.ndarray) -> dict[str, Figure]:
    """Share of the variance of standardised numbers, and of 0 or 1, and categories, right."""
    columns, found = side.entry["columns"], {}
    kinds = np.array([column["kind"] for column in columns])
    known = ~np.isnan(real)
    made = np.where(known, made, np.nan)
    numbers = ~np.isin(kinds, ("binary", "categorical"))
    if numbers.any():
        entry = {**side.entry, "columns": [columns[place] for place in np.flatnonzero(numbers)]}
        space = Standard(side.examples[:, numbers], entry)
        kept = explained(space(real[:, numbers]), space(made[:, numbers]))
        found["reconstruction"] = Figure(kept, 1.0)
    for kind in ("binary", "categorical"):
        places = [place for place in np.flatnonzero(kinds == kind) if known[:, place].any()]
        if places:
            right = (real == np.round(made))[:, places].sum()
            counts = [np.unique(real[known[:, p], p], return_counts=True)[1] for p in places]
            total = known[:, places].sum()
            commonest = sum(count.max() for count in counts)
            found[f"reconstruction_{kind}"] = Figure(float(right / total), float(commonest / total))
    return found
