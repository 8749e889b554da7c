"""Trained models of others, found by name: in the data wheel, in a folder, or on a hub.

A preset is a folder:

- `preset.json`: what it is, its data and their licence, the commands that made it, its figures;
- `README.md`: the same for people, the card;
- `model.keras`: the model;
- `bundle/`: its bundle, where there is one.

The wheel `wyner-keras-models` holds each as one file, NAME.tar.xz, which is unpacked once into the
user's cache.
"""

from __future__ import annotations

import hashlib
import importlib
import importlib.util
import os
import re
import shutil
import tarfile
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wyner_serving.errors import BundleError, InputError
from wyner_serving.plain_json import parse_json
from wyner_serving.regular_file import check_regular, read_regular
from wyner_serving.whole import whole_folder

CARD, FACTS, MODEL, BUNDLE = "README.md", "preset.json", "model.keras", "bundle"
FORMAT = 1
PACKAGE, WHEEL = "wyner_keras_models", "wyner-keras-models"
SUFFIX = ".tar.xz"
_LARGEST = 2**22  # bytes of preset.json
_SCHEME = "hf://"
_HUB = re.compile(r"hf://(?P<repository>\w[\w.-]*/\w[\w.-]*)(@(?P<revision>\w[\w./-]*))?", re.ASCII)


def names() -> list[str]:
    """The presets of the installed data wheel, in order; none where it is not installed."""
    return sorted(_packed())


def find(name: str | os.PathLike[str]) -> Path:
    """The folder of a preset.

    Args:
        name: of a preset of the installed data wheel, or else a folder that holds a preset, a run
            or a bundle, or `hf://owner/name`, with `@revision` or without, which is downloaded.

    Raises:
        InputError: if there is none.
        ModuleNotFoundError: if it is on the hub, and huggingface_hub is not installed.
        OSError: if it cannot be downloaded.

    Example:
        >>> find("no-such-preset")
        Traceback (most recent call last):
        ...
        wyner_serving.errors.InputError: a preset should be ...
    """
    text = os.fspath(name)
    if text.startswith(_SCHEME):
        return _download(*parse_hub(text))
    packed = _packed()
    if text in packed:
        return _unpacked(packed[text])
    folder = Path(text)
    if any((folder / each).is_file() for each in (FACTS, MODEL, "manifest.json")):
        return folder
    there = ", ".join(packed) or f"none here, as {WHEEL} is not installed"
    raise InputError(
        f"a preset should be one of those of {WHEEL} ({there}), a folder with {FACTS}, or "
        f"hf://owner/name. Received: {text!r}"
    )


def parse_hub(text: str) -> tuple[str, str | None]:
    """Repository and revision of `hf://owner/name@revision`; None where it names no revision.

    Raises:
        InputError: if it is not so written.
    """
    match = _HUB.fullmatch(text)
    if match is None:
        raise InputError(
            f"a repository should be hf://owner/name, with @revision or without. Received: {text!r}"
        )
    return match["repository"], match["revision"]


def hub_module(repository: str) -> Any:
    """huggingface_hub, which few need.

    Raises:
        ModuleNotFoundError: if it is not installed.
    """
    try:
        return importlib.import_module("huggingface_hub")
    except ModuleNotFoundError as error:
        raise ModuleNotFoundError(
            f"{_SCHEME}{repository} needs huggingface_hub: pip install 'wyner-keras[hub]'",
            name=error.name,
        ) from error


def bundle_of(folder: Path) -> Path:
    """The bundle in a preset's folder, or the folder itself where it is a bundle.

    Raises:
        BundleError: if there is none.
    """
    for place in (folder, folder / BUNDLE):
        if (place / "manifest.json").is_file():
            return place
    raise BundleError(f"{folder} should hold a bundle in {BUNDLE}/. Received: none")


def facts(folder: Path) -> dict[str, Any]:
    """What `preset.json` says.

    Raises:
        InputError: if there is none, or it is damaged, or of a later format.
    """
    path = folder / FACTS
    try:
        values = parse_json(read_regular(path, _LARGEST, links=True))
    except (OSError, ValueError, RecursionError) as error:
        raise InputError(
            f"a preset should be a folder with {FACTS}. Received: {folder} ({error!s:.200})"
        ) from error
    found = values.get("format") if isinstance(values, Mapping) else None
    if found != FORMAT or type(found) is not int:
        raise InputError(f"{path} should be of format {FORMAT}. Received: format {found!r:.80}")
    return values


def cache_folder() -> Path:
    """Where presets are unpacked: WYNER_CACHE_DIR, or the user's cache folder.

    Raises:
        InputError: if the user has no home folder, and neither variable is set.
    """
    own = os.environ.get("WYNER_CACHE_DIR")
    if own:
        return Path(own) / "presets"
    try:
        base = Path(os.environ.get("XDG_CACHE_HOME") or "~/.cache").expanduser()
    except RuntimeError as error:
        raise InputError(
            "WYNER_CACHE_DIR should name a folder to unpack presets into, where the user has none. "
            f"Received: {error}"
        ) from error
    return base / "wyner_keras" / "presets"


def _packed() -> dict[str, Path]:
    """The files of the data wheel by the names of their presets."""
    spec = importlib.util.find_spec(PACKAGE)
    places = [] if spec is None else spec.submodule_search_locations or []
    files = [file for place in places for file in Path(place).glob(f"*{SUFFIX}")]
    return {file.name.removesuffix(SUFFIX): file for file in sorted(files)}


def _unpacked(file: Path) -> Path:
    """The folder that a file of the wheel was unpacked to; of another file it is another."""
    with file.open("rb") as stream:
        found = hashlib.file_digest(stream, "sha256").hexdigest()
    target = cache_folder() / f"{file.name.removesuffix(SUFFIX)}-{found[:16]}"
    if not target.is_dir():
        with whole_folder(target, keep=True) as folder, tarfile.open(file, "r:xz") as archive:
            archive.extractall(folder, filter="data")
    return target


def _download(repository: str, revision: str | None) -> Path:
    """The folder of a repository's snapshot, without the links of the hub's own cache."""
    hub = hub_module(repository)
    patterns = [CARD, FACTS, MODEL, f"{BUNDLE}/*"]
    try:
        found = hub.snapshot_download(repository, revision=revision, allow_patterns=patterns)
    except Exception as error:  # of HTTP, of the hub, of its cache: they have no type in common
        raise OSError(
            f"{_SCHEME}{repository} should be there to be downloaded. "
            f"Received: {type(error).__name__}: {error!s:.300}"
        ) from error
    snapshot = Path(found)
    # The snapshot's name is its commit.
    target = cache_folder() / "hub" / repository.replace("/", "--") / snapshot.name
    if not target.is_dir():
        with whole_folder(target, keep=True) as folder:
            for path in sorted(snapshot.rglob("*")):
                if not path.is_dir():
                    copy = folder / path.relative_to(snapshot)
                    copy.parent.mkdir(parents=True, exist_ok=True)
                    shutil.copyfile(check_regular(path, "a file of the hub"), copy)
    facts(target)
    return target
