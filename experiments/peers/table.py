"""Saved images to reports and one table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.peers.saved import SavedImages, facts_of
from wyner_keras.data import Pairs
from wyner_keras.evaluation import Judge, evaluate
from wyner_serving.whole import whole_file

# What the table shows; the JSON holds all figures.
COLUMNS = {
    "conditional_accuracy_y": "accuracy y",
    "conditional_accuracy_x": "accuracy x",
    "joint_coherence": "coherence",
    "style_accuracy_x": "style acc. x",
    "slant_correlation_x": "slant x",
    "diversity_y": "diversity y",
    "frechet_y": "FD y",
    "precision_y": "precision y",
    "recall_y": "recall y",
}
FACTS = {"epochs": 1, "seconds": 0, "parameters": 0}  # with their digits
ABILITIES = ("transfer", "calibrated score", "x and y share")
NAMES = {
    "wyner": "W-model",
    "cvae": "CVAE (ours)",
    "jvae": "JVAE (ours)",
    "multivae-cvae": "CVAE",
    "multivae-jmvae": "JMVAE",
    "multivae-mvae": "MVAE",
    "multivae-mmvae+": "MMVAE+",
    "multivae-dmvae": "DMVAE",
    "multivae-mvtcae": "MVTCAE",
    "multivae-mopoe": "MoPoE",
}


def _write(path: Path, text: str) -> None:
    with whole_file(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def judged(
    images: Path,
    pairs: Mapping[str, np.ndarray],
    held_out: Pairs,
    judges: Mapping[str, Judge],
) -> dict[str, Any]:
    """The evaluator's report of saved images, kept as `kept` does.

    Args:
        images: file of `save_images` or peer.py.
        pairs: what `write_pairs` wrote.
        held_out: the pairs held out, of `held_out_pairs`.
        judges: of all models, by side.
    """

    def report() -> dict[str, Any]:
        saved, settings = SavedImages.load(images, pairs), json.loads(str(pairs["settings"]))
        how = settings["evaluate"]
        return evaluate(saved, held_out, judges=judges, verbose=False, **how).to_dict()

    return kept(images, report)


def kept(images: Path, report: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """A report, with the facts of the images: made once and kept beside them as .json."""
    path = images.with_suffix(".json")
    if not path.exists() or path.stat().st_mtime_ns < images.stat().st_mtime_ns:
        _write(path, json.dumps({**report(), "facts": facts_of(images)}, indent=1))
    return json.loads(path.read_text(encoding="utf-8"))


def _cells(report: Mapping[str, Any], columns: Mapping[str, str]) -> list[str]:
    facts, figures = report["facts"], report["figures"]
    cells = [f"{facts[name]:.{digits}f}" if facts else "" for name, digits in FACTS.items()]
    return cells + [_cell(name, figures.get(name, {}).get("model")) for name in columns]


def _abilities(facts: Mapping[str, Any]) -> list[str]:
    able = "transfer" in facts.get("tasks", ()), facts.get("calibrated", False)
    return [*("yes" if each else "" for each in able), facts.get("shared", "")]


def _cell(name: str, value: float | None) -> str:
    """A figure as text; nothing where there is none."""
    return "" if value is None else f"{value:.{1 if name.startswith('frechet') else 3}f}"


def write_table(
    reports: Mapping[str, Mapping[str, Any]],
    out: Path,
    columns: Mapping[str, str] = COLUMNS,
    *,
    beside: str = "real digits",
    note: str = "",
) -> Path:
    """Write table.json (every figure), table.csv and table.md.

    Args:
        reports: of `judged`, by model, in the order of the rows.
        out: folder.
        columns: figures and how they are headed.
        beside: what the last row is, of what stands beside the figures.
        note: what table.md says below; with one, more columns tell what models can do.

    Returns:
        The path of table.md.
    """
    _write(out / "table.json", json.dumps(reports, indent=1))
    heads = ["model", *FACTS, *columns.values()]
    rows = [[NAMES.get(name, name), *_cells(report, columns)] for name, report in reports.items()]
    real = {name: each for report in reports.values() for name, each in report["figures"].items()}
    ceiling = [_cell(name, real.get(name, {}).get("beside")) for name in columns]
    rows.append([beside, *[""] * len(FACTS), *ceiling])
    if note:
        heads += ABILITIES
        for row, report in zip(rows, [*reports.values(), {"facts": {}}], strict=True):
            row += _abilities(report["facts"])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    _write(out / "table.csv", text.getvalue())
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    body = "\n".join(f"| {' | '.join(cell or '–' for cell in line)} |" for line in lines)
    _write(out / "table.md", f"{body}\n\n{note}\n" if note else f"{body}\n")
    return out / "table.md"
