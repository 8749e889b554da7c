"""Reading a bundle's manifest, and the files that it lists."""

from __future__ import annotations

import hashlib
import json
from pathlib import Path, PurePosixPath
from typing import Any

from wyner_serving.errors import BundleError

FORMAT = 1
MANIFEST = "manifest.json"
_TASKS = ("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y")


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
    return _parsed(folder, path, content), found


def _parsed(folder: Path, path: Path, content: bytes) -> dict[str, Any]:
    try:
        values = json.loads(content)
    except ValueError as error:
        raise BundleError(f"{path} should be JSON. Received: {error}") from error
    found = values.get("format") if isinstance(values, dict) else None
    if found != FORMAT or isinstance(found, bool):
        newer = isinstance(found, int) and found > FORMAT
        hint = "; a newer wyner_serving reads it" if newer else ""
        raise BundleError(f"{path} should be of format {FORMAT}{hint}. Received: format {found!r}")
    try:
        _check(folder, values)
    except (KeyError, TypeError, AttributeError, IndexError) as error:
        raise BundleError(
            f"{path} should describe images, latents, graphs and files. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    return values


def _check(folder: Path, values: dict[str, Any]) -> None:
    for side in "xy":
        shape = values["images"][side]
        if len(shape) != 3 or not all(isinstance(size, int) and size > 0 for size in shape):
            raise BundleError(f"images/{side} should be (h, w, c). Received: {shape}")
    for latent in "zuv":
        entry = values["latents"][latent]
        if entry is not None and (
            entry["noise"] not in ("uniform", "normal")
            or not isinstance(entry["size"], int)
            or entry["size"] < 1
        ):
            raise BundleError(f"latents/{latent} should have noise and size. Received: {entry}")
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
