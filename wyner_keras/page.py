"""A page of images and words, put together and written as PNG whole or not at all.

Real images stand in blue ink, generated ones in black, on white paper.
"""

from __future__ import annotations

import math
import os
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
from PIL import Image, ImageDraw, ImageFont
from PIL.PngImagePlugin import PngInfo

from wyner_keras.files import whole

TILE = 56  # pixels that an image is magnified to, or a little more or less
GROUP = 22  # between what was given and what was generated
MARGIN = 24
# The longest side and the most pixels of a picture that common viewers open (cairo's, Pillow's).
LONGEST, LARGEST = 2**15 - 1, 2**26
TEXT, FAINT = (60, 64, 72), (120, 126, 136)
_REAL, _GENERATED = (24, 78, 160), (20, 20, 24)
_PANEL = (236, 242, 250)  # behind real images
_RULE = (205, 209, 216)


def font(size: int) -> ImageFont.FreeTypeFont | ImageFont.ImageFont:
    """The typeface of every picture."""
    return ImageFont.load_default(size)


def tile(image: np.ndarray, real: bool, size: int = TILE) -> Image.Image:
    """One image `(h, w, c)` magnified by a whole number, so that its pixels stay as they are.

    Args:
        image: in [0, 1].
        real: whether it was given, not generated.
        size: pixels that it should be magnified to, about.
    """
    factor = max(1, round(size / max(image.shape[:2])))
    if image.shape[2] == 3:
        colours = 255 * image
    else:
        paper = np.asarray(_PANEL if real else (255, 255, 255), dtype=np.float32)
        ink = np.asarray(_REAL if real else _GENERATED, dtype=np.float32)
        weight = image.mean(-1, keepdims=True)
        colours = paper + weight * (ink - paper)
    pixels = np.rint(colours).astype(np.uint8)
    return Image.fromarray(pixels.repeat(factor, axis=0).repeat(factor, axis=1))


def check_drawable(rows: int, columns: int, *shapes: tuple[int, ...], size: int = TILE) -> None:
    """Refuse a picture that no viewer would open, before anything is generated for it.

    Args:
        rows: of images, one below the other.
        columns: of images, one beside the other.
        shapes: `(h, w, c)` of these images; the largest takes the room.
        size: pixels that each image is magnified to, about.

    Raises:
        ValueError: if the picture would be larger than said above.

    Example:
        >>> check_drawable(10, 9, (28, 28, 1))
    """
    factors = [max(1, round(size / max(shape[:2]))) for shape in shapes]
    gaps = [max(3, factor) for factor in factors]
    magnified = list(zip(factors, gaps, shapes, strict=True))
    height = rows * max(factor * shape[0] + gap for factor, gap, shape in magnified)
    width = columns * max(factor * shape[1] + gap for factor, gap, shape in magnified)
    if max(height, width) > LONGEST or height * width > LARGEST:
        raise ValueError(
            f"a picture should have sides of at most {LONGEST} pixels, and {LARGEST} in all; "
            "ask for fewer images, or write arrays (.npz). "
            f"Received: {rows} rows of {columns} images, {width} pixels wide and {height} high"
        )


@dataclass(frozen=True)
class _Words:
    text: str
    x: int
    y: int
    size: int
    anchor: str
    colour: tuple[int, int, int]


@dataclass
class Page:
    """White paper of which the size is known once everything was put on it.

    Args:
        size: pixels that each image is magnified to, about.
    """

    size: int = TILE
    placed: list[tuple[Image.Image, int, int]] = field(default_factory=list)
    words: list[_Words] = field(default_factory=list)
    rules: list[tuple[int, int, int, int]] = field(default_factory=list)
    panels: list[tuple[int, int, int, int]] = field(default_factory=list)

    @classmethod
    def start(cls, title: str | None, size: int = TILE) -> tuple[Page, int]:
        """An empty page and the height at which its content begins."""
        page = cls(size)
        if not title:
            return page, MARGIN
        page.text(title, MARGIN, MARGIN, size=20)
        return page, MARGIN + 38

    def pitch(self, image: np.ndarray) -> tuple[int, int]:
        """From one image of a grid to the next, rightwards and downwards."""
        width, height = tile(image, False, self.size).size
        gap = max(3, height // image.shape[0])  # a pixel of small images, which have no borders
        return width + gap, height + gap

    def grid(
        self,
        images: np.ndarray,
        left: int,
        top: int,
        real: bool,
        pitch: tuple[int, int] | None = None,
    ) -> tuple[int, int]:
        """Puts images `(rows, columns, h, w, c)`; returns the right and the lower edge.

        Args:
            images: of one shape.
            left: edge of the first column.
            top: edge of the first row.
            real: whether they were given, not generated.
            pitch: from one image to the next, so that grids of images of another shape stand in
                line; None takes `pitch` of their own.
        """
        tiles = [[tile(image, real, self.size) for image in row] for row in images]
        width, height = tiles[0][0].size
        own = self.pitch(images[0, 0])
        across, down = pitch or own
        left, top = left + (across - own[0]) // 2, top + (down - own[1]) // 2
        for i, row in enumerate(tiles):
            for j, one in enumerate(row):
                self.placed.append((one, left + j * across, top + i * down))
        right = left + (len(tiles[0]) - 1) * across + width
        bottom = top + (len(tiles) - 1) * down + height
        if real and images.shape[-1] != 3:
            self.panels.append((left - 4, top - 4, right + 3, bottom + 3))
        return right, bottom

    def text(
        self,
        words: str,
        x: int,
        y: int,
        anchor: str = "la",
        size: int = 14,
        colour: tuple[int, int, int] = TEXT,
    ) -> int:
        """Writes a caption; returns the right edge of one that begins at x."""
        self.words.append(_Words(words, x, y, size, anchor, colour))
        return x + round(font(size).getlength(words))

    def save(self, path: str | os.PathLike[str], description: str | None = None) -> Path:
        """Draws everything and writes the PNG, whole or not at all.

        Args:
            path: where to; its folder is made where absent.
            description: what the picture shows, kept as the PNG's text of that name.
        """
        rights = [x + one.width for one, x, _ in self.placed]
        rights += [
            words.x + math.ceil(font(words.size).getlength(words.text))
            for words in self.words
            if words.anchor[0] == "l"
        ]
        lowers = [y + one.height for one, _, y in self.placed]
        lowers += [words.y + words.size for words in self.words if words.anchor[1] == "a"]
        picture = Image.new("RGB", (max(rights) + MARGIN, max(lowers) + MARGIN), "white")
        draw = ImageDraw.Draw(picture)
        for panel in self.panels:
            draw.rounded_rectangle(panel, radius=6, fill=_PANEL)
        for rule in self.rules:
            draw.line(rule, fill=_RULE, width=1)
        for one, x, y in self.placed:
            picture.paste(one, (x, y))
        for words in self.words:
            place, face = (words.x, words.y), font(words.size)
            draw.text(place, words.text, fill=words.colour, font=face, anchor=words.anchor)
        information = PngInfo()
        if description:
            information.add_itxt("Description", description)
        target = Path(path)
        target.parent.mkdir(parents=True, exist_ok=True)
        with whole(target) as temporary:
            picture.save(temporary, format="PNG", optimize=True, pnginfo=information)
        return target
