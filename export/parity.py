"""Proof that Keras, SavedModel and ONNX give the same answers."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
import onnx
from onnx import numpy_helper

from wyner_export.examples import Example
from wyner_export.functions import Interface, TensorInfo
from wyner_export.onnx_files import Run, opened
from wyner_export.rounding import UNITS, Conditioning
from wyner_export.saved_model import run_saved_model
from wyner_export.weights import lost_weights

# Four units in the last place of a number of size 1: what is left of a well conditioned graph.
_FLOOR = 4 * float(np.finfo(np.float32).eps)
# Rows that rounding alone carries past the ceiling tell nothing of an engine. Not more than this
# share may be such: a steep map has some, above all between two concepts.
_UNDECIDED = 0.75
# Of a map that is steep throughout, a decoder of letters with sharp edges say, more rows are judged
# by fewer units. Engines were measured apart by .03 of what 128 do to one, so by 4.
_FEWER = tuple(UNITS >> halved for halved in range(4))


class Disagreement(ValueError):
    """An engine gives other answers than the reference, or a graph cannot be judged."""


@dataclass
class Parity:
    """Compare engines with a reference, output by output, within what rounding may do.

    Args:
        reference: the name of the engine that gave the examples.
        examples: arguments and the reference's results, by graph.
        conditioning: how far rounding may carry each output.

    Example:
        >>> parity = Parity("SavedModel", examples, conditioning)  # doctest: +SKIP
        >>> parity.check(graph, "ONNX", results)  # doctest: +SKIP
    """

    reference: str
    examples: Mapping[str, Example]
    conditioning: Conditioning
    largest: dict[str, float] = field(default_factory=dict)

    def check(self, graph: Interface, engine: str, results: Mapping[str, np.ndarray]) -> None:
        """Compare the results of an engine for a graph's example, and note the difference.

        Raises:
            Disagreement: naming graph and output.
        """
        for info in graph.outputs:
            expected = self.examples[graph.name].outputs[info.name]
            check_finite(graph, info, expected)
            found = results[info.name]
            if found.shape != expected.shape or found.dtype != expected.dtype:
                raise Disagreement(
                    f"{graph.name}: {info.name} of {engine} should be {expected.dtype} "
                    f"{expected.shape}. Received: {found.dtype} {found.shape}"
                )
            unit = self.conditioning.unit[graph.name][info.name]
            largest = self._compare(graph, info, engine, unit.largest(found, expected))
            self.largest[graph.name] = max(self.largest.get(graph.name, 0.0), largest)

    def _compare(
        self, graph: Interface, info: TensorInfo, engine: str, difference: np.ndarray
    ) -> float:
        """The largest difference of the rows that can be judged, in the output's unit."""
        reach = self.conditioning.reach[graph.name][info.name]
        ceiling = self.conditioning.unit[graph.name][info.name].ceiling
        for units in _FEWER:
            decided = reach * (units / UNITS) <= ceiling
            if decided.mean() >= 1 - _UNDECIDED:
                break
        else:
            raise Disagreement(
                f"{graph.name}: {info.name} should move by at most {ceiling:g} when inputs and "
                f"weights move by {units} units in the last place; no float32 engine can be told "
                f"right from wrong otherwise. Received: more in {np.sum(~decided)} of "
                f"{decided.size} rows"
            )
        least = _FLOOR * self.conditioning.scale[graph.name][info.name]
        allowed = np.maximum(np.minimum(reach, ceiling), least)
        wrong = decided & ~(difference <= allowed)
        if wrong.any():
            row = tuple(int(place[0]) for place in np.nonzero(wrong))
            raise Disagreement(
                f"{graph.name}: {info.name} should be the same in {self.reference} and {engine}, "
                f"within {allowed[row]:.3g} in row {row} (what {UNITS} units in the last place of "
                f"inputs and weights do). Received: a difference of {difference[row]:.3g}, and "
                f"{wrong.sum()} of {wrong.size} rows apart"
            )
        return float(difference[decided].max())

    def check_saved_model(self, graph: Interface, loaded: Any, variables: Any) -> None:
        """Compare a SavedModel's signature: its answers, then its weights.

        Args:
            graph: what the signature is to compute.
            loaded: the SavedModel.
            variables: that the graph reads.

        Raises:
            Disagreement: naming graph and output.
        """
        results = run_saved_model(loaded, graph.name, self.examples[graph.name].inputs)
        self.check(graph, "SavedModel", results)
        held = [variable.numpy() for variable in loaded.signatures[graph.name].variables]
        _check_weights(graph, "SavedModel", lost_weights(variables, held, converted=False))

    def check_onnx(
        self, graph: Interface, path: Path, variables: Any, run: Run | None = None
    ) -> None:
        """Compare an ONNX file: its answers, then its weights.

        Args:
            graph: what the file is to compute.
            path: of the file.
            variables: that the graph reads.
            run: the file, opened, from inputs by name to outputs by name; None opens it.

        Raises:
            Disagreement: naming graph and output.
        """
        run = run or opened(path)
        self.check(graph, "ONNX", run(self.examples[graph.name].inputs))
        held = [numpy_helper.to_array(held) for held in onnx.load(path).graph.initializer]
        _check_weights(graph, "ONNX", lost_weights(variables, held))


def _check_weights(graph: Interface, engine: str, lost: list[str]) -> None:
    if lost:
        outputs = ", ".join(info.name for info in graph.outputs)
        raise Disagreement(
            f"{graph.name}: {outputs} of {engine} should come of the model's weights. "
            f"Received: other values in place of {', '.join(lost)}"
        )


def check_finite(graph: Interface, info: TensorInfo, values: np.ndarray) -> None:
    """Refuse an output with NaN or infinity.

    Raises:
        Disagreement: naming graph and output.
    """
    if not np.isfinite(values).all():
        raise Disagreement(f"{graph.name}: {info.name} should be finite. Received: NaN or infinity")
