"""What sides of pairs must be before any work: stores, labels, an index, a modality that fits."""

from __future__ import annotations

import logging
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import as_array, check_labels, complex_hint
from wyner_keras.data.columns import kinds_of
from wyner_keras.data.file_rows import DiskRows
from wyner_keras.data.images import LabelledImages
from wyner_keras.data.rows import (
    SMALL,
    ArrayRows,
    Rows,
    blocks,
    check_rows_array,
    joined,
    line_of,
    root,
)
from wyner_keras.data.tails import Tails

if TYPE_CHECKING:
    from wyner_keras.modality import Modality

LEAST_PAIRS = 2
"""How many pairs there are at least, to train on too."""

_log = logging.getLogger(__name__)
_TOLD_FROM = 2**28  # bytes, at most, that a modality is told from where rows are not in memory
_LEAST_TOLD_FROM = 2000  # rows
_FAR = 1e6  # times the quartiles' distance: a value beyond sets the unit of its whole column
_LARGEST = 128  # pixels along an image
# Labels that are more, and have fewer rows each, may number persons.
_MANY_LABELS, _ROWS_A_LABEL = 20, 5


def as_rows(side: Any, name: str) -> Rows:
    """The store of a side.

    Args:
        side: a store, an array or `LabelledImages`.
        name: of the side.

    Raises:
        ValueError: for what is no array of real numbers.

    Example:
        >>> len(as_rows(np.zeros((3, 2)), "x"))
        3
    """
    if isinstance(side, LabelledImages):
        return side.rows
    # A Series of pandas has all that a store has, and is none.
    if isinstance(side, Rows) and not hasattr(side, "__array__"):
        return side
    rows = None
    # Read through the map, rows stay resident.
    if isinstance(side, np.memmap) and check_rows_array(side, name).nbytes > SMALL:
        rows = DiskRows.of(side)
    return rows or ArrayRows(side, name)


def with_extra(rows: Rows, extra: Any, name: str) -> tuple[Rows, NDArray[np.int64]]:
    """A store of the rows of a side and of those without partner, and the places of these.

    Args:
        rows: the side's store.
        extra: what they are drawn from, or None; of a `Subset` of the store nothing is added.
        name: of the side.

    Raises:
        ValueError: when their shape or dtype is not the side's; floats may be of other widths.

    Example:
        >>> store, places = with_extra(ArrayRows(np.zeros((3, 2))), np.ones((2, 2)), "x")
        >>> len(store), places.tolist()
        (5, [3, 4])
    """
    if extra is None:
        return rows, np.arange(0)
    singles = as_rows(extra, f"extra_{name}")
    alike = singles.dtype == rows.dtype or singles.dtype.kind == rows.dtype.kind == "f"
    if singles.shape != rows.shape or not alike:
        raise ValueError(
            f"extra_{name} should have rows as {name} has: {rows.dtype} of shape {rows.shape}. "
            f"Received: {singles.dtype} of shape {singles.shape}"
        )
    store, within = root(singles)
    if store is rows:
        return rows, np.arange(len(rows)) if within is None else np.array(within)
    return joined([rows, singles]), len(rows) + np.arange(len(singles))


def row_labels(side: Any, labels: Any, rows: Rows, name: str) -> NDArray[Any] | None:
    """A label a row, those given or those that the side brings; None without.

    Warns of labels of x that hardly occur again, as numbers of persons do.

    Args:
        side: as given.
        labels: as given, or None.
        rows: the side's store.
        name: of the labels, for the message.

    Example:
        >>> rows = ArrayRows(np.zeros((2, 2)))
        >>> row_labels(None, ["a", "b"], rows, "x_labels").tolist()
        ['a', 'b']
    """
    if labels is None:
        return side.labels if isinstance(side, LabelledImages) else None
    checked = check_labels(labels, len(rows), name)
    # Of x's labels z gets its kinds.
    different = len(np.unique(checked)) if name == "x_labels" else 0
    if different > max(_MANY_LABELS, len(rows) / _ROWS_A_LABEL):
        _log.warning(
            "labels of x are %d different ones in %d rows, and z gets as many kinds. A person, a "
            "file or a date is no kind: leave such labels out, or call them groups, which are "
            "kept together",
            *(different, len(rows)),
        )
    return checked


def as_index(index: Any, counts: tuple[int, ...]) -> NDArray[np.int64]:
    """Positions of each pair's rows, int64 `(n, 2)`, read-only; None pairs row i with row i.

    Args:
        index: an array, or None.
        counts: rows of x and y.

    Raises:
        ValueError: for another shape or dtype, positions outside, or too few pairs.

    Example:
        >>> as_index(None, (2, 2)).tolist()
        [[0, 0], [1, 1]]
    """
    if index is None:
        if len(set(counts)) > 1:
            raise ValueError(
                "x and y should have as many rows as each other where no index pairs them. "
                f"Received: {counts[0]} and {counts[1]}"
            )
        index = np.repeat(np.arange(counts[0])[:, None], 2, axis=1)
    array = as_array(index, "index", "an array (n, 2)")
    if array.ndim != 2 or array.shape[1] != 2:
        raise ValueError(f"index should have shape (n, 2). Received: shape {array.shape}")
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"index should be integers{complex_hint(array)}. Received: dtype {array.dtype}"
        )
    if len(array) < LEAST_PAIRS:
        raise ValueError(f"there should be {LEAST_PAIRS} pairs or more. Received: {len(array)}")
    for column, name, count in zip((0, 1), "xy", counts, strict=True):
        low, high = array[:, column].min(), array[:, column].max()
        if low < 0 or high >= count:
            raise ValueError(
                f"index should point into the {count} rows of {name}, from 0 to {count - 1}. "
                f"Received: values from {low} to {high}"
            )
    # A copy of its own: a caller who reuses the array must not change pairs already made.
    result = array.astype(np.int64)
    result.flags.writeable = False
    return result


def told_modality(
    rows: Rows, name: str, kinds: Mapping[str, str] | None, missing: bool
) -> Modality | None:
    """The modality of a side with kinds of columns; None for one that needs no more telling.

    Args:
        rows: the side's store.
        name: of the side.
        kinds: by "x.NAME" or "x", as `load_pairs` takes them.
        missing: whether values of vectors may be absent.

    Example:
        >>> told_modality(ArrayRows(np.eye(2)), "x", {"x.1": "binary"}, False).kinds
        ('real', 'binary')
    """
    if not kinds and not missing:
        return None
    from wyner_keras.modality import Vector, modality_of

    rows_told_from = _sample(rows)
    told = modality_of(rows_told_from, name)
    if not isinstance(told, Vector):
        return told
    own = kinds_of(kinds, name, told.names or ())
    return Vector.of(rows_told_from, kinds=own, missing=missing)


def modality_for(rows: Rows, modality: Modality | None, name: str) -> Modality:
    """The modality of a store, told from its rows where none is given; every row is checked.

    Args:
        rows: the store.
        modality: as given, or None.
        name: of the side.

    Raises:
        ValueError: when a row is not as the modality says, or every row is the same.

    Example:
        >>> modality_for(ArrayRows(np.eye(3)), None, "x").shape
        (3,)
    """
    if modality is None:
        from wyner_keras.modality import modality_of

        modality = modality_of(_sample(rows), name)
    if tuple(modality.shape) != rows.shape:
        raise ValueError(
            f"{name} should have shape (n, {', '.join(map(str, modality.shape))}), as its modality "
            f"says. Received: shape {(len(rows), *rows.shape)}"
        )
    _check_values(rows, modality, name)
    if modality.describe().get("kind") == "image" and max(modality.shape[:2]) > _LARGEST:
        _log.warning(
            "images of %s are %d×%d, larger than the %d×%d that this is made for: training takes "
            "long and much memory, and loses detail. Make them smaller first",
            *(name, *modality.shape[:2], _LARGEST, _LARGEST),
        )
    return modality


def _sample(rows: Rows) -> NDArray[Any]:
    """All rows, or the first ones of a large store that is not in memory."""
    if rows.array is not None:
        return rows.array
    each = max(1, int(np.prod(rows.shape)) * rows.dtype.itemsize)
    return rows.take(np.arange(min(len(rows), max(_LEAST_TOLD_FROM, _TOLD_FROM // each))))


def _check_values(rows: Rows, modality: Modality, name: str) -> None:

    from wyner_keras.modality import Image
    from wyner_serving.progress import bar

    any_value = isinstance(modality, Image) and rows.dtype == np.uint8  # is an intensity
    columns = modality.describe().get("columns", ())
    first: Any = None
    varies = np.zeros(rows.shape, bool)
    far: dict[int, str] = {}
    real = [place for place, column in enumerate(columns) if column["kind"] == "real"]
    for start, block in bar(blocks(rows), f"Checking {name}", "block"):
        if not start or not any_value:
            try:
                modality.check(block, name)
            except ValueError as error:
                if not start:
                    raise
                raise ValueError(f"{error}, counted from row {start}") from error
        if first is None:
            first = block[0].copy()
            tails = Tails(real, block)
            if real:
                known = block[:, real]
                # A column of which nothing is known has no quartiles.
                known = np.where(np.isnan(known).all(axis=0), 0, known)
                low, middle, high = np.nanquantile(known, (0.25, 0.5, 0.75), axis=0)
        if real:
            beyond = np.abs(block[:, real] - middle) > _FAR * (high - low)
            beyond &= high > low
            for place in np.flatnonzero(beyond.any(axis=0)):
                row = int(beyond[:, place].argmax())  # the first
                value = block[row, real[place]]
                far.setdefault(real[place], f"{value:.3g} in row {line_of(rows, start + row)}")
        tails.see(block)
        # Of all but columns it is enough that some value differs.
        if not (varies.all() if columns else varies.any()):
            varies |= (block != first).any(axis=0)
        if any_value and varies.any():
            return
    if not varies.any():
        raise ValueError(
            f"{name} should have rows that differ from each other. "
            f"Received: {len(rows)} rows, all the same"
        )
    same = [column["name"] for place, column in enumerate(columns) if not varies[place]]
    if same:
        _log.warning("columns of %s that are always the same, and tell nothing: %s", name, same)
    if skewed := tails.told([column["name"] for column in columns]):
        _log.warning(
            "columns of %s that are very skewed, and nowhere negative: %s. Give their "
            "logarithms, as docs/faq.md says, or else what is generated may be negative or far "
            "from all of them",
            *(name, skewed),
        )
    if far:
        told = ", ".join(f"{columns[place]['name']!r} ({value})" for place, value in far.items())
        _log.warning("columns of %s with values far beyond all others: %s", name, told)
