"""A page of images and words, put together and written as PNG, whole or not at all.

Real grey images stand in blue ink, generated ones in black, on white paper: images of bright ink on
a dark ground are turned round. Colours stay as they are.
"""

from __future__ import annotations

import math
import os
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from wyner_serving.whole import whole_file

Shape = tuple[int, ...]
Tile = Image.Image
TILE = 56  # pixels that an image is magnified to, or a little more or less
GROUP = 22  # between what was given and what was generated
MARGIN = 24
TEXT, FAINT = (60, 64, 72), (120, 126, 136)
_LEAST = 12  # pixels that the shorter side of an image has
# The longest side and the most pixels of a picture that common viewers open (cairo's, Pillow's).
_LONGEST, _LARGEST = 2**15 - 1, 2**26
_REAL, _GENERATED = (24, 78, 160), (20, 20, 24)
_PANEL = (236, 242, 250)  # behind real images
_DARK = 0.25  # mean intensity of the border below which a ground is dark


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface of every picture."""
    return ImageFont.load_default(size)


def _factors(shape: Shape, size: int) -> tuple[int, int]:
    """How often pixels are repeated, downwards and rightwards: as often, but for flat images."""
    usual = max(1, round(size / max(shape[:2])))
    down, across = (max(usual, math.ceil(_LEAST / side)) for side in shape[:2])
    return down, across


def gap_of(shape: Shape, size: int = TILE) -> int:
    """Between images `(h, w, c)` of a grid."""
    return max(3, min(_factors(shape, size)))  # a pixel of small images, which have no borders


def tiles(images: np.ndarray, real: bool, size: int = TILE) -> list[Tile]:
    """Images `(n, h, w, c)` in [0, 1], given or generated, magnified to about a size, in pixels.

    By whole numbers, so that their pixels stay as they are.
    """
    down, across = _factors(images.shape[1:], size)
    if images.shape[3] == 3:
        colours = 255 * images
    else:
        paper = np.asarray(_PANEL if real else (255, 255, 255), np.float32)
        ink = np.asarray(_REAL if real else _GENERATED, np.float32)
        weight = images.mean(-1, keepdims=True)
        edge = [weight[:, [0, -1]].ravel(), weight[:, :, [0, -1]].ravel()]
        if np.concatenate(edge).mean() >= _DARK:
            weight = 1 - weight
        colours = paper + weight * (ink - paper)
    pixels = np.rint(colours).astype(np.uint8).repeat(down, axis=1).repeat(across, axis=2)
    return [Image.fromarray(each) for each in pixels]


def check_drawable(rows: int, columns: int, *shapes: Shape, size: int = TILE) -> None:
    """Refuse a picture that no viewer would open, before anything is generated for it.

    Args:
        rows: of images.
        columns: of images.
        shapes: `(h, w, c)` of these images; the largest takes the room.
        size: pixels that each image is magnified to, about.

    Raises:
        ValueError: if the picture would be too large.
    """
    factors = [(_factors(shape, size), shape, gap_of(shape, size)) for shape in shapes]
    height = rows * max(down * shape[0] + gap for (down, _), shape, gap in factors)
    width = columns * max(across * shape[1] + gap for (_, across), shape, gap in factors)
    if max(height, width) > _LONGEST or height * width > _LARGEST:
        raise ValueError(
            f"a picture should have sides of at most {_LONGEST} pixels, and {_LARGEST} in all; "
            "ask for fewer images, or write arrays (.npz). "
            f"Received: {rows} rows of {columns} images, {width} pixels wide and {height} high"
        )


@dataclass
class Page:
    """White paper of which the size is known once everything was put on it.

    Args:
        size: pixels that each image is magnified to, about.
    """

    size: int = TILE
    placed: list[tuple[Tile, int, int]] = field(default_factory=list)
    words: list[tuple[dict[str, Any], tuple[int, int]]] = field(default_factory=list)
    panels: list[tuple[int, int, int, int]] = field(default_factory=list)

    @classmethod
    def start(cls, title: str | None, size: int = TILE) -> tuple[Page, int]:
        """An empty page and the height at which its content begins."""
        page = cls(size)
        if not title:
            return page, MARGIN
        page.text(title, MARGIN, MARGIN, size=20)
        return page, MARGIN + 38

    def table(
        self,
        cells: Sequence[Sequence[Tile | None]],
        left: int,
        top: int,
        gap: int,
        *,
        wider: Mapping[int, int] | None = None,
        lower: Mapping[int, int] | None = None,
        widths: Mapping[int, int] | None = None,
    ) -> tuple[list[int], list[int]]:
        """Put tiles in rows and columns, each in the middle of its place; None stays empty.

        Args:
            cells: by row and column.
            left: edge of the first column.
            top: edge of the first row.
            gap: between columns and between rows.
            wider: by column, another gap after it.
            lower: by row, likewise.
            widths: by column, its least width.

        Returns:
            Left edges of the columns, the right edge of the last; and the same of the rows.
        """
        wider, lower, widths = wider or {}, lower or {}, widths or {}
        across = [
            max([widths.get(j, 0), *(one.width for one in column if one)])
            for j, column in enumerate(zip(*cells, strict=True))
        ]
        down = [max([0, *(one.height for one in row if one)]) for row in cells]
        lefts, tops = [left], [top]
        for j, width in enumerate(across):
            lefts.append(lefts[-1] + width + (wider.get(j, gap) if j + 1 < len(across) else 0))
        for i, height in enumerate(down):
            tops.append(tops[-1] + height + (lower.get(i, gap) if i + 1 < len(down) else 0))
        for i, row in enumerate(cells):
            for j, one in enumerate(row):
                if one is not None:
                    x = lefts[j] + (across[j] - one.width) // 2
                    self.placed.append((one, x, tops[i] + (down[i] - one.height) // 2))
        return lefts, tops

    def panel(self, left: int, top: int, right: int, bottom: int) -> None:
        """Put a faint ground behind real grey images, a little beyond their edges."""
        self.panels.append((left - 4, top - 4, right + 3, bottom + 3))

    def grid(self, images: np.ndarray, left: int, top: int, real: bool) -> tuple[int, int]:
        """Put images `(rows, columns, h, w, c)`; the right and the lower edge."""
        count, *shape = images.shape[1:]
        found = tiles(images.reshape(-1, *shape), real, self.size)
        cells = [found[start : start + count] for start in range(0, len(found), count)]
        lefts, tops = self.table(cells, left, top, gap_of(tuple(shape), self.size))
        if real and shape[2] != 3:
            self.panel(left, top, lefts[-1], tops[-1])
        return lefts[-1], tops[-1]

    def text(
        self,
        words: str,
        x: int,
        y: int,
        anchor: str = "la",
        size: int = 14,
        colour: tuple[int, int, int] = TEXT,
    ) -> int:
        """Write a caption; the right edge of one that begins at x."""
        right = x + math.ceil(font(size).getlength(words))
        edges = (right if anchor[0] == "l" else 0, y + size if anchor[1] == "a" else 0)
        drawn = {"xy": (x, y), "text": words, "anchor": anchor, "font": font(size), "fill": colour}
        self.words.append((drawn, edges))
        return right

    def save(self, path: str | os.PathLike[str], description: str | None = None) -> Path:
        """Draw everything and write the PNG; its folder is made where absent.

        Args:
            path: where to.
            description: what the picture shows, kept as the PNG's text of that name.
        """
        edges = [edge for _, edge in self.words]
        edges += [(x + one.width, y + one.height) for one, x, y in self.placed]
        width, height = (max(each) + MARGIN for each in zip(*edges, strict=True))
        picture = Image.new("RGB", (width, height), "white")
        draw = ImageDraw.Draw(picture)
        for panel in self.panels:
            draw.rounded_rectangle(panel, radius=6, fill=_PANEL)
        for one, x, y in self.placed:
            picture.paste(one, (x, y))
        for words, _ in self.words:
            draw.text(**words)
        information = PngInfo()
        if description:
            information.add_itxt("Description", description)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole_file(target) as temporary:
            picture.save(temporary, format="PNG", optimize=True, pnginfo=information)
        return target
