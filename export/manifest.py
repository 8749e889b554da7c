"""The manifest of a bundle: what it says, how it is written and checked."""

from __future__ import annotations

import hashlib
import json
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema

from wyner_export.errors import BundleError
from wyner_export.functions import Graph
from wyner_export.onnx_files import OPSET
from wyner_keras import runs
from wyner_keras.models import WynerModel
from wyner_serving.manifest import FORMAT, MANIFEST

_VERSIONED = ("wyner-keras", "tensorflow", "keras", "onnx", "tf2onnx", "onnxruntime", "numpy")

_TENSOR = {
    "type": "object",
    "required": ["name", "dtype", "shape", "range", "latent", "meaning"],
    "additionalProperties": False,
    "properties": {
        "name": {"type": "string", "pattern": "^[a-z][a-z_]*$"},
        "dtype": {"enum": ["float32", "int32"]},
        "shape": {
            "type": "array",
            "minItems": 1,
            "items": {"anyOf": [{"type": "integer", "minimum": 1}, {"type": "string"}]},
        },
        "range": {
            "type": "array",
            "minItems": 2,
            "maxItems": 2,
            "items": {"type": ["number", "null"]},
        },
        "latent": {"enum": ["z", "u", "v", None]},
        "meaning": {"type": "string"},
    },
}
_LATENT = {
    "type": ["object", "null"],
    "required": ["family", "size", "noise"],
    "properties": {
        "family": {"enum": ["categorical", "gaussian"]},
        "size": {"type": "integer", "minimum": 1},
        "noise": {"enum": ["uniform", "normal"]},
    },
}
_SHAPE = {
    "type": "array",
    "minItems": 3,
    "maxItems": 3,
    "items": {"type": "integer", "minimum": 1},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        *("format", "name", "created", "versions", "opset", "images", "latents", "pairing"),
        *("graphs", "saved_model", "metrics", "nats", "parity", "files"),
    ],
    "additionalProperties": False,
    "properties": {
        "format": {"const": FORMAT},
        "name": {"type": "string"},
        "created": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "opset": {"type": "integer"},
        "images": {
            "type": "object",
            "required": ["x", "y"],
            "additionalProperties": False,
            "properties": {"x": _SHAPE, "y": _SHAPE},
        },
        "latents": {
            "type": "object",
            "required": ["z", "u", "v"],
            "additionalProperties": False,
            "properties": dict.fromkeys("zuv", _LATENT),
        },
        "pairing": {
            "type": "object",
            "required": ["meaning", "label_map"],
            "properties": {
                "meaning": {"type": "string"},
                "label_map": {"type": ["object", "null"]},
            },
        },
        "graphs": {
            "type": "object",
            "minProperties": 1,
            "additionalProperties": {
                "type": "object",
                "required": ["file", "meaning", "inputs", "outputs"],
                "additionalProperties": False,
                "properties": {
                    "file": {"type": "string"},
                    "meaning": {"type": "string"},
                    "inputs": {"type": "array", "items": _TENSOR},
                    "outputs": {"type": "array", "minItems": 1, "items": _TENSOR},
                },
            },
        },
        "saved_model": {
            "type": "object",
            "required": ["path", "signatures"],
            "properties": {
                "path": {"type": "string"},
                "signatures": {"type": "array", "items": {"type": "string"}},
            },
        },
        "metrics": {"type": ["object", "null"]},
        "nats": {"type": ["object", "null"]},
        "parity": {"type": "object", "additionalProperties": {"type": "number"}},
        "files": {
            "type": "object",
            "additionalProperties": {
                "type": "object",
                "required": ["sha256", "bytes"],
                "additionalProperties": False,
                "properties": {
                    "sha256": {"type": "string", "pattern": "^[0-9a-f]{64}$"},
                    "bytes": {"type": "integer", "minimum": 0},
                },
            },
        },
    },
}


def latent_entry(family: Any) -> dict[str, Any] | None:
    """What the manifest says of a latent family; None for an absent one."""
    if family is None:
        return None
    from wyner_keras.latents import Categorical

    if isinstance(family, Categorical):
        sizes = {"n": family.n, "k": family.k}
        return {"family": "categorical", **sizes, "size": family.size, "noise": "uniform"}
    return {"family": "gaussian", "dim": family.dim, "size": family.size, "noise": "normal"}


def digest(path: Path) -> dict[str, Any]:
    """SHA-256 and size of a file."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": found, "bytes": path.stat().st_size}


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Digests of all files under a folder but the manifest, by their relative names."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() != MANIFEST
    }


def manifest_of(
    model: WynerModel,
    graphs: tuple[Graph, ...],
    *,
    name: str,
    label_map: dict[str, int] | None,
    metrics: dict[str, Any] | None,
    nats: dict[str, float] | None,
    signatures: list[str],
    parity: dict[str, float],
) -> dict[str, Any]:
    """The manifest without its files."""
    config = model.config
    meaning = "pairs (x, y) that share a concept"
    if label_map:
        listed = ", ".join(f"{x}→{y}" for x, y in label_map.items())
        meaning = f"y shows the class that goes with x's: {listed}"
    return {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: runs.version(package) for package in _VERSIONED},
        "opset": OPSET,
        "images": {side: list(model.image_shape(side)) for side in "xy"},
        "latents": {name: latent_entry(getattr(config, name)) for name in "zuv"},
        "pairing": {"meaning": meaning, "label_map": label_map},
        "graphs": {
            graph.name: {
                "file": f"onnx/{graph.name}.onnx",
                "meaning": graph.meaning,
                "inputs": [info.to_dict() for info in graph.inputs],
                "outputs": [info.to_dict() for info in graph.outputs],
            }
            for graph in graphs
        },
        "saved_model": {"path": "saved_model/wyner/1", "signatures": sorted(signatures)},
        "metrics": metrics,
        "nats": nats,
        "parity": parity,
    }


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest of a bundle, checked by the schema.

    Raises:
        BundleError: if there is none, or it is malformed or of another format.
    """
    path = folder / MANIFEST
    if not path.is_file():
        raise BundleError(f"A bundle should hold {MANIFEST}. Received: {folder}, which has none")
    try:
        values = json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise BundleError(f"{path} should be JSON. Received: {error}") from error
    found = values.get("format") if isinstance(values, dict) else None
    if isinstance(found, int) and found > FORMAT:
        raise BundleError(
            f"{path} should be of format {FORMAT}; a newer wyner-keras reads newer ones. "
            f"Received: format {found}"
        )
    try:
        jsonschema.validate(values, SCHEMA)
    except jsonschema.ValidationError as error:
        where = "/".join(map(str, error.absolute_path)) or "the whole"
        raise BundleError(
            f"{path} should follow the schema. Received: {where}: {error.message}"
        ) from error
    return values
