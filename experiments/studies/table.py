"""The table of a sweep, one row for each configuration: as CSV, JSON and text."""

from __future__ import annotations

import csv
import io
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

from experiments.studies.sweep import Configuration, Group, Sweep, local_of, size_text
from wyner_keras.files import write_json
from wyner_serving.whole import whole_file

Row = dict[str, Any]

# Columns of the text: figure, heading, digits after the point.
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
# Columns that say what was trained; the others are results.
SETTINGS = (
    "sweep",
    "group",
    "label",
    "configuration",
    "recipe",
    "seed",
    "z",
    "u",
    "v",
    "lambda",
    "two_epsilon_squared",
    "joint_epochs",
    "marginal_epochs",
)


def make_rows(sweep: Sweep, results: Mapping[str, Mapping[str, Any]]) -> list[Row]:
    """One row for each configuration of each group: its settings, then its results.

    Args:
        sweep: what was trained.
        results: by configuration, of `run_sweep`.

    Returns:
        Rows of the same columns: `SETTINGS`; `seconds` of training; figures of
        `evaluation.Report`; nats per example, named `nats_…`; `shared_nats`.
    """
    rows = [
        _row(sweep, group, configuration, results[configuration.name])
        for group in sweep.groups
        for configuration in group.configurations
    ]
    names = list(dict.fromkeys(name for row in rows for name in row))
    return [{name: row.get(name) for name in names} for row in rows]


def _row(
    sweep: Sweep, group: Group, configuration: Configuration, results: Mapping[str, Any]
) -> Row:
    recipe = configuration.recipe
    joint, marginal = recipe.stage("joint"), recipe.stage("marginal")
    seconds = [float(value) for value in results["seconds"].values()]
    return {
        "sweep": sweep.name,
        "group": group.title,
        "label": configuration.label,
        "configuration": configuration.name,
        "recipe": configuration.owner,
        "seed": recipe.seed,
        "z": size_text(recipe.z),
        "u": size_text(local_of(recipe)),
        "v": size_text(local_of(recipe, "y")),
        # The default recipe's joint stage has no λ: it does not train the experts.
        "lambda": getattr(joint.loss, "common_information_weight", None),
        "two_epsilon_squared": joint.two_epsilon_squared.end,
        "joint_epochs": joint.epochs * joint.passes,
        "marginal_epochs": marginal.epochs * marginal.passes,
        "seconds": round(sum(seconds), 1),
        "shared_nats": results["shared_nats"],
        **results["figures"],
        **{f"nats_{name}": value for name, value in results["nats"].items()},
    }


def cell(row: Row, name: str, digits: int) -> str:
    """A figure as text: "-" where there is none, ">" before a value that is only a lower bound."""
    value = row.get(name)
    if value is None:
        return "-"
    # `information.measure` bounds what a Z of many states holds.
    bound = name in ("nats_i_xy_z", "nats_i_label_z") and row.get("nats_i_xy_z_upper") is not None
    return (">" if bound else "") + f"{round(value, digits) + 0.0:.{digits}f}"  # no -0.00


def text(rows: Sequence[Row], shown: Sequence[tuple[str, str, int]] = SHOWN) -> str:
    """The table's main figures, aligned, group by group."""
    width = max(len(row["label"]) for row in rows)
    columns = [(name, heading, digits, max(len(heading), 6)) for name, heading, digits in shown]
    headings = "".join(f"  {heading:>{size}}" for _, heading, _, size in columns)
    lines: list[str] = []
    for group in dict.fromkeys(row["group"] for row in rows):
        lines += ["", group] if lines else [group]
        lines.append(" " * width + headings)
        for row in rows:
            if row["group"] == group:
                cells = (
                    f"  {cell(row, name, digits):>{size}}" for name, _, digits, size in columns
                )
                lines.append(f"{row['label']:<{width}}" + "".join(cells))
    return "\n".join(lines)


def write(rows: Sequence[Row], folder: Path, name: str) -> dict[str, Path]:
    """Write `name`.csv and `name`.json, each whole or not at all; return their paths."""
    stream = io.StringIO()
    writer = csv.DictWriter(stream, list(rows[0]))
    writer.writeheader()
    writer.writerows(rows)
    path = folder / f"{name}.csv"
    with whole_file(path) as temporary:
        temporary.write_text(stream.getvalue(), encoding="utf-8", newline="")
    return {"table": path, "json": write_json(folder / f"{name}.json", list(rows))}
