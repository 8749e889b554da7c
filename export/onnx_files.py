"""Graphs as ONNX files, each gated by the checker, shape inference and a real session."""

from __future__ import annotations

import contextlib
import io
import logging
import os
import warnings
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime

from wyner_export.errors import ExportError
from wyner_export.functions import Graph, TensorInfo
from wyner_export.joining import join, without_parts

# The newest that tf2onnx writes.
OPSET = 18
_CATCH_ERRORS = "TF2ONNX_CATCH_ERRORS"


def _named(values: list[onnx.ValueInfoProto], infos: tuple[TensorInfo, ...]) -> None:
    """Write the sizes of a graph's inputs or outputs, free ones by their names."""
    described = {info.name: info for info in infos}
    for value in values:
        shape = value.type.tensor_type.shape
        shape.ClearField("dim")
        for size in described[value.name].shape:
            dimension = shape.dim.add()
            if isinstance(size, str):
                dimension.dim_param = size
            else:
                dimension.dim_value = size


def _check(model: onnx.ModelProto, graph: Graph) -> None:
    """Refuse other inputs or outputs than a graph should have."""
    for kind, values, infos in (
        ("inputs", model.graph.input, graph.inputs),
        ("outputs", model.graph.output, graph.outputs),
    ):
        found, expected = [value.name for value in values], [info.name for info in infos]
        if sorted(found) != sorted(expected):
            raise ExportError(f"{graph.name} should have {kind} {expected}. Received: {found}")


@contextlib.contextmanager
def _quiet() -> Iterator[None]:
    """Without what tf2onnx prints and logs, by its own logger and by the root's.

    Nor does it copy the graph before each of its optimizers to survive an error of theirs: that
    took a third of the time, and an error should be heard of.
    """
    before = os.environ.get(_CATCH_ERRORS)
    os.environ[_CATCH_ERRORS] = "FALSE"
    loggers = [logging.getLogger("tf2onnx"), logging.getLogger()]
    levels, handlers = [logger.level for logger in loggers], list(loggers[1].handlers)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        os.environ.pop(_CATCH_ERRORS)
        if before is not None:
            os.environ[_CATCH_ERRORS] = before
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[1].handlers[:] = handlers


def _converted(name: str, function: Any, specs: list[Any]) -> onnx.ModelProto:
    """What tf2onnx makes of a `tf.function`; only ONNX's own operators."""
    try:
        # It reports errors to its log and its result alike, and raises none of them.
        with _quiet():
            import tf2onnx

            model, _ = tf2onnx.convert.from_function(function, input_signature=specs, opset=OPSET)
    except Exception as error:
        raise ExportError(f"{name} cannot be converted to ONNX: {error}") from error
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if domains:
        raise ExportError(f"{name} needs operators of {sorted(domains)}, not only ONNX's own")
    return model


def _of_parts(graph: Graph, converted: dict[str, onnx.ModelProto]) -> onnx.ModelProto:
    function, calls = without_parts(graph)
    model = _converted(graph.name, function, list(function.input_signature))
    join(model.graph, [_onnx_of(part, converted).graph for part in calls])
    return model


def _onnx_of(graph: Graph, converted: dict[str, onnx.ModelProto]) -> onnx.ModelProto:
    """The ONNX model of a graph, of `converted` or added to it."""
    if graph.name not in converted:
        converted[graph.name] = (
            _of_parts(graph, converted)
            if graph.parts
            else _converted(graph.name, graph.traced, graph.specs())
        )
    return converted[graph.name]


def write_onnx(
    graph: Graph, path: Path, converted: dict[str, onnx.ModelProto] | None = None
) -> None:
    """Convert a graph, gate it, and write it.

    Args:
        graph: what to convert.
        path: of the file.
        converted: what was converted before, by name; is added to. A part is taken from there.

    Raises:
        ExportError: if the converter, the checker, shape inference or onnxruntime refuses it, or
            operators outside ONNX's own domain remain.
    """
    model = _onnx_of(graph, {} if converted is None else converted)
    model.graph.name = graph.name
    model.doc_string = graph.meaning
    _check(model, graph)
    # The converter sorts outputs by name.
    for values, infos in ((model.graph.input, graph.inputs), (model.graph.output, graph.outputs)):
        named = {value.name: value for value in values}
        ordered = [named[info.name] for info in infos]
        del values[:]
        values.extend(ordered)
        _named(list(values), infos)
    try:
        onnx.checker.check_model(model, full_check=True)
        onnx.shape_inference.infer_shapes(model, check_type=True, strict_mode=True)
        content = model.SerializeToString()
        onnxruntime.InferenceSession(content, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise ExportError(f"{graph.name} is no valid ONNX: {error}") from error
    path.write_bytes(content)


def run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name of an ONNX file for inputs by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    return dict(zip(names, session.run(names, dict(inputs)), strict=True))
