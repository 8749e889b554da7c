"""The picture of Figures 4 and 5: one panel for each configuration, with its figures under it."""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path

import numpy as np

from experiments.studies.table import Row, cell
from wyner_keras.page import FAINT, GROUP, MARGIN, Page, font

_TILE = 28
_LINE = 18
_SPLIT = 10  # between real and generated images
_BETWEEN = 34  # between panels

# What is written under a grid: label, figure, digits after the point.
_CONDITIONAL = (
    ("accuracy", "conditional_accuracy_y", 3),
    ("diversity", "diversity_y", 2),
    ("FD", "frechet_y", 1),
    ("recall", "recall_y", 2),
)
_TRANSFER = (
    ("accuracy", "style_accuracy_x", 3),
    ("slant", "slant_correlation_x", 2),
    ("nats in Z", "nats_i_xy_z", 2),
    ("of label", "nats_i_label_z", 2),
)
_JUDGED = "A classifier judges y given x, and x in transfer, on test images. "
_NOTE = "FD: less is better. >: at least. -: not to be had."
# Figures that a classifier judges.
_READ = ("conditional_accuracy_y", "style_accuracy_x")
_HEADS = ("conditional: input x, samples of y", "transfer: style down, concept across")


def captions(row: Row) -> tuple[str, str]:
    """The text under the two grids of a panel: conditional generation, then style transfer.

    Example:
        >>> captions({"conditional_accuracy_y": 0.5, "style_accuracy_x": None})[0][:14]
        'accuracy 0.500'
    """
    first, second = (
        "   ".join(f"{word} {cell(row, name, digits)}" for word, name, digits in shown)
        for shown in (_CONDITIONAL, _TRANSFER)
    )
    return first, second


def draw(
    title: str,
    rows: Sequence[Row],
    images: Mapping[str, Mapping[str, np.ndarray]],
    path: str | os.PathLike[str],
) -> Path:
    """Draw a sweep in the paper's layout.

    Args:
        title: heading of the picture.
        rows: of the table; those of one group stand side by side.
        images: by configuration, `inputs` `(n, h, w, c)`, `samples` `(n, samples, h, w, c)`,
            `styles`, `concepts` and `results` `(styles, concepts, h, w, c)`, in [0, 1].
        path: where to write the PNG; its text "Description" repeats the captions.

    Returns:
        The path.
    """
    page, top = Page.start(title, _TILE)
    judged = any(row.get(name) is not None for row in rows for name in _READ)
    page.text((_JUDGED if judged else "") + _NOTE, MARGIN, top - 8, size=12, colour=FAINT)
    top += 22
    description = [title]
    for group in dict.fromkeys(row["group"] for row in rows):
        page.text(group, MARGIN, top, size=16)
        description.append(group)
        top, left, lowest = top + 32, MARGIN, top
        for row in (row for row in rows if row["group"] == group):
            texts = captions(row)
            description.append(f"{row['label']}: {'; '.join(texts)}")
            right, lower = _panel(page, row, texts, images[row["configuration"]], left, top)
            left, lowest = right + _BETWEEN, max(lowest, lower)
        top = lowest + GROUP
    return page.save(path, "\n".join(description))


def _panel(
    page: Page,
    row: Row,
    texts: tuple[str, str],
    images: Mapping[str, np.ndarray],
    left: int,
    top: int,
) -> tuple[int, int]:
    """Draw one configuration; return its right and its lower edge."""
    inputs, samples = images["inputs"], images["samples"]
    page.text(row["label"], left, top)
    top += 24
    page.text(_HEADS[0], left, top, size=11, colour=FAINT)
    top += 20
    edge, _ = page.grid(inputs[:, None], left + 4, top + 4, real=True)
    right, lower = page.grid(samples, edge + _SPLIT, top + 4, real=False)
    page.text(texts[0], left, lower + 8, size=12)
    top = lower + 8 + 2 * _LINE
    page.text(_HEADS[1], left, top, size=11, colour=FAINT)
    top += 20
    styles, concepts, results = (images[name] for name in ("styles", "concepts", "results"))
    _, header = page.grid(concepts[None], edge + _SPLIT, top + 4, real=True)
    page.grid(styles[:, None], left + 4, header + _SPLIT, real=True)
    other, lower = page.grid(results, edge + _SPLIT, header + _SPLIT, real=False)
    page.text(texts[1], left, lower + 8, size=12)
    words = max(font(12).getlength(caption) for caption in texts)
    return max(right, other, left + round(words)), lower + 8 + _LINE
