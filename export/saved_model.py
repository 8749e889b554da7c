"""The SavedModel of a bundle, with warm-up requests."""

from __future__ import annotations

import logging
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
import tensorflow as tf

from wyner_export.errors import ExportError
from wyner_export.signatures import Signature

NAME, VERSION = "wyner", "1"


def write_saved_model(offered: Mapping[str, Signature], target: Path) -> Path:
    """Write the folder of a version, with all signatures and warm-up requests.

    Returns:
        The folder.

    Raises:
        ExportError: if TensorFlow refuses.
    """
    # As they are traced: TensorFlow, and Keras' archive, would trace a tf.function once more.
    functions = {
        name: signature.graph.traced.get_concrete_function() for name, signature in offered.items()
    }
    root = tf.Module()
    root.held = variables_of(functions.values())
    # A server needs no gradients; tracing them took a fifth of an export.
    options = tf.saved_model.SaveOptions(experimental_custom_gradients=False)
    try:
        tf.saved_model.save(root, str(target), signatures=functions, options=options)
    except Exception as error:
        raise ExportError(f"The SavedModel could not be written: {error}") from error
    _write_warm_up(target, offered)
    return target


def variables_of(functions: Iterable[Any]) -> list[Any]:
    """The variables that concrete functions read, each once."""
    # A variable has no equality of its own.
    return list({id(each): each for call in functions for each in call.variables}.values())


def _write_warm_up(target: Path, offered: Mapping[str, Signature]) -> None:
    """One request a signature, which the server replays before it says that it is ready."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = target / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for name, signature in offered.items():
            request = predict_pb2.PredictRequest()
            request.model_spec.name = NAME
            request.model_spec.signature_name = name
            for info, value in zip(signature.graph.inputs, signature.example, strict=True):
                request.inputs[info.name].CopyFrom(tf.make_tensor_proto(value))
            log = prediction_log_pb2.PredictLog(request=request)
            writer.write(prediction_log_pb2.PredictionLog(predict_log=log).SerializeToString())


def load_saved_model(path: Path) -> Any:
    """The SavedModel of a version's folder, without a warning for each function of no gradient."""
    logger = logging.getLogger("absl")
    before = logger.level
    logger.setLevel(logging.ERROR)
    try:
        return tf.saved_model.load(str(path))
    finally:
        logger.setLevel(before)


def run_saved_model(
    loaded: Any, name: str, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    """Outputs by name of a loaded SavedModel's signature, called by names as the server does."""
    values = {key: tf.constant(value) for key, value in inputs.items()}
    return {key: value.numpy() for key, value in loaded.signatures[name](**values).items()}
