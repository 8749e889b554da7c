"""How do time and memory grow with pairs, |Z|, |U|, width, image side, gallery and classes?

    python -m benchmarks.growth [--out growth.png] [--only QUANTITY ...] [--factors 1 2 4 8]
        [--json FILE]

Each quantity is doubled from a small base, all else as it is, each point in a process of its own
(`benchmarks.growth_case`). A slope is that of the least squares line of logarithms: 1 is as fast as
the quantity, and over 1.1 is marked. Dense layers are products of widths: where a quantity is one,
the slope of the model's parameters tells how much of it they are. An image has its side squared of
pixels, so 2 is as fast as these.
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand.talk import ROOT

BASES = {
    "pairs": 2048,
    "|Z|": 16,
    "|U|": 16,
    "width": 128,
    "image side": 14,
    "gallery": 10_000,
    "classes": 4,
}
_STEEP = 1.1
# Okabe and Ito's, which colour-blind readers tell apart; markers differ too.
_COLOURS, _MARKERS = ("#0072B2", "#D55E00", "#009E73", "#CC79A7"), "os^D"
Points = dict[str, list[float]]


def measured(quantity: str, sizes: list[int]) -> Points:
    """Values by what is measured, one a size."""
    found: Points = {}
    for size in sizes:
        command = [sys.executable, "-m", "benchmarks.growth_case", quantity, str(size)]
        result = subprocess.run(command, cwd=ROOT, stdout=subprocess.PIPE, text=True, check=True)
        point = result.stdout.splitlines()[-1]
        for name, value in json.loads(point).items():
            found.setdefault(name, []).append(value)
        # What is known is told at once: all points take a while.
        print(quantity, size, point, file=sys.stderr, flush=True)
    return found


def slope(sizes: list[int], values: list[float]) -> float:
    """Of the logarithms, by least squares."""
    return float(np.polyfit(np.log(sizes), np.log(values), 1)[0])


def _cell(name: str, value: float) -> str:
    if name == "parameters":
        return f"{value:,.0f}"
    if name == "memory":
        return f"{value:.0f} MB"
    return f"{1e3 * value:.2f} ms" if value < 1 else f"{value:.2f} s"


def markdown(found: dict[str, tuple[list[int], Points]]) -> list[str]:
    """The table of slopes."""
    lines = ["| quantity | from, to | what | at the least | at the most | slope | |"]
    lines.append("|---|---|---|---|---|---|---|")
    for quantity, (sizes, points) in found.items():
        for name, values in points.items():
            steep = slope(sizes, values)
            ends = f"{sizes[0]:,} to {sizes[-1]:,}"
            cells = [quantity, ends, name, _cell(name, values[0]), _cell(name, values[-1])]
            # In pixels the side counts twice.
            limit = _STEEP * (2 if quantity == "image side" else 1)
            mark = f"over {limit:.1f}" if steep > limit and name != "parameters" else ""
            lines.append(f"| {' | '.join([*cells, f'{steep:.2f}', mark])} |")
    return lines


def draw(found: dict[str, tuple[list[int], Points]], path: Path) -> None:
    """One panel a quantity: what is measured as times its least point's, beside what is linear."""
    from matplotlib.figure import Figure

    across = min(4, len(found))
    down = -(-len(found) // across)
    figure = Figure(figsize=(3.3 * across, 3.2 * down + 0.3), layout="constrained")
    figure.suptitle("Time and memory, as times those of the least size (dashed: linear)")
    for place, (quantity, (sizes, points)) in enumerate(found.items()):
        axes: Any = figure.add_subplot(down, across, place + 1)
        ratios = np.array(sizes) / sizes[0]
        power = 2 if quantity == "image side" else 1
        label = "linear in pixels" if power == 2 else None
        axes.plot(ratios, ratios**power, "--", color="#707070", linewidth=1, label=label)
        measures = [name for name in points if name != "parameters"]
        for name, colour, marker in zip(measures, _COLOURS, _MARKERS, strict=False):
            least = points[name][0]
            label = f"{name} ({_cell(name, least)} at {sizes[0]:,})"
            values = np.array(points[name]) / least
            axes.plot(ratios, values, color=colour, marker=marker, label=label)
        axes.set_xscale("log", base=2)
        axes.set_yscale("log", base=2)
        axes.set_xticks(ratios, [f"{size:,}" for size in sizes])
        axes.yaxis.set_major_formatter(lambda value, _: f"{value:g}×")
        axes.set_xlabel(quantity if quantity != "image side" else "image side, pixels")
        axes.set_ylabel("times the least")
        axes.grid(color="#dddddd", linewidth=0.5)
        axes.legend(fontsize=6.5, frameon=False)
    figure.savefig(path, dpi=110, metadata={"Software": None})


def main() -> None:
    """Measure, print the slopes and draw the picture."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, default=Path("growth.png"), help="of the picture")
    parser.add_argument("--only", nargs="+", choices=BASES, default=list(BASES))
    parser.add_argument("--factors", nargs="+", type=int, default=[1, 2, 4, 8])
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    found = {}
    for quantity in options.only:
        sizes = [factor * BASES[quantity] for factor in options.factors]
        found[quantity] = sizes, measured(quantity, sizes)
    print("\n".join(markdown(found)))
    draw(found, options.out)
    if options.json:
        options.json.write_text(json.dumps(found, indent=1))


if __name__ == "__main__":
    main()
