"""`wyner theory`."""

from __future__ import annotations

import argparse
import csv
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json
from wyner_serving.whole import whole_folder

if TYPE_CHECKING:
    from wyner_keras.information.theory import Theory

_DESCRIPTION = """\
Check the model's objective where the truth is known.

The base model is trained on samples of sources whose Wyner common information has a closed
form: a noisy bit, two Gaussian pairs, and ten labels beside private bits. FOLDER then holds the
table and the points as CSV and JSON, and a figure: the theory's line, our points, and mutual
information and entropy as bounds.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "theory",
        help="compare estimates of common information with closed forms",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder to write; must be new"
    )
    parser.add_argument(
        "--quick", action="store_true", help="one size of Z a source, fewer values of λ"
    )
    shared.add_common(parser, "of samples, weights and noise (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Train on every source and write the folder, whole or not at all."""
    out = refuse_existing(options.out)
    import_tensorflow()
    from wyner_keras.information import theory

    found = theory.experiment(
        quick=options.quick, seed=options.seed or 0, verbose=not options.quiet
    )
    with whole_folder(out) as folder:
        paths = _write(found, folder)
    written = {name: str(out / file) for name, file in paths.items()}
    return Result(f"{found.table()}\n\n{shared.lines(written)}", {**found.to_dict(), **written})


def _write(found: Theory, folder: Path) -> dict[str, str]:
    from wyner_keras.information.plot import draw

    values = found.to_dict()
    write_json(folder / "theory.json", values)
    for name in ("table", "curves"):
        with (folder / f"{name}.csv").open("w", newline="", encoding="utf-8") as stream:
            writer = csv.DictWriter(stream, list(values[name][0]))
            writer.writeheader()
            writer.writerows(values[name])
    draw(found, folder / "theory.png")
    return {
        "figure": "theory.png",
        "table_file": "table.csv",
        "curves_file": "curves.csv",
        "json": "theory.json",
    }
