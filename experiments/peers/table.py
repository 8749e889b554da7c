"""Saved images to reports and one table."""

from __future__ import annotations

import csv
import io
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from experiments.peers.saved import SavedImages, facts_of
from wyner_keras.data import Pairs
from wyner_keras.evaluation import Judge, evaluate
from wyner_keras.files import whole

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
FACTS = {"epochs": "epochs", "seconds": "seconds", "parameters": "parameters"}
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
    with whole(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def judged(
    images: Path,
    pairs: Mapping[str, np.ndarray],
    held_out: Pairs,
    judges: Mapping[str, Judge],
) -> dict[str, Any]:
    """The report of saved images; made once and kept beside them as .json.

    Args:
        images: file of `save_images` or peer.py.
        pairs: what `write_pairs` wrote.
        held_out: the pairs held out, of `held_out_pairs`.
        judges: of all models, by side.
    """
    path = images.with_suffix(".json")
    if not path.exists() or path.stat().st_mtime_ns < images.stat().st_mtime_ns:
        settings = json.loads(str(pairs["settings"]))["evaluate"]
        report = evaluate(
            SavedImages.load(images, pairs), held_out, judges=judges, verbose=False, **settings
        )
        _write(path, json.dumps({**report.to_dict(), "facts": facts_of(images)}, indent=1))
    return json.loads(path.read_text(encoding="utf-8"))


def _cells(report: Mapping[str, Any]) -> list[str]:
    facts, figures = report["facts"], report["figures"]
    cells = [f"{facts['epochs']:.1f}", f"{facts['seconds']:.0f}", f"{facts['parameters']}"]
    return cells + [_cell(name, figures.get(name, {}).get("model")) for name in COLUMNS]


def _cell(name: str, value: float | None) -> str:
    """A figure as text; nothing where there is none."""
    return "" if value is None else f"{value:.{1 if name.startswith('frechet') else 3}f}"


def write_table(reports: Mapping[str, Mapping[str, Any]], out: Path) -> Path:
    """Write table.json (every figure), table.csv and table.md.

    Args:
        reports: of `judged`, by model, in the order of the rows.
        out: folder.

    Returns:
        The path of table.md.
    """
    _write(out / "table.json", json.dumps(reports, indent=1))
    heads = ["model", *FACTS.values(), *COLUMNS.values()]
    rows = [[NAMES.get(name, name), *_cells(report)] for name, report in reports.items()]
    real = {name: each for report in reports.values() for name, each in report["figures"].items()}
    ceiling = [_cell(name, real.get(name, {}).get("beside")) for name in COLUMNS]
    rows.append(["real digits", *[""] * len(FACTS), *ceiling])
    text = io.StringIO()
    csv.writer(text, lineterminator="\n").writerows([heads, *rows])
    _write(out / "table.csv", text.getvalue())
    lines = [heads, ["---"] + ["---:"] * (len(heads) - 1), *rows]
    body = "\n".join(f"| {' | '.join(cell or '–' for cell in line)} |" for line in lines)
    _write(out / "table.md", body + "\n")
    return out / "table.md"
