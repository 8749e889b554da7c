"""Signatures of bundles: Ed25519, in minisign's files, made and checked without a network.

`minisign -Vm manifest.json -p KEY.pub` checks a bundle too. minisign rather than sigstore: a key is
one line, and nothing but the key is asked: no account, no log, no certificate that expires.

Source: https://jedisct1.github.io/minisign/, "Signature format", "Public key format", "Secret key
format".
"""

from __future__ import annotations

import base64
import hashlib
import os
import time
from pathlib import Path
from typing import Any, NamedTuple

from wyner_serving.errors import BundleError, InputError
from wyner_serving.regular_file import read_regular
from wyner_serving.whole import beside

# The algorithm by which a key is made, and by which a file is signed whose BLAKE2b is signed; and
# the one by which a secret key's checksum is made.
_KEY, _HASHED, _CHECKSUM = b"Ed", b"ED", b"B2"
_NO_PASSWORD = bytes(2)
_LARGEST = 2**12  # bytes of a file with a key
_UNTRUSTED, _TRUSTED = b"untrusted comment: ", b"trusted comment: "
_HOW = "`wyner export --new-key KEY` makes KEY and KEY.pub"


class SecretKey(NamedTuple):
    """A key to sign with.

    Args:
        id: eight bytes that tell which one it is.
        seed: 32 bytes of which Ed25519 makes it.
    """

    id: bytes
    seed: bytes


def _ed25519() -> Any:
    try:
        from cryptography.hazmat.primitives.asymmetric import ed25519
    except ModuleNotFoundError as error:
        raise InputError(
            "Signatures should be made and checked with cryptography: "
            "pip install 'wyner-keras[sign]'. Received: no cryptography"
        ) from error
    return ed25519


def new_key(path: str | os.PathLike[str]) -> tuple[Path, Path]:
    """Make a key: `path`, which is secret, and `path` with `.pub` added, which is for everybody.

    The secret one has no password: its file is readable by its owner alone.

    Raises:
        InputError: if either file exists, or cryptography is not installed.
    """
    secret, public = Path(path), Path(f"{os.fspath(path)}.pub")
    ed25519 = _ed25519()
    for each in (secret, public):
        if os.path.lexists(each):
            raise InputError(f"A new key should have a new name. Received: {each}, which exists")
    name, private = os.urandom(8), ed25519.Ed25519PrivateKey.generate()
    seed, point = private.private_bytes_raw(), private.public_key().public_bytes_raw()
    held = name + seed + point + _checksum(name, seed + point)
    content = _KEY + _NO_PASSWORD + _CHECKSUM + bytes(48) + held
    number = name[::-1].hex().upper()
    secret.parent.mkdir(parents=True, exist_ok=True)
    with beside(secret, one=True) as folder:
        new, shown = folder / "secret", folder / "public"
        descriptor = os.open(new, os.O_WRONLY | os.O_CREAT | os.O_EXCL, 0o600)
        with os.fdopen(descriptor, "wb") as stream:
            stream.write(_file(f"minisign secret key {number}", content))
        shown.write_bytes(_file(f"minisign public key {number}", _KEY + name + point))
        # The secret one last: with it, both are there.
        os.replace(shown, public)
        os.replace(new, secret)
    return secret, public


def _checksum(name: bytes, key: bytes) -> bytes:
    return hashlib.blake2b(_KEY + name + key, digest_size=32).digest()


def _file(comment: str, content: bytes) -> bytes:
    return _UNTRUSTED + comment.encode() + b"\n" + base64.b64encode(content) + b"\n"


def read_secret_key(path: str | os.PathLike[str]) -> SecretKey:
    """The secret key of a file without a password, of `new_key` or `minisign -G -W`.

    Raises:
        InputError: if it is none, or has a password.
    """
    content = _key_of(_lines(path, "KEY"), 158, f"KEY should be a secret key; {_HOW}", path)
    if content[2:4] != _NO_PASSWORD:
        raise InputError(
            "KEY should have no password; with one, sign the finished bundle by "
            f"`minisign -S -s KEY -m BUNDLE/manifest.json`. Received: {os.fspath(path)!r}"
        )
    name, key, checksum = content[54:62], content[62:126], content[126:]
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(key[:32])
    # minisign leaves the checksum out of a key without a password.
    whole = checksum in (bytes(32), _checksum(name, key))
    if not whole or private.public_key().public_bytes_raw() != key[32:]:
        raise InputError(f"KEY should be whole. Received: {os.fspath(path)!r}, damaged")
    return SecretKey(name, key[:32])


def _lines(path: str | os.PathLike[str], name: str) -> list[bytes]:
    try:
        return read_regular(path, _LARGEST, links=True).splitlines()
    except (OSError, ValueError) as error:
        raise InputError(
            f"{name} should be a file with a key; {_HOW}. "
            f"Received: {os.fspath(path)!r:.200} ({error})"
        ) from error


def _key_of(lines: list[bytes], size: int, expected: str, given: Any) -> bytes:
    """What the second line holds."""
    content = _decoded(lines[1], size) if len(lines) == 2 else b""
    if content[:2] != _KEY:
        raise InputError(f"{expected}. Received: {os.fspath(given)!r:.200}")
    return content


def _decoded(line: bytes, size: int) -> bytes:
    """Bytes of base64; none where there are not as many, or it is not how they are written."""
    try:
        content = base64.b64decode(line, validate=True)
    except ValueError:
        return b""
    return content if len(content) == size and base64.b64encode(content) == line else b""


def sign(content: bytes, key: SecretKey, comment: str) -> bytes:
    """A signature, as minisign writes it into a file.

    Args:
        content: what is signed.
        key: by which.
        comment: a line that is signed too.
    """
    private = _ed25519().Ed25519PrivateKey.from_private_bytes(key.seed)
    signed = private.sign(hashlib.blake2b(content).digest())
    line = f"timestamp:{int(time.time())}\t{comment}\thashed".encode()
    return (
        _file(f"signature by minisign key {key.id[::-1].hex().upper()}", _HASHED + key.id + signed)
        + (_TRUSTED + line + b"\n")
        + (base64.b64encode(private.sign(signed + line)) + b"\n")
    )


def check_signature(content: bytes, signature: bytes, public_key: str | os.PathLike[str]) -> None:
    """Refuse content that is not signed by a key.

    Args:
        content: what is signed.
        signature: what minisign's file holds.
        public_key: a file of `new_key` or minisign, or the line of 56 characters in it.

    Raises:
        BundleError: if the signature is another's, or of other content.
        InputError: if the key is none.
    """
    name, point = _public(public_key)
    lines = signature.splitlines()
    told = _decoded(lines[1], 74) if len(lines) == 4 else b""
    trusted = _decoded(lines[3], 64) if told and lines[2].startswith(_TRUSTED) else b""
    if told[:2] not in (_KEY, _HASHED) or not trusted:
        raise BundleError("A signature should be as minisign writes it. Received: something else")
    if told[2:10] != name:
        raise BundleError(
            f"A bundle should be signed by key {name[::-1].hex().upper()}. "
            f"Received: a signature by {told[2:10][::-1].hex().upper()}"
        )
    ed25519 = _ed25519()
    from cryptography.exceptions import InvalidSignature

    signed, line = told[10:], lines[2].removeprefix(_TRUSTED)
    given = hashlib.blake2b(content).digest() if told[:2] == _HASHED else content
    try:
        key = ed25519.Ed25519PublicKey.from_public_bytes(point)
        key.verify(signed, given)
        key.verify(trusted, signed + line)
    except (InvalidSignature, ValueError) as error:
        raise BundleError(
            "A bundle should be as it was signed. Received: a signature of something else"
        ) from error


def _public(key: str | os.PathLike[str]) -> tuple[bytes, bytes]:
    """Name and point of a public key."""
    if not isinstance(key, str | os.PathLike):
        raise InputError(
            f"`public_key` should be a file or its line of 56 characters. "
            f"Received: {type(key).__name__}"
        )
    text = os.fspath(key)
    content = _decoded(text.encode(errors="replace"), 42) if isinstance(text, str) else b""
    if content[:2] != _KEY:
        expected = f"`public_key` should be a public key; {_HOW}"
        content = _key_of(_lines(key, "`public_key`"), 42, expected, key)
    return content[2:10], content[10:]
