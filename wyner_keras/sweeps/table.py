"""The table of a sweep: one row a configuration, as CSV, JSON and text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from wyner_keras.files import whole, write_json
from wyner_keras.sweeps.configurations import Band, Configuration, Sweep, size_text

Row = dict[str, Any]

# In the table's text: figure, heading, digits after the point.
SHOWN = (
    ("conditional_accuracy_y", "accuracy y|x", 3),
    ("conditional_accuracy_x", "x|y", 3),
    ("joint_coherence", "coherence", 3),
    ("style_accuracy_x", "transfer", 3),
    ("slant_correlation_x", "slant", 2),
    ("diversity_y", "diversity", 2),
    ("frechet_y", "FD", 1),
    ("nats_i_xy_z", "nats in Z", 2),
    ("nats_i_label_z", "of label", 2),
    ("nats_i_x_u_upper", "in U up to", 1),
)
# What tells configurations apart; the rest of a row was found.
SETTINGS = (
    *("sweep", "band", "label", "configuration", "recipe", "seed", "z", "u", "v", "lambda"),
    *("two_epsilon_squared", "joint_epochs", "marginal_epochs"),
)


def rows(sweep: Sweep, found: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row a configuration of each band: what it is, then what was found.

    Args:
        sweep: what was trained.
        found: by configuration, of `carry_out`.

    Returns:
        Rows with the same names: `SETTINGS`, `seconds` of training, judged figures as in
        `evaluation.Report`, nats per example with `nats_` before their names, `shared_nats`.
    """
    listed = [
        _row(sweep, band, one, found[one.name])
        for band in sweep.bands
        for one in band.configurations
    ]
    names = list(dict.fromkeys(name for row in listed for name in row))
    return [{name: row.get(name) for name in names} for row in listed]


def _row(sweep: Sweep, band: Band, one: Configuration, found: Mapping[str, Any]) -> Row:
    recipe, config = one.recipe, one.recipe.config
    seconds = [float(value) for value in found["seconds"].values()]
    return {
        "sweep": sweep.name,
        "band": band.title,
        "label": one.label,
        "configuration": one.name,
        "recipe": recipe.name,
        "seed": config.seed,
        "z": size_text(config.z),
        "u": size_text(config.u),
        "v": size_text(config.v),
        "lambda": config.common_information_weight,
        "two_epsilon_squared": config.two_epsilon_squared,
        "joint_epochs": recipe.joint.epochs,
        "marginal_epochs": recipe.marginal.epochs,
        "seconds": round(sum(seconds), 1),
        "shared_nats": found["shared_nats"],
        **found["figures"],
        **{f"nats_{name}": value for name, value in found["nats"].items()},
    }


def cell(row: Row, name: str, digits: int) -> str:
    """A figure as text: "-" where there is none, ">" before what is only a lower bound of it."""
    value = row.get(name)
    if value is None:
        return "-"
    # `information.measure` bounds what a Z of many states holds.
    bound = name in ("nats_i_xy_z", "nats_i_label_z") and row.get("nats_i_xy_z_upper") is not None
    return (">" if bound else "") + f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.00


def text(listed: Sequence[Row], shown: Sequence[tuple[str, str, int]] = SHOWN) -> str:
    """The table's main figures, aligned, band by band."""
    width = max(len(row["label"]) for row in listed)
    heads = [(name, head, digits, max(len(head), 6)) for name, head, digits in shown]
    lines: list[str] = []
    for band in dict.fromkeys(row["band"] for row in listed):
        lines += ["", band] if lines else [band]
        lines.append(" " * width + "".join(f"  {head:>{column}}" for _, head, _, column in heads))
        for row in listed:
            if row["band"] == band:
                cells = (
                    f"  {cell(row, name, digits):>{column}}" for name, _, digits, column in heads
                )
                lines.append(f"{row['label']:<{width}}" + "".join(cells))
    return "\n".join(lines)


def write(listed: Sequence[Row], folder: Path, name: str) -> dict[str, Path]:
    """Write `name`.csv and `name`.json, each whole or not at all; returns their paths."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(listed[0]))
    writer.writeheader()
    writer.writerows(listed)
    path = folder / f"{name}.csv"
    with whole(path) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8", newline="")
    return {"table": path, "json": write_json(folder / f"{name}.json", list(listed))}
