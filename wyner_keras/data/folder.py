"""Reads folders of images, one folder inside for each label."""

import logging
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.images import LabelledImages

_log = logging.getLogger(__name__)
_SUFFIXES = (".png", ".jpg", ".jpeg")
_GREY_MODES = ("1", "L", "LA")
_COLOUR_MODES = ("P", "RGB", "RGBA")


def read_folder(*roots: Path) -> tuple[LabelledImages, ...]:
    """Reads `root/<label>/*.png` (or jpg), with the same labels and shape for every root.

    Args:
        roots: folders; the labels are those of the first, and the others may lack some.

    Returns:
        For each root its images, float32 `(n, height, width, channels)`, intensities in [0, 1],
        in the order of their labels and file names. One channel when all are grey, else three;
        transparency is left out.

    Raises:
        ValueError: when a root holds no folder of images, a folder no image, an image cannot be
            read or differs in size, or a label occurs in a later root only.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     (Path(root) / "7").mkdir()
        ...     Image.new("L", (8, 8), 255).save(Path(root) / "7" / "white.png")
        ...     (images,) = read_folder(Path(root))
        >>> images.images.mean(), images.labels
        (np.float32(1.0), array([7]))
    """
    listings = [_list(root) for root in roots]
    names = list(listings[0])
    for root, listing in zip(roots, listings, strict=True):
        unknown = sorted(set(listing) - set(names))
        if unknown:
            raise ValueError(
                f"labels in {str(root)!r} should occur in {str(roots[0])!r} too. "
                f"Received: {unknown}"
            )
    # str.isdecimal alone would let through digits of other scripts.
    numbers = all(name.isascii() and name.isdecimal() for name in names)
    codes = {name: int(name) if numbers else place for place, name in enumerate(names)}
    _log.info("labels of %s: %s", roots[0], codes)
    mode = _common_mode(
        [path for listing in listings for files in listing.values() for path in files]
    )
    return tuple(
        LabelledImages(
            _read([path for files in listing.values() for path in files], mode),
            np.repeat(
                [codes[name] for name in listing], [len(files) for files in listing.values()]
            ),
        )
        for listing in listings
    )


def _list(root: Path) -> dict[str, list[Path]]:
    folders = sorted(
        path for path in root.iterdir() if path.is_dir() and not path.name.startswith(".")
    )
    listing = {}
    for folder in folders:
        files = sorted(
            path
            for path in folder.iterdir()
            if path.suffix.lower() in _SUFFIXES and not path.name.startswith(".")
        )
        if not files:
            raise ValueError(
                f"each label's folder should hold {', '.join(_SUFFIXES)} images. "
                f"Received: {str(folder)!r} with none"
            )
        listing[folder.name] = files
    if not listing:
        raise ValueError(
            "a folder of images should hold a folder for each label. "
            f"Received: {str(root)!r} with none"
        )
    return listing


def _common_mode(paths: list[Path]) -> str:
    from PIL import Image

    size: tuple[int, int] | None = None
    mode = "L"
    for path in paths:
        try:
            with Image.open(path) as image:  # reads the header only
                this_size, this_mode = image.size, image.mode
        except OSError as error:
            raise ValueError(f"images should be readable. Received: {error}") from error
        size = size or this_size
        if this_size != size:
            raise ValueError(
                f"images should all have the size of {str(paths[0])!r}, {size}. "
                f"Received: {str(path)!r} of {this_size}"
            )
        if this_mode not in _GREY_MODES + _COLOUR_MODES:
            raise ValueError(
                f"images should be grey or RGB with 8 bits a channel. "
                f"Received: {str(path)!r} in mode {this_mode!r}"
            )
        mode = "RGB" if this_mode in _COLOUR_MODES else mode
    return mode


def _read(paths: list[Path], mode: str) -> NDArray[np.float32]:
    from PIL import Image
    from tqdm import tqdm

    arrays = []
    for path in tqdm(paths, desc="Reading images", unit="image", delay=3, leave=False):
        try:
            with Image.open(path) as image:
                array = np.asarray(image.convert(mode))
        except OSError as error:
            raise ValueError(
                f"images should be readable. Received: {str(path)!r} ({error})"
            ) from error
        arrays.append(array.reshape(*array.shape[:2], -1))
    return np.stack(arrays).astype(np.float32) / np.float32(255)
