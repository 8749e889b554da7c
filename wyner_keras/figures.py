"""The paper's grids as PNG pictures: conditional generation, style transfer, joint generation.

Real images stand in blue ink, generated ones in black, on white paper.
"""

from __future__ import annotations

import contextlib
import math
import os
import tempfile
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont

from wyner_keras.data import check_images

_TILE = 56  # pixels that an image is magnified to, or a little more or less
_GROUP = 22  # between what was given and what was generated
_MARGIN = 24
_REAL, _GENERATED = (24, 78, 160), (20, 20, 24)
_PANEL = (236, 242, 250)  # behind real images
_RULE, _TEXT = (205, 209, 216), (60, 64, 72)


def _font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    return ImageFont.load_default(size)


def _tile(image: np.ndarray, real: bool) -> Image.Image:
    """One image `(h, w, c)` magnified by a whole number, so that its pixels stay as they are."""
    factor = max(1, round(_TILE / max(image.shape[:2])))
    if image.shape[2] == 3:
        colours = 255 * image
    else:
        paper = np.asarray(_PANEL if real else (255, 255, 255), dtype=np.float32)
        ink = np.asarray(_REAL if real else _GENERATED, dtype=np.float32)
        weight = image.mean(-1, keepdims=True)
        colours = paper + weight * (ink - paper)
    pixels = np.rint(colours).astype(np.uint8)
    return Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


@dataclass
class _Page:
    """White paper of which the size is known once everything was put on it."""

    placed: list[tuple[Image.Image, int, int]]
    words: list[tuple[str, int, int, int, str]]
    rules: list[tuple[int, int, int, int]]
    panels: list[tuple[int, int, int, int]]

    @classmethod
    def start(cls, title: str | None) -> tuple[_Page, int]:
        """An empty page and the height at which its content begins."""
        page = cls([], [], [], [])
        if not title:
            return page, _MARGIN
        page.words.append((title, _MARGIN, _MARGIN, 20, "la"))
        return page, _MARGIN + 38

    def grid(self, images: np.ndarray, left: int, top: int, real: bool) -> tuple[int, int]:
        """Puts images `(rows, columns, h, w, c)`; returns the right and the lower edge."""
        tiles = [[_tile(image, real) for image in row] for row in images]
        width, height = tiles[0][0].size
        gap = max(3, height // images.shape[2])  # a pixel of small images, which have no borders
        for i, row in enumerate(tiles):
            for j, tile in enumerate(row):
                self.placed.append((tile, left + j * (width + gap), top + i * (height + gap)))
        right = left + len(tiles[0]) * (width + gap) - gap
        bottom = top + len(tiles) * (height + gap) - gap
        if real and images.shape[-1] != 3:
            self.panels.append((left - 4, top - 4, right + 3, bottom + 3))
        return right, bottom

    def text(self, words: str, x: int, y: int, anchor: str = "la") -> int:
        """Writes a caption; returns the right edge of one that begins at x."""
        self.words.append((words, x, y, 14, anchor))
        return x + round(_font(14).getlength(words))

    def save(self, path: str | os.PathLike[str]) -> Path:
        """Draws everything and writes the PNG, whole or not at all."""
        rights = [x + tile.width for tile, x, _ in self.placed]
        rights += [
            x + math.ceil(_font(size).getlength(words))
            for words, x, _, size, anchor in self.words
            if anchor[0] == "l"
        ]
        lowers = [y + tile.height for tile, _, y in self.placed]
        picture = Image.new("RGB", (max(rights) + _MARGIN, max(lowers) + _MARGIN), "white")
        draw = ImageDraw.Draw(picture)
        for panel in self.panels:
            draw.rounded_rectangle(panel, radius=6, fill=_PANEL)
        for rule in self.rules:
            draw.line(rule, fill=_RULE, width=1)
        for tile, x, y in self.placed:
            picture.paste(tile, (x, y))
        for words, x, y, size, anchor in self.words:
            draw.text((x, y), words, fill=_TEXT, font=_font(size), anchor=anchor)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        handle, name = tempfile.mkstemp(prefix=f".{target.stem}-", suffix=".png", dir=target.parent)
        os.close(handle)
        try:
            picture.save(name, format="PNG", optimize=True)
            os.chmod(name, 0o644)  # mkstemp's own would hide the picture from other users
            os.replace(name, target)
        finally:
            with contextlib.suppress(FileNotFoundError):
                os.remove(name)
        return target


def _grid_of(images: np.ndarray, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """Checks images `(rows, columns, h, w, c)` against the shape that they should have."""
    images = np.asarray(images)
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
        ValueError: shapes that do not fit, or images outside [0, 1].

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
    page, top = _Page.start(title)
    right = page.text(captions[0], _MARGIN, top)
    top += 26
    edge, _ = page.grid(inputs[:, None], _MARGIN + 4, top, real=True)
    left = max(edge + _GROUP, right + _GROUP // 2)
    page.text(captions[1], left, top - 26)
    page.grid(samples, left, top, real=False)
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
        ValueError: shapes that do not fit, or images outside [0, 1].

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
    page, top = _Page.start(title)
    tile, header = _tile(styles[0], real=True), _tile(concepts[0], real=True)
    words = max(round(_font(14).getlength(caption)) for caption in captions)
    column = max(tile.width + 8, words)
    middle, left = _MARGIN + column // 2, _MARGIN + column + _GROUP
    upper = top + 4 + header.height + _GROUP + 8
    page.grid(concepts[None], left, top + 4, real=True)
    page.grid(styles[:, None], middle - tile.width // 2, upper, real=True)
    page.grid(results, left, upper, real=False)
    page.text(captions[1], left - 14, top + 4 + header.height // 2, "rm")
    page.text(captions[0], middle, upper - 12, "ms")
    return page.save(path)


def joint_grid(
    x: np.ndarray,
    y: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    columns: int = 6,
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
    if columns < 1:
        raise ValueError(f"`columns` should be at least 1. Received: {columns}")
    page, top = _Page.start(title)
    columns = min(columns, len(x))
    sizes = [_tile(images[0], real=False) for images in (x, y)]
    height = max(tile.height for tile in sizes) + 10
    width = sizes[0].width + 1 + sizes[1].width + _GROUP
    for column in range(columns):
        left = _MARGIN + column * width
        for name, tile, at in (("x", sizes[0], left), ("y", sizes[1], left + sizes[0].width + 1)):
            page.text(name, at + tile.width // 2, top, "ma")
    top += 24
    for index, (first, second) in enumerate(zip(x, y, strict=True)):
        left, upper = _MARGIN + index % columns * width, top + index // columns * height
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
    page, top = _Page.start(title)
    names = max(round(_font(14).getlength(name)) for name in (*rows, "input"))
    left = _MARGIN + names + _GROUP
    tile = _tile(inputs[0], real=True)
    page.text("input", left - 18, top + 4 + tile.height // 2, "rm")
    row_top, group = top + 4 + tile.height + _GROUP, left
    for column, image in enumerate(inputs):
        upper, right = row_top, group
        for name, images in grids.items():
            edge, lower = page.grid(images[column][None], group, upper, real=False)
            right = max(right, edge)
            if column == 0:
                page.text(name, left - 18, (upper + lower) // 2, "rm")
            upper = lower + 8
        page.grid(image[None, None], (group + right - tile.width) // 2, top + 4, real=True)
        group = right + _GROUP
    return page.save(path)
