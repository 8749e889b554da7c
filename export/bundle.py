"""A bundle written whole or not at all, and checked again."""

from __future__ import annotations

import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import tensorflow as tf
from PIL import Image

from wyner_export.card import model_card
from wyner_export.errors import BundleError, ExportError
from wyner_export.examples import examples
from wyner_export.functions import Graph, Interface
from wyner_export.graphs import graphs_of
from wyner_export.manifest import files_of, latent_entry, manifest_of, read_manifest
from wyner_export.onnx_files import write_onnx
from wyner_export.parity import Disagreement, Parity, check_finite
from wyner_export.rounding import conditioning
from wyner_export.saved_model import load_saved_model, run_saved_model, write_saved_model
from wyner_export.signatures import signatures
from wyner_keras.data import check_images
from wyner_keras.models import WynerModel
from wyner_keras.received import received
from wyner_serving.manifest import MANIFEST
from wyner_serving.whole import whole_folder

logger = logging.getLogger(__name__)

_PARITY_IMAGES, _SAMPLES = 32, 10


def _example_images(
    model: WynerModel, images: tuple[np.ndarray, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Images for parity, warm-up and samples: the user's, or generated ones."""
    if images is None:
        images = model.generate_pairs(_PARITY_IMAGES, seed=0)
    found = {
        side: check_images(values, name=f"images of {side}", shape=model.image_shape(side))
        for side, values in zip("xy", images, strict=True)
    }
    count = min(_PARITY_IMAGES, *(len(values) for values in found.values()))
    return {side: values[:count] for side, values in found.items()}


def _write_samples(folder: Path, images: dict[str, np.ndarray]) -> None:
    for side, values in images.items():
        (folder / side).mkdir(parents=True)
        for number, image in enumerate(values[:_SAMPLES]):
            pixels = np.round(255 * image).astype(np.uint8)
            content = tf.io.encode_png(pixels).numpy()
            (folder / side / f"{number:02d}.png").write_bytes(content)


def _check_weights(model: WynerModel) -> None:
    """Refuses a model whose weights are not finite."""
    broken = [weight.path for weight in model.weights if not np.isfinite(weight.numpy()).all()]
    if broken:
        raise ValueError(
            f"A model should have finite weights to be exported. Received: NaN or infinity in "
            f"{', '.join(broken)}"
        )


def _check_json(**values: Any) -> None:
    """Refuses what the manifest cannot hold, before the slow part."""
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{name}` should be JSON. Received: {error}") from error


def _write_engines(
    model: WynerModel, graphs: tuple[Graph, ...], folder: Path, images: dict[str, np.ndarray]
) -> dict[str, Any]:
    """Writes SavedModel and ONNX files and proves that they answer as Keras does.

    Returns:
        What the manifest says of them: `signatures` and `parity`.

    Raises:
        ExportError: if an engine refuses a graph.
        Disagreement: if engines disagree.
    """
    named = {graph.name: graph for graph in graphs}
    latents = {name: latent_entry(getattr(model.config, name)) for name in "zuv"}
    logger.info("Answers of Keras: %d graphs", len(graphs))
    answers = examples(graphs, images, latents, lambda name, inputs: named[name].run(inputs))
    for graph in graphs:
        for info in graph.outputs:
            check_finite(graph, info, answers[graph.name].outputs[info.name])
    offered = signatures(model, graphs, answers)
    logger.info("SavedModel: %d signatures", len(offered))
    loaded = load_saved_model(write_saved_model(model, offered, folder / "saved_model"))
    parity = Parity("Keras", answers, conditioning(loaded, graphs, answers))
    for graph in graphs:
        parity.check_saved_model(graph, loaded, graph.traced.get_concrete_function().variables)
    (folder / "onnx").mkdir()
    for number, graph in enumerate(graphs, 1):
        file = folder / "onnx" / f"{graph.name}.onnx"
        write_onnx(graph, file)
        parity.check_onnx(graph, file, loaded.signatures[graph.name].variables)
        logger.info("ONNX %d/%d: %s", number, len(graphs), graph.name)
    return {"signatures": list(offered), "parity": parity.largest}


def write_bundle(
    model: WynerModel,
    path: str | os.PathLike[str],
    *,
    images: tuple[np.ndarray, np.ndarray] | None = None,
    name: str = "wyner",
    label_map: Mapping[str, int] | None = None,
    metrics: dict[str, Any] | None = None,
    nats: dict[str, float] | None = None,
) -> Path:
    """Write a trained model as a bundle: ONNX, SavedModel, samples, model card, manifest.

    Everything is made and proven under a temporary name beside `path`, then renamed.

    Args:
        model: the W-model.
        path: of the bundle, which must not exist.
        images: real images of x and of y, `(n, h, w, c)` in [0, 1], on which parity is proven and
            of which the samples are; by default generated ones.
        name: of the model, for people.
        label_map: what the pairs were, from labels of x to labels of y.
        metrics: judged figures, as `Report.to_dict` has them.
        nats: what the latents hold, nats by name, as `information.measure` gives them.

    Returns:
        The path.

    Raises:
        ValueError: if the path exists, or model or images are not as said.
        ExportError: if an engine refuses a graph or engines disagree; nothing is left behind.
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"`path` should not exist yet. Received: {path}")
    if not isinstance(model, WynerModel):
        raise ValueError(f"`model` should be a WynerModel. Received: model={received(model)}")
    _check_weights(model)
    _check_json(name=name, label_map=label_map, metrics=metrics, nats=nats)
    graphs = graphs_of(model)
    found = _example_images(model, images)
    with whole_folder(path) as folder:
        try:
            parts = _write_engines(model, graphs, folder, found)
        except Disagreement as error:
            raise ExportError(str(error)) from error
        manifest = manifest_of(
            model,
            graphs,
            name=name,
            label_map=None if label_map is None else dict(label_map),
            metrics=metrics,
            nats=nats,
            **parts,
        )
        _write_samples(folder / "samples", found)
        (folder / "MODEL_CARD.md").write_text(model_card(manifest), encoding="utf-8")
        manifest["files"] = files_of(folder)
        (folder / MANIFEST).write_text(
            json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )
        read_manifest(folder)
    return path


def verify_bundle(path: str | os.PathLike[str]) -> dict[str, Any]:
    """Check a bundle: schema, every file's digest, ONNX, SavedModel, and that both agree.

    Args:
        path: of the bundle.

    Returns:
        Its manifest.

    Raises:
        BundleError: naming the first thing that is not as the manifest says.
    """
    folder = Path(path)
    manifest = read_manifest(folder)
    found, listed = files_of(folder), manifest["files"]
    if found.keys() != listed.keys():
        raise BundleError(
            f"{folder} should hold the files that its manifest lists. Received: "
            f"missing {sorted(listed.keys() - found.keys())}, "
            f"not listed {sorted(found.keys() - listed.keys())}"
        )
    for name, entry in listed.items():
        if found[name] != entry:
            raise BundleError(f"{name} should be as it was written, {entry}. Received: other bytes")
    graphs = [Interface.from_dict(*entry) for entry in manifest["graphs"].items()]
    for graph in graphs:
        _check_file(folder / manifest["graphs"][graph.name]["file"])
    logger.info("SavedModel: %d graphs", len(graphs))
    loaded = load_saved_model(folder / manifest["saved_model"]["path"])
    images = {side: _read_samples(folder, side, manifest["images"][side]) for side in "xy"}
    answers = examples(
        graphs,
        images,
        manifest["latents"],
        lambda name, inputs: run_saved_model(loaded, name, inputs),
    )
    parity = Parity("SavedModel", answers, conditioning(loaded, graphs, answers))
    for number, graph in enumerate(graphs, 1):
        file = folder / manifest["graphs"][graph.name]["file"]
        try:
            parity.check_onnx(graph, file, loaded.signatures[graph.name].variables)
        except Disagreement as error:
            raise BundleError(str(error)) from error
        logger.info("ONNX %d/%d: %s", number, len(graphs), graph.name)
    return manifest


def _read_samples(folder: Path, side: str, shape: list[int]) -> np.ndarray:
    """The sample images of a side, `(n, h, w, c)` in [0, 1]."""
    files = sorted((folder / "samples" / side).glob("*.png"))
    pixels = []
    for file in files:
        with Image.open(file) as image:
            pixels.append(np.asarray(image).reshape(shape))
    return np.stack(pixels).astype(np.float32) / np.float32(255)


def _check_file(file: Path) -> None:
    try:
        onnx.checker.check_model(onnx.load(file), full_check=True)
    except Exception as error:
        raise BundleError(f"{file.name} should be valid ONNX. Received: {error}") from error
