"""Examples of one side in files of the user's: images, tables, arrays."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.data.array_file import ARRAY_SUFFIXES, read_array_file, split_key
from wyner_keras.data.table import TABLE_SUFFIXES, read_table
from wyner_keras.data.table_sides import ROLES, warn_columns
from wyner_keras.received import received
from wyner_serving.cells import cell_number
from wyner_serving.image_file import SUFFIXES, read_images_of
from wyner_serving.listing import walk_images, warn_left_out
from wyner_serving.rows import check_rows
from wyner_serving.sides import OTHER


def read(paths: Sequence[str], side: str, entry: Mapping[str, Any], name: str) -> np.ndarray:
    """Examples of the user's files.

    Image files are read as those to train on are: turned upright by their EXIF orientation, what
    is transparent on a white ground. For a model of grey images, colour becomes its luminance.

    Args:
        paths: one file of an array `(n, ...)`; of vectors, one table; or image files and folders.
        side: "x" or "y".
        entry: what the model says of the side.
        name: the option, for messages.

    Returns:
        Examples `(n, ...)`, float32, files of a folder, and of the folders in it, in the order of
        their names.

    Raises:
        ValueError: if a file is absent, no regular file (FIFO, socket, device), unreadable or of
            another shape.
    """
    kind, first = entry["kind"], paths[0]
    if _is_array_file(paths):
        rows = read_array_file(first, name)
        return check_rows(rows.take(np.arange(len(rows))), name, entry)
    if kind == "vector" and len(paths) == 1 and Path(first).suffix.lower() in TABLE_SUFFIXES:
        return check_rows(_table(first, side, entry), name, entry)
    if kind != "image":
        files = (*ARRAY_SUFFIXES, *(TABLE_SUFFIXES if kind == "vector" else ()))
        raise ValueError(
            f"{name} should be one file of {kind}s, {', '.join(files)}. "
            f"Received: {received(list(paths))}"
        )
    return read_images_of(_files(paths, name), tuple(entry["shape"]), name)


def names(paths: Sequence[str], entry: Mapping[str, Any], name: str) -> list[str] | None:
    """The file of each example that `read` reads, in its order; None where one file holds all."""
    if entry["kind"] != "image" or _is_array_file(paths):
        return None
    return [str(file) for file in _files(paths, name, warn=False)]


def _is_array_file(paths: Sequence[str]) -> bool:
    return len(paths) == 1 and split_key(paths[0])[0].suffix.lower() in ARRAY_SUFFIXES


def _table(path: str, side: str, entry: Mapping[str, Any]) -> np.ndarray:
    """Columns by their names, or by those with the side before."""
    table, found = read_table(path), []
    for column in entry["columns"]:
        own = column["name"]
        values = table.get(f"{side}.{own}", table.get(own))
        if values is None:
            raise ValueError(
                f"{path!r} should have a column {own!r}, or {side + '.' + own!r}. "
                f"Received: {received(list(table))}"
            )
        numbers = {text: float(number) for number, text in enumerate(column.get("texts", ()))}
        found.append(_column(values, numbers, f"column {own!r} of {path!r}"))
    _warn_unknown(list(table), path, side, {column["name"] for column in entry["columns"]})
    return np.array(found, np.float64).T


def _column(values: Sequence[Any], numbers: Mapping[str, float], label: str) -> list[float]:
    """A column's numbers, or those of the categories that it names."""
    found = []
    for row, value in enumerate(values):
        try:
            found.append(cell_number(value, numbers))
        except (TypeError, ValueError):
            known = f"one of {received(list(numbers))}" if numbers else "numbers"
            raise ValueError(
                f"{label} should be {known}. Received: {received(value)} in row {row}"
            ) from None
    return found


def _warn_unknown(columns: Sequence[str], path: str, side: str, known: set[str]) -> None:
    """Say which columns are left out, but for the other side's and those that tables train by."""
    other = OTHER[side]
    left_out = [
        column
        for column in columns
        if column.removeprefix(f"{side}.") not in known
        and column not in ROLES
        and not column.startswith(f"{other}.")
    ]
    warn_columns(left_out, path)


def _files(paths: Sequence[str], name: str, warn: bool = True) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            found, others = walk_images(path, name)
            if warn:
                warn_left_out(others, path)
        else:
            found = [path] if path.suffix.lower() in SUFFIXES and os.path.lexists(path) else []
        if not found:
            raise ValueError(
                f"{name} should be one .npy file, or {', '.join(SUFFIXES)} files or folders of "
                f"them. Received: {str(path)!r}"
            )
        files += found
    return files
