"""The Open Inference Protocol (V2), over REST and gRPC: kserve's requests and answers."""

from __future__ import annotations

import math
import reprlib
import uuid
from typing import Any

import numpy as np
import orjson
from kserve import InferInput, InferOutput, InferRequest, InferResponse
from kserve.errors import InvalidInput
from kserve.protocol.infer_type import to_http_parameters

from wyner_kserve.arrays import numbers
from wyner_kserve.tasks import Task

_DATATYPES = ("FP16", "FP32", "FP64", "UINT8")
_MOST_AXES, _LONGEST = 64, 2**63 - 1  # of a shape that NumPy has
_ANSWERS = {"float32": "FP32", "int64": "INT64"}


def read(request: InferRequest, task: Task) -> tuple[dict[str, np.ndarray], dict[str, int]]:
    """A request's tensors by name, and its settings.

    Raises:
        InvalidInput: if it is not as the task's metadata says.
    """
    task.check_names(given.name for given in request.inputs)
    settings = task.check_settings(_parameters(request))
    # Before anything is decoded.
    task.check_size({given.name: (_shape(given) or [0])[0] for given in request.inputs}, settings)
    missing = {tensor.name: tensor.missing for tensor in task.inputs}
    tensors = {given.name: _array(given, missing[given.name]) for given in request.inputs}
    return tensors, settings


def write(
    request: InferRequest, results: dict[str, np.ndarray], model_name: str
) -> tuple[InferResponse | bytes, dict[str, str]]:
    """The answer: the outputs asked for, or all; binary where the request asks for that.

    Returns:
        kserve's answer for gRPC, the body for REST; the headers of the latter. kserve would make
        JSON of an answer on the event loop.

    Raises:
        InvalidInput: if the request names other outputs.
    """
    wanted = request.request_outputs or []
    names = [output.name for output in wanted] or list(results)
    if not set(names) <= set(results) or len(set(names)) < len(names):
        raise InvalidInput(
            f"The outputs should be among {list(results)}. Received: {reprlib.repr(names)}"
        )
    outputs = []
    for name in names:
        datatype = _ANSWERS[results[name].dtype.name]
        outputs.append(InferOutput(name, list(results[name].shape), datatype))
        # As bytes, of which kserve makes JSON where asked to; over gRPC it fails on arrays.
        outputs[-1].set_data_from_numpy(results[name])
    response = InferResponse(
        response_id=str(request.id or uuid.uuid4()),
        model_name=model_name,
        infer_outputs=outputs,
        requested_outputs=wanted or None,
        use_binary_outputs=request.use_binary_outputs,
    )
    if request.from_grpc:
        return response, {}
    content, json_length = response.to_rest()
    # kserve drops a content type written in small letters.
    if json_length is None:
        return orjson.dumps(content), {"Content-Type": "application/json"}
    length = {"inference-header-content-length": str(json_length)}
    return content, {"Content-Type": "application/octet-stream", **length}


def _parameters(request: InferRequest) -> Any:
    given = {} if request.parameters is None else request.parameters
    if request.from_grpc:
        found = to_http_parameters(given)
        # kserve leaves out what is of no type that it knows.
        return {name: found.get(name) for name in given}
    if isinstance(given, dict):
        # kserve's own: whether the answer is to be binary.
        return {name: value for name, value in given.items() if name != "binary_data_output"}
    return given


def _shape(given: InferInput) -> list[int]:
    shape = given.shape
    right = isinstance(shape, list) and len(shape) <= _MOST_AXES
    if not right or not all(type(size) is int and 0 <= size <= _LONGEST for size in shape):
        raise InvalidInput(f"`{given.name}` should have a shape. Received: {reprlib.repr(shape)}")
    return shape


def _array(given: InferInput, missing: bool) -> np.ndarray:
    name, datatype, shape = given.name, given.datatype, _shape(given)
    if datatype not in _DATATYPES:
        raise InvalidInput(
            f"`{name}` should be of datatype {', '.join(_DATATYPES)}. "
            f"Received: {reprlib.repr(datatype)}"
        )
    found = _values(given, missing)
    if found.size != math.prod(shape):
        raise InvalidInput(
            f"`{name}` should have {reprlib.repr(math.prod(shape))} values for its shape "
            f"{reprlib.repr(shape)}. Received: {found.size}"
        )
    try:
        return found.reshape(shape)
    except ValueError as error:  # of no values, but larger than memory otherwise
        raise InvalidInput(f"`{name}` should have a shape. Received: {error}") from error


def _values(given: InferInput, missing: bool) -> np.ndarray:
    if not given.data:
        return _raw(given)
    found = numbers(given.data, given.name, missing)
    if given.datatype != "UINT8":
        return found.astype(np.float64)
    if found.size and (found.dtype.kind == "f" or found.min() < 0 or found.max() > 255):
        raise InvalidInput(
            f"`{given.name}` should be integers in 0-255 for datatype UINT8. "
            f"Received: {found.dtype} from {found.min():.6g} to {found.max():.6g}"
        )
    return found.astype(np.uint8)


def _raw(given: InferInput) -> np.ndarray:
    """Values that came as bytes; none where there are neither bytes nor a list."""
    try:
        return given.as_numpy()
    except (TypeError, ValueError) as error:
        raise InvalidInput(
            f"`{given.name}` should have data for its shape {reprlib.repr(given.shape)} and "
            f"datatype {given.datatype}. Received: {error}"
        ) from error
