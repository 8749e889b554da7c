"""Pairs from a folder: two folders of images, paired by name."""

from __future__ import annotations

import os
import unicodedata
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.file_rows import FileRows
from wyner_keras.data.pairs import Pairs
from wyner_keras.data.rows import Subset
from wyner_keras.received import received
from wyner_serving.image_file import SUFFIXES
from wyner_serving.listing import list_folder, refuse_inside, warn_left_out

_SIDES, _EXTRA = ("x", "y"), ("extra_x", "extra_y")
_LISTED = 5  # names without a partner that an error lists


def read_pair_folder(root: Path) -> tuple[Pairs, NDArray[np.bool] | None]:
    """Reads `root/x/NAME.png` with `root/y/NAME.png`; singles of `root/extra_x`, `root/extra_y`.

    Args:
        root: the folder; or one of `train` and `test` folders, which hold `x` and `y`. Singles are
            then in `train`.

    Returns:
        The pairs, in the order of names; and a mask of those in `test`, None without such folders.

    Raises:
        ValueError: when a folder is absent, a name has no partner, or an image cannot be read or
            differs in size from the side's others.

    Example:
        >>> import tempfile
        >>> from PIL import Image
        >>> with tempfile.TemporaryDirectory() as root:
        ...     for file, grey in (("x/a", 0), ("x/b", 9), ("y/a", 0), ("y/b", 9)):
        ...         Path(root, file).parent.mkdir(exist_ok=True)
        ...         Image.new("L", (8, 8), grey).save(Path(root, f"{file}.png"))
        ...     read_pair_folder(Path(root))[0]
        Pairs(2 pairs, x=2 images of shape (8, 8, 1); y=2 images of shape (8, 8, 1))
    """
    parts = [root / name for name in ("train", "test") if os.path.isdir(root / name)]
    here = [name for name in _SIDES if os.path.isdir(root / name)]
    found = list_folder(root, refuse_unread=False)
    if len(parts) == 1 or (parts and here) or (not parts and len(here) < 2):
        raise ValueError(
            "a folder of pairs should hold folders x and y, or train and test, which hold x and y. "
            f"Received: {str(root)!r} with {received([path.name for path in found.folders])}"
        )
    expected = parts or [root / name for name in (*_SIDES, *_EXTRA)]
    beside = [path for path in found.folders if path not in expected]
    warn_left_out([*beside, *found.images, *found.others], root)
    listings = [_paired(part) for part in parts or [root]]
    untrained = [part / name for part in parts[1:] for name in _EXTRA if os.path.isdir(part / name)]
    if untrained:
        raise ValueError(
            "rows without partner should be in 'train': they are trained on. "
            f"Received: {str(untrained[0])!r}"
        )
    index = np.repeat(np.arange(sum(len(part[0]) for part in listings))[:, None], 2, axis=1)
    stores: list[FileRows] = []
    extra: dict[str, Any] = {}
    for side, name in enumerate(_EXTRA):
        paths = [path for part in listings for path in part[side]]
        folder = (parts or [root])[0] / name
        alone = list(_by_name(folder).values()) if os.path.isdir(folder) else []
        # One store: an image in colour makes all of a side so.
        stores.append(FileRows([*paths, *alone]))
        if alone:
            extra[name] = Subset(stores[-1], len(paths) + np.arange(len(alone)))
    x, y = stores
    pairs = Pairs(x, y, index, **extra)
    if not parts:
        return pairs, None
    return pairs, np.repeat([False, True], [len(part[0]) for part in listings])


def _paired(folder: Path) -> tuple[list[Path], list[Path]]:
    """Images of x and those of the same names of y."""
    x, y = (_by_name(folder / side) for side in _SIDES)
    alone = [
        path for own, other in ((x, y), (y, x)) for name, path in own.items() if name not in other
    ]
    if alone:
        raise ValueError(
            f"images in 'x' and 'y' of {str(folder)!r} should have the same names. "
            f"Received: {len(alone)} without a partner: {_names(alone, folder)}"
        )
    return list(x.values()), [y[name] for name in x]


def _by_name(folder: Path) -> dict[str, Path]:
    if not os.path.isdir(folder):
        raise ValueError(
            f"a folder of pairs should hold folders x and y. Received: {str(folder)!r} absent"
        )
    found = list_folder(folder)
    refuse_inside(found.folders, "images of a side")
    warn_left_out([*found.folders, *found.others], folder)
    if not found.images:
        raise ValueError(
            f"a folder of pairs should hold {', '.join(SUFFIXES)} images. "
            f"Received: {str(folder)!r} with none"
        )
    images: dict[str, Path] = {}
    for path in found.images:
        # An accent may be part of a letter or stand after it, as systems of files have it.
        name = unicodedata.normalize("NFC", path.stem)
        if images.setdefault(name, path) != path:
            raise ValueError(
                "images of one side should have names that differ before their suffix. "
                f"Received: {str(images[name])!r} and {path.name!r}"
            )
    return images


def _names(paths: Sequence[Path], folder: Path) -> str:
    shown = ", ".join(str(path.relative_to(folder)) for path in paths[:_LISTED])
    return shown if len(paths) <= _LISTED else f"{shown}, …"
