"""`wyner transfer`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import open_folder
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing
from wyner_serving.sides import OTHER

_DESCRIPTION = """\
Transfer styles: every style example with the concept of every concept example.

With --side x the results are examples of x: the style is taken from x, the concept from y (after
the add-one training, a 4 as concept makes a 3). With --side y the other way round.

FILE ends in .png for a picture, .npz for arrays `style`, `concept` and `result` (styles, concepts,
...), images in [0, 1], .npy for the result alone, or .csv for vectors: a row a result, the concepts
of the first style first.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "transfer",
        help="give the concepts of some examples the styles of others",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner transfer runs/mine --side x --out transfer.png"),
    )
    parser.add_argument("folder", metavar="RUN", help=shared.RUN)
    parser.add_argument("--side", required=True, choices=("x", "y"), help="which side is made")
    parser.add_argument(
        "--style",
        nargs="+",
        metavar="FILE",
        help=f"examples of that side, {shared.FILES} (default: 6 held-out examples)",
    )
    parser.add_argument(
        "--concept",
        nargs="+",
        metavar="FILE",
        help="examples of the other side, read as those of --style (default: a held-out example of "
        "each class, 10 at most)",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write; must be new")
    shared.add_common(parser, "of the noise and of which examples are taken (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Transfer and write the file."""
    from wyner_keras.cli import inputs
    from wyner_keras.cli.outputs import SUFFIXES, Output

    path, seed = refuse_existing(options.out, "--out", SUFFIXES), options.seed or 0
    opened = open_folder(options.folder)
    model, entries = opened.model, opened.model.side_entries
    side, other = options.side, OTHER[options.side]

    def references(paths: list[str] | None, name: str, of: str, seed: int) -> np.ndarray:
        if paths:
            return inputs.read(paths, of, entries[of], name)
        examples, places = opened.chosen(of, seed, default=6 if name == "--style" else 10)
        return examples.rows[of][places]

    # Another seed, so that the default styles are not the examples of the default concepts.
    style = references(options.style, "--style", side, seed + 1)
    concept = references(options.concept, "--concept", other, seed)
    out = Output(path, entries)
    out.check(side, 1 + len(style), 1 + len(concept))
    transfer = model.transfer_x if side == "x" else model.transfer_y
    result = transfer(style=style, concept=concept, seed=seed)
    out.transfer(side, style, concept, result)
    styles, concepts = result.shape[:2]
    values = {
        "out": str(path),
        "side": side,
        "styles": styles,
        "concepts": concepts,
        "seed": seed,
    }
    return Result(f"{styles} styles by {concepts} concepts of {side} in {path}", values)
