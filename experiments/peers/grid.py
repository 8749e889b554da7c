"""The picture of the comparison: samples of every model for the same inputs."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import numpy as np

from experiments.peers.table import NAMES
from wyner_keras.page import GROUP, MARGIN, Page, check_drawable, font, tiles

_INPUTS, _SAMPLES = 5, 3


def draw_grid(
    files: Mapping[str, Path], pairs: Mapping[str, np.ndarray], labels: np.ndarray, path: Path
) -> Path:
    """Draw samples of y for a few test digits x, one row for each model.

    Args:
        files: saved images, by model.
        pairs: of `write_pairs`.
        labels: of the test images.
        path: of the PNG.

    Returns:
        The path.
    """
    inputs = pairs["diverse_y"]
    _, first = np.unique(labels[inputs], return_index=True)
    chosen = first[:: max(1, len(first) // _INPUTS)][:_INPUTS]
    return comparison_grid(pairs["test"][inputs[chosen]], _samples(files, chosen), path)


def draw_unlabelled(
    files: Mapping[str, Path], pairs: Mapping[str, np.ndarray], path: Path, *, joined: bool = False
) -> Path:
    """Draw samples of y for a few held-out x, below the real y of the same row.

    Args:
        files: saved images, by model.
        pairs: of `write_unlabelled`.
        path: of the PNG.
        joined: whether x is drawn at the left of every y, as the other half of one picture.

    Returns:
        The path.
    """
    chosen = pairs["diverse_y"][:_INPUTS]
    inputs = pairs["test_x"][chosen]
    rows = {"real": pairs["test_y"][chosen][:, None], **_samples(files, np.arange(len(chosen)))}
    if joined:
        for name, samples in rows.items():
            left = np.repeat(inputs[:, None], samples.shape[1], axis=1)
            rows[name] = np.concatenate([left, samples], axis=3)
        # Beside an empty half, so that no ink at the cut is taken for a ground.
        inputs = np.concatenate([inputs, np.zeros_like(pairs["test_y"][chosen])], axis=2)
    return comparison_grid(inputs, rows, path)


def _samples(files: Mapping[str, Path], chosen: np.ndarray) -> dict[str, np.ndarray]:
    """By the model's name a few samples of y for the chosen inputs, in [0, 1]."""
    rows = {}
    for name, file in files.items():
        with np.load(file) as archive:
            samples = archive["diverse_y"][chosen, :_SAMPLES]
        rows[NAMES.get(name, name)] = samples.astype(np.float32) / 255
    return rows


def comparison_grid(inputs: np.ndarray, rows: Mapping[str, np.ndarray], path: Path) -> Path:
    """Draw inputs across the top and, below them, one row of samples for each model.

    Args:
        inputs: real images `(n, h, w, c)` in [0, 1].
        rows: generated images `(n, samples, h, w, c)` in [0, 1], by the model's name.
        path: of the PNG.

    Returns:
        The path.

    Raises:
        ValueError: if there are too many images for a picture.
    """
    shapes = [inputs.shape[1:], *(samples.shape[2:] for samples in rows.values())]
    most = max(samples.shape[1] for samples in rows.values())
    check_drawable(1 + len(rows), len(inputs) * most, *shapes)
    page, top = Page.start(None)
    names = max(round(font(14).getlength(name)) for name in (*rows, "input"))
    left = MARGIN + names + GROUP
    width, height = tiles(inputs[:1], real=True)[0].size
    page.text("input", left - 18, top + 4 + height // 2, "rm")
    first_row, column_left = top + 4 + height + GROUP, left
    for column, image in enumerate(inputs):
        upper, right = first_row, column_left
        for name, samples in rows.items():
            edge, lower = page.grid(samples[column][None], column_left, upper, real=False)
            right = max(right, edge)
            if column == 0:
                page.text(name, left - 18, (upper + lower) // 2, "rm")
            upper = lower + 8
        page.grid(image[None, None], (column_left + right - width) // 2, top + 4, real=True)
        column_left = right + GROUP
    return page.save(path)
