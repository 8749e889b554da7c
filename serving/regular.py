"""Opens regular files alone: nothing that blocks, never ends, or lies elsewhere."""

from __future__ import annotations

import os
import stat
from pathlib import Path
from typing import BinaryIO

# A FIFO opens at once; of a link at the end the system says no. Windows has neither.
_FLAGS = (
    os.O_RDONLY
    | getattr(os, "O_BINARY", 0)
    | getattr(os, "O_NONBLOCK", 0)
    | getattr(os, "O_NOFOLLOW", 0)
)


def open_regular(path: Path) -> BinaryIO:
    """A regular file, open for reading bytes.

    Raises:
        OSError: if there is none, or it is a link, a folder, FIFO, socket or device.
    """
    descriptor = os.open(path, _FLAGS)
    if not stat.S_ISREG(os.fstat(descriptor).st_mode):
        os.close(descriptor)
        raise OSError("no regular file")
    return os.fdopen(descriptor, "rb")


def read_regular(path: Path, most: int) -> bytes:
    """All bytes of a regular file.

    Args:
        path: of the file; a link at its end is not followed.
        most: bytes that it may have.

    Raises:
        OSError: as `open_regular`, and if it is larger.
    """
    with open_regular(path) as stream:
        # One byte more tells a file that is too large, or grows.
        content = stream.read(most + 1)
    if len(content) > most:
        raise OSError(f"more than {most} bytes")
    return content
