"""Reading a bundle's manifest, and the files that it lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from wyner_serving.errors import BundleError
from wyner_serving.pmi import parts_of, sizes_of

# Format 1 was of images alone: it had their shapes, under `images`, where format 2 has `sides`.
FORMAT = 2
MANIFEST = "manifest.json"
_LOCALS = {"x": "u", "y": "v"}
_TASKS = ("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y")
_NOISES = ("uniform", "normal")


def read_manifest(folder: Path) -> dict[str, Any]:
    """The manifest, with every path in it inside the bundle and every file of its size.

    Raises:
        BundleError: if the folder is no bundle, or not whole.
    """
    return read_sealed(folder)[0]


def read_sealed(folder: Path, seal: str | None = None) -> tuple[dict[str, Any], str]:
    """The manifest as `read_manifest` has it, and the SHA-256 of its bytes.

    Args:
        folder: of the bundle.
        seal: the SHA-256 that they should have; None takes any.

    Raises:
        BundleError: if the folder is no bundle, not whole, or of another seal.
    """
    path = folder / MANIFEST
    if not path.is_file():
        hint = "" if seal is None else f" that has SHA-256 {seal}"
        raise BundleError(f"A bundle should be a folder with {MANIFEST}{hint}. Received: {folder}")
    content = path.read_bytes()
    found = hashlib.sha256(content).hexdigest()
    if seal not in (None, found):
        raise BundleError(
            f"{path} should be as it was, with SHA-256 {seal}. Received: another one, {found}"
        )
    values = parse_manifest(path, content)
    try:
        _check(folder, values)
    except BundleError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BundleError(
            f"{path} should describe sides, latents, graphs and files. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return values, found


def parse_manifest(path: Path, content: bytes) -> dict[str, Any]:
    """A manifest in the newest format, unchecked but for that.

    Args:
        path: of the file, for messages.
        content: its bytes.

    Raises:
        BundleError: if it is no JSON, or of no format that is known.
    """
    try:
        values = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{path} should be JSON. Received: {error}") from error
    found = values.get("format") if isinstance(values, dict) else None
    if found not in (1, FORMAT) or isinstance(found, bool):
        newer = isinstance(found, int) and found > FORMAT
        hint = "; a newer wyner-keras reads it" if newer else ""
        raise BundleError(f"{path} should be of format {FORMAT}{hint}. Received: format {found!r}")
    return _from_format_1(values) if found == 1 else values


def _from_format_1(values: dict[str, Any]) -> dict[str, Any]:
    images = values.get("images")
    if not isinstance(images, dict) or images.keys() != _LOCALS.keys():
        return {**values, "format": FORMAT}  # refused for what is missing
    sides = {
        side: {"kind": "image", "shape": images[side], "local": local}
        for side, local in _LOCALS.items()
    }
    kept = {name: value for name, value in values.items() if name != "images"}
    return {**kept, "format": FORMAT, "sides": sides}


def _is_size(value: Any) -> bool:
    return isinstance(value, int) and not isinstance(value, bool) and value > 0


def _check(folder: Path, values: dict[str, Any]) -> None:
    if not isinstance(values.get("identity", ""), str):
        raise BundleError(f"identity should be a text. Received: {values['identity']}")
    latents = values["latents"]
    for name, latent in latents.items():
        if name == "z" or latent is not None:
            _check_latent(name, latent)
    if next(iter(latents)) != "z":
        raise BundleError(f"latents should begin with z. Received: {list(latents)}")
    if values["sides"].keys() != _LOCALS.keys():
        raise BundleError(f"sides should be x and y. Received: {list(values['sides'])}")
    for name, side in values["sides"].items():
        _check_side(name, side, latents)
    for name in _TASKS:
        file = values["graphs"][name]["file"]
        if file not in values["files"]:
            raise BundleError(f"files should list {file} of graph {name}. Received: no such entry")
    root = folder.resolve()
    for name, entry in values["files"].items():
        path = PurePosixPath(name)
        if path.is_absolute() or ".." in path.parts or "\\" in name or ":" in name:
            raise BundleError(f"files should lie in the bundle. Received: {name!r}")
        file = folder / path
        if not file.is_file():
            raise BundleError(f"{folder} should hold {name}. Received: no such file")
        if not file.resolve().is_relative_to(root):
            raise BundleError(f"files should lie in the bundle. Received: {name!r}, a link out")
        size = file.stat().st_size
        if size != entry["bytes"]:
            raise BundleError(f"{name} should have {entry['bytes']} bytes. Received: {size}")


def _check_latent(name: str, entry: Any) -> None:
    if entry["noise"] not in _NOISES or not _is_size(entry["size"]):
        raise BundleError(f"latents/{name} should have noise and size. Received: {entry}")
    parts = parts_of(entry)
    if parts is not None and sum(sizes_of(parts)) != entry["size"]:
        raise BundleError(
            f"latents/{name} should have parts whose sizes add up to {entry['size']}. "
            f"Received: {parts}"
        )


def _check_side(name: str, entry: Any, latents: dict[str, Any]) -> None:
    shape, columns = entry["shape"], entry.get("columns")
    if not isinstance(shape, list) or not shape or not all(map(_is_size, shape)):
        raise BundleError(f"sides/{name} should have a shape. Received: {shape}")
    if not isinstance(entry["kind"], str) or entry["local"] not in latents:
        raise BundleError(f"sides/{name} should have kind and local. Received: {entry}")
    if entry["kind"] == "image" and len(shape) != 3:
        raise BundleError(f"sides/{name} should be images (h, w, c). Received: {shape}")
    if entry["kind"] == "vector" and [len(columns or [])] != shape:
        raise BundleError(f"sides/{name} should have {shape} columns. Received: {columns}")
    for column in columns or []:
        if not _are_texts(column.get("texts", []), column.get("categories", 0)):
            raise BundleError(f"sides/{name} should have a text a category. Received: {column}")


def _are_texts(texts: Any, count: Any) -> bool:
    """Whether they say what `count` categories are called, or nothing."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return False
    return not texts or len(texts) == count


def read_file(folder: Path, values: dict[str, Any], name: str) -> bytes:
    """A listed file's bytes.

    Raises:
        BundleError: if they are not those that the manifest's digest is of.
    """
    content = (folder / name).read_bytes()
    found, expected = hashlib.sha256(content).hexdigest(), values["files"][name]["sha256"]
    if found != expected:
        raise BundleError(f"{name} should have SHA-256 {expected}. Received: {found}")
    return content
