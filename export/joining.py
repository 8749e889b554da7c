"""One ONNX graph of a graph that calls parts: each part is converted once, wherever it stands."""

from __future__ import annotations

import dataclasses
import graphlib
from collections.abc import Callable, Iterator, Sequence
from typing import Any

import onnx
import tensorflow as tf
from onnx import compose, numpy_helper

from wyner_export.functions import Graph, Tensor


def _prefix(place: int) -> str:
    """Of all names of the part that is called in that place."""
    return f"part_{place}_"


def without_parts(graph: Graph) -> tuple[Any, list[Graph]]:
    """What a graph computes beside its parts, as a `tf.function`, and the parts in order of call.

    What a part gives is a further input, what it takes a further output; their names are the
    part's own after the prefix of the call.
    """
    calls: list[Graph] = []

    def noted(part: Graph) -> Callable[..., Any]:
        def call(**values: Tensor) -> tuple[Tensor, ...]:
            calls.append(part)
            return part.call(**values)

        return call

    def dry(*values: Tensor) -> dict[str, Tensor]:
        return graph.results(values, noted)

    tf.function(dry, input_signature=graph.specs(), autograph=False).get_concrete_function()
    given = [
        dataclasses.replace(info, name=_prefix(place) + info.name).spec()
        for place, part in enumerate(calls)
        for info in part.outputs
    ]

    def rest(*values: Tensor) -> dict[str, Tensor]:
        own, given = values[: len(graph.inputs)], iter(values[len(graph.inputs) :])
        taken: dict[str, Tensor] = {}
        places = iter(range(len(calls)))

        def read(part: Graph) -> Callable[..., Any]:
            def call(**values: Tensor) -> tuple[Tensor, ...]:
                prefix = _prefix(next(places))
                taken.update((prefix + name, tf.identity(value)) for name, value in values.items())
                return tuple(next(given) for _ in part.outputs)

            return call

        return graph.results(own, read) | taken

    signature = [*graph.specs(), *given]
    return tf.function(rest, input_signature=signature, autograph=False), calls


def join(graph: onnx.GraphProto, parts: Sequence[onnx.GraphProto]) -> None:
    """Put parts where a graph without them calls them; equal weights are held once."""
    for place, part in enumerate(parts):
        piece = compose.add_prefix_graph(part, _prefix(place))
        graph.node.extend(piece.node)
        graph.initializer.extend(piece.initializer)
        ends = {value.name for value in (*piece.input, *piece.output)}
        for values in (graph.input, graph.output):
            kept = [value for value in values if value.name not in ends]
            del values[:]
            values.extend(kept)
    # Shapes are inferred again.
    del graph.value_info[:]
    _hold_once(graph)
    _sort(graph)


def _nodes(nodes: Any) -> Iterator[onnx.NodeProto]:
    """Nodes, and those of the graphs in their attributes."""
    for node in nodes:
        yield node
        for attribute in node.attribute:
            for inner in (attribute.g, *attribute.graphs):
                yield from _nodes(inner.node)


def _hold_once(graph: onnx.GraphProto) -> None:
    first: dict[Any, onnx.TensorProto] = {}
    names = {}
    for held in graph.initializer:
        values = numpy_helper.to_array(held)
        kept = first.setdefault((held.data_type, *held.dims, values.tobytes()), held)
        names[held.name] = kept.name
    kept_ones = list(first.values())
    del graph.initializer[:]
    graph.initializer.extend(kept_ones)
    for node in _nodes(graph.node):
        node.input[:] = [names.get(name, name) for name in node.input]


def _sort(graph: onnx.GraphProto) -> None:
    """Put each node behind those whose outputs it reads, as ONNX wants it."""
    nodes = list(graph.node)
    maker = {name: place for place, node in enumerate(nodes) for name in node.output}
    needs = {
        place: {maker[name] for each in _nodes([node]) for name in each.input if name in maker}
        for place, node in enumerate(nodes)
    }
    order = list(graphlib.TopologicalSorter(needs).static_order())
    del graph.node[:]
    graph.node.extend([nodes[place] for place in order])
