"""Files that appear whole or not at all."""

from __future__ import annotations

import json
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving.plain_json import parse_json
from wyner_serving.regular_file import read_regular
from wyner_serving.whole import clear_leftovers, whole_file

_LARGEST = 2**26  # bytes of a JSON file


def shortest(value: float | np.floating) -> str:
    """The shortest text that reads back as the same number of the same width.

    Args:
        value: of Python or NumPy.

    Example:
        >>> shortest(np.float32(174.4)), shortest(np.float32(3))
        ('174.4', '3')
    """
    return str(value).removesuffix(".0")


def to_json(values: Any) -> str:
    """JSON text of plain values; numbers that are not finite become null, as JSON has none."""

    def plain(value: Any) -> Any:
        if isinstance(value, Mapping):
            return {str(key): plain(item) for key, item in value.items()}
        if isinstance(value, list | tuple):
            return [plain(item) for item in value]
        if isinstance(value, float) and not math.isfinite(value):
            return None
        return value

    return json.dumps(plain(values), indent=2, allow_nan=False) + "\n"


def write_json(path: str | os.PathLike[str], values: Any) -> Path:
    """Write values as JSON, whole or not at all, and return the path."""
    path = Path(path)
    with whole_file(path) as temporary:
        temporary.write_text(to_json(values), encoding="utf-8")
    return path


def read_json(path: str | os.PathLike[str]) -> Any:
    """The values of a JSON file that `write_json` wrote.

    Raises:
        ValueError: if there is none, it is no regular file or larger than 64 MiB, or damaged.
    """
    path = Path(path)
    try:
        return parse_json(read_regular(path, _LARGEST, links=True))
    except (OSError, ValueError, RecursionError) as error:
        raise ValueError(
            f"{path.name} should be readable. Received: {path} ({error!s:.200})"
        ) from error


def write_arrays(path: str | os.PathLike[str], **arrays: Any) -> Path:
    """Write a compressed `.npz`, whole or not at all, and return the path."""
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    # Given a name, NumPy would add .npz to it.
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez_compressed(stream, **arrays)
    return path


def refuse_existing(
    path: str | os.PathLike[str], name: str = "out", suffixes: Sequence[str] = ()
) -> Path:
    """The path, which nothing should lie at yet; what a killed writer of it left beside it goes.

    Args:
        path: of a file or folder to write.
        name: of the setting, for messages.
        suffixes: of which it should have one; empty for any.

    Raises:
        ValueError: if something lies there, or the suffix is another.
    """
    path = Path(path)
    if suffixes and path.suffix not in suffixes:
        raise ValueError(f"{name} should end in {', '.join(suffixes)}. Received: {str(path)!r}")
    if path.exists() or path.is_symlink():
        # Killed in its last step: what it wrote is whole, and nobody will write it again.
        clear_leftovers(path.parent, path.name)
        raise ValueError(f"`{name}` should not exist yet. Received: {str(path)!r}, which exists")
    return path
