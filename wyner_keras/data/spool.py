"""A stream of batches kept on disk, so that it can be gone through again in any order."""

from __future__ import annotations

import shutil
import tempfile
from collections.abc import Iterable
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.batches import Parts, batches_of
from wyner_keras.data.checks import check_whole
from wyner_keras.data.file_rows import DiskRows
from wyner_keras.data.rows import Rows, check_rows_array, small_in_memory
from wyner_keras.received import received

_SHARE = 0.9  # of the free disk that a stream may fill


def spool(
    dataset: Any,
    count: int | None = None,
    parts: Parts = (None, None),
    channels_first: bool = False,
) -> tuple[Rows, Rows]:
    """Stores of what a stream of batches (x, y) holds, gone through once.

    Args:
        dataset: of batches, as `batches_of` takes it.
        count: rows to take, at most; None for all.
        parts: which parts of a batch are x and y; None where batches are `(x, y)`.
        channels_first: whether images are `(batch, channels, h, w)`.

    Raises:
        ValueError: when it is no such stream, its batches differ in shape or dtype, it does not
            end, or does not fit on the disk.

    Example:
        >>> import tensorflow as tf
        >>> x, y = spool(tf.data.Dataset.from_tensors((np.eye(3), np.ones((3, 1)))))
        >>> len(x), y.shape
        (3, (1,))
    """
    if count is not None:
        check_whole(count, "count", minimum=2)
    batches = batches_of(dataset, parts, channels_first, endless=count is not None)
    with tempfile.TemporaryFile() as x_file, tempfile.TemporaryFile() as y_file:
        sides = _Spooled("x", x_file), _Spooled("y", y_file)
        _fill(sides, batches, count)
        x, y = (side.rows() for side in sides)
    return x, y


def _fill(
    sides: tuple[_Spooled, _Spooled],
    batches: Iterable[tuple[NDArray[Any], ...]],
    count: int | None,
) -> None:

    from wyner_serving.progress import bar

    folder = tempfile.gettempdir()
    room, written = _SHARE * shutil.disk_usage(folder).free, 0
    for batch in bar(batches, "Reading pairs", "batch"):
        if len({len(np.atleast_1d(part)) for part in batch}) > 1:
            raise ValueError(
                "dataset should have as many rows of x as of y in a batch. "
                f"Received: {received(batch)}"
            )
        for side, part in zip(sides, batch, strict=True):
            written += side.add(part if count is None else part[: count - side.count])
        if written > room:
            raise ValueError(
                f"dataset should end, or `count` say where, within the room of {folder!r}, which "
                f"TMPDIR sets. Received: more than {written} bytes"
            )
        if sides[0].count == count:
            break


class _Spooled:
    """One side's rows, written to a file that has no name: it goes when nothing reads it."""

    def __init__(self, name: str, file: Any) -> None:
        self.name, self.count, self._file = name, 0, file
        self._like: NDArray[Any] | None = None

    def add(self, rows: NDArray[Any]) -> int:
        """Append rows; how many bytes they are."""
        if self._like is None:
            self._like = check_rows_array(rows, self.name)[:1].copy()
        if rows.shape[1:] != self._like.shape[1:]:
            raise ValueError(
                f"dataset should hold rows of {self.name} of one shape, {self._like.shape[1:]}. "
                f"Received: {rows.shape[1:]}"
            )
        own = self._like.dtype
        # Bytes are intensities of 0-255 where floats are of 0-1: no kind becomes another.
        if rows.dtype.kind != own.kind or not np.can_cast(rows.dtype, own):
            raise ValueError(
                f"dataset should hold rows of {self.name} of one dtype, {own}. "
                f"Received: {rows.dtype}"
            )
        rows = np.ascontiguousarray(rows, own)
        self._file.write(rows.data)
        self.count += len(rows)
        return rows.nbytes

    def rows(self) -> Rows:
        """All rows, in memory where they are few."""
        if self._like is None:
            raise ValueError("dataset should hold pairs. Received: an empty dataset")
        self._file.flush()
        # No more than its shape and dtype is read.
        like = np.broadcast_to(self._like, (self.count, *self._like.shape[1:]))
        return small_in_memory(DiskRows(self._file.fileno(), like))
