"""`wyner generate`."""

from __future__ import annotations

import argparse
from typing import Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import open_folder
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing
from wyner_serving.sides import OTHER

_DESCRIPTION = """\
Generate examples by a trained model: y given x, x given y, or pairs of both.

FILE ends in .png for a picture, .npz for arrays `x` and `y` (what is given (count, ...), what is
generated (count, samples, ...), images in [0, 1]), .npy for what is generated alone, or .csv for
vectors: a row a sample, with the columns that were given.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="generate examples of one side from the other, or pairs",
        description=_DESCRIPTION,
        epilog=shared.examples(
            "wyner generate runs/mine --from x --samples 8 --out samples.png",
            "wyner generate bundle --from prior --count 100 --out pairs.npz",
            "wyner generate preset:digits_add_one --from prior --out pairs.png",
        ),
    )
    parser.add_argument("folder", metavar="RUN", help=shared.RUN)
    parser.add_argument(
        "--from",
        dest="given",
        required=True,
        choices=("x", "y", "prior"),
        help="what is given: x (makes y), y (makes x), or nothing, the prior (makes pairs)",
    )
    parser.add_argument(
        "--input",
        nargs="+",
        metavar="FILE",
        help=f"what is given, {shared.FILES} (default: held-out examples of the run, of each class "
        "in turn; a bundle's samples)",
    )
    parser.add_argument(
        "--count",
        type=shared.positive,
        metavar="N",
        help="how many inputs, or pairs (default: all of --input; else one of each class, 10 at "
        "most, or 30 pairs)",
    )
    parser.add_argument(
        "--samples",
        type=shared.positive,
        metavar="S",
        help="how many samples for each input (default: 8)",
    )
    parser.add_argument("--out", required=True, metavar="FILE", help="file to write; must be new")
    shared.add_common(parser, "of the noise and of which examples are taken (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Generate and write the file."""
    from wyner_keras.cli import inputs
    from wyner_keras.cli.outputs import SUFFIXES, Output

    path = refuse_existing(options.out, "--out", SUFFIXES)
    prior, seed = options.given == "prior", options.seed or 0
    if prior and (options.input or options.samples):
        raise ValueError(
            "--from prior takes neither --input nor --samples: it generates pairs. "
            f"Received: input={options.input}, samples={options.samples}"
        )
    opened = open_folder(options.folder)
    model, entries = opened.model, opened.model.side_entries
    out = Output(path, entries)
    values = {"out": str(path), "from": options.given, "seed": seed}
    if prior:
        count = options.count or 30
        out.check("xy", -(-count // 6), 2 * min(6, count))
        out.joint(*model.generate_pairs(count, seed=seed))
        return Result(f"{count} pairs in {path}", {**values, "count": count})
    side, other = options.given, OTHER[options.given]
    truth = None
    if options.input:
        given = inputs.read(options.input, side, entries[side], "--input")[: options.count]
    else:
        examples, places = opened.chosen(side, seed, options.count)
        given, truth = examples.rows[side][places], examples.rows[other][places]
    samples, count = options.samples or 8, len(given)
    out.check(other, count, 1 + samples)
    generate = model.generate_y if side == "x" else model.generate_x
    out.conditional(side, given, generate(given, seed=seed, samples=samples), truth)
    text = f"{samples} samples of {other} for each of {count} inputs {side} in {path}"
    return Result(text, {**values, "count": count, "samples": samples})
