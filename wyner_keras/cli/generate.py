"""`wyner generate`."""

from __future__ import annotations

import argparse
from typing import Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import open_folder
from wyner_keras.cli.options import Result
from wyner_keras.files import write_arrays

_DESCRIPTION = """\
Generate images by a trained model: y given x, x given y, or pairs of both.

FILE ends in .png for a picture, or in .npz for arrays: `x` and `y`, float32 in [0, 1]. Given
images have shape (count, h, w, c), generated ones (count, samples, h, w, c), pairs
(count, h, w, c) each.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "generate",
        help="generate images of one side from the other, or pairs",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of `wyner train`, or bundle")
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
        help=f"the given images: {shared.FILES} (default: test images of the run's data, of each "
        "class in turn; a bundle's samples)",
    )
    parser.add_argument(
        "--count",
        type=shared.positive,
        metavar="N",
        help="how many inputs, or pairs (default: all of --input, else 10 inputs or 30 pairs)",
    )
    parser.add_argument(
        "--samples",
        type=shared.positive,
        metavar="S",
        help="how many images for each input (default: 8)",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help=".png or .npz to write; must be new"
    )
    shared.add_common(parser, "of the noise and of which test images are taken (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Generate and write the file."""
    from wyner_keras import figures
    from wyner_keras.cli import pictures

    out = pictures.output(options.out)
    opened = open_folder(options.folder)
    seed = options.seed or 0
    picture = out.suffix == ".png"
    values = {"out": str(out), "from": options.given, "seed": seed}
    if options.given == "prior":
        if options.input or options.samples:
            raise ValueError(
                "--from prior takes neither --input nor --samples: it generates pairs. "
                f"Received: input={options.input}, samples={options.samples}"
            )
        model, count = opened.load_model(), options.count or 30
        if picture:
            figures.check_joint(count, model.image_shape("x"), model.image_shape("y"))
        x, y = model.generate_pairs(count, seed=seed)
        if picture:
            figures.joint_grid(x, y, out)
        else:
            write_arrays(out, x=x, y=y)
        return Result(f"{len(x)} pairs in {out}", {**values, "count": len(x)})
    model = opened.load_model()
    side, other = options.given, "y" if options.given == "x" else "x"
    if options.input:
        given = pictures.read(options.input, model.image_shape(side), "--input")
        given = given[: options.count]
    else:
        given = opened.images(side, seed, options.count, default=10)
    generate = model.generate_y if side == "x" else model.generate_x
    samples = options.samples or 8
    if picture:
        figures.check_conditional(len(given), samples, given.shape[1:], model.image_shape(other))
    made = generate(given, seed=seed, samples=samples)
    if picture:
        captions = (f"input {side}", f"samples of {other}")
        figures.conditional_grid(given, made, out, captions=captions)
    else:
        write_arrays(out, **{side: given, other: made})
    count = len(given)
    text = f"{samples} samples of {other} for each of {count} inputs {side} in {out}"
    return Result(text, {**values, "count": count, "samples": samples})
