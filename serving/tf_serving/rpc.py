"""TensorFlow Serving's gRPC interface; imports TensorFlow, because its messages do."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import numpy as np

from wyner_serving.errors import InputError, ServingError

try:
    import grpc
    import tensorflow as tf
    from tensorflow_serving.apis import (
        get_model_metadata_pb2,
        get_model_status_pb2,
        model_service_pb2_grpc,
        predict_pb2,
        prediction_service_pb2_grpc,
    )
except ImportError as missing:
    raise InputError(
        "`url` should be of REST, http://…, where tensorflow-serving-api is not installed "
        "(pip install 'wyner-keras[export]'). Received: grpc://…"
    ) from missing

# A request of 32 colour images is larger than gRPC's 4 MB.
_OPTIONS = [("grpc.max_receive_message_length", 2**28), ("grpc.max_send_message_length", -1)]


class Rpc:
    """A model of the server at `host:port`, without encryption.

    Args:
        address: `host:port`.
        model: its name.
        label: of the version, or None.
        version: its number, or None.
        timeout: seconds for one request.
    """

    def __init__(
        self, address: str, model: str, label: str | None, version: int | None, timeout: float
    ) -> None:
        channel = grpc.insecure_channel(address, options=_OPTIONS)
        self._predictions = prediction_service_pb2_grpc.PredictionServiceStub(channel)
        self._models = model_service_pb2_grpc.ModelServiceStub(channel)
        self._address, self._model, self._timeout = address, model, timeout
        self._label, self._version = label, version

    def _name(self, spec: Any) -> None:
        spec.name = self._model
        if self._version is not None:
            spec.version.value = self._version
        elif self._label is not None:
            spec.version_label = self._label

    def _call(self, method: Callable[..., Any], request: Any) -> Any:
        try:
            return method(request, timeout=self._timeout)
        except grpc.RpcError as error:
            code = error.code().name
            raise ServingError(
                f"{self._address} should answer with OK within {self._timeout:g} s. "
                f"Received: {code}, {error.details()}",
                code,
            ) from error

    def outputs(self) -> dict[str, dict[str, tuple[int, ...]]]:
        """Shapes of all outputs, -1 where a size is free, by signature and name."""
        request = get_model_metadata_pb2.GetModelMetadataRequest(metadata_field=["signature_def"])
        self._name(request.model_spec)
        answer = self._call(self._predictions.GetModelMetadata, request)
        described = get_model_metadata_pb2.SignatureDefMap()
        answer.metadata["signature_def"].Unpack(described)
        return {
            name: {
                output: tuple(size.size for size in info.tensor_shape.dim)
                for output, info in signature.outputs.items()
            }
            for name, signature in described.signature_def.items()
        }

    def states(self) -> dict[int, str]:
        """State of every version that the server knows."""
        request = get_model_status_pb2.GetModelStatusRequest()
        request.model_spec.name = self._model
        answer = self._call(self._models.GetModelStatus, request)
        return {
            entry.version: get_model_status_pb2.ModelVersionStatus.State.Name(entry.state)
            for entry in answer.model_version_status
        }

    def predict(self, signature: str, inputs: dict[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs of a signature by name."""
        request = predict_pb2.PredictRequest()
        self._name(request.model_spec)
        request.model_spec.signature_name = signature
        for name, value in inputs.items():
            request.inputs[name].CopyFrom(tf.make_tensor_proto(value))
        answer = self._call(self._predictions.Predict, request)
        return {name: tf.make_ndarray(value) for name, value in answer.outputs.items()}
