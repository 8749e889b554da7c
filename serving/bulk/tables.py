"""Parquet: rows read where they are asked for, and results as columns."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wyner_serving.bulk.sources import Arrays, Entry, ManyRows
from wyner_serving.cells import cell_number
from wyner_serving.errors import InputError

try:
    import pyarrow as pa
    import pyarrow.compute as pc
    import pyarrow.parquet as pq
except ImportError as error:
    raise InputError(
        "Parquet should be read and written by pyarrow: pip install 'wyner-keras[bulk]'. "
        "Received: no pyarrow"
    ) from error

_AT_ONCE = 1024  # rows that a file's pages are decoded to


class TableSource(ManyRows):
    """Parquet files: a column of lists or tensors an input, or a column a column of vectors."""

    def _counts(self) -> list[int]:
        self._stream: _Stream | None = None
        counts = []
        for path in self.files:
            try:
                with pq.ParquetFile(path) as file:
                    self._columns(file.schema_arrow, path)
                    counts.append(file.metadata.num_rows)
            except (OSError, pa.ArrowException) as error:
                raise InputError(
                    f"{path} should be readable as Parquet. Received: {error}"
                ) from error
        return counts

    def close(self) -> None:
        """Close the file that was read last; reading opens it anew."""
        if self._stream is not None:
            self._stream.close()
            self._stream = None

    def _columns(self, schema: Any, path: Path) -> dict[str, list[str]]:
        """By input the columns that hold it."""
        there = set(schema.names)
        found: dict[str, list[str]] = {}
        for name, entry in self.sides.items():
            if name in there:
                found[name] = [name]
                continue
            own = [column["name"] for column in entry.get("columns", ())]
            ways = [[f"{name}.{each}" for each in own]]
            if len(self.sides) == 1:
                ways.append(own)
            fitting = [way for way in ways if way and there.issuperset(way)]
            if not fitting:
                wanted = f"a column {name!r}" + (f", or {', '.join(ways[0])}" if own else "")
                raise InputError(f"{path} should have {wanted}. Received: {schema.names}")
            found[name] = fitting[0]
        return found

    def _read(self, file: int, start: int, stop: int) -> Arrays:
        stream = self._stream
        if stream is None or stream.file != file or stream.place != start:
            self.close()
            opened = pq.ParquetFile(self.files[file])
            held = self._columns(opened.schema_arrow, self.files[file])
            self._stream = stream = _Stream(file, opened, held, start)
        batch = stream.take(stop - start)
        found = {}
        for name, columns in stream.columns.items():
            entry = self.sides[name]
            try:
                found[name] = (
                    _tensor(batch.column(name), tuple(entry["shape"]))
                    if columns == [name]
                    else _vectors([batch.column(each) for each in columns], entry)
                )
            except ValueError as error:
                raise InputError(
                    f"{self.files[file]} should hold {name}, in rows {start} to {stop - 1}. "
                    f"Received: {error}"
                ) from error
        return found


class _Stream:
    """A Parquet file read on from a row; what lies before it in its row group is passed over."""

    def __init__(
        self, file: int, opened: Any, columns: Mapping[str, list[str]], start: int
    ) -> None:
        self.file, self.columns, self.place = file, columns, start
        self._opened, self._held = opened, []  # type: ignore[var-annotated]
        groups, before = opened.metadata.num_row_groups, 0
        first = 0
        while first < groups and before + opened.metadata.row_group(first).num_rows <= start:
            before += opened.metadata.row_group(first).num_rows
            first += 1
        self._batches: Iterator[Any] = opened.iter_batches(
            batch_size=_AT_ONCE,
            row_groups=list(range(first, groups)),
            columns=[each for names in columns.values() for each in names],
            use_threads=False,
        )
        self._take(start - before, keep=False)

    def take(self, count: int) -> Any:
        """The next rows, as a table."""
        self.place += count
        return pa.Table.from_batches(self._take(count, keep=True)).combine_chunks()

    def _take(self, count: int, keep: bool) -> list[Any]:
        found = []
        while count:
            batch = self._held.pop() if self._held else next(self._batches)
            if batch.num_rows > count:
                self._held.append(batch.slice(count))
                batch = batch.slice(0, count)
            count -= batch.num_rows
            if keep:
                found.append(batch)
        return found

    def close(self) -> None:
        """Close the file."""
        self._opened.close()


def _tensor(column: Any, shape: tuple[int, ...]) -> np.ndarray:
    """A column of flat lists, of nested ones or of tensors as `(n, *shape)`."""
    values = column.combine_chunks()
    values = values.chunk(0) if isinstance(values, pa.ChunkedArray) else values
    axes: list[int] = []
    if isinstance(values, pa.FixedShapeTensorArray):
        axes, order = list(values.type.shape), values.type.permutation
        if order is not None and list(order) != sorted(order):
            raise ValueError(f"tensors whose axes lie in the order {list(order)}")
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    count, declared = len(values), bool(axes)
    while pa.types.is_nested(values.type) and not pa.types.is_struct(values.type):
        inner = values.flatten()
        if values.null_count:
            raise ValueError(f"{values.null_count} rows that are null")
        # Lists of other lengths could make up the same number.
        lengths = pc.unique(pc.list_value_length(values)).to_pylist()
        if len(lengths) > 1:
            raise ValueError(f"lists of lengths {sorted(lengths)}")
        if not declared:
            axes += lengths
        values = inner
    number = pa.types.is_integer(values.type) or pa.types.is_floating(values.type)
    if not (number or pa.types.is_boolean(values.type)) or values.null_count:
        raise ValueError(f"{values.type}, {values.null_count} of {len(values)} null")
    size = int(np.prod(shape))
    if len(values) != count * size:
        raise ValueError(f"{len(values) // max(1, count)} numbers a row instead of {size}")
    # Other axes of as many numbers would be another picture; one of length 1 tells nothing.
    if count and len(axes) > 1 and [n for n in axes if n > 1] != [n for n in shape if n > 1]:
        raise ValueError(f"shape {tuple(axes)} instead of {shape}")
    found: np.ndarray = values.to_numpy(zero_copy_only=False).reshape(count, *shape)
    return found


def _vectors(columns: list[Any], entry: Entry) -> np.ndarray:
    """Columns as `(n, columns)`, NaN where one has no value."""
    found = []
    for values, column in zip(columns, entry["columns"], strict=True):
        if pa.types.is_string(values.type) or pa.types.is_large_string(values.type):
            texts = {text: float(number) for number, text in enumerate(column.get("texts", ()))}
            try:
                numbers = {each: cell_number(each, texts) for each in values.unique().to_pylist()}
            except ValueError as error:
                raise ValueError(f"{error} in column {column['name']!r}") from error
            found.append([numbers[each] for each in values.to_pylist()])
        elif (
            pa.types.is_integer(values.type)
            or pa.types.is_floating(values.type)
            or pa.types.is_boolean(values.type)
        ):
            found.append(values.cast(pa.float64()).to_numpy())
        else:
            raise ValueError(f"{values.type} in column {column['name']!r}")
    return np.array(found, np.float64).T


def write_table(path: Path, chunks: Iterator[Arrays], entries: Mapping[str, Entry]) -> None:
    """Write results to a Parquet file, a row group a chunk.

    Args:
        path: of the file.
        chunks: by column, arrays of as many rows.
        entries: what the model says of each side. A column called as a side of vectors becomes one
            for each of theirs, `SIDE.NAME`, with categories as texts; other arrays of several
            dimensions become fixed-shape tensors, which are fixed-size lists to who does not
            know them.
    """
    writer = None
    try:
        for chunk in chunks:
            table = _table(chunk, entries)
            if writer is None:
                texts = [each.name for each in table.schema if pa.types.is_string(each.type)]
                writer = pq.ParquetWriter(
                    path, table.schema, compression="zstd", use_dictionary=texts
                )
            writer.write_table(table, row_group_size=len(table))
    finally:
        if writer is not None:
            writer.close()


def _table(chunk: Arrays, entries: Mapping[str, Entry]) -> Any:
    columns: dict[str, Any] = {}
    for name, values in chunk.items():
        entry = entries.get(name, {})
        if "columns" in entry:
            for column, own in zip(entry["columns"], values.T, strict=True):
                columns[f"{name}.{column['name']}"] = _scalars(own, column)
        elif values.ndim == 1:
            columns[name] = pa.array(values)
        else:
            columns[name] = pa.FixedShapeTensorArray.from_numpy_ndarray(
                np.ascontiguousarray(values)
            )
    return pa.table(columns)


def _scalars(values: np.ndarray, column: Entry) -> Any:
    if not column.get("texts"):
        return pa.array(np.ascontiguousarray(values), from_pandas=True)
    texts = column["texts"]
    return pa.array(
        [None if np.isnan(value) else texts[int(value)] for value in values], pa.string()
    )
