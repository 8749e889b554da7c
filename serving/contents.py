"""What a bundle's folder holds: the files that its manifest lists to the byte, and nothing else."""

from __future__ import annotations

import hashlib
import os
import re
import stat
from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wyner_serving.errors import BundleError
from wyner_serving.regular_file import open_regular, read_regular

_MOST_FILES, _DEEPEST = 10_000, 16
# A part of a path: no separator, drive or control character, and not the folder or that above.
_PART = re.compile(r"(?!\.{1,2}$)[^/\\:\x00-\x1f\x7f]{1,255}")
_SHA256 = re.compile(r"[0-9a-f]{64}")


def check_names(files: Any) -> None:
    """Refuse a list of files that could lead out of the bundle, or is none.

    Raises:
        BundleError: naming the entry.
    """
    if not isinstance(files, dict) or len(files) > _MOST_FILES:
        raise BundleError(
            f"files should be by name, at most {_MOST_FILES}. Received: {_told(files)}"
        )
    for name, entry in files.items():
        parts = name.split("/")
        if len(parts) > _DEEPEST or not all(_PART.fullmatch(part) for part in parts):
            raise BundleError(f"files should lie in the bundle. Received: {name!r:.80}")
        told = isinstance(entry, dict) and entry.keys() == {"sha256", "bytes"}
        if not told or type(entry["bytes"]) is not int or not _is_digest(entry["sha256"]):
            raise BundleError(f"files/{name} should have sha256 and bytes. Received: {entry!r:.80}")


def _is_digest(value: Any) -> bool:
    return isinstance(value, str) and _SHA256.fullmatch(value) is not None


def _told(value: Any) -> str:
    return f"{len(value)}" if isinstance(value, dict) else f"{type(value).__name__}"


def check_contents(
    folder: Path, files: Mapping[str, Any], beside: frozenset[str], whole: bool
) -> None:
    """Refuse a folder that does not hold the listed files; none is opened but to be digested.

    Args:
        folder: of the bundle.
        files: size and SHA-256 by name, checked by `check_names`.
        beside: names of files that are not listed, and may be there.
        whole: whether nothing else may be there, and every file's SHA-256 is looked at.

    Raises:
        BundleError: naming the first file that is not as listed, and for what is no regular file
            or folder: links, FIFOs, sockets, devices.
    """
    found = _sizes(folder)
    missing = sorted(files.keys() - found.keys())
    if missing:
        raise BundleError(f"{folder} should hold {missing[0]}. Received: no such file")
    others = sorted(found.keys() - files.keys() - beside)
    if whole and others:
        raise BundleError(
            f"{folder} should hold the files that its manifest lists. "
            f"Received: {', '.join(others[:3])}{', …' if others[3:] else ''} besides"
        )
    for name, entry in files.items():
        if found[name] != entry["bytes"]:
            raise BundleError(f"{name} should have {entry['bytes']} bytes. Received: {found[name]}")
    if whole:
        for name, entry in files.items():
            check_digest(name, entry, _digest(folder, name))


def _sizes(folder: Path) -> dict[str, int]:
    """Bytes of every file in a folder and below, by its name."""
    found: dict[str, int] = {}
    ahead = [("", folder)]
    while ahead:
        inside, place = ahead.pop()
        try:
            with os.scandir(place) as entries:
                listed = [
                    (inside + each.name, each.stat(follow_symlinks=False)) for each in entries
                ]
        except OSError as error:
            raise BundleError(f"{place} should be a folder. Received: {error}") from error
        for name, status in listed:
            if stat.S_ISDIR(status.st_mode):
                ahead.append((f"{name}/", folder / name))
            elif stat.S_ISREG(status.st_mode):
                found[name] = status.st_size
            else:
                raise BundleError(
                    f"{folder} should hold files and folders alone. Received: {name}, "
                    f"{'a link' if stat.S_ISLNK(status.st_mode) else 'a FIFO, socket or device'}"
                )
            if len(found) + len(ahead) > 2 * _MOST_FILES or name.count("/") > _DEEPEST:
                raise BundleError(
                    f"{folder} should hold at most {_MOST_FILES} files, {_DEEPEST} deep. "
                    "Received: more"
                )
    return found


def _digest(folder: Path, name: str) -> str:
    try:
        with open_regular(folder / name) as stream:
            return hashlib.file_digest(stream, "sha256").hexdigest()
    except OSError as error:
        raise BundleError(f"{name} should be readable. Received: {error}") from error


def check_digest(name: str, entry: Mapping[str, Any], found: str) -> None:
    """Refuse a file of another SHA-256 than its entry has.

    Raises:
        BundleError: naming the file.
    """
    if found != entry["sha256"]:
        raise BundleError(f"{name} should have SHA-256 {entry['sha256']}. Received: {found}")


def read_file(folder: Path, manifest: Mapping[str, Any], name: str) -> bytes:
    """A listed file's bytes.

    Args:
        folder: of the bundle.
        manifest: its checked manifest.
        name: of the file, as the manifest lists it.

    Raises:
        BundleError: if they are not those that the manifest's digest is of.
    """
    entry = manifest["files"].get(name)
    if entry is None:
        raise BundleError(f"{folder} should list {name}. Received: no such entry")
    try:
        content = read_regular(folder / name, entry["bytes"])
    except OSError as error:
        raise BundleError(
            f"{name} should be a file of {entry['bytes']} bytes. Received: {error}"
        ) from error
    check_digest(name, entry, hashlib.sha256(content).hexdigest())
    return content
