"""Cutting pieces out of serialised protocol buffers and TFRecords, without their schemas.

The server batches every signature of a SavedModel, so one that must not be batched has to go. The
messages belong to TensorFlow, which the runtime does without; their wire format is simple.
"""

from __future__ import annotations

import struct
from collections.abc import Collection, Iterator

_FIXED = {1: 8, 5: 4}
# SavedModel.meta_graphs, MetaGraphDef.signature_def (a map), its entries' keys.
_META_GRAPHS, _SIGNATURE_DEF, _KEY = 2, 5, 1
# PredictionLog.predict_log, .request, .model_spec, .signature_name.
_SIGNATURE_NAME = (6, 1, 1, 3)


def _varint(content: bytes, start: int) -> tuple[int, int]:
    """A number and where it ends."""
    value = shift = 0
    while True:
        byte = content[start]
        value |= (byte & 0x7F) << shift
        start, shift = start + 1, shift + 7
        if byte < 0x80:
            return value, start


def _encoded(value: int) -> bytes:
    found = bytearray()
    while value >= 0x80:
        found.append(value & 0x7F | 0x80)
        value >>= 7
    return bytes([*found, value])


def fields(message: bytes) -> Iterator[tuple[int, bytes, bytes]]:
    """Number, whole encoding and, of a length-delimited field, content; field by field.

    Raises:
        ValueError: if the message is truncated or of an unknown wire type.
    """
    position = 0
    try:
        while position < len(message):
            tag, start = _varint(message, position)
            kind = tag & 7
            if kind == 0:
                _, end = _varint(message, start)
            elif kind == 2:
                size, start = _varint(message, start)
                end = start + size
            else:
                end = start + _FIXED[kind]
            if end > len(message):
                raise IndexError
            yield tag >> 3, message[position:end], message[start:end] if kind == 2 else b""
            position = end
    except (IndexError, KeyError) as error:
        raise ValueError(
            f"A message should end where it says. Received: {len(message)} bytes, "
            f"broken after {position}"
        ) from error


def _value(message: bytes, *path: int) -> str:
    """A string inside nested messages; empty where there is none."""
    for number in path:
        message = next((content for found, _, content in fields(message) if found == number), b"")
    return message.decode()


def without_signatures(saved_model: bytes, names: Collection[str]) -> bytes:
    """A `saved_model.pb` without the signatures of these names; all else keeps its bytes."""
    parts = []
    for number, whole, content in fields(saved_model):
        if number == _META_GRAPHS:
            content = b"".join(
                inner
                for found, inner, entry in fields(content)
                if found != _SIGNATURE_DEF or _value(entry, _KEY) not in names
            )
            whole = _encoded(_META_GRAPHS << 3 | 2) + _encoded(len(content)) + content
        parts.append(whole)
    return b"".join(parts)


def without_requests(warm_up: bytes, names: Collection[str]) -> bytes:
    """A warm-up file without the requests to signatures of these names.

    Raises:
        ValueError: if the file is truncated.
    """
    parts, position = [], 0
    while position < len(warm_up):
        # A record: length (8 bytes), its checksum (4), content, its checksum (4).
        if len(warm_up) < position + 12:
            raise ValueError(f"A record should be whole. Received: a cut one at {position}")
        (size,) = struct.unpack_from("<Q", warm_up, position)
        end = position + 12 + size + 4
        if end > len(warm_up):
            raise ValueError(f"A record should be whole. Received: a cut one at {position}")
        if _value(warm_up[position + 12 : end - 4], *_SIGNATURE_NAME) not in names:
            parts.append(warm_up[position:end])
        position = end
    return b"".join(parts)
