"""The tables and the picture of a finished sweep."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.studies import dot_plot, lambda_plot, panels, summary, table
from experiments.studies.experiment import Experiment
from experiments.studies.sweep import Sweep
from experiments.studies.table import Row


def write_report(
    sweep: Sweep, experiment: Experiment, results: Mapping[str, Mapping[str, Any]]
) -> tuple[list[Row], dict[str, Path]]:
    """Write a finished sweep's tables and picture into its folder, in place of earlier ones.

    Args:
        sweep: the sweep.
        experiment: whose folder takes the files.
        results: by configuration, of `run_sweep`.

    Returns:
        The table's rows, and the files by name: `picture`, `table`, `json`; of several seeds also
        `summary_table` and `summary_json`.
    """
    rows = table.make_rows(sweep, results)
    picture = experiment.folder / f"{sweep.name}.png"
    if sweep.varies == "lambda":
        lambda_plot.draw(sweep.title, rows, picture)
    elif sweep.varies == "ingredient":
        dot_plot.draw(sweep.title, rows, picture)
    else:
        images = {each.name: experiment.load_samples(each) for each in sweep.configurations}
        panels.draw(sweep.title, rows, images, picture)
    paths = {"picture": picture, **table.write(rows, experiment.folder, sweep.name)}
    if sweep.over_seeds:
        summaries = summary.summarise(rows)
        written = table.write(summaries, experiment.folder, f"{sweep.name}-summary")
        paths |= {f"summary_{name}": path for name, path in written.items()}
    return rows, paths


def report_text(sweep: Sweep, rows: Sequence[Row]) -> str:
    """A sweep's table as text; of several seeds with mean and standard deviation."""
    if sweep.varies == "ingredient":
        return summary.text_of_groups(rows)
    return summary.text_of_runs(rows) if sweep.over_seeds else table.text(rows)
