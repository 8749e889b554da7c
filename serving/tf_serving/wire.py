"""Cutting pieces out of serialised protocol buffers and TFRecords, without their schemas.

The server batches every signature of a SavedModel, so one that must not be batched has to go. The
messages belong to TensorFlow, which the runtime does without; their wire format is simple.
"""

from __future__ import annotations

import struct
from collections.abc import Collection

from wyner_serving.wire import encoded, fields

# SavedModel.meta_graphs, MetaGraphDef.signature_def (a map), its entries' keys.
_META_GRAPHS, _SIGNATURE_DEF, _KEY = 2, 5, 1
# PredictionLog.predict_log, .request, .model_spec, .signature_name.
_SIGNATURE_NAME = (6, 1, 1, 3)


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
            whole = encoded(_META_GRAPHS << 3 | 2) + encoded(len(content)) + content
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
