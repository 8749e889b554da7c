"""Tables of pairs: CSV, TSV and Parquet, by the names of their columns."""

from __future__ import annotations

import csv
import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from wyner_keras.received import received
from wyner_serving.regular_file import check_regular

TABLE_SUFFIXES = (".csv", ".tsv", ".parquet")
"""How the names of files end that hold tables."""

Table = dict[str, Sequence[Any]]
"""Values by the column's name, in the file's order."""


def read_table(path: str | os.PathLike[str]) -> Table:
    r"""Reads a table.

    Args:
        path: of a CSV (comma or semicolon), TSV or Parquet file with a header.

    Returns:
        Texts of CSV and TSV, values of Parquet, by column.

    Raises:
        ValueError: when the file is not there or broken, two columns have one name, a line has
            another number of fields, or there are no rows.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     _ = Path(folder, "a.csv").write_text("x.age,y.height\n3,95\n4,102\n")
        ...     read_table(f"{folder}/a.csv")
        {'x.age': ['3', '4'], 'y.height': ['95', '102']}
    """
    file = check_regular(path, "a table")
    names, columns = (_parquet if file.suffix.lower() == ".parquet" else _text)(file)
    twice = sorted({name for name in names if names.count(name) > 1})
    if twice:
        raise ValueError(
            f"{str(file)!r} should name each column once. Received: {received(twice)} repeated"
        )
    if not columns or not len(columns[0]):
        raise ValueError(f"{str(file)!r} should have rows below its header. Received: none")
    return dict(zip(names, columns, strict=True))


def _text(file: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        with open(file, encoding="utf-8-sig", newline="") as opened:
            first = opened.readline()
            opened.seek(0)
            delimiter = "\t" if file.suffix.lower() == ".tsv" else max(",;", key=first.count)
            lines = csv.reader(opened, delimiter=delimiter, strict=True)
            header = [name.strip() for name in next(lines, [])]
            rows, alone = [], len(header) == 1
            for line in lines:
                if line and len(line) != len(header):
                    raise ValueError(
                        f"{str(file)!r} should have {len(header)} fields in each line, as in its "
                        f"header. Received: {len(line)} in line {lines.line_num}"
                    )
                # Of one column, a line without text is a row whose cell is empty.
                if line or alone:
                    rows.append(line or [""])
            while alone and rows and rows[-1] == [""]:
                rows.pop()
    except (OSError, UnicodeDecodeError, csv.Error) as error:
        raise ValueError(
            f"a table should be readable as text in UTF-8. Received: {str(file)!r} ({error})"
        ) from error
    columns: list[Sequence[Any]] = list(map(list, zip(*rows, strict=True)))
    return header, columns


def _parquet(file: Path) -> tuple[list[str], list[Sequence[Any]]]:
    try:
        import pyarrow.parquet
    except ImportError as error:
        raise ValueError(
            "Parquet files should be read with pyarrow: pip install pyarrow. Received: no pyarrow"
        ) from error
    try:
        table = pyarrow.parquet.read_table(file)
    except (OSError, pyarrow.ArrowException) as error:
        raise ValueError(
            f"a table should be readable as Parquet. Received: {str(file)!r} ({error})"
        ) from error
    numeric = (pyarrow.types.is_integer, pyarrow.types.is_floating)
    columns = [
        # Of whole numbers with gaps too, as floats with NaN.
        column.to_numpy() if any(of(column.type) for of in numeric) else column.to_pylist()
        for column in table.columns
    ]
    return table.column_names, columns
