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
from wyner_export.saved_model import run_saved_model, variables_of

# Moves in units in the last place, and how often all inputs and weights are moved. Engines were
# measured apart by .1 of what 32 units do, but where normalisations stretch what is rounded behind
# a weight, flat patches of a picture say, by 1.1 of it. 17 of 24 bits have to agree after moves.
UNITS, DRAWS = 128, 8
# What nothing excuses. Of images a quarter of a grey level, which cannot be seen; of all else a
# hundredth of a unit: of a latent's unit deviation, of a probability, of a column's deviation.
_IMAGE_CEILING, _CEILING = 0.25 / 255, 0.01
# What varies less than this, as a share of its size, is measured by that: moves in the last place
# of so large a number alone would otherwise be past the ceiling.
_LEAST_DEVIATION = 2e-3


class Conditioning(NamedTuple):
    """How the outputs of graphs answer to rounding, by graph and output, in the output's unit.

    Args:
        reach: the largest change in each row, of the shape of the output's free sizes; of a vector
            the change in each column.
        scale: the largest size of a value in each row, likewise, at least 1.
        unit: in which an output's differences are measured, see `Unit`.
    """

    reach: dict[str, dict[str, np.ndarray]]
    scale: dict[str, dict[str, np.ndarray]]
    unit: dict[str, dict[str, Unit]]


class Unit(NamedTuple):
    """In what a difference in an output is measured, and where rows are.

    Args:
        size: of one unit, a number for each place of the last axis or one for all.
        ceiling: the largest change, in units, that rounding may make.
        axes: those whose largest difference is a row's.
    """

    size: np.ndarray
    ceiling: float
    axes: tuple[int, ...]

    def largest(self, values: Any, others: Any) -> np.ndarray:
        """The largest difference in each row, in units; infinite where one is not finite."""
        with np.errstate(invalid="ignore"):
            difference = np.abs(np.asarray(values, np.float64) - others) / self.size
        difference = np.where(np.isfinite(difference), difference, np.inf)
        return difference.max(axis=self.axes)


def unit_of(info: TensorInfo, sides: Mapping[str, Any], values: np.ndarray) -> Unit:
    """The unit of an output.

    That of images is their range, that of latents and what tells their posteriors is 1, that of
    nats the deviation of all of them, at least 1 nat. Other data have units of their own: a
    channel's, or a column's, is the deviation of its values. The columns of a vector are compared
    one by one, because a decision that rounding takes the other way in one of them says nothing of
    the others.

    Args:
        info: of the output; a row is what its free sizes count.
        sides: the manifest's entries.
        values: the output of a reference.
    """
    free = sum(isinstance(size, str) for size in info.shape)
    axes, entry = tuple(range(free, len(info.shape))), sides.get(info.name)
    if info.name == "nats":
        with np.errstate(invalid="ignore"):
            deviation = np.asarray(values, np.float64).std()
        return Unit(np.fmax(deviation, 1.0), _CEILING, axes)
    if entry is None or info.latent is not None:
        return Unit(np.ones(()), _CEILING, axes)
    if entry["kind"] == "image":
        return Unit(np.ones(()), _IMAGE_CEILING, axes)
    flat = np.asarray(values, np.float64).reshape(-1, values.shape[-1])
    # Of what is not finite a unit is of no use; such an output is refused.
    with np.errstate(invalid="ignore"):
        size = np.maximum(flat.std(axis=0), _LEAST_DEVIATION * np.abs(flat).max(axis=0))
    axes = axes[:-1] if "columns" in entry else axes
    return Unit(np.where(size > 0, size, 1.0), _CEILING, axes)


def conditioning(
    loaded: Any,
    graphs: Sequence[Interface],
    examples: Mapping[str, Example],
    sides: Mapping[str, Any],
    seed: int = 0,
) -> Conditioning:
    """Measure how far outputs go when all inputs and weights move by units in the last place.

    Args:
        loaded: a SavedModel; its weights are moved, and put back.
        graphs: whose signatures it has.
        examples: arguments of each, and a reference's results.
        sides: the manifest's entries.
        seed: of the moves.
    """
    rng = np.random.default_rng(seed)
    read = variables_of(loaded.signatures[graph.name] for graph in graphs)
    kept = [(variable, variable.numpy()) for variable in read]
    # The changes are those of this engine alone, so that they excuse nothing that it does wrong.
    still = {
        graph.name: run_saved_model(loaded, graph.name, examples[graph.name].inputs)
        for graph in graphs
    }
    unit = {
        graph.name: {
            info.name: unit_of(info, sides, examples[graph.name].outputs[info.name])
            for info in graph.outputs
        }
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
                    info.name: _moved_input(examples[graph.name].inputs[info.name], rng, info)
                    for info in graph.inputs
                }
                results, found = run_saved_model(loaded, graph.name, inputs), reach[graph.name]
                for name, each in unit[graph.name].items():
                    change = each.largest(results[name], still[graph.name][name])
                    found[name] = np.maximum(found[name], change)
    finally:
        for variable, values in kept:
            variable.assign(values)
    scale = {
        graph: {
            name: np.maximum(1.0, each.largest(still[graph][name], 0.0))
            for name, each in units.items()
        }
        for graph, units in unit.items()
    }
    return Conditioning(reach, scale, unit)


def _moved(values: np.ndarray, rng: np.random.Generator) -> np.ndarray:
    """Values moved by at most `UNITS` units in the last place."""
    if not np.issubdtype(values.dtype, np.floating):
        return values
    unit = np.finfo(values.dtype).eps
    wide = np.promote_types(values.dtype, np.float32)
    share = 2 * rng.random(values.shape, dtype=wide) - 1
    return (values * (1 + wide.type(UNITS * unit) * share)).astype(values.dtype)


def _moved_input(values: np.ndarray, rng: np.random.Generator, info: TensorInfo) -> np.ndarray:
    """An input moved within its range; whole numbers of what has none stay: they may be codes."""
    moved = np.clip(_moved(values, rng), *info.range)
    codes = info.latent is None and info.range == (None, None)
    return np.where(values == np.round(values), values, moved) if codes else moved
