"""Pictures of images: conditional generation, style transfer, pairs; PNG, whole or not at all."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.page import GROUP, MARGIN, Page, Tile, check_drawable, font, gap_of, tiles
from wyner_serving.checks import check_array, check_count
from wyner_serving.rows import check_rows

_COLUMNS = 6  # of pairs


def _images(values: Any, name: str, *counts: int) -> np.ndarray:
    """Images `(*counts, h, w, c)` in [0, 1], float32; a count of -1 is any."""
    wanted = ", ".join("any" if count == -1 else str(count) for count in counts)
    expected = f"an array ({wanted}, h, w, c)"
    values = check_array(values, name, expected)
    lead, shape = values.shape[:-3], values.shape[-3:]
    fits = len(lead) == len(counts) and all(
        count in (-1, found) for count, found in zip(counts, lead, strict=True)
    )
    if not fits or not values.size:
        raise ValueError(f"`{name}` should be {expected}. Received: shape {values.shape}")
    flat = check_rows(values.reshape(-1, *shape), name, {"kind": "image", "shape": shape})
    return flat.reshape(values.shape)


def conditional_grid(
    inputs: np.ndarray,
    samples: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    captions: tuple[str, str] = ("input x", "samples of y"),
) -> Path:
    """Draw inputs down the left, the samples of each to its right.

    Args:
        inputs: real images `(n, h, w, c)`: in [0, 1], or bytes.
        samples: generated images `(n, samples, h, w, c)`; each side has a size of its own.
        path: where to write the PNG; its folder is made where absent.
        title: heading of the picture.
        captions: over the inputs and over the samples.

    Returns:
        The path.

    Raises:
        ValueError: shapes that do not fit, images outside [0, 1], or too many for a picture.

    Example:
        >>> import tempfile
        >>> path = f"{tempfile.mkdtemp()}/a.png"
        >>> conditional_grid(np.ones((2, 8, 8, 1)), np.ones((2, 3, 8, 8, 1)), path).name
        'a.png'
    """
    inputs = _images(inputs, "inputs", -1)
    samples = _images(samples, "samples", len(inputs), -1)
    made = samples.shape[2:]
    check_drawable(len(inputs), 1 + samples.shape[1], inputs.shape[1:], made)
    page, top = Page.start(title)
    given = tiles(inputs, real=True)
    right = page.text(captions[0], MARGIN, top) + GROUP // 2
    edge = MARGIN + 4 + given[0].width
    cells = _beside(given, tiles(samples.reshape(-1, *made), real=False))
    after = max(GROUP, right - edge)
    lefts, tops = page.table(cells, MARGIN + 4, top + 26, gap_of(made), wider={0: after})
    if inputs.shape[3] != 3:
        page.panel(MARGIN + 4, tops[0], edge, tops[-1])
    page.text(captions[1], lefts[1], top)
    return page.save(path)


def _beside(first: Sequence[Tile | None], rest: Sequence[Tile]) -> list[list[Tile | None]]:
    """Rows of a table: one of the first each, and its share of the rest."""
    count = len(rest) // len(first)
    return [[one, *rest[count * i : count * (i + 1)]] for i, one in enumerate(first)]


def transfer_grid(
    styles: np.ndarray,
    concepts: np.ndarray,
    results: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    captions: tuple[str, str] = ("style", "concept"),
) -> Path:
    """Draw styles down the left, concepts across the top; see `conditional_grid`.

    Args:
        styles: real images `(styles, h, w, c)`.
        concepts: real images `(concepts, h, w, c)`.
        results: generated images `(styles, concepts, h, w, c)`.
        path: where to write the PNG.
        title: heading of the picture.
        captions: of the styles and of the concepts, in the corner between them.
    """
    styles, concepts = _images(styles, "styles", -1), _images(concepts, "concepts", -1)
    results = _images(results, "results", len(styles), len(concepts))
    shapes = styles.shape[1:], concepts.shape[1:]
    check_drawable(1 + len(styles), 1 + len(concepts), *shapes)
    page, top = Page.start(title)
    given, header = tiles(styles, real=True), tiles(concepts, real=True)
    made = tiles(results.reshape(-1, *results.shape[2:]), real=False)
    cells: list[list[Tile | None]] = [[None, *header], *_beside(given, made)]
    words = max(round(font(14).getlength(caption)) for caption in captions)
    lefts, tops = page.table(
        cells,
        MARGIN + 4,
        top + 4,
        max(gap_of(shape) for shape in shapes),
        wider={0: GROUP},
        lower={0: GROUP + 8},
        widths={0: words},
    )
    middle = lefts[0] + max(words, given[0].width) // 2
    if concepts.shape[3] != 3:
        page.panel(lefts[1], tops[0], lefts[-1], tops[0] + header[0].height)
    if styles.shape[3] != 3:
        half = given[0].width // 2
        page.panel(middle - half, tops[1], middle + half, tops[-1])
    page.text(captions[1], lefts[1] - 14, top + 4 + header[0].height // 2, "rm")
    page.text(captions[0], middle, tops[1] - 12, "ms")
    return page.save(path)


def joint_grid(
    x: np.ndarray,
    y: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
    *,
    columns: int = _COLUMNS,
) -> Path:
    """Draw generated pairs side by side; see `conditional_grid`.

    Args:
        x: generated images `(n, h, w, c)`.
        y: their partners `(n, h, w, c)`.
        path: where to write the PNG.
        title: heading of the picture.
        columns: pairs in a row.
    """
    x = _images(x, "x", -1)
    y = _images(y, "y", len(x))
    columns = min(check_count(columns, "columns"), len(x))
    rows = -(-len(x) // columns)
    check_drawable(rows, 2 * columns, x.shape[1:], y.shape[1:])
    page, top = Page.start(title)
    sides: list[list[Tile | None]] = [[*tiles(images, real=False)] for images in (x, y)]
    flat = [one for pair in zip(*sides, strict=True) for one in pair]
    flat += [None] * (2 * (rows * columns - len(x)))
    cells = [flat[start : start + 2 * columns] for start in range(0, len(flat), 2 * columns)]
    wider = {column: 4 if column % 2 == 0 else GROUP for column in range(2 * columns)}
    lefts, _ = page.table(cells, MARGIN, top + 24, 10, wider=wider)
    for column, one in enumerate(cells[0]):
        if one is not None:
            page.text("xy"[column % 2], lefts[column] + one.width // 2, top, "ma")
    return page.save(path)
