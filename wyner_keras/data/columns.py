"""Vectors from named columns: numbers as they are, texts as categories."""

from __future__ import annotations

import difflib
import logging
from collections.abc import Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.written import written_number
from wyner_keras.received import received
from wyner_serving.cells import is_absent
from wyner_serving.rows import what_to_do

if TYPE_CHECKING:
    from wyner_keras.modality import Vector

_log = logging.getLogger(__name__)
_CATEGORIES = 1000  # of a column, at most
_TELLS_NOTHING = 20  # texts of which more than half differ are no categories, names or dates say
_SHOWN, _FEW = 10, 3  # categories that are all shown, and of more that some are


class _Column(NamedTuple):
    """What messages call a column and its rows, and its kind where that is said."""

    label: str
    key: str
    kind: str | None
    lines: NDArray[np.int64]


def columns_to_vectors(
    columns: Mapping[str, Sequence[Any]],
    kinds: Mapping[str, str],
    missing: bool,
    texts: Collection[str] = (),
    side: str | None = None,
    lines: NDArray[np.int64] | None = None,
) -> tuple[NDArray[np.float32], Vector]:
    """Rows of a table's columns, and what they are.

    Args:
        columns: values by the column's name, each of one length: numbers, or texts of numbers, or
            texts, which become categories numbered in sorted order, that the modality names.
        kinds: of columns by name; of others told from the values: 0 and 1 alone are binary, whole
            numbers of 0 or more counts, other numbers real.
        missing: whether values may be absent (empty, "NA", "nan", "null", "none").
        texts: names of columns of texts, each the name of a category where it looks like a number
            too, and None where absent.
        side: whose columns they are, for error messages.
        lines: for error messages, what rows are numbered by; None for their places.

    Returns:
        Rows, float32 `(n, columns)`, NaN where absent; and the modality.

    Raises:
        ValueError: when a value is absent and should not be, a column mixes numbers and texts, or
            most of its texts are numbers but for a decimal comma, thousands or a unit.

    Example:
        >>> rows, vector = columns_to_vectors({"age": ["3", "4"], "pet": ["cat", "ant"]}, {}, False)
        >>> rows.tolist(), vector.kinds, vector.texts
        ([[3.0, 1.0], [4.0, 0.0]], ('count', 'categorical'), ((), ('ant', 'cat')))
    """
    from wyner_keras.modality import Vector

    rows = np.empty((len(next(iter(columns.values()))), len(columns)), np.float32)
    lines = np.arange(len(rows)) if lines is None else lines
    told, categories, named = [], [], []
    for place, (name, values) in enumerate(columns.items()):
        read = _categories if name in texts else _numbers
        label = f"column {name!r}" if side is None else f"column {name!r} of {side}"
        key = name if side is None else f"{side}.{name}"
        found, called = read(_Column(label, key, kinds.get(name), lines), values)
        absent = np.flatnonzero(np.isnan(found))
        if len(absent) and not missing:
            first = values[absent[0]]
            said = f": {received(first)}" if isinstance(first, str) else ""
            raise ValueError(
                f"{label} should have a value in every row; missing=True, --missing "
                "of the command line, allows for none. "
                f"Received: {len(absent)} rows without, the first row {lines[absent[0]]}{said}"
            )
        with np.errstate(over="ignore"):
            rows[:, place] = found
        if np.isinf(rows[:, place]).any():
            first = int(np.isinf(rows[:, place]).argmax())
            raise ValueError(
                f"{label} should be finite in float32; {what_to_do(found[first])}. "
                f"Received: {found[first]:.6g} in row {lines[first]}"
            )
        kind = kinds.get(name) or ("categorical" if called else kind_of(found[~np.isnan(found)]))
        told.append(kind)
        most = found[np.isfinite(found)].max(initial=0.0)
        categories.append((len(called) or int(most) + 1) if kind == "categorical" else 0)
        named.append(called)
    return rows, Vector(
        kinds=tuple(told),
        names=tuple(columns),
        categories=tuple(categories),
        texts=tuple(named),
        missing=missing,
    )


def _numbers(column: _Column, values: Sequence[Any]) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A column's numbers, or those of its categories; and the texts of these."""
    try:
        return np.asarray(values).astype(np.float64), ()
    except (TypeError, ValueError):
        pass  # value by value
    found, texts = np.full(len(values), np.nan), {}
    for row, value in enumerate(values):
        if is_absent(value):
            continue
        try:
            found[row] = float(value)
        except (TypeError, ValueError):
            texts[row] = str(value)
    if texts and column.kind == "categorical":
        # Names of categories, those that look like numbers too.
        texts = {row: str(value) for row, value in enumerate(values) if not is_absent(value)}
        found[:] = np.nan
    _refuse_written(column, texts)
    return _named(column, found, texts)


def _categories(
    column: _Column, values: Sequence[Any]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """The numbers of a column's categories; and their names."""
    texts = {row: str(value) for row, value in enumerate(values) if value is not None}
    _refuse_written(column, texts)
    return _named(column, np.full(len(values), np.nan), texts)


def _refuse_written(column: _Column, texts: Mapping[int, str]) -> None:
    """Refuse what is read as categories only for how its numbers are written."""
    written = None if column.kind == "categorical" else written_number(texts)
    if written is not None:
        raise ValueError(
            f"{column.label} should hold numbers such as 1234.5: {written.todo}; or say by "
            f"kinds={{{column.key!r}: 'categorical'}}, --kinds '{column.key}=categorical' of the "
            "command line, that it holds names of categories. "
            f"Received: {written.text!r} in row {column.lines[written.row]}"
        )


def _named(
    column: _Column, found: NDArray[np.float64], texts: Mapping[int, str]
) -> tuple[NDArray[np.float64], tuple[str, ...]]:
    """A column's numbers with those of its texts, by row, in place; and the texts' names."""
    if not texts:
        return found, ()
    label, _, kind, lines = column
    row, text = next(iter(texts.items()))
    mixed = not np.isnan(found).all()
    if mixed or kind not in (None, "categorical"):
        raise ValueError(
            f"{label} should hold {'numbers, or texts' if kind is None else kind} "
            f"throughout. Received: {text!r} in row {lines[row]}"
        )
    names = sorted(set(texts.values()))
    if len(names) > _CATEGORIES:
        raise ValueError(
            f"{label} should hold numbers, or {_CATEGORIES} categories at most. "
            f"Received: {len(names)} different texts, such as {text!r}"
        )
    if kind is None and len(texts) >= _TELLS_NOTHING and 2 * len(names) > len(texts):
        raise ValueError(
            f"{label} should hold numbers, or categories that occur again; kinds, --kinds of the "
            "command line, may call it categorical all the same. "
            f"Received: {len(names)} different texts in {len(texts)} rows, such as {text!r}"
        )
    _log.info("categories of %s: %s", label, shown_names(dict(enumerate(names))))
    numbers = {each: number for number, each in enumerate(names)}
    for row, text in texts.items():
        found[row] = numbers[text]
    return found, tuple(names)


def shown_names(names: Mapping[Any, Any]) -> str:
    """Names and their numbers in a line: all of them, or of many the first and how many.

    Args:
        names: as they are to be shown.

    Example:
        >>> shown_names(dict(enumerate("abcdefghijklm")))
        "{0: 'a', 1: 'b', 2: 'c', …}, 13 in all"
    """
    if len(names) <= _SHOWN:
        return str(dict(names))
    first = str(dict(list(names.items())[:_FEW]))
    return f"{first[:-1]}, …}}, {len(names)} in all"


def kind_of(found: NDArray[Any]) -> str:
    """The kind of column that numbers are of: binary, count or real.

    Args:
        found: numbers of any shape, none of them NaN.

    Example:
        >>> [kind_of(np.array(each)) for each in ([0, 1.0], [0, 2.0], [0.5])]
        ['binary', 'count', 'real']
    """
    if not found.size or not (np.isfinite(found) & (found >= 0) & (found == found.round())).all():
        return "real"
    return "binary" if found.max() <= 1 else "count"


def kinds_of(kinds: Mapping[str, str] | None, side: str, names: Sequence[str]) -> dict[str, str]:
    """The kinds of one side's columns by the column's own name.

    Args:
        kinds: by "x.NAME", or by "x" for all of its columns; None for none.
        side: "x" or "y".
        names: of its columns.

    Raises:
        ValueError: when a key names no column of the side that it names, or a kind is none.

    Example:
        >>> kinds_of({"x.age": "count", "y": "real"}, "x", ["age", "height"])
        {'age': 'count'}
    """
    if not isinstance(kinds, Mapping | None):
        raise ValueError(
            "`kinds` should be by column, such as {'x.age': 'count'}. "
            f"Received: {received(kinds)}"
        )
    found: dict[str, str] = {}
    for key, kind in (kinds or {}).items():
        of_side, _, name = str(key).partition(".")
        if of_side not in ("x", "y") or (of_side == side and name and name not in names):
            raise ValueError(
                "`kinds` should be by column, 'x.NAME' say, or by side, 'x' or 'y'. "
                f"Received: {key!r}, beside columns {received(list(names))} of {side}"
            )
        if of_side == side:
            _check_kind(kind, str(key))
            found |= {name: kind} if name else dict.fromkeys(names, kind)
    return found


def _check_kind(kind: Any, key: str) -> None:
    from wyner_keras.networks.likelihoods import LIKELIHOODS, is_kind

    if is_kind(kind):
        return
    near = difflib.get_close_matches(str(kind), LIKELIHOODS, n=1)
    raise ValueError(
        f"`kinds` should be one of {', '.join(LIKELIHOODS)}"
        f"{f', {near[0]!r} say' if near else ''}, for {key!r}. Received: {received(kind)}"
    )
