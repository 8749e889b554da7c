"""The figure of the comparison."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

import numpy as np
from matplotlib.backends.backend_agg import FigureCanvasAgg
from matplotlib.figure import Figure
from matplotlib.lines import Line2D

from experiments.plotting import BLUE, FAINT, INK, RED, save
from experiments.theory.comparison import Comparison, Curve
from experiments.theory.sources import Source

_COLOURS = (RED, "#edae49", "#7a5195", "#66a182")
_MARKERS = ("o", "s", "^", "D")
_LARGEST, _SMALLEST = 1.0, 0.003


def _axes(axes: Any) -> None:
    for side in ("top", "right"):
        axes.spines[side].set_visible(False)
    for side in ("left", "bottom"):
        axes.spines[side].set_color(FAINT)
    axes.tick_params(colors=INK, labelsize=8, length=3)


def _bounds(axes: Any, source: Source, end: float) -> None:
    """Horizontal lines at C(X;Y) and its bounds, named at their right end."""
    levels = [("C(X;Y)", source.common_information, "-", INK)]
    levels.append(("I(X;Y)", source.mutual_information, ":", FAINT))
    if np.isfinite(source.entropy):
        levels.append(("min H", source.entropy, "--", FAINT))
    placed: list[float] = []
    for name, level, style, colour in levels:
        axes.axhline(level, color=colour, linestyle=style, linewidth=1, zorder=1)
        same = [other for other in placed if abs(other - level) < 1e-6]
        if same:
            name = f"= {name}"
        axes.annotate(
            name,
            (end, level),
            xytext=(5, -9 * len(same)),
            textcoords="offset points",
            va="center",
            color=colour,
            fontsize=7.5,
            annotation_clip=False,
        )
        placed.append(level)


def _panels(top: Any, bottom: Any, curves: list[Curve]) -> None:
    """One source: I(X,Y;Z) against λ above, against the slack below."""
    source = curves[0].source
    weights = np.geomspace(_LARGEST, _SMALLEST, 400)
    line = np.array([source.relaxed(float(weight)) for weight in weights])
    empty = (0.0, source.mutual_information)
    top.plot(weights, line[:, 0], color=BLUE, linewidth=1.8, zorder=2)
    whole = np.vstack([empty, line, source.relaxed(0.0)])
    bottom.plot(whole[:, 1], whole[:, 0], color=BLUE, linewidth=1.8, zorder=2)
    for number, curve in enumerate(curves):
        style = {
            "color": _COLOURS[number],
            "marker": _MARKERS[number],
            "markersize": 5.5,
            "markeredgecolor": "white",
            "markeredgewidth": 0.7,
            "linestyle": "none",
            "zorder": 4 if curve.main else 3,
            "clip_on": False,
        }
        information = [point.information for point in curve.points]
        top.plot([point.weight for point in curve.points], information, **style)
        bottom.plot([max(point.slack, 0.0) for point in curve.points], information, **style)
    highest = 1.12 * max(source.common_information, source.mutual_information)
    if np.isfinite(source.entropy):
        highest = max(highest, 1.06 * source.entropy)
    top.set_xscale("log")
    top.set_xlim(_LARGEST, _SMALLEST)
    most = max(point.slack for curve in curves for point in curve.points)
    most = 1.05 * max(most, source.mutual_information)
    bottom.set_xlim(0, most)
    for axes, end in ((top, _SMALLEST), (bottom, most)):
        _axes(axes)
        axes.set_ylim(0, highest)
        _bounds(axes, source, end)
    top.set_title(source.title, fontsize=10, color=INK, pad=8)
    top.set_xlabel("λ", fontsize=9, color=INK)
    bottom.set_xlabel("slack, nats", fontsize=9, color=INK)
    handles = [
        Line2D([], [], color=_COLOURS[i], marker=_MARKERS[i], linestyle="none", markersize=5)
        for i in range(len(curves))
    ]
    bottom.legend(
        handles,
        [curve.states for curve in curves],
        fontsize=7.5,
        frameon=False,
        labelcolor=INK,
        handletextpad=0.2,
        loc="upper right",
        bbox_to_anchor=(1.0, source.common_information / highest),
    )


def draw(comparison: Comparison, path: str | os.PathLike[str]) -> Path:
    """Draw I(X,Y;Z) of every trained model against λ and against the slack, with the theory.

    Args:
        comparison: of `compare`.
        path: of the PNG to write, whole or not at all.

    Returns:
        The path.
    """
    names = list(dict.fromkeys(curve.source.name for curve in comparison.curves))
    figure = Figure(figsize=(3.1 * len(names), 5.6), dpi=160, layout="constrained")
    FigureCanvasAgg(figure)
    panels = figure.subplots(2, len(names), squeeze=False)
    for column, name in enumerate(names):
        curves = [curve for curve in comparison.curves if curve.source.name == name]
        _panels(panels[0, column], panels[1, column], curves)
    for row in panels:
        row[0].set_ylabel("I(X,Y;Z), nats", fontsize=9, color=INK)
    figure.get_layout_engine().set(w_pad=0.12, h_pad=0.1)  # type: ignore[union-attr, call-arg]
    return save(figure, path)
