"""Sorts what a folder holds: images, folders, what is passed over, what is refused by name."""

import logging
import os
from collections.abc import Sequence
from pathlib import Path
from typing import NamedTuple

from wyner_serving.image_file import SUFFIXES
from wyner_serving.regular_file import check_regular

_log = logging.getLogger(__name__)

# What systems and archives leave behind, in lower case; no one's data.
_JUNK = {
    "$recycle.bin",
    "#recycle",
    "@eadir",
    "@recycle",
    "__macosx",
    "__pycache__",
    "desktop.ini",
    "lost+found",
    "system volume information",
    "thumbs.db",
}
# Images all the same: to leave them out would change a set unnoticed.
# fmt: off
_UNREAD_SUFFIXES = {
    ".apng", ".arw", ".avif", ".cr2", ".cr3", ".dcm", ".dds", ".dib", ".dng", ".eps", ".exr",
    ".fits", ".hdr", ".heic", ".heif", ".icns", ".ico", ".j2k", ".jfif", ".jp2", ".jpe", ".jpf",
    ".jpx", ".jxl", ".nef", ".nii", ".orf", ".pbm", ".pcx", ".pgm", ".pnm", ".ppm", ".psd", ".raf",
    ".raw", ".rw2", ".svg", ".svgz", ".tga", ".xcf",
}
# fmt: on


class Listing(NamedTuple):
    """What a folder holds, each in the order of names."""

    images: list[Path]
    folders: list[Path]
    others: list[Path]
    """Files that are no images."""


def list_folder(folder: Path, name: str = "images", *, refuse_unread: bool = True) -> Listing:
    """Lists a folder without what systems leave in it: hidden files, `__MACOSX`, `Thumbs.db`, ...

    Args:
        folder: to list; links in it are followed.
        name: what the caller calls the images, for the error message.
        refuse_unread: whether images in formats that are not read are refused rather than among
            the others.

    Raises:
        ValueError: when the folder cannot be listed, or holds a FIFO, socket, device or link to
            nothing, a folder called as an image, or an image in a format that is not read.

    Example:
        >>> import tempfile
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for name in ("b.png", "a.JPG", "notes.txt", ".DS_Store"):
        ...         _ = (Path(root) / name).write_bytes(b"")
        ...     found = list_folder(Path(root))
        >>> [path.name for path in found.images], [path.name for path in found.others]
        (['a.JPG', 'b.png'], ['notes.txt'])
    """
    found = Listing([], [], [])
    try:
        with os.scandir(folder) as entries:
            kinds = [
                (Path(entry.path), entry.is_file(), entry.is_dir())
                for entry in entries
                if not (entry.name.startswith(".") or entry.name.lower() in _JUNK)
            ]
    except OSError as error:
        raise ValueError(
            f"{name} should be in a folder that can be read. Received: {str(folder)!r} ({error})"
        ) from error
    for path, is_file, is_folder in sorted(kinds):
        suffix = path.suffix.lower()
        if suffix in SUFFIXES or not (is_file or is_folder):
            found.images.append(check_regular(path, f"each file of {name}"))
        elif is_folder:
            found.folders.append(path)
        elif refuse_unread and suffix in _UNREAD_SUFFIXES:
            raise ValueError(
                f"{name} should be {', '.join(SUFFIXES)} files; convert others to one of these. "
                f"Received: {str(path)!r}"
            )
        else:
            found.others.append(path)
    return found


def refuse_inside(folders: Sequence[Path], name: str) -> None:
    """Refuse images in folders that are not read: to leave them out changes the set.

    Args:
        folders: that are not read.
        name: what the caller calls the images, for the error message.

    Raises:
        ValueError: naming the first image in one.
    """
    for folder in folders:
        inside, _ = walk_images(folder, name)
        if inside:
            raise ValueError(
                f"{name} should lie side by side, not in folders within. "
                f"Received: {str(inside[0])!r}"
            )


def walk_images(folder: Path, name: str = "images") -> tuple[list[Path], list[Path]]:
    """The images in a folder and the folders in it, by name; and what is left out there.

    Args:
        folder: to walk; links to folders in it are left out.
        name: what the caller calls the images, for the error message.

    Raises:
        ValueError: as `list_folder`.
    """
    listing = list_folder(folder, name)
    images, others = listing.images, listing.others
    for inside in listing.folders:
        # A link may lead back to where it is.
        if inside.is_symlink():
            others.append(inside)
            continue
        more_images, more_others = walk_images(inside, name)
        images, others = images + more_images, others + more_others
    return sorted(images), others


def warn_left_out(paths: Sequence[Path], root: Path) -> None:
    """Logs one warning for all that was passed over, where there is any."""
    if paths:
        _log.warning(
            "%d of the files and folders in %s are left out, such as %r",
            len(paths),
            str(root),
            str(paths[0].relative_to(root)),
        )
