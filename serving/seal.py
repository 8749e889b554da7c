"""The seal of a bundle: its manifest's checksum, in a file beside it, and who signed it.

The manifest has the SHA-256 of every other file, and `manifest.sha256` that of the manifest and of
its signature. So every byte of a bundle counts, and is looked at before anything is parsed.
"""

from __future__ import annotations

import hashlib
import os
from pathlib import Path

from wyner_serving.errors import BundleError
from wyner_serving.regular_file import read_regular
from wyner_serving.signature import check_signature

MANIFEST, CHECKSUM, SIGNATURE = "manifest.json", "manifest.sha256", "manifest.json.minisig"
UNLISTED = frozenset({MANIFEST, CHECKSUM, SIGNATURE})
"""Files of a bundle that its manifest cannot list."""
LARGEST = 2**22
"""Bytes of a manifest at most: read, it takes some twenty times as many."""
_LARGEST_BESIDE = 2**12


def digest(content: bytes) -> str:
    """SHA-256 in hexadecimal."""
    return hashlib.sha256(content).hexdigest()


def checksum_text(manifest: bytes, signature: bytes | None) -> bytes:
    """What `manifest.sha256` holds; `sha256sum --check` reads it too."""
    sums = {MANIFEST: manifest} | ({} if signature is None else {SIGNATURE: signature})
    return "".join(f"{digest(content)}  {name}\n" for name, content in sums.items()).encode()


def write_seal(folder: Path, signature: bytes | None = None) -> None:
    """Write the checksum of a bundle's manifest, and its signature; last of all files.

    Args:
        folder: of the bundle.
        signature: of the manifest, as `signature.sign` makes it; None for none.
    """
    if signature is not None:
        (folder / SIGNATURE).write_bytes(signature)
    manifest = (folder / MANIFEST).read_bytes()
    (folder / CHECKSUM).write_bytes(checksum_text(manifest, signature))


def read_manifest_bytes(
    folder: Path, seal: str | None = None, public_key: str | os.PathLike[str] | None = None
) -> tuple[bytes, str, bool]:
    """The bytes of a bundle's manifest, before anybody parses them.

    Args:
        folder: of the bundle.
        seal: the SHA-256 that they should have; None takes any.
        public_key: by which they should be signed, see `signature.check_signature`; None looks at
            no signature.

    Returns:
        The bytes, their SHA-256, and whether a checksum lies beside them: bundles of formats 1 and
        2 have none.

    Raises:
        BundleError: if there is no manifest, it is too large, or not the one that was sealed.
        InputError: if the key is none.
    """
    path = folder / MANIFEST
    hint = "" if seal is None else f" that has SHA-256 {seal}"
    expected = f"A bundle should be a folder with {MANIFEST}{hint}. Received: {folder}"
    if not os.path.lexists(path):
        run = os.path.isfile(folder / "settings.json")
        raise BundleError(expected + ", a run, of which `wyner export` makes a bundle" * run)
    try:
        content = read_regular(path, LARGEST)
    except OSError as error:
        raise BundleError(f"{expected} ({error})") from error
    found = digest(content)
    if seal not in (None, found):
        raise BundleError(
            f"{path} should be as it was, with SHA-256 {seal}. Received: another one, {found}"
        )
    checksum, signature = (_beside(folder, name) for name in (CHECKSUM, SIGNATURE))
    if checksum is not None:
        _check_checksum(folder, checksum, content, signature)
    if public_key is not None:
        if signature is None:
            raise BundleError(f"{folder} should be signed. Received: no {SIGNATURE}")
        check_signature(content, signature, public_key)
    return content, found, checksum is not None


def _beside(folder: Path, name: str) -> bytes | None:
    """A small file's bytes; None where there is none."""
    if not os.path.lexists(folder / name):
        return None
    try:
        return read_regular(folder / name, _LARGEST_BESIDE)
    except OSError as error:
        raise BundleError(f"{folder / name} should be a small file. Received: {error}") from error


def _check_checksum(
    folder: Path, checksum: bytes, manifest: bytes, signature: bytes | None
) -> None:
    # A signature that came later, by minisign itself, need not be listed; one that is must be.
    if checksum in (checksum_text(manifest, None), checksum_text(manifest, signature)):
        return
    raise BundleError(
        f"{folder / MANIFEST} should be as {CHECKSUM} has it. Received: a manifest of SHA-256 "
        f"{digest(manifest)}{'' if signature is None else f', signed by {SIGNATURE}'}"
    )
