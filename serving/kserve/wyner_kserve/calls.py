"""A request of any protocol: its bytes read into tensors, and the results written as bytes.

Both are pure functions of bytes, so that they run where they hold nobody up.
"""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Literal

import numpy as np
from google.protobuf.message import DecodeError
from kserve import InferRequest
from kserve.errors import InvalidInput
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.servicer import InferenceServicer
from kserve.protocol.rest.v2_datamodels import InferenceRequest
from pydantic import ValidationError

from wyner_kserve import v1, v2
from wyner_kserve.refusals import Refused, invalid, not_found
from wyner_kserve.tasks import Task

_EXPECTED = "The body should be an inference request"
# Brackets and commas beside the values: of images, every value of one channel has brackets.
_MARKS_OF_VALUE, _MARKS_AROUND = 4, 1000


@dataclass(frozen=True, kw_only=True)
class Call:
    """A request as it came.

    Args:
        protocol: by which.
        body: its bytes.
        model: that is asked for; None where the body says it, by gRPC.
        json_length: header of V2's binary form.
        binary: whether the body is said to be no JSON.
    """

    protocol: Literal["v1", "v2", "grpc"]
    body: bytes
    model: str | None = None
    json_length: str | None = None
    binary: bool = False


@dataclass(frozen=True, kw_only=True)
class Question:
    """A request that was read.

    Args:
        model: that is asked for.
        tensors: the inputs by name.
        settings: as `Task.check_settings` returns them.
        form: of the answer: V1's whether in rows; kserve's request without its data.
    """

    model: str
    tensors: dict[str, np.ndarray]
    settings: dict[str, int]
    form: bool | InferRequest

    @property
    def rows(self) -> int:
        """How many it asks about."""
        counts = [len(array) for array in self.tensors.values() if array.ndim]
        return max([*counts, self.settings.get("count", 0)])


def read(call: Call, tasks: Mapping[str, Task]) -> Question:
    """A request's tensors and settings.

    Args:
        call: the request.
        tasks: by the model's name.

    Raises:
        Refused: for a model that is not there.
        InvalidInput: if the request is not as the task's metadata says.
        InputError: likewise.
    """
    if call.protocol == "grpc":
        request = _from_message(call.body)
        model = request.model_name
    else:
        model = call.model or ""
    if model not in tasks:
        raise not_found(f"Model with name {reprlib.repr(model)[1:-1]} does not exist.")
    task = tasks[model]
    if call.protocol == "v1":
        _scan(call.body, task)
        tensors, settings, rows = v1.read(call.body, task)
        return Question(model=model, tensors=tensors, settings=settings, form=rows)
    if call.protocol == "v2":
        request = _from_rest(call, task)
    tensors, settings = v2.read(request, task)
    # What is left says how to answer, and travels between processes.
    request.inputs, request.parameters = [], _binary_outputs(request)
    return Question(model=model, tensors=tensors, settings=settings, form=request)


def write(question: Question, results: dict[str, np.ndarray]) -> tuple[bytes, dict[str, str]]:
    """The answer's bytes and headers.

    Raises:
        InvalidInput: if the request names other outputs.
    """
    if isinstance(question.form, bool):
        return v1.write(results, question.form), {"Content-Type": "application/json"}
    answer, headers = v2.write(question.form, results, question.model)
    if isinstance(answer, bytes):
        return answer, headers
    return answer.to_grpc().SerializeToString(), headers


def _scan(text: bytes, task: Task) -> None:
    """Refuse more brackets and commas than the largest request has, before they become objects."""
    most = _MARKS_OF_VALUE * task.max_values + _MARKS_AROUND
    if sum(map(text.count, (b",", b"[", b"{"))) > most:
        raise invalid(
            f"The body should be JSON of at most {task.max_values} values, for "
            f"{task.max_results} results. Received: more than {most} brackets and commas"
        )


def _binary_outputs(request: InferRequest) -> dict[str, Any]:
    return {} if request.from_grpc else {"binary_data_output": request.use_binary_outputs}


def _from_message(body: bytes) -> InferRequest:
    try:
        message = pb.ModelInferRequest.FromString(body)
    except DecodeError as error:
        raise invalid("The message should be a ModelInferRequest. Received: others") from error
    InferenceServicer.validate_grpc_request(message)
    return InferRequest.from_grpc(message)


def _from_rest(call: Call, task: Task) -> InferRequest:
    try:
        if call.json_length is None and not call.binary:
            _scan(call.body, task)
            values = json.loads(call.body)
            request = InferenceRequest.model_validate(values)
            return InferRequest.from_inference_request(request, call.model)
        if call.json_length is None:
            raise invalid(
                "The binary form should have its length: the "
                "'inference-header-content-length' header is missing"
            )
        length = int(call.json_length)
        _scan(call.body[:length], task)
        found = InferRequest.from_bytes(call.body, length, call.model)
        _check_binary(found)
        return found
    except (InvalidInput, Refused):
        raise
    except json.JSONDecodeError as error:
        raise invalid(f"{_EXPECTED}. Received: JSON decode error, {error}") from error
    except ValidationError as error:
        first = error.errors()[0]
        # pydantic's own text repeats the body.
        where = reprlib.repr(".".join(map(str, first["loc"])))
        raise invalid(f"{_EXPECTED}. Received: {first['msg']} at {where}") from error
    except Exception as error:  # kserve's reading of wrong bodies fails in many ways
        problem = f"{type(error).__name__}: {reprlib.repr(str(error))}"
        raise invalid(f"{_EXPECTED}. Received: {problem}") from error


def _check_binary(request: InferRequest) -> None:
    """What kserve checks of JSON alone."""
    wanted = request.request_outputs or []
    InferenceRequest.model_validate(
        {
            "id": request.id,
            "parameters": request.parameters,
            "inputs": [given.to_dict() for given in request.inputs],
            "outputs": [{"name": each.name, "parameters": each.parameters} for each in wanted],
        }
    )
