"""Reads folders of images, one folder inside for each label."""

import logging
from collections.abc import Callable, Iterable, Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.columns import shown_names
from wyner_keras.data.images import LabelledImages
from wyner_keras.received import received
from wyner_serving.image_file import SUFFIXES, read_images, stack_bytes, to_unit
from wyner_serving.listing import list_folder, refuse_inside, warn_left_out

_log = logging.getLogger(__name__)

Split = Callable[
    [NDArray[np.int64], Mapping[int, str]], tuple[NDArray[np.int64], NDArray[np.int64]]
]
"""From labels, and what they are called, to the positions to train on and those held out."""


def read_folder(*roots: Path) -> tuple[LabelledImages, ...]:
    """Reads `root/<label>/*.png` and the like, with the same labels and shape for every root.

    PNG, JPEG, BMP, WebP, TIFF and GIF files are read, turned upright by their EXIF orientation;
    what is transparent shows a white ground. Hidden files and what systems leave (`__MACOSX`,
    `Thumbs.db`, ...) are passed over; a warning is logged about other files that are no images.

    Args:
        roots: folders; the labels are those of the first, and the others may lack some. A label is
            the number that its folder is called. Where one is called otherwise, or two numbers are
            equal ("0" and "00"), it is the place of the folder's name in sorted order.

    Returns:
        For each root its images, bytes `(n, height, width, channels)`, or float32 in [0, 1] where a
        file has 16 bits, in the order of their folders' and files' names. One channel when the
        files are all grey, else three (RGB).

    Raises:
        ValueError: when a root holds no folder of images, a folder no image, an image cannot be
            read, is of a format that is not or differs in size, or a label occurs in a later root
            only. The error names the file.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "7").mkdir()
        ...     Image.new("L", (8, 8), 255).save(Path(root) / "7" / "white.png")
        ...     (images,) = read_folder(Path(root))
        >>> images.images.mean(), images.labels
        (np.float64(255.0), array([7]))
    """
    files, labels, _ = _list(roots)
    pixels = list(read_images([path for part in files for path in part]))
    channels = max(each.shape[2] for each in pixels)
    stops = np.cumsum([len(part) for part in files])
    return tuple(
        LabelledImages(_stack(pixels[stop - len(part) : stop], channels), own, tuple(part))
        for part, own, stop in zip(files, labels, stops, strict=True)
    )


def read_and_split(root: Path, split: Split) -> tuple[LabelledImages, LabelledImages]:
    """Reads a folder as `read_folder` does, and splits it before pixels are stacked.

    Args:
        root: the folder.
        split: called before any image is read, so that it refuses at once what cannot be split.

    Returns:
        The images to train on and those held out, in the order of the positions.

    Raises:
        ValueError: as `read_folder` and `split` do.
    """
    (files,), (labels,), names = _list([root])
    parts = split(labels, names)
    pixels = list(read_images(files))
    channels = max(each.shape[2] for each in pixels)
    train, test = (
        LabelledImages(
            _stack([pixels[place] for place in part], channels),
            labels[part],
            tuple(files[place] for place in part),
        )
        for part in parts
    )
    return train, test


def _list(
    roots: Iterable[Path],
) -> tuple[list[list[Path]], list[NDArray[np.int64]], dict[int, str]]:
    """For each root its files and their labels; and what the labels are called."""
    roots = list(roots)
    listings = [_by_name(root) for root in roots]
    names = list(listings[0])
    for root, listing in zip(roots, listings, strict=True):
        unknown = sorted(set(listing) - set(names))
        if unknown:
            raise ValueError(
                f"labels in {str(root)!r} should occur in {str(roots[0])!r} too. "
                f"Received: {received(unknown)}"
            )
    codes = _codes(names)
    _log.info("labels of %s: %s", roots[0], shown_names(codes))
    files = [[path for part in listing.values() for path in part] for listing in listings]
    labels = [
        np.repeat(
            np.array([codes[name] for name in listing], np.int64),
            [len(part) for part in listing.values()],
        )
        for listing in listings
    ]
    return files, labels, {code: name for name, code in codes.items()}


def _by_name(root: Path) -> dict[str, list[Path]]:
    # Images beside the folders have no label, in whichever format they are.
    found = list_folder(root, refuse_unread=False)
    left_out = [*found.images, *found.others]
    listing = {}
    for folder in found.folders:
        inside = list_folder(folder)
        refuse_inside(inside.folders, "images of a label")
        if not inside.images:
            raise ValueError(
                f"each label's folder should hold {', '.join(SUFFIXES)} images. "
                f"Received: {str(folder)!r} with none"
            )
        listing[folder.name] = inside.images
        left_out += [*inside.folders, *inside.others]
    if not listing:
        raise ValueError(
            "a folder of images should hold a folder for each label. "
            f"Received: {str(root)!r} with none"
        )
    warn_left_out(left_out, root)
    return listing


def _codes(names: list[str]) -> dict[str, int]:
    places = {name: place for place, name in enumerate(names)}
    # str.isdecimal alone would let through digits of other scripts.
    if not all(name.isascii() and name.isdecimal() for name in names):
        return places
    numbers = {name: int(name) for name in names}
    # "0" and "00" are two labels. Labels are held as int64.
    if len(set(numbers.values())) < len(names) or max(numbers.values()) > np.iinfo(np.int64).max:
        return places
    return numbers


def _stack(pixels: list[NDArray[Any]], channels: int) -> NDArray[Any]:
    """Bytes, or float32 where a file has 16 bits; beside the files' pixels the only copy."""
    if all(each.dtype == np.uint8 for each in pixels):
        return stack_bytes(pixels, channels)
    stack = np.empty((len(pixels), *pixels[0].shape[:2], channels), np.float32)
    for image, each in zip(stack, pixels, strict=True):
        image[...] = to_unit(each, channels)
    return stack
