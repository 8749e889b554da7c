"""What the commands share: option types, label maps, the result that `main` prints."""

from __future__ import annotations

import argparse
import json
import math
import re
import sys
from collections.abc import Mapping, Sequence
from typing import Any, NamedTuple

from wyner_keras.received import received

_AFFINE = re.compile(r"(?P<factor>-?\d*)\s*\*?\s*n\s*(?P<offset>[+-]\s*\d+)?")
_NAMED_MAPS = {"add-one": "n+1", "same": "n"}
# Metavar of the options that name a source of images.
SOURCES = "mnist|mnist-rotated|digits|FOLDER"

# What options that name files of images read; see `wyner_keras.data.image_file`.
FILES = (
    "one .npy array (n, h, w, c) with values in [0, 1], or .png, .jpg, .bmp, .webp, .tif and .gif "
    "files or folders of them, of 8 bits a channel, grey ones also of 16; each is turned upright "
    "by its EXIF orientation, and what is transparent shows a white ground"
)


class Result(NamedTuple):
    """What a command found: text for people, values for `--json`."""

    text: str
    values: dict[str, Any]


class CommandFailed(Exception):
    """The command was well asked but could not be carried out; exit code 1."""


def whole(text: str, minimum: int = 0) -> int:
    """An option's whole number."""
    if not re.fullmatch(r"\d+", text) or int(text) < minimum:
        raise argparse.ArgumentTypeError(
            f"should be a whole number of {minimum} or more. Received: {text!r}"
        )
    return int(text)


def positive(text: str) -> int:
    """An option's whole number of 1 or more."""
    return whole(text, minimum=1)


def factor(text: str) -> float:
    """An option's finite number above 0."""
    try:
        value = float(text)
    except ValueError:
        value = math.nan
    if not 0 < value < math.inf:
        raise argparse.ArgumentTypeError(f"should be a finite number above 0. Received: {text!r}")
    return value


def local_size(text: str) -> str:
    """`NxK`: N categorical variables with K categories each."""
    if not re.fullmatch(r"[1-9]\d*x[1-9]\d*", text):
        raise argparse.ArgumentTypeError(
            f"should be NxK, such as 20x10: N variables with K categories each. Received: {text!r}"
        )
    return text


def map_text(text: str) -> str:
    """A label map as the user wrote it; a JSON file becomes its content."""
    from wyner_keras.data.regular_file import check_regular

    try:
        if text.endswith(".json"):
            file = check_regular(text, "a label map's file")
            text = " ".join(file.read_text(encoding="utf-8").split())
        label_map(text, (0,))
    except (OSError, ValueError) as error:
        raise argparse.ArgumentTypeError(str(error)) from error
    # JSON in JSON without end.
    except RecursionError as error:
        raise argparse.ArgumentTypeError(
            f"a label map should be pairs of labels. Received: {type(error).__name__}: {error}"
        ) from error
    return text


def label_map(text: str, classes: Sequence[int]) -> dict[int, int]:
    """The label of y that each label of x goes with.

    Args:
        text: "add-one", "same", "3n+2" (all modulo the largest class and one), "0:1,1:2" or a JSON
            object.
        classes: the labels of x; a map given pair by pair is taken as it is.

    Returns:
        Label of x to label of y.

    Raises:
        ValueError: if the text is none of these.

    Example:
        >>> label_map("3n+2", range(10))[9]
        9
    """
    affine = _AFFINE.fullmatch(_NAMED_MAPS.get(text, text.strip()))
    if affine:
        factor = {"": 1, "-": -1}.get(affine["factor"]) or int(affine["factor"] or 1)
        offset = int((affine["offset"] or "0").replace(" ", ""))
        modulus = max(classes) + 1
        return {int(label): int((factor * label + offset) % modulus) for label in classes}
    try:
        if text.lstrip().startswith("{"):
            pairs = json.loads(text, object_pairs_hook=list)
        else:
            pairs = [tuple(pair.split(":")) for pair in text.split(",")]
        mapping = {_label(x): _label(y) for x, y in pairs}
        if len(mapping) != len(pairs) or min(*mapping, *mapping.values()) < 0:
            raise ValueError
    except (TypeError, ValueError) as error:
        raise ValueError(
            "a label map should be add-one, same, an expression such as 3n+2, or pairs such as "
            "0:1,1:2,2:0, whole numbers, with each label of x once. "
            f"Received: {received(text)}"
        ) from error
    return mapping


def _label(value: Any) -> int:
    """A label as a number: `int` alone would cut 1.5 to 1, and take true for 1."""
    if isinstance(value, str) and re.fullmatch(r"\s*\d+\s*", value, re.ASCII):
        return int(value)
    if isinstance(value, int) and not isinstance(value, bool):
        return value
    raise ValueError("no label")


def like(image_shape: Sequence[int]) -> str:
    """The set, of the two that recipes were tuned on, whose sizes images of a shape should take."""
    sides = image_shape[:2]
    return "mnist" if min(sides) >= 16 and not any(side % 4 for side in sides) else "digits"


def add_common(parser: argparse.ArgumentParser, seed: str) -> None:
    """The options of every command."""
    parser.add_argument("--seed", type=whole, metavar="N", help=seed)
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
    if quiet:
        return 0
    return 1 if sys.stderr.isatty() else 2


def lines(values: Mapping[str, Any]) -> str:
    """Aligned `name  value` lines."""
    width = max(map(len, values), default=0)
    return "\n".join(f"{name:<{width}}  {value}" for name, value in values.items())
