"""What makes pairs of a table, a file's or a frame's: sides, labels, groups, what is held out."""

from __future__ import annotations

import logging
import os
from collections.abc import Callable, Collection, Mapping, Sequence
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.columns import columns_to_vectors, kinds_of
from wyner_keras.data.rows import ArrayRows, Subset
from wyner_keras.data.table import Table
from wyner_keras.received import received
from wyner_serving.cells import is_absent

if TYPE_CHECKING:
    from wyner_keras.modality import Modality

ROLES = ("split", "group", "label", "x_label", "y_label")
"""Columns of a table that are of no side."""

_SPLITS = ("train", "test")
_log = logging.getLogger(__name__)


class TableSide(NamedTuple):
    """What a table says of a side."""

    rows: Any
    places: NDArray[np.int64]
    """Of each line its row; -1 without."""
    columns: list[str]
    modality: Modality | None


def warn_columns(left_out: Sequence[str], path: str | os.PathLike[str]) -> None:
    """Say which columns of a table nothing reads, where there are some.

    Args:
        left_out: their names.
        path: of the table.
    """
    if left_out:
        _log.warning(
            "columns of %r that are left out: %s", os.fspath(path), received(list(left_out))
        )


def lines_of(table: Table, chosen: NDArray[np.bool]) -> Table:
    """Some lines of a table.

    Args:
        table: values by column.
        chosen: mask of its lines.

    Example:
        >>> lines_of({"age": [3, 4]}, np.array([False, True]))
        {'age': [4]}
    """
    if chosen.all():
        return table
    lines = np.flatnonzero(chosen).tolist()
    return {name: [values[line] for line in lines] for name, values in table.items()}


def sides_there(
    columns: Mapping[str, Sequence[Sequence[Any]]], absent: Callable[[Any], bool] = is_absent
) -> dict[str, NDArray[np.bool]]:
    """By side, of each line whether it has a value of the side.

    Args:
        columns: values of each side's columns, by side.
        absent: whether a value is none.

    Raises:
        ValueError: when a line has a value of neither side.

    Example:
        >>> sides_there({"x": [[1, None]], "y": [[2, 3]]})["x"].tolist()
        [True, False]
    """
    there = {
        name: np.array([not all(map(absent, line)) for line in zip(*own, strict=True)])
        for name, own in columns.items()
    }
    neither = np.flatnonzero(~np.any(list(there.values()), axis=0))
    if len(neither):
        raise ValueError(
            "a row should have values of x, of y or of both. "
            f"Received: {len(neither)} rows without, the first row {neither[0]}"
        )
    return there


def vector_side(
    table: Table,
    columns: Sequence[str],
    name: str,
    there: NDArray[np.bool],
    kinds: Mapping[str, str] | None,
    missing: bool,
    texts: Collection[str] = (),
) -> TableSide:
    """A side whose columns are numbers and texts.

    Args:
        table: values by column.
        columns: of the side; "x.NAME" is called NAME.
        name: of the side.
        there: of each line whether it has a value of the side.
        kinds: as `load_pairs` takes them.
        missing: whether values may be absent.
        texts: names of columns that hold names of categories, whatever they look like.

    Raises:
        ValueError: as of `columns_to_vectors`.

    Example:
        >>> table = {"x.age": [3, 4], "y.height": [95, 102]}
        >>> side = vector_side(table, ["x.age"], "x", np.array([True, True]), None, False)
        >>> side.modality.names, side.rows.array.tolist()
        (('age',), [[3.0], [4.0]])
    """
    own = lines_of({each: table[each] for each in columns}, there)
    own = {each.partition(".")[2] or name: values for each, values in own.items()}
    lines = np.flatnonzero(there)
    of_side = kinds_of(kinds, name, list(own))
    array, vector = columns_to_vectors(own, of_side, missing, texts, name, lines)
    places = np.full(len(there), -1)
    places[there] = np.arange(len(array))
    return TableSide(ArrayRows(array, lines=lines), places, list(columns), vector)


def arguments_of(
    table: Table, sides: Sequence[TableSide]
) -> tuple[dict[str, Any], NDArray[np.bool] | None]:
    """Arguments of `Pairs`, one pair a line with both sides; and which pairs are held out.

    Args:
        table: values by column: of "split", "group" and labels, if it has them.
        sides: x and y.

    Returns:
        The arguments; and a mask of the pairs whose `split` is test, None without that column.

    Raises:
        ValueError: when such a column has a value that it should not, or none.

    Example:
        >>> table = {"x.age": [3, 4], "y.height": [95, 102], "split": ["train", "test"]}
        >>> both = np.array([True, True])
        >>> sides = [
        ...     vector_side(table, [each], each[0], both, None, False) for each in list(table)[:2]
        ... ]
        >>> arguments_of(table, sides)[1].tolist()
        [False, True]
    """
    index = np.stack([side.places for side in sides], axis=1)
    paired = sides[0].places >= 0
    paired &= sides[1].places >= 0
    of_pairs, lines = lines_of(table, paired), np.flatnonzero(paired)
    if not paired.all() and "group" in table:
        raise ValueError(
            "a table with a column 'group' should have both sides in every row: which group a "
            f"single is of is not looked at. Received: {np.sum(~paired)} rows with one side, "
            f"the first row {np.argmin(paired)}"
        )
    if "test" in lines_of(table, ~paired).get("split", ()):
        raise ValueError(
            "column 'split' should be train in rows with one side: singles are trained on. "
            "Received: test"
        )
    found: dict[str, Any] = {name: side.rows for name, side in zip("xy", sides, strict=True)}
    found |= {"index": index[paired], "groups": _texts(of_pairs, "group", lines)}
    for column, (name, side) in enumerate(zip("xy", sides, strict=True)):
        own = f"{name}_label" if f"{name}_label" in table else "label"
        labels = _texts(of_pairs, own, lines)
        found[f"{name}_labels"] = _of_rows(labels, side, index[paired, column], own)
        found[f"{name}_modality"] = side.modality
        alone = index[~paired & (index[:, column] >= 0), column]
        found[f"extra_{name}"] = Subset(side.rows, alone) if len(alone) else None
    return found, _held_out(of_pairs, lines)


def _of_rows(
    labels: list[Any] | None, side: TableSide, places: NDArray[np.int64], column: str
) -> list[Any] | None:
    """A label a row of the side; a row in several lines has one and the same."""
    if labels is None:
        return None
    found: dict[int, Any] = {}
    for place, label in zip(places.tolist(), labels, strict=True):
        if found.setdefault(place, label) != label:
            raise ValueError(
                f"column {column!r} should give an example one label throughout; x_label and "
                "y_label are of one side alone. "
                f"Received: {found[place]!r} and {label!r} for the same file"
            )
    # A single, or a row of the other side alone, has no label here: any will do, no pair has it.
    return [found.get(place, labels[0]) for place in range(len(side.rows))]


def _texts(table: Table, name: str, lines: NDArray[np.int64]) -> list[Any] | None:
    """A column of labels or groups: whole numbers where all are, else texts.

    For the error message `lines` are what its rows are numbered by.
    """
    if name not in table:
        return None
    values = [str(value).strip() if value is not None else "" for value in table[name]]
    absent = [row for row, value in enumerate(values) if not value]
    if absent:
        raise ValueError(
            f"column {name!r} should have a value in every row. "
            f"Received: {len(absent)} rows without, the first row {lines[absent[0]]}"
        )
    whole = all(value.isascii() and value.isdecimal() for value in values)
    return [int(value) for value in values] if whole else values


def _held_out(table: Table, lines: NDArray[np.int64]) -> NDArray[np.bool] | None:
    values = _texts(table, "split", lines)
    if values is None:
        return None
    unknown = sorted({str(value) for value in values} - set(_SPLITS))
    if unknown:
        raise ValueError(f"column 'split' should hold {_SPLITS}. Received: {received(unknown)}")
    return np.array(values) == "test"
