"""What an ONNX file says of itself, read off its bytes before an engine has them."""

from __future__ import annotations

import math
import re
from collections.abc import Iterator
from typing import NamedTuple

from wyner_serving.errors import BundleError
from wyner_serving.wire import fields, varint

# Of ONNX's messages: where a tensor, or a message that may hold one, lies in another.
_HOLDERS = {
    "model": {7: "graph", 25: "function"},
    "graph": {1: "node", 5: "tensor", 15: "sparse"},
    "function": {7: "node", 11: "attribute"},
    "node": {5: "attribute"},
    "attribute": {5: "tensor", 6: "graph", 10: "tensor", 11: "graph", 22: "sparse", 23: "sparse"},
    "sparse": {1: "tensor", 2: "tensor"},
}
WEIGHTS_FILE = "weights.bin"
"""The file beside graphs that holds what of their weights is large, each once."""
WEIGHTS = f"onnx/{WEIGHTS_FILE}"
"""That of a bundle; older ones have none, and graphs that hold all their weights."""
ITEM_BYTES = {1: 4, 6: 4, 7: 8, 11: 8}
"""Bytes of an element of the types that may lie there: float32, int32, int64 and float64."""
# Where they may lie there: engines and tools agree on the initializers of a model's graph.
_INITIALIZER = ("model", "graph", "tensor")
# Tensor.dims, .data_type, .external_data and .data_location, which is EXTERNAL; Entry.key and
# .value.
_DIMS, _DTYPE, _EXTERNAL_DATA, _DATA_LOCATION, _EXTERNAL = 1, 2, 13, 14, 1
_KEY, _ENTRY_VALUE, _MOST_AXES = 1, 2, 10
_DECIMAL = re.compile(rb"[0-9]{1,18}")
_DEEPEST = 64
# Model.graph; Graph.input and .output; ValueInfo.name and .type; Type.tensor_type; Tensor.elem_type
# and .shape; Shape.dim; Dimension.dim_value and .dim_param.
_GRAPH, _INPUT, _OUTPUT, _NAME, _TYPE, _TENSOR_TYPE = 7, 11, 12, 1, 2, 1
_ELEMENT, _SHAPE, _DIMENSION, _VALUE, _SIZE_NAME = 1, 2, 1, 1, 2
_TYPES = {1: "float32", 6: "int32"}


class Declared(NamedTuple):
    """An input or output, as a file declares it.

    Args:
        name: of the tensor.
        dtype: of its values; None for one that no bundle has.
        sizes: of its shape, a name where one is free, None where it has none.
    """

    name: str
    dtype: str | None
    sizes: list[int | str | None]


def declared(name: str, content: bytes) -> tuple[list[Declared], list[Declared]]:
    """Inputs and outputs that an ONNX file declares; an engine puts right what is wrong there.

    Args:
        name: of the graph, for the message.
        content: of the file.

    Raises:
        BundleError: if the file is no ONNX.
    """
    inputs: list[Declared] = []
    outputs: list[Declared] = []
    try:
        for number, _, value in fields(_merged(content, _GRAPH)):
            if number in (_INPUT, _OUTPUT):
                (inputs if number == _INPUT else outputs).append(_declared(value))
    except ValueError as error:
        raise BundleError(f"{name} should be a graph. Received: {error}") from error
    return inputs, outputs


def _merged(message: bytes, number: int) -> bytes:
    """A message in another; said twice, it is both, one after the other."""
    return b"".join(content for found, _, content in fields(message) if found == number)


def _declared(value: bytes) -> Declared:
    *_, name = b"", *(content for number, _, content in fields(value) if number == _NAME)
    tensor = _merged(_merged(value, _TYPE), _TENSOR_TYPE)
    *_, dtype = 0, *_numbers(tensor, _ELEMENT)
    sizes = [
        _size(content)
        for number, _, content in fields(_merged(tensor, _SHAPE))
        if number == _DIMENSION
    ]
    return Declared(name.decode(), _TYPES.get(dtype), sizes)


def _size(dimension: bytes) -> int | str | None:
    size: int | str | None = None
    for number, whole, content in fields(dimension):
        if number == _VALUE:
            *_, size = 0, *_numbers(whole, _VALUE)
        elif number == _SIZE_NAME:
            size = content.decode()
    return size


def _numbers(message: bytes, number: int) -> Iterator[int]:
    for found, whole, _ in fields(message):
        if found == number and whole[0] & 7 == 0:
            _, start = varint(whole, 0)
            yield varint(whole, start)[0]


def _repeated(message: bytes, number: int) -> Iterator[int]:
    """Numbers of a repeated field, packed or not."""
    yield from _numbers(message, number)
    packed, start = _merged(message, number), 0
    while start < len(packed):
        value, start = varint(packed, start)
        yield value


def check_inside(name: str, content: bytes, weights: int | None = None) -> None:
    """Refuse an ONNX file with tensors in other files than the weights: engines read any file.

    Args:
        name: of the graph, for the message.
        content: of the file.
        weights: bytes of the file `weights.bin` beside it, in which initializers of the graph may
            lie; None where there is none.

    Raises:
        BundleError: if a tensor lies elsewhere, or not within the weights, or the file is no ONNX.
    """
    # Such a tensor says "location"; of bundles without weights.bin few files do, and the rest need
    # not be walked through.
    if b"location" not in content:
        return
    try:
        _check_tensors(name, content, ("model",), weights)
    except (ValueError, IndexError) as error:
        raise BundleError(f"{name} should be a graph. Received: {error}") from error


def _check_tensors(name: str, message: bytes, path: tuple[str, ...], weights: int | None) -> None:
    if len(path) > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels")
    kind = path[-1]
    if kind != "tensor":
        for number, _, content in fields(message):
            if number in _HOLDERS[kind]:
                _check_tensors(name, content, (*path, _HOLDERS[kind][number]), weights)
    elif any(
        number == _EXTERNAL_DATA or (number == _DATA_LOCATION and whole[1:] != b"\0")
        for number, whole, _ in fields(message)
    ):
        if weights is None or path != _INITIALIZER:
            raise BundleError(f"{name} should hold all its tensors. Received: one in another file")
        _check_within(name, message, weights)


def _check_within(name: str, tensor: bytes, weights: int) -> None:
    """Refuse an initializer that is no range of the weights, of the size that it should have."""
    entries = [entry for number, _, entry in fields(tensor) if number == _EXTERNAL_DATA]
    place = [(_merged(entry, _KEY), _merged(entry, _ENTRY_VALUE)) for entry in entries]
    told = dict(place)
    *_, location = 0, *_numbers(tensor, _DATA_LOCATION)
    *_, dtype = 0, *_numbers(tensor, _DTYPE)
    dims = list(_repeated(tensor, _DIMS))
    size = math.prod(dims[:_MOST_AXES]) * ITEM_BYTES.get(dtype, 0)
    right = (
        location == _EXTERNAL
        and sorted(key for key, _ in place) == [b"length", b"location", b"offset"]
        and told[b"location"] == WEIGHTS_FILE.encode()
        and all(_DECIMAL.fullmatch(told[key]) for key in (b"offset", b"length"))
        and len(dims) <= _MOST_AXES
        and 0 < int(told[b"length"]) == size <= weights - int(told[b"offset"])
    )
    if not right:
        raise BundleError(
            f"{name} should hold all its tensors, or have them in {WEIGHTS_FILE}, at an offset and "
            f"of a length within its {weights} bytes. Received: {place!r:.200}, of {size} bytes"
        )
