"""Refuses what is no regular file before anything opens it."""

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
