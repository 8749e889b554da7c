"""The SavedModel of a bundle: noise signatures, seeded ones, PNG ones, and warm-up requests."""

from __future__ import annotations

import contextlib
import io
from collections.abc import Callable
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from wyner_export.errors import ExportError
from wyner_export.graphs import Graph, TensorInfo
from wyner_keras.latents import Categorical
from wyner_keras.models import WynerModel

Tensor = Any
NAME, VERSION = "wyner", "1"
_SEED = TensorInfo(
    name="seed",
    shape=("n",),
    dtype="int32",
    range=(None, None),
    meaning="one integer a row; a row's result depends on its own seed and inputs alone",
)


def seeded_noise(family: Any, seeds: Tensor, stream: int) -> Tensor:
    """Noise `(n, size)` from seeds `(n,)`, each row its own, so that batching changes nothing.

    Args:
        family: of the latent.
        seeds: int32.
        stream: 0, 1, 2 for z, u, v.
    """
    draw = tf.random.stateless_uniform
    if not isinstance(family, Categorical):
        draw = tf.random.stateless_normal
    return tf.map_fn(
        lambda seed: draw((family.size,), seed=tf.stack([seed, stream])),
        seeds,
        fn_output_signature=tf.TensorSpec((family.size,), tf.float32),
    )


def _seeded(graph: Graph, model: WynerModel) -> tuple[tuple[TensorInfo, ...], Callable[..., Any]]:
    """The graph with seeds in place of noise."""
    images = tuple(info for info in graph.inputs if info.latent is None)

    def call(*values: Tensor) -> dict[str, Tensor]:
        *given, seeds = values
        arguments = list(given)
        for info in graph.inputs[len(images) :]:
            assert info.latent is not None
            family = getattr(model.config, info.latent)
            arguments.append(seeded_noise(family, seeds, "zuv".index(info.latent)))
        results = graph.function(*arguments)
        return dict(zip((info.name for info in graph.outputs), results, strict=True))

    return (*images, _SEED), call


def _png(
    inputs: tuple[TensorInfo, ...], function: Callable[..., Any]
) -> tuple[list[tf.TensorSpec], Callable[..., Any]]:
    """A seeded signature with PNG bytes in place of images; the names end in `_bytes`."""
    specs = [
        tf.TensorSpec((None,), tf.string, name=f"{info.name}_bytes")
        if info.dtype == "float32"
        else info.spec()
        for info in inputs
    ]

    def decode(content: Tensor, shape: tuple[int, int, int]) -> Tensor:
        image = tf.io.decode_png(content, channels=shape[2])
        return tf.ensure_shape(tf.cast(image, tf.float32) / 255.0, shape)

    def call(*values: Tensor) -> dict[str, Tensor]:
        arguments = [
            tf.map_fn(
                lambda content, shape=info.shape[1:]: decode(content, shape),
                value,
                fn_output_signature=tf.TensorSpec(info.shape[1:], tf.float32),
            )
            if info.dtype == "float32"
            else value
            for info, value in zip(inputs, values, strict=True)
        ]
        return {
            f"{name}_bytes": tf.map_fn(
                lambda image: tf.io.encode_png(tf.cast(tf.round(255.0 * image), tf.uint8)),
                images,
                fn_output_signature=tf.TensorSpec((), tf.string),
            )
            for name, images in function(*arguments).items()
        }

    return specs, call


def signatures(model: WynerModel, graphs: tuple[Graph, ...]) -> dict[str, tuple[list[Any], Any]]:
    """Input specs and function by signature name.

    Every graph under its own name; `generate_*` also as `…_seeded`, and where images of one or
    three channels go in or come out, as `…_png`.
    """
    found: dict[str, tuple[list[Any], Any]] = {}
    for graph in graphs:
        found[graph.name] = ([info.spec() for info in graph.inputs], graph.traced)
        if graph.name.startswith("generate"):
            inputs, call = _seeded(graph, model)
            found[f"{graph.name}_seeded"] = ([info.spec() for info in inputs], call)
            channels = {model.image_shape(side)[2] for side in "xy"}
            if channels <= {1, 3}:
                found[f"{graph.name}_png"] = _png(inputs, call)
    return found


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
    try:
        archive = keras.export.ExportArchive()
        archive.track(model)
        for name, (specs, function) in signatures(model, graphs).items():
            archive.add_endpoint(name, function, input_signature=specs)
        with contextlib.redirect_stdout(io.StringIO()):
            archive.write_out(str(target), verbose=False)
    except Exception as error:
        raise ExportError(f"The SavedModel could not be written: {error}") from error
    _write_warm_up(target, model, graphs, images)
    return target


def _write_warm_up(
    target: Path, model: WynerModel, graphs: tuple[Graph, ...], images: dict[str, np.ndarray]
) -> None:
    """One request a task, which the server replays before it says that it is ready."""
    from tensorflow_serving.apis import predict_pb2, prediction_log_pb2

    extra = target / "assets.extra"
    extra.mkdir()
    with tf.io.TFRecordWriter(str(extra / "tf_serving_warmup_requests")) as writer:
        for graph in graphs:
            request = predict_pb2.PredictRequest()
            request.model_spec.name = NAME
            request.model_spec.signature_name = graph.name
            for info, value in zip(graph.inputs, graph.example(model, images, 0), strict=True):
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
