"""Stores of rows that lie in files: read when asked for, so that they need not fit into memory."""

import contextlib
import os
import weakref
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.rows import SMALL, Memory, check_rows_array, runs, shape_of_row
from wyner_keras.received import received
from wyner_serving.image_file import read_image, read_images, stack_bytes, to_bytes
from wyner_serving.regular_file import check_regular


class DiskRows:
    """Rows one after another in a file of raw numbers, an array mapped into memory say.

    They are read by position, not through the map: what is read does not stay resident.

    Args:
        file: the descriptor of an open file; a copy of it is kept.
        like: an array `(n, *shape)` as the file holds it; its shape and dtype alone are read.
        offset: of the first row in the file, in bytes.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryFile() as file:
        ...     _ = file.write(np.arange(6.0).tobytes())
        ...     file.flush()
        ...     rows = DiskRows(file.fileno(), np.empty((3, 2)))
        >>> rows.take(np.array([2, 0])).tolist()
        [[4.0, 5.0], [0.0, 1.0]]
    """

    def __init__(self, file: int, like: Any, offset: int = 0) -> None:
        self._file, self._offset = os.dup(file), offset
        weakref.finalize(self, os.close, self._file)
        self._count, self._shape, self._stored = len(like), shape_of_row(like), like.dtype
        self._memory = Memory()

    @classmethod
    def of(cls, array: np.memmap[Any, Any]) -> "DiskRows | None":
        """The rows of a mapped file; None where its file cannot be read as they lie."""
        inside = array[:1].flags.c_contiguous and array.strides[0] == array[:1].nbytes
        # What a private map ("c") was written to, its file does not hold.
        if not inside or array.mode == "c" or not array.filename or not hasattr(os, "preadv"):
            return None
        mapped: Any = array
        while isinstance(mapped.base, np.ndarray):
            mapped = mapped.base
        # `offset` is that of the whole map, also of a part of it.
        offset = array.offset + array.ctypes.data - mapped.ctypes.data
        with contextlib.suppress(OSError):
            file = os.open(array.filename, os.O_RDONLY)
            try:
                rows = cls(file, array, offset)
                # Another file may have taken the place of the one that is mapped.
                if rows.take(np.arange(1)).tobytes() == array[:1].tobytes():
                    return rows
            finally:
                os.close(file)
        return None

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return self._shape

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers, in the machine's order of bytes."""
        return self._stored.newbyteorder("=")

    @property
    def array(self) -> None:
        """None: the rows lie on disk."""
        return None

    def __len__(self) -> int:
        """How many rows there are."""
        return self._count

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A copy of rows."""
        size = int(np.prod(self._shape)) * self._stored.itemsize
        found = self._memory.empty((len(positions), *self._shape), self._stored)
        into = found.reshape(-1).view(np.uint8).data
        for start, stop, first in runs(positions):
            part, place = into[start * size : stop * size], self._offset + first * size
            while part:
                read = os.preadv(self._file, [part], place)
                if not read:
                    raise OSError(f"row {first} should be in the file. Received: its end")
                part, place = part[read:], place + read
        return found.astype(self.dtype, copy=False)


@contextlib.contextmanager
def hdf5(path: Path, should: str = "an HDF5 file should be readable") -> Iterator[Any]:
    """Hand out h5py, to read a file by.

    Args:
        path: of the file, for the message.
        should: what is asked of it, likewise.

    Raises:
        ValueError: when h5py is absent, or reading fails.
    """
    try:
        import h5py
    except ImportError as error:
        raise ValueError(
            "HDF5 files should be read with h5py: pip install h5py. Received: no h5py"
        ) from error
    try:
        yield h5py
    # Of what is damaged inside, h5py raises RuntimeError, KeyError, ValueError and more.
    except Exception as error:
        raise ValueError(f"{should}. Received: {str(path)!r} ({error})") from error


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
        self._count, self._shape = len(dataset), shape_of_row(dataset)
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
        with hdf5(self.path):  # a damaged file fails where its chunks are read
            for start, stop, first in runs(ascending):
                found[start:stop] = dataset[first : first + stop - start]
        return found[places].reshape(len(positions), *self._shape)

    def _dataset(self) -> Any:
        if self._opened is None or self._opened[0] != os.getpid():
            with hdf5(self.path) as h5py:
                file = h5py.File(self.path, "r")
                found, names = file.get(self.name), list(file)
            if not isinstance(found, h5py.Dataset):
                raise ValueError(
                    f"{str(self.path)!r} should hold a dataset {self.name!r}. "
                    f"Received: {received(names)}"
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

    def __init__(self, paths: Sequence[str | os.PathLike[str]], *, memory: int = SMALL) -> None:
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
