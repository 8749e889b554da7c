"""Graphs as ONNX files, each gated by the checker, shape inference and a real session."""

from __future__ import annotations

import contextlib
import io
import logging
import warnings
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from wyner_export.errors import ExportError
from wyner_export.functions import Graph, TensorInfo
from wyner_export.joining import join, without_parts
from wyner_export.shared_weights import SharedWeights

# The newest that tf2onnx writes.
OPSET = 18
# Of tf2onnx's optimizers those that do nothing where none of these operators is. Each goes through
# a graph several times for nothing else than to find that out.
_ONLY_OF = {
    "remove_redundant_upsample": {"Upsample"},
    "const_dequantize_optimizer": {"DequantizeLinear"},
    "loop_optimizer": {"Loop"},
    "global_pool_optimizer": {"ReduceMean", "ReduceMax"},
    "q_dq_optimizer": {"DequantizeLinear", "QuantizeLinear"},
    "einsum_optimizer": {"Einsum"},
}

Run = Callable[[Mapping[str, np.ndarray]], dict[str, np.ndarray]]


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
    """Without what tf2onnx prints and logs, by its own logger and by the root's."""
    loggers = [logging.getLogger("tf2onnx"), logging.getLogger()]
    levels, handlers = [logger.level for logger in loggers], list(loggers[1].handlers)
    for logger in loggers:
        logger.setLevel(logging.ERROR)
    try:
        with warnings.catch_warnings(), contextlib.redirect_stdout(io.StringIO()):
            warnings.simplefilter("ignore")
            yield
    finally:
        for logger, level in zip(loggers, levels, strict=True):
            logger.setLevel(level)
        loggers[1].handlers[:] = handlers


def _converted(name: str, function: Any, specs: list[Any]) -> onnx.ModelProto:
    """What tf2onnx makes of a `tf.function`; only ONNX's own operators."""
    try:
        # It reports errors to its log and its result alike, and raises none of them.
        with _quiet():
            model = _by_tf2onnx(function.get_concrete_function(*specs))
    except Exception as error:
        raise ExportError(f"{name} cannot be converted to ONNX: {error}") from error
    domains = {node.domain for node in model.graph.node} - {"", "ai.onnx"}
    if domains:
        raise ExportError(f"{name} needs operators of {sorted(domains)}, not only ONNX's own")
    return model


def _by_tf2onnx(function: Any) -> onnx.ModelProto:
    """As `tf2onnx.convert.from_function`, without what changes nothing and takes half the time.

    It makes a function of the graph whose variables have become constants, only to have its graph
    again; it calls optimizers that find nothing to do; and before each it copies the graph, to
    survive an error that should be heard of.
    """
    from tf2onnx import convert, optimizer, tf_loader, tfonnx

    inputs = [each.name for each in function.inputs if each.dtype != tf.resource]
    outputs = [each.name for each in function.outputs]
    names = convert.tensor_names_from_structed(function, inputs, outputs)
    frozen = tf_loader.convert_variables_to_constants_large_model(function)
    with tf.device("/cpu:0"), tf.Graph().as_default() as plain:
        tf.import_graph_def(tf_loader.tf_optimize(inputs, outputs, frozen), name="")
        graph = tfonnx.process_tf_graph(
            plain,
            continue_on_error=True,
            opset=OPSET,
            input_names=inputs,
            output_names=outputs,
            tensors_to_rename=names,
        )
        operators = graph.dump_node_statistics().keys()
        needed = {
            name: kind
            for name, kind in optimizer._get_optimizers().items()
            if name not in _ONLY_OF or operators & _ONLY_OF[name]
        }
        graph = optimizer.optimize_graph(graph, catch_errors=False, optimizers=needed)
        return graph.make_model(f"converted from {function.name}")


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
    graph: Graph,
    path: Path,
    converted: dict[str, onnx.ModelProto] | None = None,
    weights: SharedWeights | None = None,
) -> Run:
    """Convert a graph, gate it, and write it.

    Args:
        graph: what to convert.
        path: of the file.
        converted: what was converted before, by name; is added to. A part is taken from there.
        weights: the file beside it that holds its large weights; is added to. None leaves all
            weights in the file.

    Returns:
        The file in a session, as `opened` gives it.

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
        content = model.SerializeToString()
        # With full_check, shapes are inferred in strict mode and types checked.
        onnx.checker.check_model(content, full_check=True)
        path.write_bytes(content if weights is None else weights.moved(model).SerializeToString())
        return opened(path)
    except Exception as error:
        path.unlink(missing_ok=True)
        raise ExportError(f"{graph.name} is no valid ONNX: {error}") from error


def opened(path: Path) -> Run:
    """An ONNX file in a session: from inputs by name to outputs by name."""
    session = onnxruntime.InferenceSession(path, providers=["CPUExecutionProvider"])
    names = [info.name for info in session.get_outputs()]
    return lambda inputs: dict(zip(names, session.run(names, dict(inputs)), strict=True))


def run_onnx(path: Path, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name of an ONNX file for inputs by name."""
    return opened(path)(inputs)
