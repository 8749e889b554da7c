"""Figures of a preset by several seeds, and the intervals that they give."""

from __future__ import annotations

import logging
import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np
from scipy import stats

from wyner_keras.data import Pairs
from wyner_keras.evaluation import evaluate
from wyner_keras.evaluation.report import NAMED
from wyner_keras.information import measure
from wyner_keras.model import WynerModel

logger = logging.getLogger(__name__)
NATS_DIGITS = 3
# Within which figures of a unit lie.
_LIMITS = {"share": (-math.inf, 1.0), "square": (0.0, math.inf)}
_NO_FIGURE = "rows"  # among the nats: how many rows they rest on


def figures_of(
    model: WynerModel, held_out: Pairs, train: Pairs | None, seed: int, verbose: bool
) -> dict[str, Any]:
    """A report's plain values, with "nats" beside."""
    report = evaluate(model, held_out, train=train, seed=seed, verbose=verbose).to_dict()
    report.pop("nearest", None)
    nats = measure(model, held_out, seed=seed)
    return report | {"nats": {name: nats[name] for name in nats if name != _NO_FIGURE}}


def judged(
    model: WynerModel,
    held_out: Pairs,
    train: Pairs | None,
    *,
    seed: int,
    repeats: int,
    verbose: bool,
) -> dict[str, Any]:
    """The figures by one seed, each with "low" and "high"; "nats" and "nats_intervals"; "seeds".

    Args:
        model: the W-model.
        held_out: pairs that it was not trained on.
        train: pairs that it was trained on.
        seed: of the figures.
        repeats: evaluations in all, 2 at least; the others only tell the spread.
        verbose: shows progress on stderr.
    """
    seeds = list(range(seed, seed + repeats))
    found = []
    for number, each in enumerate(seeds, 1):
        logger.info("Evaluation %d of %d", number, repeats)
        found.append(figures_of(model, held_out, train, each, verbose))
    first = found[0]
    for name, figure in first["figures"].items():
        of = [each["figures"].get(name, {"model": math.nan})["model"] for each in found]
        if "low" not in figure and np.isfinite(of).all():
            low, high = interval(of, NAMED[name].digits)
            least, most = _LIMITS.get(NAMED[name].unit, (-math.inf, math.inf))
            figure["low"], figure["high"] = max(low, least), min(high, most)
    nats = {
        name: interval([each["nats"][name] for each in found], NATS_DIGITS)
        for name, value in first["nats"].items()
        if math.isfinite(value)
    }
    return first | {"nats_intervals": nats, "seeds": seeds}


def interval(values: Sequence[float], digits: int) -> tuple[float, float]:
    """Where one value more would fall, 95 %, and at least half a unit of the last digit shown.

    Args:
        values: 2 or more, independent and alike.
        digits: after the point, that are shown.

    Example:
        >>> interval([1.0, 1.0, 1.0], 3)
        (0.9995, 1.0005)

    Source: the prediction interval of a normal sample, by Student's t.
    """
    count = len(values)
    wide = stats.t.ppf(0.975, count - 1) * np.std(values, ddof=1) * math.sqrt(1 + 1 / count)
    half, middle = max(float(wide), 0.5 * 10.0**-digits), float(np.mean(values))
    return min(middle - half, *values), max(middle + half, *values)


def numbers(judged: Mapping[str, Any]) -> dict[str, tuple[float, tuple[float, float] | None]]:
    """By name of a figure, and of nats, its value and its interval, of what `judged` gave."""

    def number(value: Any) -> float:
        return math.nan if value is None else float(value)

    found: dict[str, tuple[float, tuple[float, float] | None]] = {}
    for name, each in judged["figures"].items():
        ends = (number(each["low"]), number(each["high"])) if "low" in each else None
        found[name] = number(each["model"]), ends
    for name, value in judged["nats"].items():
        ends = judged.get("nats_intervals", {}).get(name)
        found[f"nats {name}"] = number(value), None if ends is None else (ends[0], ends[1])
    return found
