"""JSON of someone else's, read so that no text can crash its reader or mean two things."""

from __future__ import annotations

import json
import math
import re
from typing import Any

_DEEPEST = 32  # lists and objects within one another
_MOST = 2**18  # values; each takes a hundred bytes or so of memory
# One that does not end reaches to the end, and nothing is tried twice: or it would take for ever.
_STRING = re.compile(rb'"[^"\\]*+(?:\\.[^"\\]*+)*+(?:"|\\?\Z)', re.DOTALL)
_NO_BRACKETS = bytes(byte for byte in range(256) if byte not in b"[]{}")
_SURROGATE = re.compile(r"\\u[dD][89a-fA-F]")


def parse_json(content: bytes) -> Any:
    """The values of a JSON text.

    Args:
        content: in UTF-8, without a byte order mark; how long it may be, its reader decides.

    Raises:
        ValueError: for anything but JSON, and for what JSON's readers differ in: a key twice, NaN
            and infinities, numbers beyond float64, integers of thousands of digits, half a
            surrogate pair; and for more than 32 levels or 262,144 values.

    Example:
        >>> parse_json(b'{"a": [1, 2.5, null]}')
        {'a': [1, 2.5, None]}
    """
    text = content.decode("utf-8")
    if sum(map(content.count, (b",", b"[", b"{"))) > _MOST or content.count(b'"') > 2 * _MOST:
        raise ValueError(f"more than {_MOST} values")
    # Brackets without what is between them: each pass takes the innermost pairs away.
    brackets = _STRING.sub(b"", content).translate(None, _NO_BRACKETS)
    for _ in range(_DEEPEST):
        brackets = brackets.replace(b"[]", b"").replace(b"{}", b"")
    if brackets:
        raise ValueError(f"more than {_DEEPEST} levels, or brackets without their partners")
    values = json.loads(
        text, object_pairs_hook=_once, parse_constant=_no_constant, parse_float=_finite
    )
    if _SURROGATE.search(text):
        # A pair makes a character; a half could be written nowhere.
        json.dumps(values, ensure_ascii=False).encode("utf-8")
    return values


def _once(pairs: list[tuple[str, Any]]) -> dict[str, Any]:
    values = dict(pairs)
    if len(values) != len(pairs):
        names = [name for name, _ in pairs]
        twice = next(name for name in names if names.count(name) > 1)
        raise ValueError(f"the key {twice!r:.80} twice")
    return values


def _no_constant(name: str) -> float:
    raise ValueError(f"{name}, which is no JSON")


def _finite(text: str) -> float:
    value = float(text)
    if not math.isfinite(value):
        raise ValueError(f"the number {text:.40}, which float64 cannot hold")
    return value
