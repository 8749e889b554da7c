"""Rows of data of one side, checked by what the manifest says of that side."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np

from wyner_serving.checks import check_array
from wyner_serving.errors import InputError


def check_rows(values: Any, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    """A batch of examples of one side as float32, or an error that says what was expected.

    Args:
        values: an array `(n, *shape)`, n > 0.
        name: of the argument, for the message.
        entry: what the manifest says of the side: `kind` "image", "vector" or "series", `shape`,
            and for vectors `columns` and `missing`.

    Returns:
        float32 `(n, *shape)`: images in [0, 1], all else in the user's units. A float32 array is
        not copied.

    Raises:
        InputError: for another type, shape or range, a mask, no rows, or values that are not
            finite.

    Example:
        >>> entry = {"kind": "image", "shape": [1, 2, 1]}
        >>> check_rows(np.full((1, 1, 2), 255, "uint8"), "x", entry).ravel()
        array([1., 1.], dtype=float32)
    """
    shape = tuple(entry["shape"])
    expected = f"an array (n, {', '.join(map(str, shape))})"
    values = check_array(values, name, expected)
    check = {"image": _image, "vector": _vector}.get(entry["kind"], _real)
    if entry["kind"] == "image" and shape[-1] == 1 and values.shape[1:] == shape[:-1]:
        values = values[..., None]
    if values.shape[1:] != shape or values.ndim != len(shape) + 1 or not len(values):
        raise InputError(f"`{name}` should be {expected}, n > 0. Received: shape {values.shape}")
    return check(values, name, entry)


def _image(values: np.ndarray, name: str, _: Mapping[str, Any]) -> np.ndarray:
    if values.dtype == np.uint8:
        return values.astype(np.float32) / np.float32(255)
    if not np.issubdtype(values.dtype, np.floating):
        raise InputError(
            f"`{name}` should be floating-point in [0, 1], or uint8 in 0-255. "
            f"Received: dtype {values.dtype}"
        )
    # min and max carry NaN along, without a temporary array as large as the images.
    with np.errstate(invalid="ignore"):
        low, high = float(values.min()), float(values.max())
    if not (np.isfinite(low) and np.isfinite(high)):
        raise InputError(f"`{name}` should be finite. Received: NaN or infinity")
    if low < 0 or high > 1:
        hint = "; give 0-255 data as uint8" if high > 1.5 else ""
        raise InputError(
            f"`{name}` should be in [0, 1]{hint}. Received: values from {low:.6g} to {high:.6g}"
        )
    return values.astype(np.float32, copy=False)


def what_to_do(value: float) -> str:
    """What to do about a number that float32 has as infinite.

    Args:
        value: the number.

    Example:
        >>> what_to_do(1e300)
        'at most 3.4e+38, in another unit say'
    """
    if np.isinf(value):
        return "infinity stands for no value: mend it, or leave its row out"
    return f"at most {np.finfo(np.float32).max:.2g}, in another unit say"


def _real(values: np.ndarray, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    if values.dtype.kind not in "biuf":
        raise InputError(f"`{name}` should be numbers. Received: dtype {values.dtype}")
    # What float32 cannot hold becomes infinite.
    with np.errstate(over="ignore"):
        result = values.astype(np.float32, copy=False)
    bad = np.isinf(result) if entry.get("missing") else ~np.isfinite(result)
    if bad.any():
        first = np.argwhere(bad)[0]
        columns = entry.get("columns")
        where = f" in column {columns[first[1]]['name']!r}" if columns else ""
        value = values[tuple(first)]
        hint = "; a Vector with missing=True allows NaN" if columns else ""
        if not np.isnan(value):
            hint = f"; {what_to_do(value)}"
        raise InputError(
            f"`{name}` should be finite in float32{hint}. Received: {bad.sum()} values that are "
            f"not, the first {value:.6g}{where}, row {first[0]}"
        )
    return result


# Of each kind of column that holds whole numbers: which, and what all of them are below.
_WHOLE = {
    "binary": ("0 or 1", 2),
    "categorical": ("categories, whole numbers below {}", np.inf),
    "count": ("counts, whole numbers of 0 or more", np.inf),
}


def _vector(values: np.ndarray, name: str, entry: Mapping[str, Any]) -> np.ndarray:
    result = _real(values, name, entry)
    for place, column in enumerate(entry["columns"]):
        found = result[:, place]
        found = found[~np.isnan(found)]
        if column["kind"] not in _WHOLE:
            continue
        expected, below = _WHOLE[column["kind"]]
        below = column.get("categories", below)
        wrong = (found != np.round(found)) | (found < 0) | (found >= below)
        if wrong.any():
            raise InputError(
                f"`{name}` should hold {expected.format(below)} in column {column['name']!r}. "
                f"Received: {found[wrong][0]:.6g}"
            )
    return result
