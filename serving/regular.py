"""Opens regular files alone: nothing that blocks, never ends, or lies elsewhere."""

from __future__ import annotations

import io
import os
import stat

# A FIFO opens at once; of a link at the end the system says no. Windows has neither.
_FLAGS = os.O_RDONLY | getattr(os, "O_BINARY", 0) | getattr(os, "O_NONBLOCK", 0)
_NO_LINK = getattr(os, "O_NOFOLLOW", 0)


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
