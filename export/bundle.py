"""A bundle written whole or not at all, and checked again."""

from __future__ import annotations

import functools
import json
import logging
import os
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
import onnx

from wyner_export.card import model_card
from wyner_export.errors import ExportError
from wyner_export.examples import run_examples
from wyner_export.functions import Graph, Interface, not_optimized
from wyner_export.graphs import graphs_of
from wyner_export.manifest import (
    check_manifest,
    files_of,
    manifest_of,
    manifest_text,
    read_manifest,
)
from wyner_export.onnx_files import write_onnx
from wyner_export.parity import Disagreement, Parity, check_finite
from wyner_export.rounding import conditioning
from wyner_export.saved_model import load_saved_model, run_saved_model, write_saved_model
from wyner_export.shared_weights import SharedWeights
from wyner_export.signatures import signatures
from wyner_keras.model import WynerModel
from wyner_keras.received import received
from wyner_serving.contents import check_contents
from wyner_serving.errors import BundleError
from wyner_serving.manifest import read_sealed
from wyner_serving.samples import read_samples, write_samples
from wyner_serving.seal import MANIFEST, UNLISTED, write_seal
from wyner_serving.sessions import Sessions
from wyner_serving.signature import read_secret_key, sign
from wyner_serving.whole import whole_folder

logger = logging.getLogger(__name__)

_COMPARED, _SAMPLES = 32, 10


def _checked_examples(
    model: WynerModel, examples: Mapping[str, np.ndarray] | None
) -> dict[str, np.ndarray]:
    """Examples for parity, warm-up and samples: the user's, or generated ones."""
    names = [side.name for side in model.sides]
    if examples is None:
        examples = dict(zip(names, model.generate_pairs(_COMPARED, seed=0), strict=True))
    if not isinstance(examples, Mapping) or sorted(examples) != sorted(names):
        raise ValueError(
            f"`examples` should be arrays of the sides {names}. Received: {received(examples)}"
        )
    found = {
        side.name: side.modality.check(examples[side.name], f"examples of {side.name}")
        for side in model.sides
    }
    count = min(_COMPARED, *map(len, found.values()))
    return {side: values[:count] for side, values in found.items()}


def _check_weights(model: WynerModel) -> None:
    """Refuse a model whose weights are not finite."""
    broken = [weight.path for weight in model.weights if not np.isfinite(weight.numpy()).all()]
    if broken:
        raise ValueError(
            f"A model should have finite weights to be exported. Received: NaN or infinity in "
            f"{', '.join(broken)}"
        )


def _check_json(**values: Any) -> None:
    """Refuse what the manifest cannot hold, before the slow part."""
    for name, value in values.items():
        try:
            json.dumps(value, allow_nan=False)
        except (TypeError, ValueError) as error:
            raise ValueError(f"`{name}` should be JSON. Received: {error}") from error


def _write_engines(
    model: WynerModel,
    graphs: tuple[Graph, ...],
    manifest: dict[str, Any],
    folder: Path,
    data: Mapping[str, np.ndarray],
) -> None:
    """Write SavedModel and ONNX files and prove that they answer as Keras does.

    The manifest is told the signatures, and how far engines differ.

    Raises:
        ExportError: if an engine refuses a graph.
        Disagreement: if engines disagree.
    """
    named = {graph.name: graph for graph in graphs}
    logger.info("Answers of Keras: %d graphs", len(graphs))
    with not_optimized():
        answers = run_examples(graphs, data, manifest, lambda name, given: named[name].run(given))
    for graph in graphs:
        for info in graph.outputs:
            check_finite(graph, info, answers[graph.name].outputs[info.name])
    offered = signatures(model, graphs, answers)
    logger.info("SavedModel: %d signatures", len(offered))
    target = folder / manifest["saved_model"]["path"]
    # Of the SavedModel TensorFlow makes here what a server makes of it.
    loaded = load_saved_model(write_saved_model(offered, target))
    parity = Parity("Keras", answers, conditioning(loaded, graphs, answers, manifest["sides"]))
    for graph in graphs:
        parity.check_saved_model(graph, loaded, graph.traced.get_concrete_function().variables)
    (folder / "onnx").mkdir()
    converted: dict[str, onnx.ModelProto] = {}
    weights = SharedWeights(folder / "onnx")
    for number, graph in enumerate(graphs, 1):
        file = folder / manifest["graphs"][graph.name]["file"]
        run = write_onnx(graph, file, converted, weights)
        parity.check_onnx(graph, file, loaded.signatures[graph.name].variables, run)
        logger.info("ONNX %d/%d: %s", number, len(graphs), graph.name)
    manifest["saved_model"]["signatures"] = sorted(offered)
    manifest["parity"] = parity.largest


def write_bundle(
    model: WynerModel,
    path: str | os.PathLike[str],
    *,
    examples: Mapping[str, np.ndarray] | None = None,
    name: str = "wyner",
    pairing: str | None = None,
    label_map: Mapping[str, Any] | None = None,
    metrics: dict[str, Any] | None = None,
    nats: dict[str, float] | None = None,
    secret_key: str | os.PathLike[str] | None = None,
) -> Path:
    """Write a trained model as a bundle: ONNX, SavedModel, samples, model card, manifest, seal.

    Everything is made and proven under a temporary name beside `path`, then renamed.

    Args:
        model: the W-model.
        path: of the bundle, which must not exist.
        examples: by side held-out examples `(n, ...)`, on which parity is proven and of which the
            samples are; by default generated ones.
        name: of the model, for people.
        pairing: what the pairs were, for people; told from `label_map` if None.
        label_map: from labels of x to labels of y, where the pairs were made by one.
        metrics: judged figures, as `Report.to_dict` has them.
        nats: what the latents hold, nats by name, as `information.measure` gives them.
        secret_key: file of the key by which the bundle is signed, of `wyner export --new-key` or
            `minisign -G -W`; None leaves it unsigned. Needs `wyner-keras[sign]`.

    Returns:
        The path.

    Raises:
        ValueError: if the path exists, or an argument is not as said.
        ExportError: if an engine refuses a graph or engines disagree; nothing is left behind.
        BlockingIOError: if another process is writing it.

    Example:
        >>> write_bundle(model, "bundle", examples={"x": x, "y": y})  # doctest: +SKIP
    """
    path = Path(path)
    if path.exists():
        raise ValueError(f"`path` should not exist yet. Received: {path}")
    if not isinstance(model, WynerModel):
        raise ValueError(f"`model` should be a WynerModel. Received: model={received(model)}")
    if keras.backend.backend() != "tensorflow":
        raise ValueError(
            "Keras' backend should be tensorflow: save the model and export it in another process, "
            f"where KERAS_BACKEND=tensorflow. Received: {keras.backend.backend()}"
        )
    key = None if secret_key is None else read_secret_key(secret_key)
    _check_weights(model)
    label_map = None if label_map is None else dict(label_map)
    _check_json(
        **{"name": name, "pairing": pairing, "label_map": label_map},
        **{"metrics": metrics, "nats": nats},
        **{"sides": model.side_entries, "latents": model.latent_entries},
    )
    # From here on nobody else writes it: who would is told before the slow part.
    with whole_folder(path) as folder:
        graphs = graphs_of(model)
        data = _checked_examples(model, examples)
        manifest = manifest_of(
            model,
            graphs,
            name=name,
            pairing=pairing,
            label_map=label_map,
            metrics=metrics,
            nats=nats,
        )
        check_manifest(manifest, path / MANIFEST)
        manifest_text(manifest)
        try:
            _write_engines(model, graphs, manifest, folder, data)
        except Disagreement as error:
            raise ExportError(str(error)) from error
        for side, values in data.items():
            write_samples(folder, side, manifest["sides"][side], values[:_SAMPLES])
        (folder / "MODEL_CARD.md").write_text(model_card(manifest), encoding="utf-8")
        manifest["files"] = files_of(folder)
        content = manifest_text(manifest)
        (folder / MANIFEST).write_bytes(content)
        check_manifest(manifest, path / MANIFEST)
        write_seal(folder, None if key is None else sign(content, key, f"file:{MANIFEST}"))
    return path


def verify_bundle(
    path: str | os.PathLike[str], *, public_key: str | os.PathLike[str] | None = None
) -> dict[str, Any]:
    """Check a bundle: seal, schema, every file's digest, ONNX, SavedModel, and that both agree.

    A SavedModel is a program: of what comes from elsewhere, give the key.

    Args:
        path: of the bundle, of any format that is known.
        public_key: by which it should be signed, see `wyner_serving.Bundle.load`; None looks at no
            signature.

    Returns:
        Its manifest, in the newest format.

    Raises:
        BundleError: naming the first thing that is not as the manifest says.
    """
    folder = Path(path)
    manifest = read_manifest(folder, public_key)
    read_sealed(folder, public_key=public_key)
    check_contents(folder, manifest["files"], UNLISTED, whole=True)
    graphs = [Interface.from_dict(*entry) for entry in manifest["graphs"].items()]
    sessions = Sessions(folder, manifest, threads=1)
    for graph in graphs:
        sessions.open(graph.name)
        _check_file(folder / manifest["graphs"][graph.name]["file"])
    logger.info("SavedModel: %d graphs", len(graphs))
    loaded, sides = load_saved_model(folder / manifest["saved_model"]["path"]), manifest["sides"]
    with not_optimized():
        answers = run_examples(
            graphs,
            {name: read_samples(folder, manifest, name) for name in sides},
            manifest,
            lambda name, given: run_saved_model(loaded, name, given),
        )
        limits = conditioning(loaded, graphs, answers, sides)
    parity = Parity("SavedModel", answers, limits)
    for number, graph in enumerate(graphs, 1):
        file = folder / manifest["graphs"][graph.name]["file"]
        variables = loaded.signatures[graph.name].variables
        try:
            parity.check_onnx(graph, file, variables, functools.partial(_answers, sessions, graph))
        except Disagreement as error:
            raise BundleError(str(error)) from error
        logger.info("ONNX %d/%d: %s", number, len(graphs), graph.name)
    return manifest


def _answers(
    sessions: Sessions, graph: Interface, inputs: Mapping[str, np.ndarray]
) -> dict[str, np.ndarray]:
    results = sessions.run(graph.name, dict(inputs))
    return {info.name: values for info, values in zip(graph.outputs, results, strict=True)}


def _check_file(file: Path) -> None:
    try:
        onnx.checker.check_model(onnx.load(file), full_check=True)
    except Exception as error:
        raise BundleError(f"{file.name} should be valid ONNX. Received: {error}") from error
