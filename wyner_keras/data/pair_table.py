"""Pairs from a table: columns of paths, or of numbers and texts."""

from __future__ import annotations

import logging
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.columns import columns_to_vectors, is_absent, kinds_of
from wyner_keras.data.file_rows import FileRows
from wyner_keras.data.pairs import Pairs
from wyner_keras.data.rows import ArrayRows, Subset
from wyner_keras.data.table import Table, read_table
from wyner_keras.received import received
from wyner_serving.regular_file import check_regular

if TYPE_CHECKING:
    from wyner_keras.modality import Modality

_log = logging.getLogger(__name__)
_SPLITS = ("train", "test")


class _Side(NamedTuple):
    """What a table says of a side."""

    rows: Any
    places: NDArray[np.int64]
    """Of each line its row; -1 without."""
    columns: list[str]
    modality: Modality | None


def read_pair_table(
    path: Path, kinds: Mapping[str, str] | None, missing: bool
) -> tuple[Pairs, NDArray[np.bool] | None]:
    r"""Reads pairs of a table, one a line; `load_pairs` says which columns there may be.

    A line with nothing of one side is a single of the other.

    Args:
        path: of a CSV, TSV or Parquet file.
        kinds: of columns.
        missing: whether values of vectors may be absent.

    Returns:
        The pairs, in the order of lines; and a mask of those that its column `split` holds out,
        None without that column.

    Raises:
        ValueError: when a column is absent, or a value is not as it should be; it is named.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     file = Path(folder, "a.csv")
        ...     _ = file.write_text("x.age,y.height,split\n3,95,train\n4,102,test\n")
        ...     pairs, held_out = read_pair_table(file, None, False)
        >>> pairs, held_out.tolist()
        (Pairs(2 pairs, x=2 vectors of shape (1,); y=2 vectors of shape (1,)), [False, True])
    """
    table = read_table(path)
    sides = _sides(table, path, kinds, missing)
    index = np.stack([side.places for side in sides], axis=1)
    paired = sides[0].places >= 0
    paired &= sides[1].places >= 0
    of_pairs = _lines(table, paired)
    if not paired.all() and "group" in table:
        raise ValueError(
            "a table with a column 'group' should have both sides in every row: which group a "
            f"single is of is not looked at. Received: {np.sum(~paired)} rows with one side, "
            f"the first row {np.argmin(paired)}"
        )
    if "test" in _lines(table, ~paired).get("split", ()):
        raise ValueError(
            "column 'split' should be train in rows with one side: singles are trained on. "
            "Received: test"
        )
    settings: dict[str, Any] = {}
    for column, (name, side) in enumerate(zip("xy", sides, strict=True)):
        own = f"{name}_label" if f"{name}_label" in table else "label"
        labels = _texts(of_pairs, own)
        settings[f"{name}_labels"] = _of_rows(labels, side, index[paired, column], own)
        settings[f"{name}_modality"] = side.modality
        alone = index[~paired & (index[:, column] >= 0), column]
        settings[f"extra_{name}"] = Subset(side.rows, alone) if len(alone) else None
    used = {"split", "group", "label", "x_label", "y_label", *sides[0].columns, *sides[1].columns}
    left_out = [name for name in table if name not in used]
    if left_out:
        _log.warning("columns of %r that are left out: %s", str(path), received(left_out))
    x, y = (side.rows for side in sides)
    pairs = Pairs(x, y, index[paired], groups=_texts(of_pairs, "group"), **settings)
    return pairs, _held_out(of_pairs)


def _lines(table: Table, chosen: NDArray[np.bool]) -> Table:
    """Some lines of a table."""
    if chosen.all():
        return table
    lines = np.flatnonzero(chosen).tolist()
    return {name: [values[line] for line in lines] for name, values in table.items()}


def _sides(table: Table, path: Path, kinds: Mapping[str, str] | None, missing: bool) -> list[_Side]:
    columns = {name: _columns(table, path, name) for name in "xy"}
    there = {name: _there([table[each] for each in columns[name]]) for name in "xy"}
    neither = np.flatnonzero(~there["x"] & ~there["y"])
    if len(neither):
        raise ValueError(
            "a row should have values of x, of y or of both. "
            f"Received: {len(neither)} rows without, the first row {neither[0]}"
        )
    files = {name: _files(table, path, name, there[name]) for name in "xy"}
    shared = set(files["x"]) & set(files["y"])
    sides = []
    for name in "xy":
        paths, places = files[name], np.full(len(there[name]), -1)
        if not paths:
            own = _lines({each: table[each] for each in columns[name]}, there[name])
            own = {each.partition(".")[2] or name: values for each, values in own.items()}
            array, vector = columns_to_vectors(own, kinds_of(kinds, name, list(own)), missing)
            places[there[name]] = np.arange(len(array))
            sides.append(_Side(ArrayRows(array), places, columns[name], vector))
            continue
        # A file that serves as x here and as y there is one row.
        every = {each: None for key in ("xy" if shared else name) for each in files[key]}
        numbers = {each: number for number, each in enumerate(every)}
        rows = sides[0].rows if shared and sides else FileRows(list(every))
        places[there[name]] = [numbers[each] for each in paths]
        sides.append(_Side(rows, places, columns[name], None))
    return sides


def _columns(table: Table, path: Path, name: str) -> list[str]:
    """The columns of a side: one of its name, or those that begin with it and a dot."""
    own = [column for column in table if column.startswith(f"{name}.")]
    if (name in table) == bool(own):
        raise ValueError(
            f"{str(path)!r} should have a column {name!r} of paths, or columns {name + '.NAME'!r}. "
            f"Received: {received(list(table))}"
        )
    return own or [name]


def _there(columns: Sequence[Sequence[Any]]) -> NDArray[np.bool]:
    """Of each line whether it has a value of a side."""
    return np.array([not all(map(is_absent, line)) for line in zip(*columns, strict=True)])


def _files(table: Table, path: Path, name: str, there: NDArray[np.bool]) -> list[Path]:
    """The files that a side's column of paths names, each a regular file; none without."""
    if name not in table or _are_numbers(_lines({name: table[name]}, there)[name]):
        return []
    files = []
    for line in np.flatnonzero(there).tolist():
        value = table[name][line]
        if not isinstance(value, str):
            raise ValueError(
                f"column {name!r} should name an image in every row. Received: {value!r} in row "
                f"{line}"
            )
        files.append(check_regular(path.parent / value.strip(), f"each file of column {name!r}"))
    return files


def _are_numbers(values: Sequence[Any]) -> bool:
    try:
        return bool(np.isfinite(np.asarray(values).astype(np.float64)).any())
    except (TypeError, ValueError):
        return False


def _of_rows(
    labels: list[Any] | None, side: _Side, places: NDArray[np.int64], column: str
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


def _texts(table: Table, name: str) -> list[Any] | None:
    """A column of labels or groups: whole numbers where all are, else texts."""
    if name not in table:
        return None
    values = [str(value).strip() if value is not None else "" for value in table[name]]
    absent = [row for row, value in enumerate(values) if not value]
    if absent:
        raise ValueError(
            f"column {name!r} should have a value in every row. "
            f"Received: {len(absent)} rows without, the first row {absent[0]}"
        )
    whole = all(value.isascii() and value.isdecimal() for value in values)
    return [int(value) for value in values] if whole else values


def _held_out(table: Table) -> NDArray[np.bool] | None:
    values = _texts(table, "split")
    if values is None:
        return None
    unknown = sorted({str(value) for value in values} - set(_SPLITS))
    if unknown:
        raise ValueError(f"column 'split' should hold {_SPLITS}. Received: {received(unknown)}")
    return np.array(values) == "test"
