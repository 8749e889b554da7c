"""What an ONNX file says of itself, read off its bytes before an engine has them."""

from __future__ import annotations

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
_EXTERNAL_DATA, _DATA_LOCATION = 13, 14
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


def check_inside(name: str, content: bytes) -> None:
    """Refuse an ONNX file whose tensors lie in other files: an engine would read any file.

    Raises:
        BundleError: if one does, or the file is no ONNX.
    """
    # Such a tensor says "location"; few files do, and the rest need not be walked through.
    if b"location" not in content:
        return
    try:
        outside = _points_outside(content, "model", 0)
    except ValueError as error:
        raise BundleError(f"{name} should be a graph. Received: {error}") from error
    if outside:
        raise BundleError(f"{name} should hold all its tensors. Received: one in another file")


def _points_outside(message: bytes, kind: str, depth: int) -> bool:
    if depth > _DEEPEST:
        raise ValueError(f"more than {_DEEPEST} levels")
    if kind == "tensor":
        return any(
            number == _EXTERNAL_DATA or (number == _DATA_LOCATION and whole[1:] != b"\0")
            for number, whole, _ in fields(message)
        )
    return any(
        _points_outside(content, _HOLDERS[kind][number], depth + 1)
        for number, _, content in fields(message)
        if number in _HOLDERS[kind]
    )
