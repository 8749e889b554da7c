"""Folders and files that appear whole or not at all, and of which a kill leaves nothing for good.

What gets a name is on the disk by then, so that a power cut leaves what was there or what is new.
What is being written lies in a folder beside its place, which its writer holds locked. The system
drops the lock with the process, so that the next writer can tell what a killed one left.
"""

from __future__ import annotations

import contextlib
import errno
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
# In place of those characters, where a path should have one writer.
_ONE = "00000000"
# Of a disk or a folder that takes nothing.
_TAKES_NOTHING = (
    *(errno.ENOSPC, errno.EFBIG, errno.EROFS),
    *((errno.EDQUOT,) if hasattr(errno, "EDQUOT") else ()),
)
# Of a file system that has no such thing as waiting for its disk.
_CANNOT_SETTLE = (errno.EINVAL, errno.ENOTSUP)


class NotWritten(OSError):
    """A file or folder could not be written: a full disk, a read-only one."""


@contextlib.contextmanager
def whole_folder(
    path: str | os.PathLike[str], *, replace: bool = False, keep: bool = False
) -> Iterator[Path]:
    """A new folder to fill, which takes a name at the end.

    Args:
        path: the name; folders above it are made where absent.
        replace: whether a folder may lie there, to be replaced.
        keep: whether one that lies there at the end stays: another writer of the same may be
            reading it.

    Yields:
        The folder to fill, on the same file system.

    Raises:
        FileExistsError: if something lies at the name, at the end.
        BlockingIOError: if another process is writing it, unless it may be replaced or
            kept.
        NotWritten: if the disk is full or read-only.

    Example:
        >>> place = Path(tempfile.mkdtemp()) / "a"
        >>> with whole_folder(place) as folder:
        ...     _ = (folder / "b.txt").write_text("b")
        >>> [path.name for path in place.parent.rglob("*")]
        ['a', 'b.txt']
    """
    path = Path(path)
    path.parent.mkdir(parents=True, exist_ok=True)
    with beside(path, one=not (replace or keep)) as folder:
        new, old = folder / _NEW, folder / _OLD
        new.mkdir()
        yield new
        new.chmod(0o755)
        # A rename would replace an empty folder in silence.
        there = os.path.lexists(path)
        if there and keep:
            return
        if there and not replace:
            raise FileExistsError(f"{path} should not exist yet. Received: a path that does")
        settle(new)
        if there:
            path.rename(old)
        try:
            new.rename(path)
        except OSError:
            if keep and path.is_dir():
                return  # it came meanwhile
            if there:
                old.rename(path)
            raise
        _settle(path.parent)


@contextlib.contextmanager
def whole_file(path: Path) -> Iterator[Path]:
    """A path to write to, of the same name in a folder beside: it takes the place at the end.

    If writing fails, what was there stays and the rest is removed. What a killed writer of the
    same file left is removed by the next one.
    """
    with beside(path) as folder:
        temporary = folder / path.name
        yield temporary
        settle(temporary)
        os.replace(temporary, path)


def settle(path: Path) -> None:
    """Wait until the disk has a file, or a folder with all that is in it.

    A name may reach the disk before what it names: a power cut in between would leave it empty.

    Args:
        path: what is about to get its name.

    Raises:
        OSError: if the disk does not take it.
    """
    if path.is_dir():
        for folder, _, names in os.walk(path, topdown=False):
            for name in names:
                if not os.path.islink(each := Path(folder, name)):
                    _settle(each)
            _settle(Path(folder))
    else:
        _settle(path)


def _settle(path: Path) -> None:
    if sys.platform == "win32":  # what is open to read cannot be asked for there
        return
    descriptor = os.open(path, os.O_RDONLY)
    try:
        os.fsync(descriptor)
    except OSError as error:
        if error.errno not in _CANNOT_SETTLE:
            raise
    finally:
        os.close(descriptor)


@contextlib.contextmanager
def beside(path: Path, *, one: bool = False) -> Iterator[Path]:
    """An empty folder of one's own beside a path, gone at the end with all that is in it.

    What killed writers of the same path left is removed first.

    Args:
        path: what is being written.
        one: whether it should have one writer at a time.

    Raises:
        BlockingIOError: if another process is the one.
        NotWritten: if the disk is full or read-only.
    """
    with _told(path):
        clear_leftovers(path.parent, path.name)
        folder, lock = _claim(path, one)
        try:
            yield folder
        finally:
            shutil.rmtree(folder, ignore_errors=True)
            if lock is not None:
                os.close(lock)


@contextlib.contextmanager
def held(folder: Path) -> Iterator[None]:
    """Inside, this process is the one that writes in a folder, which has to be there.

    The folder itself is locked: there is no file to be left, and the system drops the lock of a
    process that dies. Where the file system has no locks, nobody is refused.

    Raises:
        BlockingIOError: if another process is the one.
    """
    if sys.platform == "win32":
        yield
        return
    lock = os.open(folder, os.O_RDONLY)
    try:
        if _lock(lock) is False:
            raise _taken(folder)
        yield
    finally:
        os.close(lock)


def _taken(path: Path) -> BlockingIOError:
    return BlockingIOError(
        f"{path} should be written by one process at a time. Received: a path that another is "
        "writing"
    )


def _lock(descriptor: int) -> bool | None:
    """Whether a folder's lock is had now; None where the file system has no locks."""
    try:
        fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except BlockingIOError:
        return False
    except OSError:
        return None
    return True


@contextlib.contextmanager
def _told(path: Path) -> Iterator[None]:
    """Says for which path a disk took nothing; libraries tell it in ways of their own."""
    try:
        yield
    except NotWritten:
        raise
    except Exception as error:
        number = error.errno if isinstance(error, OSError) else None
        for known in _TAKES_NOTHING:
            if number == known or (number is None and os.strerror(known) in str(error)):
                raise NotWritten(
                    f"{path} should be written. Received: {os.strerror(known)}"
                ) from error
        raise


def clear_leftovers(folder: Path, name: str | None = None) -> None:
    """Remove what killed writers left in a folder: those of one name, or all."""
    with os.scandir(folder) as entries:
        found = [(entry, _NAME.fullmatch(entry.name)) for entry in entries]
    for entry, match in found:
        if match and name in (None, match["name"]) and entry.is_dir(follow_symlinks=False):
            _clear(Path(entry.path), folder / match["name"])


def _claim(path: Path, one: bool) -> tuple[Path, int | None]:
    """A new folder beside a path, and the descriptor by which it is locked."""
    while True:
        made = _made_alone(path) if one and sys.platform != "win32" else None
        made = made or tempfile.mkdtemp(prefix=f".{path.name}{_MARK}", dir=path.parent)
        if sys.platform == "win32":
            return Path(made), None
        try:
            lock = os.open(made, os.O_RDONLY)
        except FileNotFoundError:
            continue  # another writer took it for a leftover: it was not locked yet
        had = _lock(lock)
        if had is None:
            return Path(made), lock  # nobody clears there
        # Not one that another writer made of the same name, when it had removed this.
        if had and os.path.exists(made) and os.path.samestat(os.fstat(lock), os.stat(made)):
            return Path(made), lock
        os.close(lock)  # that writer is about to remove it


def _made_alone(path: Path) -> str | None:
    """A folder beside a path, of a name that only one can have; None where that cannot be told.

    Raises:
        BlockingIOError: if another process has it.
    """
    made = path.with_name(f".{path.name}{_MARK}{_ONE}")
    for _ in range(3):
        try:
            made.mkdir(0o700)
            return os.fspath(made)
        except FileExistsError:
            pass
        try:
            lock = os.open(made, os.O_RDONLY)
        except OSError:
            continue  # gone by now, or no folder
        try:
            had = _lock(lock)
        finally:
            os.close(lock)
        if had is False:
            raise _taken(path)
        _clear(made, path)
    return None


def _clear(leftover: Path, path: Path) -> None:
    """Remove a folder whose maker is gone; what it had moved out of the way goes back."""
    if sys.platform == "win32":
        return
    try:
        lock = os.open(leftover, os.O_RDONLY)
    except OSError:
        return  # removed by now, or another user's
    try:
        if not _lock(lock):
            return  # its maker lives
        old = leftover / _OLD
        if old.is_dir() and not os.path.lexists(path):
            old.rename(path)
        shutil.rmtree(leftover, ignore_errors=True)
    except OSError:
        return
    finally:
        os.close(lock)
