"""A bundle written whole or not at all, and checked again."""

from __future__ import annotations

import json
import os
import shutil
import tempfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
import onnx
import onnxruntime
import tensorflow as tf

from wyner_export.card import model_card
from wyner_export.errors import BundleError
from wyner_export.graphs import graphs_of
from wyner_export.manifest import files_of, manifest_of, read_manifest
from wyner_export.onnx_files import write_onnx
from wyner_export.parity import LATENT_TOLERANCE, check_parity
from wyner_export.saved_model import write_saved_model
from wyner_export.signatures import signatures
from wyner_keras.data import check_images
from wyner_keras.models import WynerModel
from wyner_serving.manifest import MANIFEST

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
        raise ValueError(f"`model` should be a WynerModel. Received: model={model!r}")
    graphs = graphs_of(model)
    examples = _example_images(model, images)
    path.parent.mkdir(parents=True, exist_ok=True)
    folder = Path(tempfile.mkdtemp(prefix=f".{path.name}.", dir=path.parent))
    try:
        (folder / "onnx").mkdir()
        for graph in graphs:
            write_onnx(graph, folder / "onnx" / f"{graph.name}.onnx")
        saved = write_saved_model(model, graphs, folder / "saved_model", examples)
        manifest = manifest_of(
            model,
            graphs,
            name=name,
            label_map=None if label_map is None else dict(label_map),
            metrics=metrics,
            nats=nats,
            signatures=list(signatures(model, graphs)),
            parity=check_parity(model, graphs, folder / "onnx", saved, examples),
        )
        _write_samples(folder / "samples", examples)
        (folder / "MODEL_CARD.md").write_text(model_card(manifest), encoding="utf-8")
        manifest["files"] = files_of(folder)
        (folder / MANIFEST).write_text(
            json.dumps(manifest, indent=2, ensure_ascii=False, allow_nan=False) + "\n",
            encoding="utf-8",
        )
        read_manifest(folder)
        folder.chmod(0o755)
        os.rename(folder, path)
    except BaseException:
        shutil.rmtree(folder, ignore_errors=True)
        raise
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
    loaded = tf.saved_model.load(str(folder / manifest["saved_model"]["path"]))
    for name, graph in manifest["graphs"].items():
        _verify_graph(folder, name, graph, loaded)
    return manifest


def _verify_graph(folder: Path, name: str, graph: dict[str, Any], loaded: Any) -> None:
    file = folder / graph["file"]
    try:
        onnx.checker.check_model(onnx.load(file), full_check=True)
        session = onnxruntime.InferenceSession(file, providers=["CPUExecutionProvider"])
    except Exception as error:
        raise BundleError(f"{graph['file']} should be valid ONNX. Received: {error}") from error
    rng = np.random.default_rng(0)
    sizes = {"n": 3, "styles": 2, "concepts": 3}
    values = {}
    for info in graph["inputs"]:
        shape = [sizes[size] if isinstance(size, str) else size for size in info["shape"]]
        uniform = info["range"][0] is not None
        draw = rng.random if uniform else rng.standard_normal
        values[info["name"]] = draw(shape, dtype=np.float32)
    names = [info["name"] for info in graph["outputs"]]
    results = dict(zip(names, session.run(names, values), strict=True))
    signature = loaded.signatures[name]
    others = signature(**{key: tf.constant(value) for key, value in values.items()})
    for output in names:
        difference = float(np.abs(results[output] - others[output].numpy()).max())
        if not difference <= LATENT_TOLERANCE:
            raise BundleError(
                f"{name}: ONNX and SavedModel should agree on {output}. "
                f"Received: a difference of {difference:g}"
            )
