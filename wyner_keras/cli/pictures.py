"""Images in and out of the commands: test images by class, files of the user's, the grids."""

from __future__ import annotations

from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np

from wyner_keras.data import check_images
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource, LabelledImages
    from wyner_keras.models import WynerModel

_SUFFIXES = (".png", ".jpg", ".jpeg")


def by_class(images: LabelledImages, count: int, seed: int) -> np.ndarray:
    """Images drawn at random, one of each class in turn.

    Args:
        images: where they are drawn from.
        count: how many.
        seed: of the draw.

    Returns:
        Images in [0, 1], float32, `(count, h, w, c)`.

    Raises:
        ValueError: if there are not that many.
    """
    if count > len(images):
        raise ValueError(f"--count should be at most {len(images)}. Received: {count}")
    generator = np.random.default_rng(seed)
    columns = [generator.permutation(images.of_class(label)) for label in images.classes]
    longest = max(map(len, columns))
    order = [column[row] for row in range(longest) for column in columns if row < len(column)]
    return images.images[np.asarray(order[:count])]


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
    inputs = by_class(source.test, classes, seed)
    # Styles are other images than concepts, where there are others.
    styles = by_class(source.test, min(2 * classes, len(source.test)), seed)[-min(6, classes) :]
    concepts = inputs
    if target is not None:
        concepts = by_class(target.test, min(10, len(target.test.classes)), seed)
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

    Args:
        paths: one `.npy` array `(n, h, w, c)`, or image files and folders of them.
        shape: `(h, w, c)` that the model was trained for.
        name: the option, for messages.

    Returns:
        Images in [0, 1], float32, `(n, h, w, c)`, files of a folder in the order of their names.

    Raises:
        ValueError: if a file is absent, unreadable or of another shape.
    """
    if len(paths) == 1 and paths[0].endswith(".npy"):
        try:
            array = np.load(paths[0], allow_pickle=False)
        except (OSError, ValueError, EOFError) as error:
            raise ValueError(
                f"{name} should be a NumPy array. Received: {paths[0]!r} ({error})"
            ) from error
        return check_images(array, name, shape)
    return check_images(np.stack([_read(file, shape, name) for file in _files(paths, name)]), name)


def _files(paths: Sequence[str], name: str) -> list[Path]:
    files: list[Path] = []
    for path in map(Path, paths):
        if path.is_dir():
            found = sorted(file for file in path.rglob("*") if file.suffix.lower() in _SUFFIXES)
        else:
            found = [path] if path.is_file() and path.suffix.lower() in _SUFFIXES else []
        if not found:
            raise ValueError(
                f"{name} should be one .npy file, or {', '.join(_SUFFIXES)} files or folders of "
                f"them. Received: {str(path)!r}"
            )
        files += found
    return files


def _read(path: Path, shape: tuple[int, int, int], name: str) -> np.ndarray:
    from PIL import Image

    try:
        with Image.open(path) as image:
            pixels = np.asarray(image.convert("L" if shape[2] == 1 else "RGB"))
    except OSError as error:
        raise ValueError(f"{name} should be readable. Received: {path} ({error})") from error
    if pixels.shape[:2] != shape[:2]:
        raise ValueError(
            f"{name} should be {shape[0]} pixels high and {shape[1]} wide, as the model was "
            f"trained. Received: {path}, {pixels.shape[0]} high and {pixels.shape[1]} wide"
        )
    return pixels.reshape(shape).astype(np.float32) / np.float32(255)


def output(path: str) -> Path:
    """The path of a new `.npz` or `.png`.

    Raises:
        ValueError: if it exists or is neither.
    """
    target = Path(path)
    if target.suffix not in (".npz", ".png"):
        raise ValueError(f"--out should end in .npz or .png. Received: {path!r}")
    return refuse_existing(target, "--out")
