"""The figure of the λ study."""

from __future__ import annotations

import os
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure

from experiments.plotting import BLUE, FAINT, INK, RED, save
from experiments.studies.table import Row

COLOURS = (BLUE, RED)  # of the groups
# Title and unit of a panel, then its lines: figure, label, line style.
_PANELS: tuple[tuple[str, tuple[tuple[str, str, str], ...]], ...] = (
    (
        "What is generated, share",
        (
            ("conditional_accuracy_y", "conditional accuracy", "-"),
            ("diversity_y", "diversity", "--"),
        ),
    ),
    (
        "What Z holds, nats",
        (("nats_i_xy_z", "of x and y", "-"), ("nats_i_label_z", "of the label", "--")),
    ),
    (
        "What U and V hold at most, nats",
        (("nats_i_x_u_upper", "U of x", "-"), ("nats_i_y_v_upper", "V of y", "--")),
    ),
)


def draw(title: str, rows: Sequence[Row], path: str | os.PathLike[str]) -> Path:
    """Draw accuracy, diversity and nats against λ; a line marks λ = 1, where theory has a change.

    Args:
        title: heading of the picture.
        rows: of the table; each group has one colour.
        path: where to write the PNG, whole or not at all.

    Returns:
        The path.
    """
    figure = Figure(figsize=(11, 4.2), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    figure.suptitle(title, x=0.01, ha="left", fontsize=12, color=INK)
    groups = list(dict.fromkeys(row["group"] for row in rows))
    entropies = [row["nats_h_label"] for row in rows if row.get("nats_h_label") is not None]
    for number, (axes, (heading, lines)) in enumerate(
        zip(figure.subplots(1, len(_PANELS)), _PANELS, strict=True)
    ):
        for colour, group in zip(COLOURS, groups, strict=False):
            _lines(axes, [row for row in rows if row["group"] == group], lines, colour)
        axes.axvline(1.0, color=FAINT, linewidth=1, linestyle=":", zorder=0)
        if number == 1 and entropies:
            axes.axhline(entropies[0], color=FAINT, linewidth=1, zorder=0)
            axes.annotate(
                "H(label)",
                (1.0, entropies[0]),
                xycoords=("axes fraction", "data"),
                xytext=(0, 3),
                textcoords="offset points",
                ha="right",
                fontsize=8,
                color=FAINT,
            )
        axes.set_ylim(0, 1.05 if number == 0 else 1.1 * max(axes.dataLim.y1, 0.1))
        axes.set_title(heading, loc="left", fontsize=10, color=INK)
        axes.set_xlabel("λ", color=INK)
        axes.spines[["top", "right"]].set_visible(False)
        axes.spines[["left", "bottom"]].set_color(FAINT)
        axes.tick_params(colors=INK, labelsize=8, length=3)
        for name, style in ((words, style) for _, words, style in lines):
            axes.plot([], [], color=INK, linestyle=style, linewidth=1.4, label=name)
        axes.legend(frameon=False, fontsize=8, labelcolor=INK, loc="best")
    handles = [
        figure.axes[0].plot([], [], color=colour, marker="o", markersize=5, linewidth=1.8)[0]
        for colour, _ in zip(COLOURS, groups, strict=False)
    ]
    figure.legend(
        handles,
        groups,
        loc="outside lower left",
        ncols=len(groups),
        frameon=False,
        fontsize=9,
        labelcolor=INK,
    )
    return save(figure, path)


def _lines(
    axes: Any, rows: Sequence[Row], lines: Sequence[tuple[str, str, str]], colour: str
) -> None:
    for name, _, style in lines:
        points = [(row["lambda"], row[name]) for row in rows if row.get(name) is not None]
        axes.plot(
            [weight for weight, _ in points],
            [value for _, value in points],
            color=colour,
            linestyle=style,
            linewidth=1.6,
            marker="o",
            markersize=5,
            markeredgecolor="white",
            markeredgewidth=0.7,
        )
