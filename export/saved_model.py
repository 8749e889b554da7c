"""The SavedModel of a bundle, with warm-up requests."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wyner_export.errors import ExportError
from wyner_export.functions import Graph
from wyner_export.signatures import Signature, signatures
from wyner_keras.models import WynerModel

NAME, VERSION = "wyner", "1"


def write_saved_model(
    model: WynerModel, graphs: tuple[Graph, ...], folder: Path, images: dict[str, np.ndarray]
) -> Path:
    """Write `folder/wyner/1` with all signatures and warm-up requests.

    Returns:
        The version's folder.

    Raises:
        ExportError: if TensorFlow refuses.
    """
    target = folder / NAME / VERSION
    offered = signatures(model, graphs)
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, signature in offered.items():
            specs = [info.spec() for info in signature.graph.inputs]
            archive.add_endpoint(name, signature.graph.traced, input_signature=specs)
        with contextlib.redirect_stdout(io.StringIO()):
            archive.write_out(str(target), verbose=False)
    except Exception as error:
        raise ExportError(f"The SavedModel could not be written: {error}") from error
    _write_warm_up(target, offered, images)
    return target


def _write_warm_up(
    target: Path, offered: dict[str, Signature], images: dict[str, np.ndarray]
) -> None:
    """One request a signature, which the server replays before it says that it is ready."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = target / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for name, signature in offered.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = NAME
            request.model_spec.signature_name = name
            values = signature.example(images)
            for info, value in zip(signature.graph.inputs, values, strict=True):
                request.inputs[info.name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def run_saved_model(loaded: Any, graph: Graph, values: list[np.ndarray]) -> dict[str, np.ndarray]:
    """Outputs by name of a loaded SavedModel's signature, called by names as the server does."""
    inputs = {
        info.name: tf.constant(value) for info, value in zip(graph.inputs, values, strict=True)
    }
    results = loaded.signatures[graph.name](**inputs)
    return {name: value.numpy() for name, value in results.items()}
