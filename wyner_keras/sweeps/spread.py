"""Mean and spread over seeds: one row a band, whose runs differ in the seed alone."""

from __future__ import annotations

import statistics
from collections.abc import Sequence

from wyner_keras.sweeps import table
from wyner_keras.sweeps.table import Row, cell

SHOWN = (("shared_nats", "shared nats", 3), *table.SHOWN)
_HALF = 6  # columns of the upper half of the text


def summary(listed: Sequence[Row]) -> list[Row]:
    """Mean and spread of all that was found, one row a band.

    Args:
        listed: the sweep's rows.

    Returns:
        Rows with `sweep`, `band`, `runs`, and of each figure `_mean`, `_sd` (the sample standard
        deviation, None for one run), `_min` and `_max`; None where a run has no such figure.
    """
    names = [name for name in listed[0] if name not in table.SETTINGS]
    rows = []
    for band in dict.fromkeys(row["band"] for row in listed):
        group = [row for row in listed if row["band"] == band]
        found: Row = {"sweep": group[0]["sweep"], "band": band, "runs": len(group)}
        for name in names:
            values = [row[name] for row in group]
            known = None not in values
            found[f"{name}_mean"] = statistics.fmean(values) if known else None
            found[f"{name}_sd"] = statistics.stdev(values) if known and len(values) > 1 else None
            found[f"{name}_min"] = min(values) if known else None
            found[f"{name}_max"] = max(values) if known else None
        rows.append(found)
    return rows


def part(found: Row, ending: str) -> Row:
    """One statistic of a summary's row as if it were a run: "mean", "sd", "min" or "max"."""
    cut = len(ending) + 1
    return {name[:-cut]: value for name, value in found.items() if name.endswith(f"_{ending}")}


def text_of_runs(listed: Sequence[Row]) -> str:
    """Each run's main figures, then mean and standard deviation of a band."""
    rows = []
    for found in summary(listed):
        rows += [row for row in listed if row["band"] == found["band"]]
        for ending, label in (("mean", "mean"), ("sd", "standard deviation")):
            rows.append({"band": found["band"], "label": label, **part(found, ending)})
    return table.text(rows, SHOWN)


def text_of_bands(listed: Sequence[Row]) -> str:
    """Mean ± standard deviation over a band's runs of the main figures, aligned."""
    rows = summary(listed)
    width = max(len(row["band"]) for row in rows)
    runs = sorted({row["runs"] for row in rows})
    lines = [f"mean ± standard deviation over {' or '.join(map(str, runs))} seeds"]
    for columns in (SHOWN[:_HALF], SHOWN[_HALF:]):
        lines += ["", " " * width + "".join(f"  {head:>15}" for _, head, _ in columns)]
        for row in rows:
            cells = (_mean_and_deviation(row, name, digits) for name, _, digits in columns)
            lines.append(f"{row['band']:<{width}}" + "".join(f"  {shown:>15}" for shown in cells))
    return "\n".join(lines)


def _mean_and_deviation(row: Row, name: str, digits: int) -> str:
    mean = cell(part(row, "mean"), name, digits)
    return mean if mean == "-" else f"{mean} ± {cell(part(row, 'sd'), name, digits)}"
