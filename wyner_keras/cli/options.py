"""What the commands share: option types, where pairs come from, the result that `main` prints."""

from __future__ import annotations

import argparse
import math
import re
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from wyner_keras.runs import label_map
from wyner_serving import progress

# Metavar of the options that name a source of labelled images.
_SOURCES = "mnist|mnist-rotated|digits|FOLDER"
_IMAGES = (
    ".png, .jpg, .bmp, .webp, .tif and .gif files, of 8 bits a channel, grey ones also of 16; each "
    "is turned upright by its EXIF orientation, and what is transparent shows a white ground"
)
# What options that name files of examples read.
FILES = (
    f"of images, folders or {_IMAGES}; of vectors, a .csv with the columns' names; of any, arrays "
    "(n, ...) in a .npy or .npz file, images in [0, 1] or bytes"
)


PRESET = "preset:"
"""What the name of a preset begins with, where a folder may stand too."""
RUN = (
    "run folder of `wyner train`, bundle, or preset:NAME, of wyner-keras-models or hf://owner/name"
)


# Options that say where pairs come from, the fields of `runs.Source`.
SOURCE = (
    *("pairs", "x", "y", "extra_x", "extra_y", "data", "data_y", "map"),
    *("held_out", "kinds", "missing"),
)


def said(options: argparse.Namespace, names: Sequence[str] = SOURCE) -> dict[str, Any]:
    """Those of some options that were given, by name."""
    values = {name: getattr(options, name) for name in names}
    return {name: value for name, value in values.items() if value is not None}


class Result(NamedTuple):
    """What a command found: text for people, values for `--json`, and the exit code."""

    text: str
    values: dict[str, Any]
    code: int = 0


class CommandFailed(Exception):
    """The command was well asked but could not be carried out; exit code 1."""


def whole(text: str, minimum: int = 0) -> int:
    """An option's whole number."""
    if not re.fullmatch(r"\d+", text, re.ASCII) or int(text) < minimum:
        raise argparse.ArgumentTypeError(
            f"should be a whole number of {minimum} or more. Received: {text!r}"
        )
    return int(text)


def positive(text: str) -> int:
    """An option's whole number of 1 or more."""
    return whole(text, minimum=1)


def several(text: str) -> int:
    """An option's whole number of 2 or more."""
    return whole(text, minimum=2)


def factor(text: str) -> float:
    """An option's finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"should be a finite number above 0. Received: {text!r}")
    return value


def share(text: str) -> float:
    """An option's number above 0 and below 1."""
    if not factor(text) < 1:
        raise argparse.ArgumentTypeError(f"should be below 1. Received: {text!r}")
    return float(text)


def kinds(text: str) -> dict[str, str]:
    """Kinds of columns by name: `x.age=count,y=real`."""
    # A name may hold commas.
    pairs = re.findall(r"(.+?)=([^,=]+)(?:,|\Z)", text)
    if not pairs or ",".join(map("=".join, pairs)) != text:
        raise argparse.ArgumentTypeError(
            f"should be column=kind, such as x.age=count,y=real. Received: {text!r:.200}"
        )
    return {name.strip(): kind.strip() for name, kind in pairs}


def map_text(text: str) -> str:
    """A label map as the user wrote it; a JSON file becomes its content."""
    from wyner_serving.regular_file import check_regular

    try:
        if text.endswith(".json"):
            file = check_regular(text, "a label map's file")
            text = " ".join(file.read_text(encoding="utf-8").split())
        try:
            label_map(text, (0,))
        except ValueError:
            # Labels may be texts, which is known when the data are.
            if "".join(re.findall(r"[^\W\d_]", text)) in ("", "n"):
                raise
            label_map(text, ("",))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    return text


def add_source(parser: argparse.ArgumentParser, default: str) -> None:
    """The options that say where pairs come from.

    Args:
        parser: of the command.
        default: what is taken where none is given.
    """
    group = parser.add_argument_group(
        "pairs", f"Where pairs (x, y) come from (default: {default})."
    )
    group.add_argument(
        "--pairs",
        metavar="DIR|FILE",
        help=f"DIR/x/NAME.png with DIR/y/NAME.png, {_IMAGES}; or a .csv, .tsv or .parquet file of "
        "columns x and y of paths, or x.NAME and y.NAME of numbers or texts, beside optional ones: "
        "split (train or test), group (kept together), label (which tells how many kinds z has). "
        "Rows without partner: images in DIR/extra_x and DIR/extra_y, lines with nothing of one "
        "side",
    )
    group.add_argument(
        "--x", metavar="FILE", help="rows of x: .npy, .npz, .h5, .csv or .parquet (FILE:NAME)"
    )
    group.add_argument("--y", metavar="FILE", help="the rows of y that go with them")
    group.add_argument("--extra-x", metavar="FILE", help="rows of x without partner, beside --x")
    group.add_argument("--extra-y", metavar="FILE", help="rows of y without partner, beside --y")
    group.add_argument(
        "--data",
        metavar=_SOURCES,
        help="images by label, which --map pairs: MNIST (28x28), the digits that ship with "
        "scikit-learn (8x8), either turned by 90° to the left (…-rotated), or a folder "
        "FOLDER/<label>/*.png",
    )
    group.add_argument(
        "--data-y", metavar=_SOURCES, help="the same for y (default: y is drawn from --data too)"
    )
    group.add_argument(
        "--map",
        type=map_text,
        metavar="MAP",
        help="which label of y goes with a label of x: add-one, same, an expression such as 3n+2 "
        "(modulo the number of classes), pairs such as 0:1,1:2,2:0, or a JSON object or file "
        "(default: add-one)",
    )
    group.add_argument(
        "--held-out",
        type=share,
        metavar="SHARE",
        help="share of the pairs that is held out, where the data do not say which are "
        "(default: 0.2)",
    )
    group.add_argument(
        "--kinds",
        type=kinds,
        metavar="COLUMN=KIND,…",
        help="what columns are: real, binary, categorical or count, such as x.age=count, or y=real "
        "for all of y (default: told from the values)",
    )
    group.add_argument(
        "--missing",
        action="store_const",
        const=True,
        help="values of columns may be absent: empty, NA or NaN",
    )


def examples(*lines: str) -> str:
    """The end of a command's help: lines that can be typed as they are, but for names of files."""
    return "\n  ".join(("example:" if len(lines) == 1 else "examples:", *lines))


def add_common(parser: argparse.ArgumentParser, seed: str) -> None:
    """The options of every command that draws."""
    parser.add_argument("--seed", type=whole, metavar="N", help=seed)
    add_output(parser)


def add_output(parser: argparse.ArgumentParser) -> None:
    """The options of every command: what it prints."""
    parser.add_argument(
        "--json",
        action="store_true",
        help="print one JSON object on stdout; everything else goes to stderr",
    )
    parser.add_argument(
        "--quiet", action="store_true", help="no progress on stderr, only the result"
    )


def verbosity(quiet: bool) -> int:
    """Keras' `verbose`: bars on a terminal, else a line an epoch, which a log can hold."""
    return progress.verbosity(not quiet)


def lines(values: Mapping[str, Any]) -> str:
    """Aligned `name  value` lines."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values.items())
