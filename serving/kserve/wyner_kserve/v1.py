"""The V1 protocol: bodies of the shape that TensorFlow Serving's `:predict` has."""

from __future__ import annotations

import reprlib
from typing import Any

import numpy as np
import orjson
from kserve.errors import InvalidInput

from wyner_kserve.arrays import is_png, numbers, pngs
from wyner_kserve.tasks import Task, Tensor

_KEYS = {"instances", "inputs", "parameters"}


def read(body: bytes, task: Task) -> tuple[dict[str, np.ndarray], dict[str, int], bool]:
    """A request's tensors by name, its settings, and whether it came in rows.

    Args:
        body: JSON: `instances` (a list of rows) or `inputs` (columns by name); `parameters`.
        task: that is asked for.

    Raises:
        InvalidInput: if the body is not so.
    """
    try:
        values = orjson.loads(body)
    except orjson.JSONDecodeError as error:
        raise InvalidInput(f"The body should be JSON. Received: {error}") from error
    if not isinstance(values, dict) or not set(values) <= _KEYS:
        raise InvalidInput(
            "The body should be an object of `instances` or `inputs`, and `parameters`. "
            f"Received: {reprlib.repr(list(values) if isinstance(values, dict) else values)}"
        )
    if ("instances" in values) == ("inputs" in values):
        raise InvalidInput(
            "The body should have either `instances` or `inputs`. "
            f"Received: {'both' if 'inputs' in values else 'neither'}"
        )
    rows = "instances" in values
    columns = _columns(values["instances"], task) if rows else _named(values["inputs"], task)
    settings = task.check_settings(values.get("parameters", {}))
    # Before anything is decoded.
    task.check_size({name: _length(column) for name, column in columns.items()}, settings)
    tensors = {tensor.name: _array(columns[tensor.name], tensor) for tensor in task.inputs}
    return tensors, settings, rows


def write(results: dict[str, np.ndarray], rows: bool) -> bytes:
    """The answer: `predictions` (rows) or `outputs`; a single output goes without its name."""
    answer: Any = results
    if len(results) == 1:
        (answer,) = results.values()
    elif rows:
        each = zip(*results.values(), strict=True)
        answer = [dict(zip(results, row, strict=True)) for row in each]
    content = {"predictions" if rows else "outputs": answer}
    return orjson.dumps(content, option=orjson.OPT_SERIALIZE_NUMPY)


def _named(value: Any, task: Task) -> dict[str, Any]:
    """Values by input; one without names belongs to the only input."""
    if isinstance(value, dict) and not is_png(value):
        task.check_names(value)
        return value
    if len(task.inputs) != 1:
        names = [tensor.name for tensor in task.inputs]
        raise InvalidInput(f"Values should be named {names}. Received: {reprlib.repr(value)}")
    return {task.inputs[0].name: value}


def _columns(instances: Any, task: Task) -> dict[str, list[Any]]:
    free = [str(tensor.shape[0]) for tensor in task.inputs]
    if len(set(free)) > 1:
        raise InvalidInput(
            f"`inputs` should hold the columns, because {' and '.join(free)} may differ in "
            "number. Received: `instances`"
        )
    if not isinstance(instances, list) or (instances and not task.inputs):
        expected = "a list" if task.inputs else "empty"
        raise InvalidInput(f"`instances` should be {expected}. Received: {reprlib.repr(instances)}")
    named = [_named(row, task) for row in instances]
    return {tensor.name: [row[tensor.name] for row in named] for tensor in task.inputs}


def _length(column: Any) -> int:
    return len(column) if isinstance(column, list) else 0


def _array(values: Any, tensor: Tensor) -> np.ndarray:
    if tensor.image and isinstance(values, list) and any(map(is_png, values)):
        return pngs(values, tensor)
    return numbers(values, tensor.name, tensor.missing).astype(np.float64)
