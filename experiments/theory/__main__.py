"""Compare estimates of common information with closed forms.

Run: python -m experiments.theory --out theory
"""

from __future__ import annotations

import argparse
import csv
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import Any

from experiments.command import Command
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json
from wyner_serving.whole import whole_folder

_DESCRIPTION = """\
Check the model's objective where the truth is known.

The base model is trained on samples of sources whose Wyner common information has a closed
form: a noisy bit, two Gaussian pairs, and ten labels beside private bits. FOLDER then holds the
table and the points as CSV and JSON, and a figure: the theory's line, our points, and mutual
information and entropy as bounds.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the comparison; return the exit code, as `wyner_keras.cli.main` does."""
    command = Command("theory", _DESCRIPTION, _run)
    command.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder to write; must be new"
    )
    command.add_argument(
        "--quick", action="store_true", help="one size of Z a source, fewer values of λ"
    )
    shared.add_common(command, "of samples, weights and noise (default: 0)")
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    """Train on every source and write the folder, whole or not at all."""
    out = refuse_existing(options.out)
    import_tensorflow()
    from experiments.theory import comparison, plot

    compared = comparison.compare(
        quick=options.quick, seed=options.seed or 0, verbose=not options.quiet
    )
    values = compared.to_dict()
    with whole_folder(out) as folder:
        write_json(folder / "theory.json", values)
        for name in ("table", "curves"):
            _write_csv(folder / f"{name}.csv", values[name])
        plot.draw(compared, folder / "theory.png")
    files = {
        "figure": str(out / "theory.png"),
        "table_file": str(out / "table.csv"),
        "curves_file": str(out / "curves.csv"),
        "json": str(out / "theory.json"),
    }
    return Result(f"{compared.table()}\n\n{shared.lines(files)}", {**values, **files})


def _write_csv(path: Path, rows: Sequence[dict[str, Any]]) -> None:
    with path.open("w", newline="", encoding="utf-8") as stream:
        writer = csv.DictWriter(stream, list(rows[0]))
        writer.writeheader()
        writer.writerows(rows)


if __name__ == "__main__":
    sys.exit(main())
