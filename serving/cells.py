"""Cells of tables: which number each is."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

_ABSENT = {"", "na", "n/a", "nan", "null", "none"}


def is_absent(value: Any) -> bool:
    """Whether a table has no value in a place: empty, "NA", "nan", "null", "none", NaN.

    Example:
        >>> [is_absent(value) for value in (" NA", None, float("nan"), 0)]
        [True, True, True, False]
    """
    if isinstance(value, str):
        return value.strip().lower() in _ABSENT
    return value is None or value != value  # NaN alone differs from itself


def cell_number(value: Any, categories: Mapping[str, float]) -> float:
    """The number of a cell, or that of the category it names; NaN where it has no value.

    What names a category is one, "none" say, whatever it means elsewhere.

    Args:
        value: a number or a text.
        categories: numbers by the names of a column's categories; empty where it has no names.

    Raises:
        ValueError: for another text, or what is no number.

    Example:
        >>> [cell_number(value, {"none": 1.0}) for value in ("none", "NA", 0)]
        [1.0, nan, 0.0]
    """
    if isinstance(value, str) and value in categories:
        return categories[value]
    if is_absent(value):
        return float("nan")
    try:
        # The text of a number is no number of a category: "1" may be the name of another.
        if not (isinstance(value, str) and categories):
            return float(value)
    except (TypeError, ValueError):
        pass
    raise ValueError(f"{value!r:.80}")
