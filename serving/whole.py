"""Folders and files that appear whole or not at all, and of which a kill leaves nothing for good.

What is being written lies in a folder beside its place, which its writer holds locked. The system
drops the lock with the process, so that the next writer can tell what a killed one left.
"""

from __future__ import annotations

import contextlib
import os
import re
import shutil
import sys
import tempfile
from collections.abc import Iterator
from pathlib import Path

if sys.platform != "win32":
    import fcntl

_MARK = ".writing-"
# With the characters that tempfile adds.
_NAME = re.compile(rf"\.(?P<name>.+){re.escape(_MARK)}[a-z0-9_]{{8}}", re.DOTALL)
_NEW, _OLD = "new", "old"


@contextlib.contextmanager
def whole_folder(path: str | os.PathLike[str], *, replace: bool = False) -> Iterator[Path]:
    """A new folder to fill, which takes a name at the end.

    Args:
        path: the name; folders above it are made where absent.
        replace: whether a folder may lie there, to be replaced.

    Yields:
        The folder to fill, on the same file system.

    Raises:
        FileExistsError: if something lies at the name, at the end.

    Example:
        >>> place = Path(tempfile.mkdtemp()) / "a"
        >>> with whole_folder(place) as folder:
        ...     _ = (folder / "b.txt").write_text("b")
        >>> [path.name for path in place.parent.rglob("*")]
        ['a', 'b.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path) as folder:
        new, old = folder / _NEW, folder / _OLD
        new.mkdir()
        yield new
        new.chmod(0o755)
        # A rename would replace an empty folder in silence.
        there = os.path.lexists(path)
        if there and not replace:
            raise FileExistsError(f"{path} should not exist yet. Received: a path that does")
        if there:
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if there:
                old.rename(path)
            raise


@contextlib.contextmanager
def beside(path: Path) -> Iterator[Path]:
    """An empty folder of one's own beside a path, gone at the end with all that is in it.

    What killed writers of the same path left is removed first.
    """
    clear_leftovers(path.parent, path.name)
    folder, lock = _claim(path)
    try:
        yield folder
    finally:
        shutil.rmtree(folder, ignore_errors=True)
        if lock is not None:
            os.close(lock)


def clear_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers left in a folder: those of one name, or all."""
    with os.scandir(folder) as entries:
        found = [(entry, _NAME.fullmatch(entry.name)) for entry in entries]
    for entry, match in found:
        if match and name in (None, match["name"]) and entry.is_dir(follow_symlinks=False):
            _clear(Path(entry.path), folder / match["name"])


def _claim(path: Path) -> tuple[Path, int | None]:
    """A new folder beside a path, and the descriptor by which it is locked."""
    while True:
        made = tempfile.mkdtemp(prefix=f".{path.name}{_MARK}", dir=path.parent)
        if sys.platform == "win32":
            return Path(made), None
        try:
            lock = os.open(made, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another writer took it for a leftover: it was not locked yet
        try:
            fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError:
            os.close(lock)
            continue  # that writer is about to remove it
        except OSError:
            return Path(made), lock  # a file system without locks; nobody clears there
        if os.path.exists(made):
            return Path(made), lock
        os.close(lock)


def _clear(leftover: Path, path: Path) -> None:
    """Remove a folder whose maker is gone; what it had moved out of the way goes back."""
    if sys.platform == "win32":
        return
    try:
        lock = os.open(leftover, os.O_RDONLY)
    except OSError:
        return  # removed by now, or another user's
    try:
        # Refused while its maker lives.
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
        old = leftover / _OLD
        if old.is_dir() and not os.path.lexists(path):
            old.rename(path)
        shutil.rmtree(leftover, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(lock)
