"""What bulk work reads: numbered rows of a folder of Parquet, arrays or images, in one order."""

from __future__ import annotations

import contextlib
import hashlib
import json
import math
import os
import zipfile
from abc import ABC, abstractmethod
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import IO, Any

import numpy as np

from wyner_serving.errors import InputError
from wyner_serving.image_file import SUFFIXES, read_images_of
from wyner_serving.listing import walk_images, warn_left_out
from wyner_serving.regular_file import check_regular, open_regular

_HEADERS: dict[tuple[int, int], Any] = {
    (1, 0): np.lib.format.read_array_header_1_0,
    (2, 0): np.lib.format.read_array_header_2_0,
}
Entry = Mapping[str, Any]
Arrays = dict[str, np.ndarray]
PLAN = "_bulk.json"
"""The file in an output that says what it is of; its name keeps readers of Parquet from it."""

_ARRAYS, _TABLES = (".npy", ".npz"), (".parquet",)
_SIDES = ("x", "y")  # whose arrays are not taken for one another's


class Source(ABC):
    """Rows by their numbers: files in the order of their names, each file's rows in its own.

    Args:
        root: where the files are.
        files: in the order of their rows.
        sides: by column that is read, what the model says of its side.
    """

    def __init__(self, root: Path, files: Sequence[Path], sides: Mapping[str, Entry]) -> None:
        self.root, self.files, self.sides = root, files, sides
        self._starts = np.concatenate([[0], np.cumsum(self._counts())])

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self._starts[-1])

    @abstractmethod
    def _counts(self) -> list[int]:
        """How many rows each file has; raises InputError for one that lacks what is read."""

    @abstractmethod
    def read(self, start: int, stop: int) -> Arrays:
        """Rows `start` to `stop`, by column, each `(stop - start, ...)`.

        Raises:
            InputError: if a file cannot be read, or holds something else than it should.
        """

    def close(self) -> None:  # noqa: B027 (images leave none open)
        """Close the file that was read last; reading opens it anew."""

    def names(self, start: int, stop: int) -> list[str] | None:
        """The file of each row, within the root; None where one file holds many."""
        return None

    def digest(self) -> str:
        """SHA-256 of what tells these rows from others: names, sizes and times of all files."""
        found = hashlib.sha256()
        for file in self._all_files():
            facts = file.stat()
            name = file.relative_to(self.root).as_posix()
            found.update(f"{name}\0{facts.st_size}\0{facts.st_mtime_ns}\n".encode())
        return found.hexdigest()

    def _all_files(self) -> Iterator[Path]:
        yield from self.files


class ImageSource(Source):
    """Image files, a row each; of several columns, files of one name in folders called so."""

    def _counts(self) -> list[int]:
        for name in self._columns():
            for file in () if name is None else self.files:
                partner = self._path(name, file)
                if not partner.is_file():
                    raise InputError(
                        f"Each {next(iter(self.sides))} should have a {name} of the same name. "
                        f"Received: no {partner}"
                    )
        return [1] * len(self.files)

    def _columns(self) -> list[str | None]:
        return [None] if len(self.sides) == 1 else list(self.sides)

    def _path(self, column: str | None, file: Path) -> Path:
        if column is None:
            return file
        first = self.root / next(iter(self.sides))
        return self.root / column / file.relative_to(first)

    def _all_files(self) -> Iterator[Path]:
        for column in self._columns():
            yield from (self._path(column, file) for file in self.files)

    def read(self, start: int, stop: int) -> Arrays:
        """Rows `start` to `stop`; see `Source.read`."""
        found = {}
        for column, (name, entry) in zip(self._columns(), self.sides.items(), strict=True):
            files = [self._path(column, file) for file in self.files[start:stop]]
            try:
                found[name] = read_images_of(files, tuple(entry["shape"]), "--input")
            except ValueError as error:
                raise InputError(str(error)) from error
        return found

    def names(self, start: int, stop: int) -> list[str] | None:
        """The file of each row, within the root."""
        return [file.relative_to(self.root).as_posix() for file in self.files[start:stop]]


class ManyRows(Source):
    """Rows of files that hold many each."""

    @abstractmethod
    def _read(self, file: int, start: int, stop: int) -> Arrays:
        """Some rows of a file, by column."""

    def read(self, start: int, stop: int) -> Arrays:
        """Rows `start` to `stop`; see `Source.read`."""
        parts = []
        file = int(np.searchsorted(self._starts, start, "right")) - 1
        while start < stop:
            before, end = int(self._starts[file]), min(stop, int(self._starts[file + 1]))
            if start < end:
                try:
                    parts.append(self._read(file, start - before, end - before))
                except InputError:
                    raise
                except Exception as error:  # a damaged file fails in its zip, header or pages
                    raise InputError(
                        f"{self.files[file]} should be readable. "
                        f"Received: {type(error).__name__}: {error}"
                    ) from error
                start = end
            file += 1
        return {name: np.concatenate([part[name] for part in parts]) for name in parts[0]}


class ArraySource(ManyRows):
    """Files of NumPy: .npy of one column, or .npz with an array a column."""

    def _counts(self) -> list[int]:
        self._open: tuple[int, dict[str, _Stored]] | None = None
        try:
            return [self._count(file) for file in range(len(self.files))]
        finally:
            self.close()

    def _count(self, file: int) -> int:
        counts = {name: stored.shape[0] for name, stored in self._stored(file).items()}
        if len(set(counts.values())) > 1:
            raise InputError(
                f"{self.files[file]} should have as many rows in each array. Received: {counts}"
            )
        return next(iter(counts.values()))

    def close(self) -> None:
        """Close the file that was read last; reading opens it anew."""
        if self._open is not None:
            for stored in self._open[1].values():
                stored.close()
            self._open = None

    def _stored(self, file: int) -> dict[str, _Stored]:
        """A file's arrays; one file is open at a time."""
        if self._open is not None and self._open[0] == file:
            return self._open[1]
        self.close()
        path = self.files[file]
        found: dict[str, _Stored] = {}
        self._open = file, found
        try:
            for name in self.sides:
                found[name] = _Stored(path, name, alone=len(self.sides) == 1)
        except InputError:
            raise
        except Exception as error:  # a damaged file fails in its zip or its header
            raise InputError(
                f"{path} should be readable as {path.suffix}. "
                f"Received: {type(error).__name__}: {error}"
            ) from error
        return found

    def _read(self, file: int, start: int, stop: int) -> Arrays:
        return {name: each.read(start, stop) for name, each in self._stored(file).items()}


class _Stored:
    """An array in NumPy's format, of which rows are read where they are asked for.

    Args:
        path: of the file.
        name: of the array in a .npz.
        alone: whether it is the only one that is read, and may be called otherwise.
    """

    def __init__(self, path: Path, name: str, alone: bool) -> None:
        with contextlib.ExitStack() as opened:
            self._stream = self._opened(path, name, alone, opened)
            version = np.lib.format.read_magic(self._stream)
            if version not in _HEADERS:
                raise ValueError(f"version {version} of the format")
            self.shape, by_columns, self._dtype = _HEADERS[version](self._stream)
            if by_columns or self._dtype.hasobject or not self.shape:
                order = ", in Fortran order" if by_columns else ""
                raise InputError(
                    f"{path} should hold arrays (n, ...) of numbers, row after row as "
                    f"np.ascontiguousarray has them. Received: shape {self.shape}, "
                    f"{self._dtype}{order}"
                )
            self._begin = self._stream.tell()
            self._size = self._dtype.itemsize * math.prod(self.shape[1:])
            stop = self._begin + self.shape[0] * self._size
            if min(self.shape) < 0 or stop > self._stops:
                raise InputError(
                    f"{path} should hold what its header says. Received: shape {self.shape}, "
                    f"{self._dtype}, {self._stops - self._begin} bytes"
                )
            self.close = opened.pop_all().close

    def _opened(
        self, path: Path, name: str, alone: bool, opened: contextlib.ExitStack
    ) -> IO[bytes]:
        """The stream of an array; `_stops` is then how many bytes there are, header and all."""
        if path.suffix.lower() == ".npy":
            if not alone:
                raise InputError(f"{path} should be a .npz file, with an array {name!r}")
            self._stops = path.stat().st_size
            return opened.enter_context(open_regular(path, links=True))
        archive = opened.enter_context(
            zipfile.ZipFile(opened.enter_context(open_regular(path, links=True)))
        )
        there = [each.removesuffix(".npy") for each in archive.namelist()]
        if alone and len(there) == 1 and there[0] not in _SIDES:
            (name,) = there
        if name not in there:
            raise InputError(f"{path} should hold an array {name!r}. Received: {there}")
        self._stops = archive.getinfo(f"{name}.npy").file_size
        return opened.enter_context(archive.open(f"{name}.npy"))

    def read(self, start: int, stop: int) -> np.ndarray:
        """Rows `start` to `stop`."""
        self._stream.seek(self._begin + start * self._size)
        content = self._stream.read((stop - start) * self._size)
        return np.frombuffer(content, self._dtype).reshape(stop - start, *self.shape[1:])


def open_source(path: str | os.PathLike[str], sides: Mapping[str, Entry]) -> Source:
    """The rows of a file, or of a folder and the folders in it.

    Args:
        path: of .parquet files, of .npy or .npz files, or of image files; see `docs/bulk.md`.
        sides: by column that is read, what the model says of its side.

    Raises:
        InputError: if there are no such files, several kinds of them, or one that does not hold
            what is read.
    """
    root = Path(path)
    try:
        if root.is_dir():
            images, others = walk_images(root, "--input")
        else:
            check_regular(root, "--input")  # a FIFO would be waited for
            images, others = ([root], []) if root.suffix.lower() in SUFFIXES else ([], [root])
    except ValueError as error:
        raise InputError(str(error)) from error
    kinds = {
        "tables": sorted(file for file in others if file.suffix.lower() in _TABLES),
        "arrays": sorted(file for file in others if file.suffix.lower() in _ARRAYS),
        "images": images,
    }
    there = {kind: files for kind, files in kinds.items() if files}
    if len(there) != 1:
        found = ", ".join(f"{len(files)} {kind}" for kind, files in there.items())
        raise InputError(
            f"--input should hold files of one kind: {', '.join((*_TABLES, *_ARRAYS, *SUFFIXES))}. "
            f"Received: {str(root)!r} with {found or 'none'}"
        )
    ((kind, files),) = there.items()
    for file in files:
        try:
            str(file).encode()
        except UnicodeEncodeError as error:
            raise InputError(
                f"--input should hold files whose names are UTF-8. Received: {os.fsencode(file)!r}"
            ) from error
    root = root if root.is_dir() else root.parent
    read = {*files, root / PLAN}
    warn_left_out([file for file in others if file not in read], root)
    source = _of_kind(kind, root, files, sides)
    if (root / PLAN) in others:
        _check_whole(root / PLAN, len(source))
    if not len(source):
        raise InputError(f"--input should hold rows. Received: {str(path)!r} without any")
    return source


def _check_whole(plan: Path, rows: int) -> None:
    """Refuse what bulk work has written a part of."""
    try:
        wanted = json.loads(plan.read_text(encoding="utf-8"))["rows"]
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise InputError(f"{plan} should be a job's plan. Received: {error}") from error
    if wanted != rows:
        raise InputError(
            f"--input should be finished by the job that writes it. "
            f"Received: {str(plan.parent)!r}, {rows} of {wanted} rows"
        )


def _of_kind(kind: str, root: Path, files: Sequence[Path], sides: Mapping[str, Entry]) -> Source:
    if kind == "tables":
        # Here, because it needs pyarrow.
        from wyner_serving.bulk.tables import TableSource

        return TableSource(root, files, sides)
    if kind == "arrays":
        return ArraySource(root, files, sides)
    of = {name: entry["kind"] for name, entry in sides.items()}
    if set(of.values()) != {"image"}:
        raise InputError(f"--input should hold {of}. Received: image files in {str(root)!r}")
    if len(sides) > 1:
        folders = {name: [file for file in files if root / name in file.parents] for name in sides}
        counts = {name: len(inside) for name, inside in folders.items()}
        if (
            len(set(counts.values())) > 1
            or sum(counts.values()) != len(files)
            or not all(counts.values())
        ):
            raise InputError(
                f"--input should hold the folders {' and '.join(sides)}, with files of the same "
                f"names. Received: {counts} of {len(files)} images in {str(root)!r}"
            )
        files = next(iter(folders.values()))
    return ImageSource(root, files, sides)
