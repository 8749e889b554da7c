"""Reading a bundle's manifest, and the files that it lists."""

from __future__ import annotations

import math
import os
from collections.abc import Collection, Mapping
from pathlib import Path
from typing import Any

from wyner_serving.contents import check_contents, check_names
from wyner_serving.errors import BundleError
from wyner_serving.interface import check_graph
from wyner_serving.plain_json import parse_json
from wyner_serving.pmi import FORMS, parts_of, sizes_of
from wyner_serving.seal import CHECKSUM, MANIFEST, UNLISTED, read_manifest_bytes
from wyner_serving.sides import LOCALS

# Format 1 was of images alone: it had their shapes, under `images`, where format 2 has `sides`.
# From format 3 on the manifest has a checksum, and nothing lies in a bundle that it does not list.
FORMAT = 3
_SEALED = 3
_TASKS = ("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y")
_NOISES = ("uniform", "normal")
_REQUIRED = (
    *("name", "created", "versions", "opset", "sides", "latents", "pairing", "graphs"),
    *("saved_model", "metrics", "nats", "parity", "files"),
)
# What one example may have: more could be asked for by nobody, but would be multiplied.
_MOST_AXES, _MOST_VALUES, _MOST_COLUMNS = 8, 2**28, 2**15


def read_manifest(folder: Path, public_key: str | os.PathLike[str] | None = None) -> dict[str, Any]:
    """The manifest, of a folder that holds what it lists; see `read_sealed`.

    Raises:
        BundleError: if the folder is no bundle, not whole, or not signed by the key.
    """
    return read_sealed(folder, public_key=public_key)[0]


def read_sealed(
    folder: Path, seal: str | None = None, public_key: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], str]:
    """The manifest of a folder that holds what it lists, and the SHA-256 of the manifest's bytes.

    Checksums come first: the manifest's, its signature, every file's. Of bundles of formats 1 and
    2, whose manifest has none, files have their sizes looked at, and their checksums when they are
    read.

    Args:
        folder: of the bundle.
        seal: the SHA-256 that the manifest should have; None takes any.
        public_key: by which the manifest should be signed, a file or its line of 56 characters;
            None looks at no signature.

    Raises:
        BundleError: if the folder is no bundle, not whole, of another seal, or not so signed.
        InputError: if the key is none.
    """
    values, found, sealed = read_unchecked(folder, seal, public_key)
    path = folder / MANIFEST
    try:
        _check(values)
    except BundleError:
        raise
    except (KeyError, TypeError, AttributeError, IndexError, ValueError) as error:
        raise BundleError(
            f"{path} should describe sides, latents, graphs and files. "
            f"Received: {type(error).__name__}: {error}"
        ) from error
    check_contents(folder, values["files"], UNLISTED, sealed)
    return values, found


def read_unchecked(
    folder: Path, seal: str | None = None, public_key: str | os.PathLike[str] | None = None
) -> tuple[dict[str, Any], str, bool]:
    """The manifest that was sealed and signed, in the newest format; its SHA-256; if it is sealed.

    What it says is not looked at; see `read_sealed`.

    Raises:
        BundleError: if there is none, or it is damaged, or of no format that is known.
    """
    content, found, sealed = read_manifest_bytes(folder, seal, public_key)
    return parse_manifest(folder / MANIFEST, content, sealed), found, sealed


def parse_manifest(path: Path, content: bytes, sealed: bool) -> dict[str, Any]:
    """A manifest in the newest format, unchecked but for that.

    Args:
        path: of the file, for messages.
        content: its bytes.
        sealed: whether their checksum was there.

    Raises:
        BundleError: if it is no JSON, or of no format that is known.
    """
    try:
        values = parse_json(content)
    except (ValueError, RecursionError) as error:
        raise BundleError(f"{path} should be JSON. Received: {error!s:.200}") from error
    found = values.get("format") if isinstance(values, dict) else None
    if type(found) is not int or not 1 <= found <= FORMAT:
        newer = type(found) is int and found > FORMAT
        hint = "; a newer wyner-keras reads it" if newer else ""
        raise BundleError(
            f"{path} should be of format {FORMAT}{hint}. Received: format {found!r:.80}"
        )
    if found >= _SEALED and not sealed:
        raise BundleError(f"{path.parent} should hold {CHECKSUM}. Received: no such file")
    return _from_format_1(values) if found == 1 else {**values, "format": FORMAT}


def _from_format_1(values: dict[str, Any]) -> dict[str, Any]:
    images = values.get("images")
    if not isinstance(images, dict) or images.keys() != LOCALS.keys():
        return {**values, "format": FORMAT}  # refused for what is missing
    sides = {
        side: {"kind": "image", "shape": images[side], "local": local}
        for side, local in LOCALS.items()
    }
    kept = {name: value for name, value in values.items() if name != "images"}
    return {**kept, "format": FORMAT, "sides": sides}


def _is_size(value: Any) -> bool:
    return type(value) is int and 0 < value <= _MOST_VALUES


def _check(values: dict[str, Any]) -> None:
    if not isinstance(values.get("identity", ""), str):
        raise BundleError(f"identity should be a text. Received: {values['identity']!r:.80}")
    missing = [name for name in _REQUIRED if name not in values]
    if missing:
        raise BundleError(f"A manifest should have {', '.join(_REQUIRED)}. Received: no {missing}")
    latents, sides, graphs, files = (
        values[name] for name in ("latents", "sides", "graphs", "files")
    )
    if not isinstance(latents, dict) or next(iter(latents), None) != "z":
        raise BundleError(f"latents should begin with z. Received: {list(latents)!r:.80}")
    for name, latent in latents.items():
        if name == "z" or latent is not None:
            check_latent_entry(name, latent)
    if not isinstance(sides, dict) or sides.keys() != LOCALS.keys():
        raise BundleError(f"sides should be x and y. Received: {list(sides)!r:.80}")
    for name, side in sides.items():
        check_side_entry(name, side, [*latents][1:])
    if sorted(latents) != sorted(["z", *(side["local"] for side in sides.values())]):
        raise BundleError(f"latents should be z and one of each side. Received: {list(latents)}")
    check_names(files)
    for name in {**dict.fromkeys(_TASKS), **graphs}:
        check_graph(name, graphs[name], sides, latents)
        if graphs[name]["file"] not in files:
            file = graphs[name]["file"]
            raise BundleError(
                f"files should list {file!r:.80} of graph {name}. Received: no such entry"
            )
    path = values["saved_model"]["path"]
    if f"{path}/saved_model.pb" not in files:
        raise BundleError(f"files should list {path!r:.80}/saved_model.pb. Received: no such entry")


def check_latent_entry(name: str, entry: Any) -> None:
    """Refuse what a latent says of itself if nobody can go by it; it fails in other ways, too."""
    if entry["noise"] not in _NOISES or not _is_size(entry["size"]):
        raise BundleError(f"latents/{name} should have noise and size. Received: {entry!r:.200}")
    if "pmi" in entry and not (isinstance(entry["pmi"], list) and entry["pmi"]):
        raise BundleError(f"latents/{name} should have parts in pmi. Received: {entry!r:.200}")
    own = {**entry, "form": entry["family"]}
    alone = [own] if entry["family"] in FORMS else []
    for part in parts_of(entry) or ():
        _check_shares(name, part)
    for parts in (parts_of(entry), alone):
        if parts and sum(sizes_of(parts)) != entry["size"]:
            raise BundleError(
                f"latents/{name} should have parts whose sizes add up to {entry['size']}. "
                f"Received: {parts!r:.200}"
            )


def _check_shares(name: str, part: Mapping[str, Any]) -> None:
    """Raise unless a part has none, or one variable's probabilities."""
    if "shares" not in part:
        return
    shares = part["shares"]
    right = isinstance(shares, list) and part.get("n") == 1 and len(shares) == part.get("k")
    right = right and all(type(share) is float and 0 <= share <= 1 for share in shares)
    if not right or not math.isclose(sum(shares), 1.0, abs_tol=1e-3):
        raise BundleError(
            f"latents/{name} should have a share of each kind, 1 in all. Received: {shares!r:.200}"
        )


def check_side_entry(name: str, entry: Any, locals_: Collection[str]) -> None:
    """Refuse what a side says of itself if nobody can go by it; it fails in other ways, too.

    Args:
        name: of the side.
        entry: of a manifest, or of a server.
        locals_: names of local latents.
    """
    shape, columns = entry["shape"], entry.get("columns")
    right = isinstance(shape, list) and 0 < len(shape) <= _MOST_AXES and all(map(_is_size, shape))
    if not right or math.prod(shape) > _MOST_VALUES:
        raise BundleError(f"sides/{name} should have a shape. Received: {shape!r:.80}")
    if not isinstance(entry["kind"], str) or entry["local"] not in locals_:
        raise BundleError(f"sides/{name} should have kind and local. Received: {entry!r:.200}")
    if entry["kind"] == "image" and len(shape) != 3:
        raise BundleError(f"sides/{name} should be images (h, w, c). Received: {shape}")
    if type(entry.get("missing", False)) is not bool:
        raise BundleError(f"sides/{name} should say what is missing. Received: {entry!r:.200}")
    if entry["kind"] == "vector":
        if not isinstance(columns, list) or [len(columns)] != shape or "missing" not in entry:
            raise BundleError(
                f"sides/{name} should have {shape} columns. Received: {columns!r:.200}"
            )
        if len(columns) > _MOST_COLUMNS:
            raise BundleError(
                f"sides/{name} should have {_MOST_COLUMNS} columns at most. Received: {shape}"
            )
    elif columns is not None:
        raise BundleError(
            f"sides/{name} should have columns where it is of vectors. Received: some"
        )
    for column in columns or []:
        _check_column(name, column)


def _check_column(side: str, column: Any) -> None:
    categories, texts = column.get("categories", 0), column.get("texts", [])
    # A kind that is not the library's own: numbers that its model knows how to read.
    told = isinstance(column["name"], str) and isinstance(column["kind"], str)
    counted = _is_size(categories) if column["kind"] == "categorical" else categories == 0
    if not told or not counted:
        raise BundleError(f"sides/{side} should describe its columns. Received: {column!r:.200}")
    if not _are_texts(texts, categories):
        raise BundleError(f"sides/{side} should have a text a category. Received: {column!r:.200}")


def _are_texts(texts: Any, count: Any) -> bool:
    """Whether they say what `count` categories are called, or nothing."""
    if not isinstance(texts, list) or not all(isinstance(text, str) for text in texts):
        return False
    return not texts or len(texts) == count
