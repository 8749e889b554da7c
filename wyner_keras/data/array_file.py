"""Rows from files of arrays: .npy, .npz, HDF5."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.data.door import as_rows
from wyner_keras.data.file_rows import HDF5Rows, hdf5
from wyner_keras.data.rows import ArrayRows, Rows, small_in_memory
from wyner_keras.received import received
from wyner_serving.regular_file import check_regular

ARRAY_SUFFIXES = (".npy", ".npz", ".h5", ".hdf5")
"""How the names of files end that hold arrays."""


def split_key(path: str | os.PathLike[str]) -> tuple[Path, str | None]:
    """The path of a file, and the name in it that follows a colon.

    Args:
        path: such as "a.npz:images"; a file that is called so is taken whole.

    Example:
        >>> split_key("a.npz:images")
        (PosixPath('a.npz'), 'images')
    """
    text = os.fspath(path)
    before, colon, key = text.rpartition(":")
    if colon and key and before.lower().endswith(ARRAY_SUFFIXES) and not os.path.exists(text):
        return Path(before), key
    return Path(text), None


def read_array_file(path: str | os.PathLike[str], name: str) -> Rows:
    """A store of the rows of a file; in memory where they fit into 1 GiB, else read as asked for.

    Args:
        path: of a .npy, .npz or HDF5 file. Of several arrays in one file, a colon and a name
            after the path say which: "a.npz:images".
        name: what the caller calls the rows, for the error message.

    Raises:
        ValueError: when the file is not there or broken, or holds no such array.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as folder:
        ...     np.save(f"{folder}/a.npy", np.zeros((3, 2)))
        ...     rows = read_array_file(f"{folder}/a.npy", "x")
        >>> len(rows), rows.shape
        (3, (2,))
    """
    file, key = split_key(path)
    check_regular(file, name)
    suffix = file.suffix.lower()
    if suffix == ".npy" and key is not None:
        raise ValueError(
            f"{name} should name no array of a .npy file, which holds one. "
            f"Received: {os.fspath(path)!r}"
        )
    if suffix in (".h5", ".hdf5"):
        return small_in_memory(HDF5Rows(file, key if key else _only_dataset(file, name)))
    try:
        if suffix == ".npy":
            # The check of its header comes with it: nothing is unpickled.
            return small_in_memory(as_rows(np.load(file, mmap_mode="r", allow_pickle=False), name))
        with np.load(file, allow_pickle=False) as arrays:
            return ArrayRows(arrays[_only(list(arrays), key, file, name)], name)
    # A broken file raises much: zipfile.BadZipFile, EOFError, ...
    except Exception as error:
        if isinstance(error, ValueError) and f"{name} should" in str(error):
            raise
        raise ValueError(
            f"{name} should be readable as {suffix} of numbers. "
            f"Received: {str(file)!r} ({type(error).__name__}: {error})"
        ) from error


def _only_dataset(file: Path, name: str) -> str:
    """The name of the one dataset at the top of an HDF5 file."""
    with hdf5(file, f"{name} should be readable as HDF5") as h5py, h5py.File(file, "r") as opened:
        found = [key for key, value in opened.items() if isinstance(value, h5py.Dataset)]
    return _only(found, None, file, name)


def _only(names: list[Any], key: str | None, file: Path, name: str) -> str:
    if key is None and len(names) == 1:
        return str(names[0])
    if key is None or key not in names:
        raise ValueError(
            f"{name} should say which array of {str(file)!r}, as in {file.name + ':NAME'!r}. "
            f"Received: {received(key)}, of {received(names)}"
        )
    return key
