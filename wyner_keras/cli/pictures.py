"""Images in and out of the commands: test images by class, files of the user's, the grids."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wyner_keras.data import check_images
from wyner_keras.data.image_file import SUFFIXES, read_image, to_unit
from wyner_keras.data.listing import list_folder, warn_left_out
from wyner_keras.data.regular_file import check_regular
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource
    from wyner_keras.models import WynerModel


def draw(
    model: WynerModel,
    source: ImageSource,
    folder: Path,
    seed: int,
    target: ImageSource | None = None,
) -> dict[str, Path]:
    """The three grids of a run: held-out inputs, one a class, and what the model makes of them.

    Args:
        model: what generates.
        source: of x; its test images are shown.
        folder: where the grids are written.
        seed: of draws and noise.
        target: of y, where that is another source.
    """
    from wyner_keras import figures

    classes = min(10, len(source.test.classes))
    inputs = source.test.by_class(classes, seed).images
    # Styles are other images than concepts, where there are others.
    styles = source.test.by_class(min(2 * classes, len(source.test)), seed).images
    styles = styles[-min(6, classes) :]
    concepts = inputs
    if target is not None:
        concepts = target.test.by_class(min(10, len(target.test.classes)), seed).images
    samples = model.generate_y(inputs, seed=seed, samples=10)
    results = model.transfer_x(style=styles, concept=concepts, seed=seed)
    pairs = model.generate_pairs(30, seed=seed)
    return {
        "conditional": figures.conditional_grid(
            inputs, samples, folder / "conditional.png", "Conditional generation"
        ),
        "transfer": figures.transfer_grid(
            styles, concepts, results, folder / "transfer.png", "Style transfer"
        ),
        "joint": figures.joint_grid(*pairs, folder / "joint.png", "Joint generation"),
    }


def read(paths: Sequence[str], shape: tuple[int, int, int], name: str) -> np.ndarray:
    """Images of the user's files.

    Image files are read as those of `--data FOLDER` are: PNG, JPEG, BMP, WebP, TIFF and GIF, turned
    upright by their EXIF orientation, what is transparent on a white ground. For a model of grey
    images, colour becomes its luminance.

    Args:
        paths: one `.npy` array `(n, h, w, c)`, or image files and folders of them.
        shape: `(h, w, c)` that the model was trained for.
        name: the option, for messages.

    Returns:
        Images in [0, 1], float32, `(n, h, w, c)`, files of a folder, and of the folders in it, in
        the order of their names.

    Raises:
        ValueError: if a file is absent, no regular file (FIFO, socket, device), unreadable or of
            another shape.
    """
    if len(paths) == 1 and paths[0].endswith(".npy"):
        return check_images(_read_array(paths[0], name), name, shape)
    files = _files(paths, name)
    if shape[2] not in (1, 3):
        raise ValueError(
            f"{name} should be one .npy file: image files have 1 or 3 channels, not {shape[2]}. "
            f"Received: {str(files[0])!r}"
        )
    images = np.empty((len(files), *shape), np.float32)
    for image, file in zip(images, files, strict=True):
        image[...] = _read_image(file, shape, name)
    return images


def _read_array(path: str, name: str) -> np.ndarray:
    check_regular(path, name)
    try:
        # Of what it opens itself, NumPy leaves a broken archive open.
        with open(path, "rb") as file:
            array = np.load(file, allow_pickle=False)
    # A broken header makes NumPy raise much else than ValueError: SyntaxError, BadZipFile, ...
    except Exception as error:
        raise ValueError(
            f"{name} should be a NumPy array. Received: {path!r} ({type(error).__name__}: {error})"
        ) from error
    if not isinstance(array, np.ndarray):
        raise ValueError(f"{name} should be a NumPy array. Received: {path!r}, an archive of some")
    return array


def _files(paths: Sequence[str], name: str) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        if os.path.isdir(path):
            found, others = _walk(path, name)
            warn_left_out(others, path)
        else:
            found = [path] if path.suffix.lower() in SUFFIXES and os.path.lexists(path) else []
            others = []
        if not found:
            raise ValueError(
                f"{name} should be one .npy file, or {', '.join(SUFFIXES)} files or folders of "
                f"them. Received: {str(path)!r}"
            )
        files += found
    return files


def _walk(folder: Path, name: str) -> tuple[list[Path], list[Path]]:
    """The images in a folder and the folders in it, by name; and what is left out there."""
    listing = list_folder(folder, name)
    images, others = listing.images, listing.others
    for inside in listing.folders:
        # A link may lead back to where it is.
        if inside.is_symlink():
            others.append(inside)
            continue
        more_images, more_others = _walk(inside, name)
        images, others = images + more_images, others + more_others
    return sorted(images), others


def _read_image(path: Path, shape: tuple[int, int, int], name: str) -> np.ndarray:
    pixels = read_image(path, name)
    if pixels.shape[:2] != shape[:2]:
        raise ValueError(
            f"{name} should be {shape[0]} pixels high and {shape[1]} wide, as the model was "
            f"trained. Received: {str(path)!r}, {pixels.shape[0]} high and {pixels.shape[1]} wide"
        )
    return to_unit(pixels, shape[2])


def output(path: str) -> Path:
    """The path of a new `.npz` or `.png`.

    Raises:
        ValueError: if it exists or is neither.
    """
    target = Path(path)
    if target.suffix not in (".npz", ".png"):
        raise ValueError(f"--out should end in .npz or .png. Received: {path!r}")
    return refuse_existing(target, "--out")
