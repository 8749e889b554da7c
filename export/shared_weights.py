"""Weights that several graphs have, held once, in a file beside them."""

from __future__ import annotations

import hashlib
from pathlib import Path

import onnx

from wyner_serving.onnx_wire import ITEM_BYTES, WEIGHTS_FILE

# Smaller ones would need as much again to say where they are, and be no smaller together.
_LEAST = 256
# Engines that map the file into memory read whole cache lines.
_ALIGNMENT = 64


class SharedWeights:
    """The file of a folder that holds the large weights of all its graphs, each once.

    Equal bytes are one weight, whatever the shape: a graph says the shape. It is ONNX's external
    data, so an engine that is given a graph's path finds the file.

    Args:
        folder: of the graphs.

    Example:
        >>> SharedWeights(folder).moved(onnx.load("whole.onnx"))  # doctest: +SKIP
    """

    def __init__(self, folder: Path) -> None:
        self._path = folder / WEIGHTS_FILE
        self._offsets: dict[bytes, int] = {}
        self._end = 0

    def moved(self, model: onnx.ModelProto) -> onnx.ModelProto:
        """A copy of a model that has its large weights in the file, which is added to."""
        copy = onnx.ModelProto()
        copy.CopyFrom(model)
        for held in copy.graph.initializer:
            content = held.raw_data
            if len(content) >= _LEAST and held.data_type in ITEM_BYTES:
                _refer(held, self._offset(content), len(content))
        return copy

    def _offset(self, content: bytes) -> int:
        """Where a weight begins, which is written if it was not there."""
        known = hashlib.sha256(content).digest()
        if known not in self._offsets:
            with self._path.open("ab") as file:
                file.write(bytes(-self._end % _ALIGNMENT))
                self._offsets[known] = file.tell()
                file.write(content)
                self._end = file.tell()
        return self._offsets[known]


def _refer(held: onnx.TensorProto, offset: int, length: int) -> None:
    held.ClearField("raw_data")
    held.data_location = onnx.TensorProto.EXTERNAL
    for key, value in {"location": WEIGHTS_FILE, "offset": offset, "length": length}.items():
        held.external_data.add(key=key, value=str(value))
