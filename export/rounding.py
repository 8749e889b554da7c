"""How far rounding may carry what a graph computes: the conditioning of the graph itself.

A product of matrices in floating point is the exact product of matrices whose entries are off by
some units in the last place, and so is a convolution; an activation that is rounded is a weight of
the next layer that is off (backward stability: Higham, Accuracy and stability of numerical
algorithms, 2002, sections 3.1 and 3.5). So an engine that adds in another order, or with other
instructions, answers as if inputs and weights had moved by some units in the last place. How far
such moves carry the outputs is measured here, row by row, and nothing further is allowed.
"""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wyner_export.examples import Example
from wyner_export.functions import Interface, TensorInfo
from wyner_export.saved_model import run_saved_model

# Moves in units in the last place, and how often all inputs and weights are moved.
UNITS, DRAWS = 32, 8


class Conditioning(NamedTuple):
    """How the outputs of graphs answer to rounding, by graph and output, in the output's units.

    Args:
        reach: the largest change in each row, of the shape of the output's free sizes.
        scale: the largest size of a value in each row, at least 1.
    """

    reach: dict[str, dict[str, np.ndarray]]
    scale: dict[str, dict[str, np.ndarray]]


def conditioning(
    loaded: Any, graphs: Sequence[Interface], examples: Mapping[str, Example], seed: int = 0
) -> Conditioning:
    """Measures how far outputs go when all inputs and weights move by units in the last place.

    Args:
        loaded: a SavedModel; its weights are moved, and put back.
        graphs: whose signatures it has.
        examples: arguments of each.
        seed: of the moves.
    """
    rng = np.random.default_rng(seed)
    kept = [(variable, variable.numpy()) for variable in loaded.variables]
    # The changes are those of this engine alone, so that they excuse nothing that it does wrong.
    still = {
        graph.name: run_saved_model(loaded, graph.name, examples[graph.name].inputs)
        for graph in graphs
    }
    reach: dict[str, dict[str, Any]] = {
        graph.name: {info.name: 0.0 for info in graph.outputs} for graph in graphs
    }
    try:
        for _ in range(DRAWS):
            for variable, values in kept:
                variable.assign(_moved(values, rng))
            for graph in graphs:
                inputs = {
                    info.name: _moved(examples[graph.name].inputs[info.name], rng, *info.range)
                    for info in graph.inputs
                }
                results, found = run_saved_model(loaded, graph.name, inputs), reach[graph.name]
                for info in graph.outputs:
                    change = by_row(info, results[info.name], still[graph.name][info.name])
                    found[info.name] = np.maximum(found[info.name], change)
    finally:
        for variable, values in kept:
            variable.assign(values)
    scale = {
        graph.name: {
            info.name: np.maximum(1.0, by_row(info, still[graph.name][info.name], 0.0))
            for info in graph.outputs
        }
        for graph in graphs
    }
    return Conditioning(reach, scale)


def by_row(info: TensorInfo, values: Any, others: Any) -> np.ndarray:
    """The largest difference in each row of an output; infinite where one is not finite.

    Args:
        info: of the output; a row is what its free sizes count.
        values: of one engine.
        others: of the other, of the same shape.
    """
    free = sum(isinstance(size, str) for size in info.shape)
    with np.errstate(invalid="ignore"):
        difference = np.abs(np.asarray(values, np.float64) - others)
    difference = np.where(np.isfinite(difference), difference, np.inf)
    return difference.max(axis=tuple(range(free, difference.ndim)))


def _moved(
    values: np.ndarray,
    rng: np.random.Generator,
    lowest: float | None = None,
    highest: float | None = None,
) -> np.ndarray:
    """Values moved by at most `UNITS` units in the last place, within their range."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    unit = np.finfo(values.dtype).eps
    factor = 1 + UNITS * unit * rng.uniform(-1, 1, values.shape)
    return np.clip(values * factor, lowest, highest).astype(values.dtype)
