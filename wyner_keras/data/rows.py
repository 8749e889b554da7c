"""Stores of rows: where the examples of one side lie, in memory or not."""

import math
import weakref
from collections import deque
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import as_array, complex_hint

_BLOCK = 2**25  # bytes looked at in one go
_REUSED = 2**26  # bytes of an array, at most, whose memory is used again
_ALIGNMENT = 64  # bytes; TensorFlow copies what is aligned to less
SMALL = 2**30  # bytes that are kept in memory, at most, of what lies elsewhere
_NUMBERS = 2**23  # that are computed with at once


def rows_at_once(shape: tuple[int, ...], most: int) -> int:
    """How many rows to compute with at once: `most`, or fewer where they are large.

    Example:
        >>> rows_at_once((28, 28, 1), 1000), rows_at_once((128, 128, 3), 1000)
        (1000, 170)
    """
    return max(1, min(most, _NUMBERS // math.prod(shape)))


@runtime_checkable
class Rows(Protocol):
    """Examples of one side, by position; two stores are the same only if they are one object."""

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of what `take` gives."""

    @property
    def array(self) -> NDArray[Any] | None:
        """All rows `(n, *shape)` where they lie in memory, else None."""

    def __len__(self) -> int:
        """How many rows there are."""

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows, `(len(positions), *shape)`; in any order, repeats allowed."""


class Memory:
    """Memory that arrays are made of, and made of again once nothing holds them.

    New memory costs more than what is read into it: each of its pages is a fault.
    """

    def __init__(self) -> None:
        self._free: deque[bytearray] = deque(maxlen=8)

    def empty(self, shape: tuple[int, ...], dtype: np.dtype[Any]) -> NDArray[Any]:
        """As `np.empty`.

        Args:
            shape: of the array.
            dtype: of the array.

        Example:
            >>> Memory().empty((2, 3), np.dtype("float32")).shape
            (2, 3)
        """
        size = math.prod(shape) * dtype.itemsize
        if size > _REUSED:
            return np.empty(shape, dtype)
        try:
            memory = self._free.popleft()
        except IndexError:
            memory = bytearray()
        if len(memory) < size + _ALIGNMENT:
            memory = bytearray(size + _ALIGNMENT)
        whole = np.frombuffer(memory, np.uint8)
        # Every view of it, in a tensor too, keeps `whole`.
        weakref.finalize(whole, self._free.append, memory).atexit = False
        start = -whole.ctypes.data % _ALIGNMENT
        return whole[start : start + size].view(dtype).reshape(shape)


class ArrayRows:
    """Rows of an array, as they are, never converted; nothing is copied.

    Args:
        array: `(n, *shape)` of real numbers; bytes `(n, height, width)` are images and get a
            channel axis.
        name: what the caller calls it, for the error message.
        paths: the file of each row, for messages and reports; None where they are no files.
        lines: the line of each row in what the user brought; None where that is its number.

    Raises:
        ValueError: when it is no array of real numbers, masked, or without rows.

    Example:
        >>> rows = ArrayRows(np.zeros((3, 8, 8), "uint8"))
        >>> len(rows), rows.shape, rows.take(np.array([2, 0, 2])).shape
        (3, (8, 8, 1), (3, 8, 8, 1))
    """

    def __init__(
        self,
        array: Any,
        name: str = "rows",
        *,
        paths: Sequence[Path] | None = None,
        lines: NDArray[np.int64] | None = None,
    ) -> None:
        self.paths, self.lines = paths, lines
        view = check_rows_array(as_array(array, name, "an array (n, ...)"), name)
        self._view = view.reshape(len(view), *shape_of_row(view)).view()
        self._view.flags.writeable = False
        # A copy of some of a mapped file has the class but no mode.
        self._mapped = getattr(array, "mode", None) is not None
        self._plain = view.flags.c_contiguous and view.dtype.isnative
        self._memory = Memory()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self._view.shape[1:]

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the array, in the machine's order of bytes."""
        return self._view.dtype.newbyteorder("=")

    @property
    def array(self) -> NDArray[Any] | None:
        """A read-only view of the array; None of a file that is mapped into memory."""
        return None if self._mapped else self._view

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._view)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        if not self._plain:
            return np.asarray(self._view[positions]).astype(self.dtype, copy=False)
        found = self._memory.empty((len(positions), *self.shape), self.dtype)
        # To "raise" instead, NumPy would fill an array of its own first.
        np.take(self._view, positions, axis=0, out=found, mode="wrap")
        return found


class Subset:
    """Some rows of a store, in an order of their own; nothing is copied.

    Args:
        rows: the store.
        positions: in it, `(n,)`.

    Example:
        >>> some = Subset(ArrayRows(np.arange(6.0).reshape(3, 2)), np.array([2, 0]))
        >>> some.take(np.array([0])).tolist()
        [[4.0, 5.0]]
    """

    def __init__(self, rows: Rows, positions: NDArray[np.int64]) -> None:
        self.rows, within = root(rows)
        self.positions = np.array(positions) if within is None else within[positions]
        self.positions.flags.writeable = False

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.rows.shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the store."""
        return self.rows.dtype

    @property
    def array(self) -> None:
        """None: these rows are no array of their own; see `root`."""
        return None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self.positions)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        return self.rows.take(self.positions[positions])


def root(rows: Rows) -> tuple[Rows, NDArray[np.int64] | None]:
    """The store that rows are some of, and their positions in it; None for all as they are.

    Args:
        rows: a store, a `Subset` say.

    Example:
        >>> whole = ArrayRows(np.zeros((3, 2)))
        >>> root(Subset(whole, np.array([2])))[0] is whole
        True
    """
    return (rows.rows, rows.positions) if isinstance(rows, Subset) else (rows, None)


def line_of(rows: Rows, place: int) -> int:
    """The number of a row in the array, table or folder that the user brought.

    Args:
        rows: a store, a `Subset` say.
        place: in it.

    Example:
        >>> line_of(Subset(ArrayRows(np.zeros((3, 2))), np.array([2])), 0)
        2
    """
    store, within = root(rows)
    own = place if within is None else int(within[place])
    lines = getattr(store, "lines", None)
    return own if lines is None else int(lines[own])


class Joined:
    """Rows of several stores, one store after another; nothing is copied.

    Args:
        parts: stores of one shape, and one kind of dtype.

    Example:
        >>> both = Joined([ArrayRows(np.zeros((3, 2))), ArrayRows(np.ones((1, 2)))])
        >>> both.take(np.array([3, 0])).tolist()
        [[1.0, 1.0], [0.0, 0.0]]
    """

    def __init__(self, parts: Sequence[Rows]) -> None:
        self.parts = tuple(parts)
        self.starts = np.cumsum([0, *map(len, self.parts)])

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self.parts[0].shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the stores, the widest."""
        return np.result_type(*(part.dtype for part in self.parts))

    @property
    def array(self) -> None:
        """None: these rows are no array of their own."""
        return None

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self.starts[-1])

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        found = np.empty((len(positions), *self.shape), self.dtype)
        of_part = np.searchsorted(self.starts, positions, side="right") - 1
        for place, (part, start) in enumerate(zip(self.parts, self.starts[:-1], strict=True)):
            chosen = of_part == place
            if chosen.any():
                found[chosen] = part.take(positions[chosen] - start)
        return found


def joined(parts: Sequence[Rows]) -> Rows:
    """One store of the rows of several, one after another; in memory where they all are.

    Args:
        parts: stores of one shape, and one kind of dtype. Parts of one store are a part of it
            again.

    Example:
        >>> whole = ArrayRows(np.zeros((3, 2)))
        >>> len(joined([whole, Subset(whole, np.array([2]))]))
        4
    """
    roots = [root(part) for part in parts]
    store = roots[0][0]
    if all(each is store for each, _ in roots):
        within = [np.arange(len(each)) if places is None else places for each, places in roots]
        return Subset(store, np.concatenate(within))
    arrays = [part.array for part in parts]
    if sum(array.nbytes for array in arrays if array is not None) <= SMALL:
        held = [array for array in arrays if array is not None]
        if len(held) == len(parts):
            return ArrayRows(np.concatenate(held))
    return Joined(parts)


def small_in_memory(rows: Rows) -> Rows:
    """The same rows, read into memory where they fit into 1 GiB; else as they are.

    Args:
        rows: a store, of a file say.

    Example:
        >>> whole = ArrayRows(np.zeros((3, 2)))
        >>> small_in_memory(whole) is whole
        True
    """
    size = len(rows) * int(np.prod(rows.shape)) * rows.dtype.itemsize
    if rows.array is not None or size > SMALL:
        return rows
    return ArrayRows(rows.take(np.arange(len(rows))))


def blocks(rows: Rows) -> Iterator[tuple[int, NDArray[Any]]]:
    """All rows block by block: where each begins, and its rows; no copy where in memory.

    Args:
        rows: a store.

    Example:
        >>> [(start, len(block)) for start, block in blocks(ArrayRows(np.zeros((3, 2))))]
        [(0, 3)]
    """
    count = len(rows)
    step = max(1, _BLOCK // max(1, int(np.prod(rows.shape)) * rows.dtype.itemsize))
    for start in range(0, count, step):
        stop = min(count, start + step)
        array = rows.array
        yield start, rows.take(np.arange(start, stop)) if array is None else array[start:stop]


def check_rows_array(array: Any, name: str) -> Any:
    """Checks that an array, or a dataset on disk, has rows of real numbers.

    Raises:
        ValueError: for another dtype, or no rows.

    Example:
        >>> check_rows_array(np.zeros((2, 3)), "x").shape
        (2, 3)
    """
    if array.dtype.kind not in "biuf" or array.dtype.itemsize > 8:
        hint = "; columns of a frame are read by Pairs.from_frame" * (array.dtype.kind == "O")
        raise ValueError(
            f"{name} should be real numbers of 8 bytes at most{complex_hint(array)}{hint}. "
            f"Received: dtype {array.dtype}"
        )
    # An empty dataset of HDF5 has no shape.
    if array.shape is None or len(array.shape) < 2 or 0 in array.shape:
        one = array.shape is not None and len(array.shape) == 1
        hint = f"; one column is np.reshape({name}, (-1, 1))" * one
        raise ValueError(
            f"{name} should have a row an example: (n, columns), (n, time, channels), (n, height, "
            f"width) or more, none of it 0{hint}. Received: shape {array.shape}"
        )
    return array


def shape_of_row(array: Any) -> tuple[int, ...]:
    """Shape of one example of an array, or a dataset on disk: bytes (n, h, w) are grey images.

    Example:
        >>> shape_of_row(np.zeros((2, 8, 8), "uint8"))
        (8, 8, 1)
    """
    grey = array.dtype == np.uint8 and len(array.shape) == 3
    return (*array.shape[1:], 1) if grey else tuple(array.shape[1:])


def runs(positions: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Stretches of consecutive positions: where each starts and stops, and its first position.

    Example:
        >>> list(runs(np.array([4, 5, 2])))
        [(0, 2, 4), (2, 3, 2)]
    """
    if not len(positions):
        return
    stops = (np.flatnonzero(np.diff(positions) != 1) + 1).tolist()
    starts = [0, *stops]
    yield from zip(starts, [*stops, len(positions)], positions[starts].tolist(), strict=True)
