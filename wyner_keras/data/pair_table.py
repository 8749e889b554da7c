"""Pairs from a table: columns of paths, or of numbers and texts."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.file_rows import FileRows
from wyner_keras.data.pairs import Pairs
from wyner_keras.data.table import Table, read_table
from wyner_keras.data.table_sides import (
    ROLES,
    TableSide,
    arguments_of,
    lines_of,
    sides_there,
    vector_side,
    warn_columns,
)
from wyner_keras.data.written import written_number
from wyner_keras.received import received
from wyner_serving.regular_file import check_regular


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
    arguments, held_out = arguments_of(table, sides)
    used = {*ROLES, *sides[0].columns, *sides[1].columns}
    warn_columns([name for name in table if name not in used], path)
    return Pairs(**arguments), held_out


def _sides(
    table: Table, path: Path, kinds: Mapping[str, str] | None, missing: bool
) -> list[TableSide]:
    columns = {name: _columns(table, path, name) for name in "xy"}
    there = sides_there({name: [table[each] for each in own] for name, own in columns.items()})
    files = {name: _files(table, path, name, there[name]) for name in "xy"}
    shared = set(files["x"]) & set(files["y"])
    sides = []
    for name in "xy":
        paths = files[name]
        if not paths:
            sides.append(vector_side(table, columns[name], name, there[name], kinds, missing))
            continue
        # A file that serves as x here and as y there is one row.
        every = {each: None for key in ("xy" if shared else name) for each in files[key]}
        numbers = {each: number for number, each in enumerate(every)}
        rows = sides[0].rows if shared and sides else FileRows(list(every))
        places = np.full(len(there[name]), -1)
        places[there[name]] = [numbers[each] for each in paths]
        sides.append(TableSide(rows, places, columns[name], None))
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


def _files(table: Table, path: Path, name: str, there: NDArray[np.bool]) -> list[Path]:
    """The files that a side's column of paths names, each a regular file; none without."""
    if name not in table:
        return []
    own = lines_of({name: table[name]}, there)[name]
    # Of numbers that are to be written otherwise it is not said that they are no files.
    texts = {row: value for row, value in enumerate(own) if isinstance(value, str)}
    if _are_numbers(own) or written_number(texts):
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
