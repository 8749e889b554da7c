"""What a sweep leaves: tables and picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wyner_keras.sweeps import dots, panels, plot, spread, table
from wyner_keras.sweeps.carry_out import Workshop, shown
from wyner_keras.sweeps.configurations import Sweep


def report(
    sweep: Sweep, workshop: Workshop, found: Mapping[str, Mapping[str, Any]]
) -> tuple[list[table.Row], dict[str, Path]]:
    """Write a finished sweep's tables and picture into its folder, in place of earlier ones.

    Args:
        sweep: what was carried out.
        workshop: where.
        found: of `carry_out`.

    Returns:
        The table's rows, and the files by name: `picture`, `table`, `json`; of several seeds also
        `summary_table` and `summary_json`.
    """
    rows = table.rows(sweep, found)
    path = workshop.folder / f"{sweep.name}.png"
    if sweep.varies == "lambda":
        plot.draw(sweep.title, rows, path)
    elif sweep.varies == "ingredient":
        dots.draw(sweep.title, rows, path)
    else:
        images = {one.name: shown(workshop, one) for one in sweep.configurations}
        panels.draw(sweep.title, rows, images, path)
    paths = {"picture": path, **table.write(rows, workshop.folder, sweep.name)}
    if sweep.over_seeds:
        summary = spread.summary(rows)
        written = table.write(summary, workshop.folder, f"{sweep.name}-summary")
        paths |= {f"summary_{name}": path for name, path in written.items()}
    return rows, paths


def text(sweep: Sweep, rows: list[table.Row]) -> str:
    """A sweep's table for people; of several seeds with mean and standard deviation."""
    if sweep.varies == "ingredient":
        return spread.text_of_bands(rows)
    return spread.text_of_runs(rows) if sweep.over_seeds else table.text(rows)
