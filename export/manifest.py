"""The manifest of a bundle: what it says, how it is written and checked."""

from __future__ import annotations

import hashlib
import json
import os
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import jsonschema

from wyner_export.functions import Graph
from wyner_export.onnx_files import OPSET
from wyner_export.saved_model import NAME, VERSION
from wyner_keras import runs
from wyner_keras.model import WynerModel
from wyner_serving.errors import BundleError
from wyner_serving.manifest import FORMAT, read_unchecked
from wyner_serving.plain_json import parse_json
from wyner_serving.seal import LARGEST, MANIFEST, UNLISTED

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
        "latent": {"type": ["string", "null"]},
        "meaning": {"type": "string"},
    },
}
# What a latent and a modality say of themselves; of families and kinds that are not known, too.
_LATENT = {
    "type": "object",
    "required": ["family", "size", "noise"],
    "properties": {
        "family": {"type": "string"},
        "size": {"type": "integer", "minimum": 1},
        "noise": {"enum": ["uniform", "normal"]},
        "pmi": {
            "type": "array",
            "minItems": 1,
            "items": {
                "type": "object",
                "required": ["form"],
                "properties": {
                    "form": {"type": "string"},
                    "shares": {
                        "type": "array",
                        "items": {"type": "number", "minimum": 0, "maximum": 1},
                    },
                },
            },
        },
    },
}
_SIDE = {
    "type": "object",
    "required": ["kind", "shape", "local"],
    "properties": {
        "kind": {"type": "string"},
        "shape": {
            "type": "array",
            "minItems": 1,
            "items": {"type": "integer", "minimum": 1},
        },
        "local": {"type": "string"},
        "columns": {
            "type": "array",
            "items": {
                "type": "object",
                "required": ["name", "kind"],
                "properties": {
                    "name": {"type": "string"},
                    "kind": {"type": "string"},
                    "categories": {"type": "integer", "minimum": 1},
                    # What each category is called; without, it is its number.
                    "texts": {"type": "array", "items": {"type": "string"}},
                },
            },
        },
        "missing": {"type": "boolean"},
    },
    "if": {"properties": {"kind": {"const": "vector"}}},
    "then": {"required": ["columns", "missing"]},
}
SCHEMA: dict[str, Any] = {
    "type": "object",
    "required": [
        *("format", "name", "created", "versions", "opset", "sides", "latents", "pairing"),
        *("graphs", "saved_model", "metrics", "nats", "parity", "files"),
    ],
    "additionalProperties": False,
    "properties": {
        "format": {"const": FORMAT},
        "name": {"type": "string"},
        "created": {"type": "string"},
        "versions": {"type": "object", "additionalProperties": {"type": "string"}},
        "opset": {"type": "integer"},
        # Of the model, which a gallery is known by; earlier bundles have none.
        "identity": {"type": "string", "minLength": 1},
        "sides": {
            "type": "object",
            "required": ["x", "y"],
            "additionalProperties": False,
            "properties": {"x": _SIDE, "y": _SIDE},
        },
        "latents": {
            "type": "object",
            "required": ["z"],
            "properties": {"z": _LATENT},
            "additionalProperties": {"anyOf": [_LATENT, {"type": "null"}]},
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


def digest(path: Path) -> dict[str, Any]:
    """SHA-256 and size of a file."""
    with path.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    return {"sha256": found, "bytes": path.stat().st_size}


def files_of(folder: Path) -> dict[str, dict[str, Any]]:
    """Digests of all files under a folder but those of its seal, by their relative names."""
    return {
        path.relative_to(folder).as_posix(): digest(path)
        for path in sorted(folder.rglob("*"))
        if path.is_file() and path.relative_to(folder).as_posix() not in UNLISTED
    }


def manifest_of(
    model: WynerModel,
    graphs: tuple[Graph, ...],
    *,
    name: str,
    pairing: str | None,
    label_map: dict[str, Any] | None,
    metrics: dict[str, Any] | None,
    nats: dict[str, float] | None,
) -> dict[str, Any]:
    """The manifest before its bundle is written: without signatures, parity and files."""
    if pairing is None and label_map:
        listed = ", ".join(f"{x}→{y}" for x, y in label_map.items())
        pairing = f"y is of the class that goes with x's: {listed}"
    return {
        "format": FORMAT,
        "name": name,
        "created": datetime.now(UTC).isoformat(timespec="seconds"),
        "versions": {package: runs.version(package) for package in _VERSIONED},
        "opset": OPSET,
        "identity": model.identity,
        "sides": model.side_entries,
        "latents": model.latent_entries,
        "pairing": {
            "meaning": pairing or "pairs (x, y) that share a concept",
            "label_map": label_map,
        },
        "graphs": {
            graph.name: {
                "file": f"onnx/{graph.name}.onnx",
                "meaning": graph.meaning,
                "inputs": [info.to_dict() for info in graph.inputs],
                "outputs": [info.to_dict() for info in graph.outputs],
            }
            for graph in graphs
        },
        "saved_model": {"path": f"saved_model/{NAME}/{VERSION}", "signatures": []},
        "metrics": metrics,
        "nats": nats,
        "parity": {},
        "files": {},
    }


def check_manifest(values: dict[str, Any], path: Path) -> None:
    """Check a manifest by the schema.

    Args:
        values: of the newest format.
        path: of the file, for the message.

    Raises:
        BundleError: if it does not follow.
    """
    try:
        jsonschema.validate(values, SCHEMA)
    except jsonschema.ValidationError as error:
        where = "/".join(map(str, error.absolute_path)) or "the whole"
        raise BundleError(
            f"{path} should follow the schema. Received: {where}: {error.message}"
        ) from error


def manifest_text(values: dict[str, Any]) -> bytes:
    """The bytes of a manifest.

    Raises:
        ValueError: if a bundle's reader would not take them.
    """
    text = json.dumps(values, indent=2, ensure_ascii=False, allow_nan=False) + "\n"
    content, within = text.encode("utf-8"), "`label_map`, `metrics`, `nats` and columns are in it"
    if len(content) > LARGEST:
        raise ValueError(
            f"A manifest should have {LARGEST} bytes at most; {within}. Received: {len(content)}"
        )
    try:
        parse_json(content)
    except ValueError as error:
        raise ValueError(
            f"A manifest should be plain JSON; {within}. Received: {error!s:.200}"
        ) from error
    return content


def read_manifest(folder: Path, public_key: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The manifest of a bundle in the newest format, checked by the schema.

    Args:
        folder: of the bundle.
        public_key: by which it should be signed, see `wyner_serving.Bundle.load`.

    Raises:
        BundleError: if there is none, or it is malformed, of a format that is not known, or not
            signed by the key.
    """
    values, *_ = read_unchecked(folder, public_key=public_key)
    check_manifest(values, folder / MANIFEST)
    return values
