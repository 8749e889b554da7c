"""The ablation's figure: one row for each variant, one dot for each seed."""

from __future__ import annotations

import os
import statistics
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.ticker import FormatStrFormatter, MaxNLocator

from experiments.plotting import BLUE, FAINT, INK, RED, save
from experiments.studies.table import Row

# Figure, title with an arrow to where better is, digits after the point.
_PANELS = (
    ("conditional_accuracy_y", "conditional accuracy, y →", 3),
    ("joint_coherence", "joint coherence →", 3),
    ("style_accuracy_x", "transfer accuracy, x →", 3),
    ("nats_i_label_z", "label in Z, nats →", 2),
    ("slant_correlation_x", "slant kept, x →", 2),
    ("diversity_y", "diversity, y →", 2),
    ("frechet_y", "← Fréchet distance, y", 1),
    ("recall_y", "recall, y →", 2),
)
_COLUMNS = 4
_FAR = 6.0  # times the median variant's distance from the first: such a variant is off the axis


def draw(title: str, rows: Sequence[Row], path: str | os.PathLike[str]) -> Path:
    """Draw the main figures of all variants: seeds as dots, their mean as a bar.

    A dotted line shows the mean of the first variant. A variant stands at the panel's edge, with
    its mean as a number, if it is so far away that the others could not be told apart.

    Args:
        title: heading of the picture.
        rows: of the table; each group is a variant.
        path: where to write the PNG, whole or not at all.

    Returns:
        The path.
    """
    variants = list(dict.fromkeys(row["group"] for row in rows))
    lines = -(-len(_PANELS) // _COLUMNS)
    height = 0.9 + lines * (0.9 + 0.26 * len(variants))
    figure = Figure(figsize=(13, height), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK)
    panels = figure.subplots(lines, _COLUMNS, sharey=True, squeeze=False).flat
    for axes, (name, words, digits) in zip(panels, _PANELS, strict=True):
        values_of = {
            variant: values
            for variant in variants
            if (values := [row[name] for row in rows if _has(row, variant, name)])
        }
        _panel(axes, variants, values_of, digits)
        axes.set_title(words, loc="left", fontsize=10, color=INK)
        axes.set_yticks(range(len(variants)), variants)
        axes.set_ylim(len(variants) - 0.5, -0.5)
        axes.spines[["top", "right", "left"]].set_visible(False)
        axes.spines["bottom"].set_color(FAINT)
        axes.tick_params(axis="x", colors=INK, labelsize=8, length=3)
        axes.tick_params(axis="y", colors=INK, labelsize=9, length=0)
        axes.set_axisbelow(True)
        axes.grid(axis="y", color="#eaeef2", linewidth=0.8)
    return save(figure, path)


def _has(row: Row, variant: str, name: str) -> bool:
    return row["group"] == variant and row.get(name) is not None


def span(means: Sequence[float]) -> tuple[float, float]:
    """The least and the largest mean that an axis shows; it always shows the first.

    Example:
        >>> span([0.97, 0.96, 0.98, 0.10])
        (0.96, 0.98)
    """
    distances = [abs(mean - means[0]) for mean in means]
    near = _FAR * statistics.median(distances[1:] or [0.0])
    kept = [mean for mean, far in zip(means, distances, strict=True) if far <= near]
    kept = kept if len(kept) > 1 else list(means)
    return min(kept), max(kept)


def _limits(
    values_of: Mapping[str, Sequence[float]], means: Mapping[str, float], digits: int
) -> tuple[float, float]:
    """The limits of an axis that has room for the dots of all variants whose mean is on it."""
    left, right = span(list(means.values()))
    inside: set[str] = set()
    while more := {name for name, mean in means.items() if left <= mean <= right} - inside:
        inside |= more
        shown = [value for name in inside for value in values_of[name]]
        # An axis is not so fine that it magnifies what the figure's digits do not show.
        room = 0.58 * max(max(shown) - min(shown), 8 * 10**-digits)
        middle = (min(shown) + max(shown)) / 2
        left, right = middle - room, middle + room
    return left, right


def _panel(
    axes: Any, variants: Sequence[str], values_of: Mapping[str, Sequence[float]], digits: int
) -> None:
    if not values_of:
        return
    means = {variant: statistics.fmean(values) for variant, values in values_of.items()}
    left, right = _limits(values_of, means, digits)
    axes.set_xlim(left, right)
    axes.xaxis.set_major_locator(MaxNLocator(nbins=4, steps=[1, 2, 5, 10]))
    axes.xaxis.set_major_formatter(FormatStrFormatter(f"%.{digits}f"))
    if variants[0] in means:
        axes.axvline(means[variants[0]], color=FAINT, linewidth=1, linestyle=":", zorder=0)
    for place, variant in enumerate(variants):
        if variant not in values_of:
            continue
        colour = BLUE if place else RED
        if left <= means[variant] <= right:
            axes.plot([means[variant]] * 2, [place - 0.32, place + 0.32], color=colour, lw=2)
            axes.plot(
                list(values_of[variant]),
                [place] * len(values_of[variant]),
                linestyle="",
                marker="o",
                markersize=5,
                color=colour,
                alpha=0.65,
                markeredgecolor="white",
                markeredgewidth=0.5,
            )
            continue
        below = means[variant] < left
        number = f"{means[variant]:.{digits}f}"
        axes.text(
            0.01 if below else 0.99,
            place,
            f"◂ {number}" if below else f"{number} ▸",
            transform=axes.get_yaxis_transform(),
            ha="left" if below else "right",
            va="center",
            fontsize=8,
            color=colour,
            backgroundcolor="white",
        )
