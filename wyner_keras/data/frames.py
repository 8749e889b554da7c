"""Pairs from a frame of pandas, whose dtypes say what its columns are; pandas is not imported."""

from __future__ import annotations

import numbers
from collections.abc import Mapping, Sequence
from decimal import Decimal
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.table_sides import arguments_of, sides_there, vector_side
from wyner_keras.received import received

_NUMBERS = (numbers.Real, Decimal, np.bool)


def frame_arguments(
    frame: Any,
    sides: Mapping[str, Any],
    others: Mapping[str, str | None],
    kinds: Mapping[str, str] | None,
    missing: bool,
    singles: bool,
) -> tuple[dict[str, Any], NDArray[np.bool] | None]:
    """Arguments of `Pairs` from a frame, see `Pairs.from_frame`, and which pairs are held out.

    Args:
        frame: of pandas, or what has `to_pandas`.
        sides: names of the columns of x and of y.
        others: name of the column that is "group", "split" or "label"; None for none.
        kinds: of columns.
        missing: whether values may be absent.
        singles: whether a row with nothing of one side is a single of the other.

    Raises:
        ValueError: when it is no such frame, a column is absent, or a value is not as it should
            be; the column is named.

    Example:
        >>> import pandas as pd
        >>> frame = pd.DataFrame({"age": [3, 4], "pet": ["cat", "ant"], "fold": ["test", "train"]})
        >>> found, held_out = frame_arguments(
        ...     frame, {"x": ["age"], "y": ["pet"]}, {"split": "fold"}, None, False, False
        ... )
        >>> found["y_modality"].texts, held_out.tolist()
        ((('ant', 'cat'),), [True, False])
    """
    if hasattr(frame, "to_pandas"):
        frame = frame.to_pandas()
    if not (hasattr(frame, "columns") and hasattr(frame, "isna") and len(frame)):
        raise ValueError(
            "frame should be a pandas.DataFrame with rows, or have to_pandas(). "
            f"Received: {received(frame)}"
        )
    columns = {side: _names(frame, names, side) for side, names in sides.items()}
    table: dict[str, Sequence[Any]] = {}
    texts: dict[str, list[str]] = {side: [] for side in columns}
    said: dict[str, str] = {}
    for side, names in columns.items():
        for name in names:
            table[f"{side}.{name}"], are_texts = _values(frame[name], name)
            texts[side] += [str(name)] * are_texts
            if hasattr(frame[name].dtype, "categories"):
                said[f"{side}.{name}"] = "categorical"
    for role, column in others.items():
        if column is not None:
            (column,) = _names(frame, [column], role)
            table[role] = _present(frame[column])
    own = {side: [f"{side}.{name}" for name in names] for side, names in columns.items()}
    if isinstance(kinds, Mapping | None):  # what else it is, is refused below
        kinds = said | dict(kinds or {})
    if singles:
        values = {side: [table[name] for name in names] for side, names in own.items()}
        there = sides_there(values, lambda value: value is None or value != value)
    else:
        there = dict.fromkeys(own, np.ones(len(frame), bool))
    return arguments_of(
        table,
        [
            vector_side(table, own[side], side, there[side], kinds, missing, texts[side])
            for side in own
        ],
    )


def _names(frame: Any, names: Any, argument: str) -> list[Any]:
    """Names of columns, each of which the frame has once."""
    there = list(frame.columns)
    if hasattr(names, "tolist"):  # an Index of pandas, or an array
        names = names.tolist()
    # Of columns of several levels a name is a tuple.
    several = isinstance(names, list) or (isinstance(names, tuple) and names not in there)
    listed = list(names) if several else [names]
    absent = [name for name in listed if there.count(name) != 1]
    if absent or not listed or len({str(name) for name in listed}) < len(listed):
        raise ValueError(
            f"{argument} should name columns that the frame has once, of {received(there)}. "
            f"Received: {received(names)}"
        )
    return listed


def _present(column: Any) -> list[Any]:
    """A column's values, None where absent."""
    return [
        None if absent else value
        for value, absent in zip(column.tolist(), column.isna().tolist(), strict=True)
    ]


def _values(column: Any, name: Any) -> tuple[Sequence[Any], bool]:
    """A column's values, and whether they are names of categories."""
    dtype = column.dtype
    if dtype.kind in "biuf":
        return column.to_numpy(dtype=np.float64, na_value=np.nan), False
    values = _present(column)
    there = [value for value in values if value is not None]
    if hasattr(dtype, "categories") or all(isinstance(value, str) for value in there):
        return values, True
    others = [value for value in there if not isinstance(value, _NUMBERS)]
    if dtype.kind != "O" or any(not isinstance(value, str) for value in others):
        raise ValueError(
            f"column {name!r} should hold numbers, booleans, categories or texts. "
            f"Received: dtype {dtype}" + (f", {received(others[0])}" if others else "")
        )
    return values, False
