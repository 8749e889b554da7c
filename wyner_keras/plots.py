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

from wyner_keras.files import whole

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]
_REAL, _MADE = "#184ea0", "#141418"
_COLUMNS, _ACROSS = 12, 4  # of vectors that are drawn, and as many side by side
_ROWS, _SAMPLES, _PAIRS = 6, 5, 9
_STYLES, _CONCEPTS = 6, 8
_WIDE, _HIGH = 1.5, 1.1  # inches of an example


class _Cell(NamedTuple):
    """An example, and what the model says of its side."""

    entry: Entry
    value: np.ndarray
    real: bool


def _save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole(target) as temporary:
        # Without the version that matplotlib adds, the same picture is the same file.
        figure.savefig(temporary, format="png", dpi=90, metadata={"Software": None})
    return target


def _table(
    rows: Sequence[Sequence[_Cell | None]],
    heads: Sequence[str],
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """Draw examples in rows and columns, one side's on one scale, with a word above each column."""
    from matplotlib.figure import Figure

    size = (0.2 + _WIDE * len(heads), 0.8 + _HIGH * len(rows))
    figure = Figure(figsize=size)
    # One plane for all: a plane a cell would take seconds.
    axes = figure.add_axes((0.1 / size[0], 0.1 / size[1], 1 - 0.2 / size[0], 1 - 0.8 / size[1]))
    cells = {(j, i): one for i, row in enumerate(rows) for j, one in enumerate(row) if one}
    of_side: dict[str, list[np.ndarray]] = {}
    for one in cells.values():
        of_side.setdefault(str(one.entry), []).append(one.value)
    for at, one in cells.items():
        values = of_side[str(one.entry)]
        low, high = np.nanmin(values), np.nanmax(values)
        _draw(axes, one, at, float(low), float(high - low) or 1.0)
    for j, words in enumerate(heads):
        axes.text(j + 0.5, -0.05, words, ha="center", va="bottom", fontsize=9)
    axes.set(xlim=(0, len(heads)), ylim=(len(rows), 0))
    axes.axis("off")
    if title:
        figure.suptitle(title, fontsize=11)
    return _save(figure, path)


def _draw(axes: Any, one: _Cell, at: tuple[int, int], low: float, length: float) -> None:
    """One example in its cell: an image, a series' channels over time, or a vector's columns."""
    value, (left, top) = one.value, at
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
        "-" if one.entry["kind"] == "series" else "o-",
        color=_REAL if one.real else _MADE,
        linewidth=0.9,
        markersize=2,
    )


def _panels(count: int, across: int, title: str | None) -> tuple[Figure, list[Any]]:
    """A figure of as many panels, each with its axes."""
    from matplotlib.figure import Figure

    across = min(across, count)
    rows = -(-count // across)
    figure = Figure(figsize=(2.7 * across, 2.6 * rows + 0.3), layout="constrained")
    if title:
        figure.suptitle(title, fontsize=11)
    return figure, [figure.add_subplot(rows, across, 1 + place) for place in range(count)]


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
        return _predicted(entries[1], made, truth, path, title)
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


def _predicted(
    entry: Entry,
    made: np.ndarray,
    truth: np.ndarray | None,
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """A panel a column: predicted over true values, or over the inputs' numbers."""
    columns = entry["columns"][:_COLUMNS]
    figure, panels = _panels(len(columns), _ACROSS, title)
    for j, (place, column) in enumerate(zip(panels, columns, strict=True)):
        values, heading = made[:, :, j], column["name"]
        true = np.arange(len(made), dtype=float) if truth is None else truth[:, j]
        mean = values.mean(axis=1)
        known = ~np.isnan(true)
        if truth is not None and known.any():
            if column["kind"] in ("binary", "categorical"):
                heading += f", right {(values[known] == true[known, None]).mean():.2f}"
            elif true[known].std() and mean[known].std():
                heading += f", r {np.corrcoef(true[known], mean[known])[0, 1]:.2f}"
            place.plot(*[[np.nanmin(true), np.nanmax(true)]] * 2, color=_REAL, linewidth=0.9)
        place.plot(true, values, ".", color=_MADE, alpha=0.15, markersize=3)
        place.plot(true, mean, ".", color=_MADE, markersize=4)
        place.set_title(heading, fontsize=8)
        place.tick_params(labelsize=6)
    figure.supxlabel("input" if truth is None else "true", fontsize=8)
    figure.supylabel("predicted: samples, and their mean", fontsize=8)
    return _save(figure, path)


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
    figure, panels = _panels(len(chosen), 3, title)
    for place, (i, j) in zip(panels, chosen, strict=True):
        for pair, colour in ((real, _REAL), (made, _MADE)):
            if pair is not None:
                place.plot(pair[0][:, i], pair[1][:, j], ".", color=colour, alpha=0.5, markersize=4)
        place.set_xlabel(f"x.{entries[0]['columns'][i]['name']}", fontsize=8)
        place.set_ylabel(f"y.{entries[1]['columns'][j]['name']}", fontsize=8)
        place.tick_params(labelsize=6)
    if real is not None:
        figure.supxlabel("real pairs blue, generated ones black", fontsize=8)
    return _save(figure, path)


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

    Entries are of the side that is made and of the concepts' side. See `conditional_plot`.
    """
    concepts = range(min(_CONCEPTS, len(concept)))
    rows: list[list[_Cell | None]] = [
        [None, *(_Cell(entries[1], concept[j], True) for j in concepts)]
    ]
    for i in range(min(_STYLES, len(style))):
        made = (_Cell(entries[0], result[i, j], False) for j in concepts)
        rows.append([_Cell(entries[0], style[i], True), *made])
    return _table(rows, ["style", *["concept"] * len(concepts)], path, title)
