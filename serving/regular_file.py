"""Regular files alone: nothing that blocks, never ends, or lies elsewhere."""

from __future__ import annotations

import io
import os
import stat
from pathlib import Path

_KINDS = (
    (stat.S_ISDIR, "a folder"),
    (stat.S_ISFIFO, "a FIFO"),
    (stat.S_ISSOCK, "a socket"),
    (stat.S_ISCHR, "a device"),
    (stat.S_ISBLK, "a device"),
)
# A FIFO opens at once; of a link at the end the system says no. Windows has neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


def check_regular(path: str | os.PathLike[str], name: str = "file") -> Path:
    """Checks that a path leads to a regular file, without opening it.

    A FIFO blocks whoever opens it, and a device such as `/dev/zero` has no end.

    Args:
        path: of a file; links are followed.
        name: what the caller calls the file, for the error message.

    Returns:
        The path.

    Raises:
        ValueError: when nothing is there, it cannot be looked at, or it is a folder, FIFO,
            socket or device.

    Example:
        >>> check_regular("/dev/null", "image")
        Traceback (most recent call last):
        ...
        ValueError: image should be a regular file. Received: '/dev/null', a device
    """
    expected = f"{name} should be a regular file. Received: {os.fspath(path)!r}"
    try:
        mode = os.stat(path).st_mode
    except OSError as error:
        link = ", a link to nothing" if os.path.islink(path) else ""
        raise ValueError(f"{expected}{link} ({error.strerror})") from error
    # A path with a null character in it.
    except ValueError as error:
        raise ValueError(f"{expected} ({error})") from error
    if not stat.S_ISREG(mode):
        what = next((kind for is_kind, kind in _KINDS if is_kind(mode)), "neither file nor folder")
        raise ValueError(f"{expected}, {what}")
    return Path(path)


def open_regular(path: str | os.PathLike[str], *, links: bool = False) -> io.BufferedReader:
    """A regular file, open for reading bytes.

    Args:
        path: of the file.
        links: whether a link at its end is followed.

    Raises:
        OSError: if there is none, or it is a folder, FIFO, socket or device.
    """
    descriptor = os.open(path, _FLAGS if links else _FLAGS | _NO_LINK)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return os.fdopen(descriptor, "rb")


def read_regular(path: str | os.PathLike[str], most: int, *, links: bool = False) -> bytes:
    """All bytes of a regular file.

    Args:
        path: of the file.
        most: bytes that it may have.
        links: whether a link at its end is followed.

    Raises:
        OSError: as `open_regular`, and if it is larger.
    """
    with open_regular(path, links=links) as stream:
        # One byte more tells a file that is too large, or grows.
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(f"more than {most} bytes")
    return content
