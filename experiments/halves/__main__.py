"""Score the W-model and linear baselines on halves of digits.

Run: python -m experiments.halves --out halves
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from experiments.command import Command
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json
from wyner_serving.whole import whole_folder

_DESCRIPTION = """\
Complete the lower half of an 8×8 digit from its upper half, and the other way round.

Halves are vectors of 32 columns, dequantised. Models are compared by the log-likelihood of
held-out halves given their other half: the W-model by its default recipe (a bound from below), a
linear-Gaussian conditional and probabilistic CCA. FOLDER then holds the table as JSON.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the comparison; return the exit code, as `wyner_keras.cli.main` does."""
    command = Command("halves", _DESCRIPTION, _run)
    command.add_argument(
        "--out", required=True, metavar="FOLDER", help="folder to write; must be new"
    )
    command.add_argument(
        "--samples", type=int, default=512, metavar="K", help="of the bound (default: 512)"
    )
    command.add_argument("--quick", action="store_true", help="a twentieth of the epochs")
    shared.add_common(command, "of noise, parts, weights and samples (default: 0)")
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    """Train, fit, score and write the folder, whole or not at all."""
    out = refuse_existing(options.out)
    import_tensorflow()
    from experiments.halves import comparison

    compared = comparison.compare(
        seed=options.seed or 0,
        samples=options.samples,
        quick=options.quick,
        verbose=shared.verbosity(options.quiet),
    )
    with whole_folder(out) as folder:
        write_json(folder / "halves.json", compared.to_dict())
    files = {"json": str(out / "halves.json")}
    return Result(f"{compared.table()}\n\n{shared.lines(files)}", {**compared.to_dict(), **files})


if __name__ == "__main__":
    sys.exit(main())
