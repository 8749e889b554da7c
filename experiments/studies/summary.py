"""Mean and spread over the runs of a group, which differ in the seed alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from experiments.studies import table
from experiments.studies.table import Row, cell

SHOWN = (("shared_nats", "shared nats", 3), *table.SHOWN)
_FIRST_HALF = 6  # columns of the upper half of the text


def summarise(rows: Sequence[Row]) -> list[Row]:
    """Mean and spread of all results, one row for each group.

    Args:
        rows: of the sweep.

    Returns:
        Rows with `sweep`, `group`, `runs`, and of each figure `_mean`, `_sd` (the sample standard
        deviation, None for one run), `_min` and `_max`; None where a run lacks the figure.
    """
    names = [name for name in rows[0] if name not in table.SETTINGS]
    summaries = []
    for group in dict.fromkeys(row["group"] for row in rows):
        members = [row for row in rows if row["group"] == group]
        summary: Row = {"sweep": members[0]["sweep"], "group": group, "runs": len(members)}
        for name in names:
            values = [row[name] for row in members]
            known = None not in values
            summary[f"{name}_mean"] = statistics.fmean(values) if known else None
            summary[f"{name}_sd"] = statistics.stdev(values) if known and len(values) > 1 else None
            summary[f"{name}_min"] = min(values) if known else None
            summary[f"{name}_max"] = max(values) if known else None
        summaries.append(summary)
    return summaries


def statistic(summary: Row, ending: str) -> Row:
    """One statistic of a summary as if it were a run: "mean", "sd", "min" or "max"."""
    cut = len(ending) + 1
    return {name[:-cut]: value for name, value in summary.items() if name.endswith(f"_{ending}")}


def text_of_runs(rows: Sequence[Row]) -> str:
    """Each run's main figures, then mean and standard deviation of its group."""
    entries: list[Row] = []
    for summary in summarise(rows):
        group = summary["group"]
        entries += [row for row in rows if row["group"] == group]
        for ending, label in (("mean", "mean"), ("sd", "standard deviation")):
            entries.append({"group": group, "label": label, **statistic(summary, ending)})
    return table.text(entries, SHOWN)


def text_of_groups(rows: Sequence[Row]) -> str:
    """Mean ± standard deviation of the main figures, aligned, one line for each group."""
    summaries = summarise(rows)
    width = max(len(summary["group"]) for summary in summaries)
    runs = sorted({summary["runs"] for summary in summaries})
    lines = [f"mean ± standard deviation over {' or '.join(map(str, runs))} seeds"]
    for columns in (SHOWN[:_FIRST_HALF], SHOWN[_FIRST_HALF:]):
        lines += ["", " " * width + "".join(f"  {heading:>15}" for _, heading, _ in columns)]
        for summary in summaries:
            cells = (_mean_and_deviation(summary, name, digits) for name, _, digits in columns)
            lines.append(
                f"{summary['group']:<{width}}" + "".join(f"  {each:>15}" for each in cells)
            )
    return "\n".join(lines)


def _mean_and_deviation(summary: Row, name: str, digits: int) -> str:
    mean = cell(statistic(summary, "mean"), name, digits)
    return mean if mean == "-" else f"{mean} ± {cell(statistic(summary, 'sd'), name, digits)}"
