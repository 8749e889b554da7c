"""Train every model, judge every model, write the table and the picture; goes on where it was.

Run: python -m experiments.peers --out runs/peers --peers-python PYTHON
"""

from __future__ import annotations

import argparse
import json
import subprocess
import sys
from pathlib import Path

import numpy as np

from experiments.peers.baselines import epochs_of
from experiments.peers.figures import SHOWN, real_reports
from experiments.peers.grid import draw_grid, draw_unlabelled
from experiments.peers.own import OWN
from experiments.peers.pairs import (
    PAIRS_PER_CLASS,
    held_out_pairs,
    recipe_of,
    training_pairs,
    unlabelled_pairs,
    write_pairs,
    write_unlabelled,
)
from experiments.peers.real import FIRST_ASKED, REAL, asked_of, judges_of, real_pairs
from experiments.peers.table import NAMES, judged, write_table
from wyner_keras.data import add_one, load
from wyner_keras.evaluation import judges_for
from wyner_keras.files import write_json


def _settle(out: Path, settings: dict[str, object]) -> None:
    """Keep the settings of the first call; refuse others, whose results would not compare."""
    path = out / "settings.json"
    if path.exists():
        first = json.loads(path.read_text(encoding="utf-8"))
        if first != settings:
            raise SystemExit(
                f"Settings should be those that {out} was started with, {first}, or the folder "
                f"another. Received: {settings}"
            )
    else:
        out.mkdir(parents=True, exist_ok=True)
        write_json(path, settings)


def main() -> None:
    """Parse, train, judge, draw."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--out", type=Path, required=True, help="folder; a second call goes on")
    parser.add_argument("--peers-python", required=True, help="Python with requirements.txt's")
    parser.add_argument("--peers-device", default="cpu", help="MultiVae's models on: cpu or cuda")
    budget = parser.add_mutually_exclusive_group()
    budget.add_argument(
        "--epochs",
        type=int,
        help="passes over the pairs, for every model; default: as many as the W-model's recipe has",
    )
    budget.add_argument("--minutes", type=float, help="wall clock of training, for every model")
    parser.add_argument("--models", nargs="+", choices=NAMES, help="default: all, or some")
    parser.add_argument("--data", choices=("mnist", "digits", *REAL), default="mnist")
    parser.add_argument("--folder", type=Path, help="with letters.npz and emoji.npz")
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--pairs-per-class", type=int, help="default: 5000, of digits 1000")
    parser.add_argument("--inputs", type=int, help="test images to judge on; default: all")
    options = parser.parse_args()
    if options.minutes and options.peers_device != "cpu":
        parser.error(
            "--peers-device should be cpu with --minutes, as this library's models train on the "
            f"CPU. Received: {options.peers_device!r}"
        )

    if options.pairs_per_class and options.data not in (*PAIRS_PER_CLASS, "letters"):
        parser.error(f"--pairs-per-class should not be given with --data {options.data}")
    source = real = None
    if options.data in PAIRS_PER_CLASS:
        source = load(options.data)
    else:
        try:
            real = real_pairs(options.data, options.folder, options.pairs_per_class)
        except ValueError as error:
            parser.error(str(error))

    out: Path = options.out
    budgets = {"epochs": options.epochs, "minutes": options.minutes}
    few = {"pairs_per_class": options.pairs_per_class, "inputs": options.inputs}
    _settle(out, {"data": options.data, "seed": options.seed, **budgets, **few})
    path = out / "pairs.npz"
    if real and not path.exists():
        how = {"seed": options.seed, "inputs": options.inputs, **asked_of(options.data)}
        write_unlabelled(path, *real, **how)
    if source and not path.exists():
        most = options.pairs_per_class or PAIRS_PER_CLASS[options.data]
        write_pairs(path, source, most, seed=options.seed, inputs=options.inputs)
    pairs = dict(np.load(path))
    if options.minutes:
        limit = ["--seconds", str(60 * options.minutes)]
    else:
        known = training_pairs(source, pairs) if source else unlabelled_pairs(pairs)
        settings = recipe_of(known, options.seed)
        limit = ["--epochs", str(options.epochs or epochs_of(settings))]
    failed = []
    for name in options.models or (FIRST_ASKED if real else NAMES):
        file = out / f"{name}.npz"
        if file.exists():
            continue
        print(f"{NAMES[name]} …", flush=True)
        if name in OWN:
            command = [sys.executable, "-m", "experiments.peers.own", name]
            command += ["--data", options.data] if source else []
        else:
            script = str(Path(__file__).with_name("peer.py"))
            command = [options.peers_python, script, name.removeprefix("multivae-")]
            command += ["--device", options.peers_device]
        # One model's failure is no reason to go without the others.
        if subprocess.run([*command, "--pairs", path, "--out", file, *limit]).returncode:
            failed.append(name)

    files = {name: file for name in NAMES if (file := out / f"{name}.npz").exists()}
    if files and real:
        judges, shown = judges_of(options.data, real[0]), SHOWN[options.data]
        reports = real_reports(options.data, real[1], judges, files, pairs)
        table = write_table(reports, out, shown.columns, beside=shown.beside, note=shown.note)
        print(table.read_text(encoding="utf-8"))
        print(draw_unlabelled(files, pairs, out / "grid.png", joined="halves" in options.data))
    elif files and source:
        # Taught by all training images, whatever pairs the models had.
        judges = judges_for(add_one(source.train), verbose=0)
        held_out = held_out_pairs(source, pairs)
        reports = {name: judged(file, pairs, held_out, judges) for name, file in files.items()}
        print(write_table(reports, out).read_text(encoding="utf-8"))
        print(draw_grid(files, pairs, source.test.labels, out / "grid.png"))
    if failed:
        raise SystemExit(f"failed: {', '.join(failed)}")


if __name__ == "__main__":
    main()
