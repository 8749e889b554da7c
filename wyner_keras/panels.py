"""Pictures of vectors, a panel a column in its own unit, categories by their names.

Real examples are blue, generated ones black.
"""

from __future__ import annotations

import os
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras.lettering import lettered
from wyner_serving.whole import whole_file

if TYPE_CHECKING:
    from matplotlib.figure import Figure

Entry = Mapping[str, Any]
REAL, MADE = "#184ea0", "#141418"
_COLUMNS = 40  # of vectors that are drawn
_CONCEPT_COLUMNS = 12  # of those, at most, beside what is made
_ACROSS, _MANY, _MANY_ACROSS = 4, 12, 5  # panels side by side, and of many
_NAMED = 7  # categories by name; of more the most frequent are
_INPUTS = 10  # whose categories are drawn where no truth is known


def save(figure: Figure, path: str | os.PathLike[str]) -> Path:
    """Write a picture as PNG; the same one is the same file.

    Args:
        figure: of matplotlib.
        path: of the file.
    """
    target = Path(path)
    target.parent.mkdir(parents=True, exist_ok=True)
    with whole_file(target) as temporary:
        # Without the version that matplotlib adds, the same picture is the same file.
        figure.savefig(temporary, format="png", dpi=90, metadata={"Software": None})
    return target


def panels(count: int, title: str | None, across: int | None = None) -> tuple[Figure, list[Any]]:
    """A figure of as many panels, each with its axes.

    Args:
        count: of panels.
        title: heading of the picture.
        across: panels side by side; None follows their number.
    """
    from matplotlib.figure import Figure

    across = min(across or (_ACROSS if count <= _MANY else _MANY_ACROSS), count)
    rows = -(-count // across)
    size = max(2.7 * across, 4.0), 2.6 * rows + 0.6
    figure = Figure(figsize=size, layout="constrained")
    if title:
        figure.suptitle(lettered(title, "", 120), fontsize=11)
    places = [figure.add_subplot(rows, across, 1 + place) for place in range(count)]
    for place in places:
        place.tick_params(labelsize=6)
        for axis in (place.xaxis, place.yaxis):
            axis.get_offset_text().set_fontsize(6)
    return figure, places


def name_of(column: Entry, place: int) -> str:
    """What a column is called in a picture.

    Args:
        column: what a model says of it.
        place: among the side's columns, which names it where no font has its letters.
    """
    return lettered(column["name"], f"column {place}")


def is_named(column: Entry) -> bool:
    """Whether a column's numbers are names, whose order and mean say nothing."""
    return column["kind"] in ("binary", "categorical")


def category(column: Entry, code: float) -> str:
    """What a category is called in a picture.

    Args:
        column: what a model says of it.
        code: the category's number.
    """
    texts = column.get("texts") or ()
    text = texts[int(code)] if int(code) < len(texts) else int(code)
    return lettered(text, f"category {int(code)}", 14)


def written(column: Entry, value: float) -> str:
    """A column's value in few letters, "—" where it is absent."""
    if np.isnan(value):
        return "—"
    return category(column, value) if is_named(column) else f"{value:.4g}"


def name_ticks(axis: Any, column: Entry, values: np.ndarray) -> None:
    """Write names of categories along an axis.

    Args:
        axis: of matplotlib.
        column: what a model says of it.
        values: that are drawn.
    """
    codes = np.unique(values[~np.isnan(values)])
    if len(codes) > _NAMED:
        codes = codes[np.linspace(0, len(codes) - 1, _NAMED).astype(int)]
    names = [category(column, code) for code in codes]
    axis.set_ticks(codes, names)
    _turn(axis, names)


def _turn(axis: Any, names: Sequence[str]) -> None:
    """Turn long names along the horizontal axis, where they would lie on each other."""
    if axis.axis_name == "x" and max(map(len, names), default=0) > 3:
        axis.set_tick_params(rotation=40)


def predicted(
    entry: Entry,
    made: np.ndarray,
    truth: np.ndarray | None,
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """Draw columns that are predicted, each over its true values, or over the inputs' numbers.

    Args:
        entry: what a model says of the side.
        made: samples `(n, samples, columns)`.
        truth: what they should be, `(n, columns)`; None where that is not known.
        path: where to write the PNG.
        title: heading of the picture.
    """
    columns = entry["columns"][:_COLUMNS]
    figure, places = panels(len(columns), title)
    for at, (place, column) in enumerate(zip(places, columns, strict=True)):
        over = np.arange(len(made), dtype=float) if truth is None else truth[:, at]
        known = ~np.isnan(over) & ~np.isnan(made[:, :, at]).all(axis=1)
        said = ", never known"
        if known.any():
            draw = _names_predicted if is_named(column) else _numbers_predicted
            said = draw(place, column, made[known, :, at], over[known], truth is not None)
            said += "" if known.all() else f", {known.sum()} known"
        place.set_title(f"{name_of(column, at)}{said}", fontsize=8)
    _foot(figure, "input" if truth is None else "true", len(columns), len(entry["columns"]))
    share = "; of categories %" if any(map(is_named, columns)) else ""
    figure.supylabel(f"predicted\n(samples and their mean{share})", fontsize=8)
    return save(figure, path)


def _foot(figure: Figure, words: str, shown: int, every: int) -> None:
    """Say beneath a picture what its panels have in common, and how many it leaves out."""
    more = f" ({shown} of {every} columns)" if shown < every else ""
    figure.supxlabel(words + more, fontsize=8)


def _numbers_predicted(
    place: Any, column: Entry, values: np.ndarray, over: np.ndarray, true: bool
) -> str:
    """Samples and their mean over numbers, true ones or inputs'; what the heading says of them."""
    mean, said = np.nanmean(values, axis=1), ""
    if true:
        place.plot(*[[over.min(), over.max()]] * 2, color=REAL, linewidth=0.9)
        if over.std() and mean.std():
            said = f", r {np.corrcoef(over, mean)[0, 1]:.2f}"
    place.plot(over, values, ".", color=MADE, alpha=0.15, markersize=3)
    place.plot(over, mean, ".", color=MADE, markersize=4)
    return said


def _names_predicted(
    place: Any, column: Entry, values: np.ndarray, given: np.ndarray, true: bool
) -> str:
    """Of each true category, or of inputs, the shares of the categories that are predicted."""
    down, rest = _most_frequent(given if true else values, values)
    said, groups = "", [(category(column, code), values == code) for code in down]
    if len(rest):
        groups.append((f"{len(rest)} others", np.isin(values, rest)))
    if true:
        right = np.nanmean(np.where(np.isnan(values), np.nan, values == given[:, None]))
        said = f", right {right:.2f}"
        over = [(category(column, code), given == code) for code in down]
        over += [(f"{len(rest)} others", np.isin(given, rest))] if len(rest) else []
    else:
        over = [(f"{int(each)}", given == each) for each in given[:_INPUTS]]
    over = [(name, rows) for name, rows in over if rows.any()]
    there = ~np.isnan(values)
    shares = np.array([[mask[rows][there[rows]].mean() for _, rows in over] for _, mask in groups])
    place.imshow(shares, cmap="Greys", vmin=0, vmax=1, aspect="auto", origin="lower")
    for (i, j), share in np.ndenumerate(shares):
        colour = "white" if share > 0.5 else MADE
        words = f"{100 * share:.0f}"
        place.text(j, i, words, ha="center", va="center", fontsize=6, color=colour)
    names = [name for name, _ in over]
    place.set_xticks(range(len(over)), names)
    _turn(place.xaxis, names)
    place.set_yticks(range(len(groups)), [name for name, _ in groups])
    return said


def _most_frequent(values: np.ndarray, others: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
    """Codes that are drawn, in their order, and those that are drawn as one."""
    codes, counts = np.unique(values[~np.isnan(values)], return_counts=True)
    more = np.setdiff1d(others[~np.isnan(others)], codes)
    codes, counts = np.append(codes, more), np.append(counts, np.zeros(len(more), int))
    order = codes[np.argsort(-counts, kind="stable")]
    return np.sort(order[:_NAMED]), np.sort(order[_NAMED:])


def transferred(
    entries: tuple[Entry, Entry],
    style: np.ndarray,
    concept: np.ndarray,
    result: np.ndarray,
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """Draw what has each style and each concept: a line a style, from it over the concepts.

    Args:
        entries: what a model says of the side that is made, and of the concepts' side.
        style: `(styles, columns)`.
        concept: `(concepts, columns of the other side)`.
        result: `(styles, concepts, columns)`.
        path: where to write the PNG.
        title: heading of the picture.
    """
    made, other = (entry["columns"] for entry in entries)
    of_concept = other[: max(_CONCEPT_COLUMNS, _COLUMNS - len(made))]
    of_made = made[: _COLUMNS - len(of_concept)]
    figure, places = panels(len(of_made) + len(of_concept), title)
    over = np.arange(1.0, 1 + len(concept))
    for at, (place, column) in enumerate(zip(places, of_made, strict=False)):
        rows = np.concatenate([style[:, None, at], result[:, :, at]], axis=1)
        if is_named(column):
            name_ticks(place.yaxis, column, rows)
            rows = rows + _beside(len(rows))[:, None]
        for row in rows:
            place.plot([0.0, *over], row, "-", color=MADE, alpha=0.35, linewidth=0.8)
        place.plot(np.tile(over, len(rows)), rows[:, 1:].ravel(), ".", color=MADE, markersize=4)
        place.plot(np.zeros(len(rows)), rows[:, 0], "o", color=REAL, markersize=4)
        place.set_xticks([0.0, *over], ["style", *(f"{int(each)}" for each in over)])
        place.set_title(f"made: {name_of(column, at)}", fontsize=8)
    for at, (place, column) in enumerate(zip(places[len(of_made) :], of_concept, strict=True)):
        values = concept[:, at]
        if is_named(column):
            name_ticks(place.yaxis, column, values)
        place.plot(over, values, "o", color=REAL, markersize=4)
        place.set_xticks(over, [f"{int(each)}" for each in over])
        place.set_title(f"concept: {name_of(column, at)}", fontsize=8)
    words = "a line a style, in blue, and what is made of it by each concept, in black"
    _foot(figure, words, len(places), len(made) + len(other))
    return save(figure, path)


def _beside(count: int) -> np.ndarray:
    """Small steps that keep lines on one category apart."""
    return np.linspace(-0.18, 0.18, count) if count > 1 else np.zeros(1)


def scattered(
    entries: tuple[Entry, Entry],
    chosen: Sequence[tuple[int, int]],
    made: tuple[np.ndarray, np.ndarray],
    real: tuple[np.ndarray, np.ndarray] | None,
    path: str | os.PathLike[str],
    title: str | None,
) -> Path:
    """Draw columns of y over columns of x.

    Args:
        entries: what a model says of x and of y.
        chosen: columns of x and of y, a panel each.
        made: generated pairs, `(n, columns)` each.
        real: real ones, drawn beneath; None for none.
        path: where to write the PNG.
        title: heading of the picture.
    """
    figure, places = panels(len(chosen), title, across=3)
    drawn = [(pair, colour) for pair, colour in ((real, REAL), (made, MADE)) if pair is not None]
    for place, at in zip(places, chosen, strict=True):
        columns = [entry["columns"][each] for entry, each in zip(entries, at, strict=True)]
        values = [[pair[side][:, at[side]] for pair, _ in drawn] for side in (0, 1)]
        for side, axis in enumerate((place.xaxis, place.yaxis)):
            if is_named(columns[side]):
                name_ticks(axis, columns[side], np.concatenate(values[side]))
        for number, (_, colour) in enumerate(drawn):
            x, y = (
                of[number] + (_scatter(len(of[number]), side) if is_named(column) else 0.0)
                for side, (of, column) in enumerate(zip(values, columns, strict=True))
            )
            place.plot(x, y, ".", color=colour, alpha=0.5, markersize=4)
        place.set_xlabel(f"x.{name_of(columns[0], at[0])}", fontsize=8)
        place.set_ylabel(f"y.{name_of(columns[1], at[1])}", fontsize=8)
    if real is not None:
        figure.supxlabel("real pairs blue, generated ones black", fontsize=8)
    return save(figure, path)


def _scatter(count: int, seed: int) -> np.ndarray:
    """Small steps that keep points on one category apart, the same each time."""
    return np.random.default_rng(seed).uniform(-0.25, 0.25, count)
