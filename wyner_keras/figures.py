"""The paper's grids as PNG pictures: conditional generation, style transfer, joint generation.

Real images stand in blue ink, generated ones in black, on white paper.
"""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

import numpy as np

from wyner_keras.data import check_images
from wyner_keras.data.checks import as_array, check_least
from wyner_keras.page import GROUP, MARGIN, Page, check_drawable, font, tile

Shape = tuple[int, ...]
_COLUMNS = 6  # of pairs


def check_conditional(inputs: int, samples: int, given: Shape, made: Shape) -> None:
    """Refuse numbers that `conditional_grid` cannot draw, before anything is generated.

    Args:
        inputs: how many.
        samples: of each.
        given: shape `(h, w, c)` of an input.
        made: shape of a sample.

    Raises:
        ValueError: if the picture would be too large.
    """
    check_drawable(inputs, 1 + samples, given, made)


def check_transfer(styles: int, concepts: int, style: Shape, concept: Shape) -> None:
    """Refuse numbers that `transfer_grid` cannot draw; see `check_conditional`."""
    check_drawable(1 + styles, 1 + concepts, style, concept)


def check_joint(pairs: int, x: Shape, y: Shape, columns: int = _COLUMNS) -> None:
    """Refuse numbers that `joint_grid` cannot draw; see `check_conditional`."""
    columns = min(columns, pairs)
    check_drawable(-(-pairs // columns), 2 * columns, x, y)


def _grid_of(images: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Checks images `(rows, columns, h, w, c)` against the shape that they should have."""
    images = as_array(images, name, f"a floating-point array of {len(shape)} axes")
    fits = images.ndim == 5 and all(
        wanted in (-1, found) for wanted, found in zip(shape, images.shape, strict=True)
    )
    if not fits:
        wanted = ", ".join("any" if size == -1 else str(size) for size in shape)
        raise ValueError(f"`{name}` should have shape ({wanted}). Received: {images.shape}")
    flat = check_images(images.reshape(-1, *images.shape[2:]), name)
    return flat.reshape(images.shape)


def conditional_grid(
    inputs: np.ndarray,
    samples: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    captions: tuple[str, str] = ("input x", "samples of y"),
) -> Path:
    """Inputs down the left, the samples of each to its right.

    Args:
        inputs: real images `(n, h, w, c)` in [0, 1].
        samples: generated images `(n, samples, h, w, c)` in [0, 1].
        path: where to write the PNG; its folder is made where absent.
        title: heading of the picture.
        captions: over the inputs and over the samples.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not fit, images outside [0, 1], or too many for a picture.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = f"{tempfile.mkdtemp()}/a.png"
        >>> conditional_grid(np.ones((2, 8, 8, 1)), np.ones((2, 3, 8, 8, 1)), path).name
        'a.png'

    Source:
        The layout of the paper's figures of conditional generation.
    """
    inputs = check_images(inputs, "inputs")
    samples = _grid_of(samples, "samples", (len(inputs), -1, -1, -1, inputs.shape[3]))
    check_conditional(len(inputs), samples.shape[1], inputs.shape[1:], samples.shape[2:])
    page, top = Page.start(title)
    right = page.text(captions[0], MARGIN, top)
    top += 26
    (given, row), (across, other) = page.pitch(inputs[0]), page.pitch(samples[0, 0])
    down = max(row, other)
    edge, _ = page.grid(inputs[:, None], MARGIN + 4, top, True, (given, down))
    left = max(edge + GROUP, right + GROUP // 2)
    page.text(captions[1], left, top - 26)
    page.grid(samples, left, top, False, (across, down))
    return page.save(path)


def transfer_grid(
    styles: np.ndarray,
    concepts: np.ndarray,
    results: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    captions: tuple[str, str] = ("style", "concept"),
) -> Path:
    """Styles down the left, concepts across the top, as in the paper.

    Args:
        styles: real images `(styles, h, w, c)` in [0, 1].
        concepts: real images `(concepts, h, w, c)` in [0, 1].
        results: generated images `(styles, concepts, h, w, c)` in [0, 1].
        path: where to write the PNG; its folder is made where absent.
        title: heading of the picture.
        captions: of the styles and of the concepts, in the corner between them.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not fit, images outside [0, 1], or too many for a picture.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = f"{tempfile.mkdtemp()}/b.png"
        >>> real = np.ones((2, 8, 8, 1))
        >>> transfer_grid(real, real, np.ones((2, 2, 8, 8, 1)), path).name
        'b.png'

    Source:
        The layout of the paper's figures of style transfer.
    """
    styles, concepts = check_images(styles, "styles"), check_images(concepts, "concepts")
    shape = (len(styles), len(concepts), *styles.shape[1:])
    results = _grid_of(results, "results", shape)
    check_transfer(len(styles), len(concepts), styles.shape[1:], concepts.shape[1:])
    page, top = Page.start(title)
    given, header = tile(styles[0], real=True), tile(concepts[0], real=True)
    words = max(round(font(14).getlength(caption)) for caption in captions)
    column = max(given.width + 8, words)
    middle, left = MARGIN + column // 2, MARGIN + column + GROUP
    upper = top + 4 + header.height + GROUP + 8
    # Concepts are of the other side, whose images may have another shape.
    (row, height), (other, down) = page.pitch(concepts[0]), page.pitch(styles[0])
    across = max(row, other)
    page.grid(concepts[None], left, top + 4, True, (across, height))
    page.grid(styles[:, None], middle - given.width // 2, upper, real=True)
    page.grid(results, left, upper, False, (across, down))
    page.text(captions[1], left - 14, top + 4 + header.height // 2, "rm")
    page.text(captions[0], middle, upper - 12, "ms")
    return page.save(path)


def joint_grid(
    x: np.ndarray,
    y: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    columns: int = _COLUMNS,
) -> Path:
    """Generated pairs side by side.

    Args:
        x: generated images `(n, h, w, c)` in [0, 1].
        y: their partners `(n, h, w, c)`, of any size of their own.
        path: where to write the PNG; its folder is made where absent.
        title: heading of the picture.
        columns: pairs in a row.

    Returns:
        The path.

    Raises:
        ValueError: numbers that differ, images outside [0, 1], or columns below one.

    Example:
        >>> import tempfile
        >>> import numpy as np
        >>> path = f"{tempfile.mkdtemp()}/c.png"
        >>> joint_grid(np.ones((4, 8, 8, 1)), np.ones((4, 8, 8, 1)), path).name
        'c.png'
    """
    x, y = check_images(x, "x"), check_images(y, "y")
    if len(x) != len(y):
        raise ValueError(f"`y` should have as many images as `x`, {len(x)}. Received: {len(y)}")
    columns = check_least(columns, "`columns`", 1)
    check_joint(len(x), x.shape[1:], y.shape[1:], columns)
    page, top = Page.start(title)
    columns = min(columns, len(x))
    sizes = [tile(images[0], real=False) for images in (x, y)]
    height = max(size.height for size in sizes) + 10
    width = sizes[0].width + 1 + sizes[1].width + GROUP
    for column in range(columns):
        left = MARGIN + column * width
        for name, size, at in (("x", sizes[0], left), ("y", sizes[1], left + sizes[0].width + 1)):
            page.text(name, at + size.width // 2, top, "ma")
    top += 24
    for index, (first, second) in enumerate(zip(x, y, strict=True)):
        left, upper = MARGIN + index % columns * width, top + index // columns * height
        edge, lower = page.grid(first[None, None], left, upper, real=False)
        page.grid(second[None, None], edge + 1, upper, real=False)
        page.rules.append((edge, upper + 6, edge, lower - 6))
    return page.save(path)


def comparison_grid(
    inputs: np.ndarray,
    rows: Mapping[str, np.ndarray],
    path: str | os.PathLike[str],
    title: str | None = None,
) -> Path:
    """Inputs across the top, below them the samples of several models, a row for each.

    Args:
        inputs: real images `(n, h, w, c)` in [0, 1].
        rows: by the model's name, its generated images `(n, samples, h, w, c)` in [0, 1].
        path: where to write the PNG; its folder is made where absent.
        title: heading of the picture.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not fit, images outside [0, 1], or no rows.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/d.png"
        >>> real, made = np.ones((2, 8, 8, 1)), np.ones((2, 3, 8, 8, 1))
        >>> comparison_grid(real, {"first": made, "second": made}, path).name
        'd.png'
    """
    inputs = check_images(inputs, "inputs")
    if not rows:
        raise ValueError("`rows` should hold the images of a model or more. Received: none")
    grids = {
        name: _grid_of(images, f"rows[{name!r}]", (len(inputs), -1, -1, -1, inputs.shape[3]))
        for name, images in rows.items()
    }
    samples = [images.shape[1] for images in grids.values()]
    shapes = [inputs.shape[1:], *(images.shape[2:] for images in grids.values())]
    check_drawable(1 + len(grids), len(inputs) * max(samples), *shapes)
    page, top = Page.start(title)
    names = max(round(font(14).getlength(name)) for name in (*rows, "input"))
    left = MARGIN + names + GROUP
    width, height = tile(inputs[0], real=True).size
    page.text("input", left - 18, top + 4 + height // 2, "rm")
    row_top, group = top + 4 + height + GROUP, left
    for column, image in enumerate(inputs):
        upper, right = row_top, group
        for name, images in grids.items():
            edge, lower = page.grid(images[column][None], group, upper, real=False)
            right = max(right, edge)
            if column == 0:
                page.text(name, left - 18, (upper + lower) // 2, "rm")
            upper = lower + 8
        page.grid(image[None, None], (group + right - width) // 2, top + 4, real=True)
        group = right + GROUP
    return page.save(path)
