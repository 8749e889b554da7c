"""Pictures of what is no pair of images: vectors, series, and images beside them; by matplotlib.

Real examples are blue, generated ones black.
"""

from __future__ import annotations

import itertools
import math
import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wyner_keras import panels
from wyner_keras.lettering import lettered, lettering

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]
_LINES = 8  # of a vector beside other kinds, a column each
_ROWS, _SAMPLES, _PAIRS = 6, 5, 9
_STYLES, _CONCEPTS = 6, 8
_WIDE, _HIGH = 1.5, 1.1  # inches of an example


class _Cell(NamedTuple):
    """An example, and what the model says of its side."""

    entry: Entry
    value: np.ndarray
    real: bool


def _table(
    rows: Sequence[Sequence[_Cell | None]],
    heads: Sequence[str],
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """Draw examples in rows and columns, one side's on one scale, with a word above each column."""
    with lettering():
        return panels.save(_tabulated(rows, heads, title), path)


def _tabulated(
    rows: Sequence[Sequence[_Cell | None]], heads: Sequence[str], title: str | None
) -> Figure:
    from matplotlib.figure import Figure

    size = (0.2 + _WIDE * len(heads), 0.8 + _HIGH * len(rows))
    figure = Figure(figsize=size)
    # One plane for all: a plane a cell would take seconds.
    axes = figure.add_axes((0.1 / size[0], 0.1 / size[1], 1 - 0.2 / size[0], 1 - 0.8 / size[1]))
    cells = {(j, i): one for i, row in enumerate(rows) for j, one in enumerate(row) if one}
    of_side: dict[str, list[np.ndarray]] = {}
    for one in cells.values():
        of_side.setdefault(str(one.entry), []).append(one.value)
    scales = {side: (np.min(values), np.ptp(values)) for side, values in of_side.items()}
    for at, one in cells.items():
        low, length = scales[str(one.entry)]
        _draw(axes, one, at, float(low), float(length) or 1.0)
    for j, words in enumerate(heads):
        axes.text(j + 0.5, -0.05, words, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(0, len(heads)), ylim=(len(rows), 0))
    axes.axis("off")
    if title:
        figure.suptitle(lettered(title, "", 120), fontsize=11)
    return figure


def _draw(axes: Any, one: _Cell, at: tuple[int, int], low: float, length: float) -> None:
    """One example in its cell: an image, a series' channels over time, or a vector's values."""
    value, (left, top) = one.value, at
    colour = panels.REAL if one.real else panels.MADE
    if one.entry["kind"] == "vector":
        columns = one.entry["columns"]
        shown = len(columns) if len(columns) <= _LINES else _LINES - 1
        lines = [
            f"{lettered(column['name'], f'column {place}', 14)}: {panels.written(column, each)}"
            for place, (column, each) in enumerate(zip(columns[:shown], value, strict=False))
        ]
        lines += [f"… {len(columns) - shown} more"] if shown < len(columns) else []
        words = {"fontsize": 6, "linespacing": 1.25, "va": "center", "color": colour}
        axes.text(left + 0.04, top + 0.5, "\n".join(lines), **words)
        return
    if one.entry["kind"] == "image":
        value = value / 255 if value.dtype == np.uint8 else value
        height, width = value.shape[:2]
        unit = 0.9 * min(_WIDE / width, _HIGH / height)  # inches of a pixel
        across, down = 0.5 * unit * width / _WIDE, 0.5 * unit * height / _HIGH
        x, y = left + 0.5, top + 0.5
        axes.imshow(
            value if value.shape[2] == 3 else value[..., 0],
            cmap="gray",
            vmin=0,
            vmax=1,
            aspect="auto",
            extent=(x - across, x + across, y + down, y - down),
        )
        return
    axes.plot(
        left + np.linspace(0.05, 0.95, len(value)),
        top + 0.95 - 0.9 * (value - low) / length,
        color=colour,
        linewidth=0.9,
    )


def conditional_plot(
    entries: tuple[Entry, Entry],
    given: np.ndarray,
    made: np.ndarray,
    truth: np.ndarray | None,
    path: str | os.PathLike[str],
    title: str | None = None,
) -> Path:
    """Draw what is generated for some inputs: of vectors, predicted over true columns.

    Args:
        entries: what a model says of the given side and of the one that is made.
        given: inputs `(n, ...)`.
        made: samples `(n, samples, ...)`.
        truth: what really goes with the inputs, `(n, ...)`; None where that is not known.
        path: where to write the PNG.
        title: heading of the picture.
    """
    if entries[1]["kind"] == "vector":
        with lettering():
            return panels.predicted(entries[1], made, truth, path, title)
    known = [] if truth is None else [truth]
    shown = range(min(_ROWS, len(given)))
    rows = [
        [
            _Cell(entries[0], given[row], True),
            *(_Cell(entries[1], values[row], True) for values in known),
            *(_Cell(entries[1], one, False) for one in made[row, :_SAMPLES]),
        ]
        for row in shown
    ]
    heads = ["given", *["true"] * len(known), *["sample"] * made[0, :_SAMPLES].shape[0]]
    return _table(rows, heads, path, title)


def joint_plot(
    entries: tuple[Entry, Entry],
    made: tuple[np.ndarray, np.ndarray],
    path: str | os.PathLike[str],
    title: str | None = None,
    real: tuple[np.ndarray, np.ndarray] | None = None,
) -> Path:
    """Draw generated pairs `(n, ...)`: of vectors, the columns that go together most.

    Real pairs, where they are given, are drawn beneath those. See `conditional_plot`.
    """
    if any(entry["kind"] != "vector" for entry in entries):
        cells = [
            _Cell(entries[side], made[side][place], False)
            for place in range(min(3 * _ROWS, len(made[0])))
            for side in (0, 1)
        ]
        rows = [cells[start : start + 6] for start in range(0, len(cells), 6)]
        return _table(rows, ["x", "y"] * (len(rows[0]) // 2), path, title)
    chosen = _strongest(*(made if real is None else real))
    with lettering():
        return panels.scattered(entries, chosen, made, real, path, title)


def _strongest(x: np.ndarray, y: np.ndarray) -> Sequence[tuple[int, int]]:
    """Columns of x and of y of the highest correlations, each of y once."""
    ranks = []
    for i, j in itertools.product(range(min(x.shape[1], 100)), range(min(y.shape[1], 100))):
        known = ~np.isnan(x[:, i] + y[:, j])
        a, b = x[known, i], y[known, j]
        varies = known.sum() > 2 and a.std() and b.std()
        ranks.append((abs(np.corrcoef(a, b)[0, 1]) if varies else -math.inf, i, j))
    found: dict[int, tuple[int, int]] = {}
    for _, i, j in sorted(ranks, reverse=True):
        found.setdefault(j, (i, j))
    return list(found.values())[:_PAIRS]


def transfer_plot(
    entries: tuple[Entry, Entry],
    style: np.ndarray,
    concept: np.ndarray,
    result: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None = None,
) -> Path:
    """Draw styles down the left, concepts across the top, results `(styles, concepts, ...)`.

    Entries are of the side that is made and of the concepts' side. Of two sides of vectors a panel
    a column is drawn instead. See `conditional_plot`.
    """
    if all(entry["kind"] == "vector" for entry in entries):
        style, concept = style[:_STYLES], concept[:_CONCEPTS]
        result = result[:_STYLES, :_CONCEPTS]
        with lettering():
            return panels.transferred(entries, style, concept, result, path, title)
    concepts = range(min(_CONCEPTS, len(concept)))
    rows: list[list[_Cell | None]] = [
        [None, *(_Cell(entries[1], concept[j], True) for j in concepts)]
    ]
    for i in range(min(_STYLES, len(style))):
        made = (_Cell(entries[0], result[i, j], False) for j in concepts)
        rows.append([_Cell(entries[0], style[i], True), *made])
    return _table(rows, ["style", *["concept"] * len(concepts)], path, title)
