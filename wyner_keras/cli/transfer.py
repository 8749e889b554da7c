"""`wyner transfer`."""

from __future__ import annotations

import argparse
from typing import Any

import numpy as np

from wyner_keras.cli import options as shared
from wyner_keras.cli.opened import open_folder
from wyner_keras.cli.options import Result
from wyner_keras.files import write_arrays

_DESCRIPTION = """\
Transfer styles: every style image with the concept of every concept image.

With --side x the results are x images: the style is taken from x images, the concept from y
images (after the add-one training, a 4 as concept makes a 3). With --side y the other way round.

FILE ends in .png for a picture, or in .npz for arrays: `style`, `concept`, and `result` of
shape (styles, concepts, h, w, c), float32 in [0, 1].
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "transfer",
        help="give the concepts of some images the styles of others",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of `wyner train`, or bundle")
    parser.add_argument("--side", required=True, choices=("x", "y"), help="which side is made")
    parser.add_argument(
        "--style",
        nargs="+",
        metavar="FILE",
        help=f"images of that side: {shared.FILES} (default: 6 test images of the run's data)",
    )
    parser.add_argument(
        "--concept",
        nargs="+",
        metavar="FILE",
        help="images of the other side, read as those of --style (default: a test image of each "
        "class)",
    )
    parser.add_argument(
        "--out", required=True, metavar="FILE", help=".png or .npz to write; must be new"
    )
    shared.add_common(parser, "of the noise and of which test images are taken (default: 0)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Transfer and write the file."""
    from wyner_keras import figures
    from wyner_keras.cli import pictures

    out = pictures.output(options.out)
    opened = open_folder(options.folder)
    model = opened.load_model()
    seed = options.seed or 0
    side, other = options.side, "y" if options.side == "x" else "x"

    def references(paths: list[str] | None, name: str, of: str, seed: int) -> np.ndarray:
        if paths:
            return pictures.read(paths, model.image_shape(of), name)
        return opened.images(of, seed, default=6 if name == "--style" else None)

    # Another seed, so that the default styles are not the images of the default concepts.
    style = references(options.style, "--style", side, seed + 1)
    concept = references(options.concept, "--concept", other, seed)
    if out.suffix == ".png":
        shapes = style.shape[1:], concept.shape[1:]
        figures.check_transfer(len(style), len(concept), *shapes)
    transfer = model.transfer_x if side == "x" else model.transfer_y
    result = transfer(style=style, concept=concept, seed=seed)
    if out.suffix == ".png":
        captions = (f"style {side}", f"concept {other}")
        figures.transfer_grid(style, concept, result, out, captions=captions)
    else:
        write_arrays(out, style=style, concept=concept, result=result)
    styles, concepts = result.shape[:2]
    values = {
        "out": str(out),
        "side": side,
        "styles": styles,
        "concepts": concepts,
        "seed": seed,
    }
    return Result(f"{styles} styles by {concepts} concepts of {side} in {out}", values)
