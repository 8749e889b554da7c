"""Stores of rows: where the examples of one side lie, in memory or not."""

import mmap
import os
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any, Protocol, runtime_checkable

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import as_array, complex_hint
from wyner_keras.data.image_file import read_image, read_images, stack_bytes, to_bytes
from wyner_keras.data.regular_file import check_regular
from wyner_keras.received import received

_BLOCK = 2**25  # bytes looked at in one go
_MAPPED = 2**28  # bytes of a mapped file that are left in resident memory, at most
_SMALL = 2**30  # bytes that are kept in memory, at most, of what lies elsewhere


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


class ArrayRows:
    """Rows of an array, or of a file that is mapped into memory; as they are, never converted.

    A mapped file is read row by row, when asked for; what was read of it is released from the
    resident memory now and then.

    Args:
        array: `(n, *shape)` of real numbers; bytes `(n, height, width)` are images and get a
            channel axis.
        name: what the caller calls it, for the error message.

    Raises:
        ValueError: when it is no array of real numbers, masked, or without rows.

    Example:
        >>> rows = ArrayRows(np.zeros((3, 8, 8), "uint8"))
        >>> len(rows), rows.shape, rows.take(np.array([2, 0, 2])).shape
        (3, (8, 8, 1), (3, 8, 8, 1))
    """

    def __init__(self, array: Any, name: str = "rows") -> None:
        view = check_rows_array(as_array(array, name, "an array (n, ...)"), name)
        self._view = view[..., None] if _lacks_channel(view.shape, view.dtype) else view.view()
        self._view.flags.writeable = False
        self._map = _map_behind(self._view)
        # Not "c": pages of a private copy, released, would lose what was written to it.
        shared = getattr(array, "mode", None) in ("r", "r+", "w+")
        self._releases = shared and hasattr(self._map, "madvise")
        self._read = 0

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
        """A read-only view of the array; None of a mapped file."""
        return self._view if self._map is None else None

    def __len__(self) -> int:
        """How many rows there are."""
        return len(self._view)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        found = np.asarray(self._view[positions]).astype(self.dtype, copy=False)
        self._read += found.nbytes
        if self._releases and self._read > _MAPPED and self._map is not None:
            self._read = 0
            self._map.madvise(mmap.MADV_DONTNEED)  # read again from the file where needed
        return found


class HDF5Rows:
    """Rows of a dataset in an HDF5 file, read when asked for. Needs h5py.

    Each process opens the file for itself, so a store may be carried over a fork.

    Args:
        path: of the file.
        name: of the dataset in it, "images" or "group/images".

    Raises:
        ValueError: when h5py is absent, or the file or the dataset is not there.

    Example:
        >>> HDF5Rows("scans.h5", "left")  # doctest: +SKIP
    """

    def __init__(self, path: str | os.PathLike[str], name: str) -> None:
        self.path, self.name = check_regular(path, "an HDF5 file").absolute(), name
        self._opened: tuple[int, Any] | None = None
        dataset = self._dataset()
        check_rows_array(dataset, f"{self.path!s}:{name}")
        self._count, self._adds_channel = len(dataset), _lacks_channel(dataset.shape, dataset.dtype)
        self._shape = (*dataset.shape[1:], *(1,) * self._adds_channel)
        self._dtype = dataset.dtype.newbyteorder("=")

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the dataset, in the machine's order of bytes."""
        return self._dtype

    @property
    def array(self) -> None:
        """None: the rows lie on disk."""
        return None

    def __len__(self) -> int:
        """How many rows there are."""
        return self._count

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        # h5py wants positions that ascend, each once.
        ascending, places = np.unique(positions, return_inverse=True)
        dataset = self._dataset()
        found = np.empty((len(ascending), *dataset.shape[1:]), self.dtype)
        for start, stop, first in _runs(ascending):
            found[start:stop] = dataset[first : first + stop - start]
        found = found[places]
        return found[..., None] if self._adds_channel else found

    def _dataset(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            try:
                import h5py
            except ImportError as error:
                raise ValueError(
                    "HDF5 files should be read with h5py: pip install h5py. Received: no h5py"
                ) from error
            try:
                file = h5py.File(self.path, "r")
            except OSError as error:
                raise ValueError(
                    f"an HDF5 file should be readable. Received: {str(self.path)!r} ({error})"
                ) from error
            found = file.get(self.name)
            if not isinstance(found, h5py.Dataset):
                raise ValueError(
                    f"{str(self.path)!r} should hold a dataset {self.name!r}. "
                    f"Received: {received(list(file))}"
                )
            self._opened = os.getpid(), found
        return self._opened[1]


class FileRows:
    """Rows of image files, one a file, as bytes; read as `wyner_keras.data.load` reads them.

    Every file is read once at the door, so that a broken one is named before any work. Pixels
    are kept where they fit into 1 GiB; else files are read again when asked for.

    Args:
        paths: of PNG, JPEG, BMP, WebP, TIFF or GIF files of one size. All are grey when every
            file is, else RGB; 16 bits are rounded to 8.
        memory: bytes of pixels that may be kept.

    Raises:
        ValueError: when a file cannot be read or differs in size; the error names it.

    Example:
        >>> FileRows(["a.png", "b.png"])  # doctest: +SKIP
    """

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, memory: int = _SMALL) -> None:
        self.paths = tuple(Path(path).absolute() for path in paths)
        if not self.paths:
            raise ValueError("`paths` should name an image or more. Received: none")
        pixels: list[NDArray[np.uint8]] | None = []
        channels = 1
        for image in read_images(self.paths):
            channels = max(channels, image.shape[2])
            size = image.shape[:2]
            if pixels is not None and (len(pixels) + 1) * np.prod(size) * channels > memory:
                pixels = None
            if pixels is not None:
                pixels.append(to_bytes(image, image.shape[2]))
        self._shape = (*size, channels)
        self._array = None if pixels is None else stack_bytes(pixels, channels)

    @property
    def shape(self) -> tuple[int, ...]:
        """`(height, width, channels)`."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Bytes."""
        return np.dtype(np.uint8)

    @property
    def array(self) -> NDArray[Any] | None:
        """The pixels where they were kept."""
        return self._array

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.paths)

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        if self._array is not None:
            return self._array[positions]
        found = np.empty((len(positions), *self._shape), np.uint8)
        for place, position in enumerate(positions):
            image = read_image(self.paths[position])
            if image.shape[:2] != self._shape[:2]:
                raise ValueError(
                    f"images should stay as they were first read, {self._shape[:2]}. "
                    f"Received: {str(self.paths[position])!r} of {image.shape[:2]}"
                )
            found[place] = to_bytes(image, self._shape[2])
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
    if rows.array is not None or size > _SMALL:
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
        raise ValueError(
            f"{name} should be real numbers of 8 bytes at most{complex_hint(array)}. "
            f"Received: dtype {array.dtype}"
        )
    if len(array.shape) < 2 or 0 in array.shape:
        raise ValueError(
            f"{name} should have rows: shape (n, ...), none of it 0. Received: shape {array.shape}"
        )
    return array


def _lacks_channel(shape: tuple[int, ...], dtype: np.dtype[Any]) -> bool:
    """Bytes (n, height, width) are grey images."""
    return dtype == np.uint8 and len(shape) == 3


def _map_behind(array: Any) -> mmap.mmap | None:
    """The mapped file that an array is a view of, or None."""
    while array is not None and not isinstance(array, mmap.mmap):
        array = getattr(array, "base", None)
    return array


def _runs(ascending: NDArray[np.int64]) -> Iterator[tuple[int, int, int]]:
    """Stretches of consecutive positions: where each starts and stops, and its first position."""
    stops = [*np.flatnonzero(np.diff(ascending) != 1) + 1, len(ascending)]
    start = 0
    for stop in stops:
        yield start, stop, int(ascending[start])
        start = stop
