"""What a sweep leaves: table and picture."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from wyner_keras.sweeps import panels, plot, table
from wyner_keras.sweeps.carry_out import Workshop, shown
from wyner_keras.sweeps.configurations import Sweep


def report(
    sweep: Sweep, workshop: Workshop, found: Mapping[str, Mapping[str, Any]]
) -> tuple[list[table.Row], dict[str, Path]]:
    """Write a finished sweep's table and picture into its folder, in place of earlier ones.

    Args:
        sweep: what was carried out.
        workshop: where.
        found: of `carry_out`.

    Returns:
        The table's rows, and the files by name: `picture`, `table`, `json`.
    """
    rows = table.rows(sweep, found)
    path = workshop.folder / f"{sweep.name}.png"
    if sweep.varies_lambda:
        plot.draw(sweep.title, rows, path)
    else:
        images = {one.name: shown(workshop, one) for one in sweep.configurations}
        panels.draw(sweep.title, rows, images, path)
    return rows, {"picture": path, **table.write(rows, workshop.folder, sweep.name)}
