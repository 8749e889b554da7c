"""How many pairs are enough, where the rest of the rows are singles? Accuracy by share of pairs.

Run: python -m experiments.singles --share 5 1
"""

from __future__ import annotations

import argparse
import dataclasses
import sys
from collections.abc import Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from experiments.command import Command
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json

if TYPE_CHECKING:
    from wyner_keras.data import LabelledImages, Pairs

_DESCRIPTION = """\
Digits, each paired with one of the next label. Some of the pairs stay pairs; the rows of all
others are singles, x and y apart. A model is trained on these, told how many labels there are and
no label; then a judge reads the labels off what it generates for held-out digits.

`conditional_y` is the share of y generated from x that show the label after that of x; `read_x` is
that of x whose most probable z stands for its label. Without flow and refinement (`--skip flow
refinement`) training is shorter, and what is generated less legible than what is read.
"""
_PER_CLASS = {"mnist": 5000, "digits": None}


def few_pairs(
    images: LabelledImages, pairs: Pairs, share: float, seed: int = 0, alone: bool = False
) -> Pairs:
    """Some pairs, and the rows of the others as singles in orders of their own.

    Args:
        images: that both sides of the pairs are drawn from.
        pairs: of their rows.
        share: of the pairs that stay pairs, above 0, at most 1.
        seed: of the draw.
        alone: without the singles.

    """
    from wyner_keras.data import Pairs, Subset

    rng = np.random.default_rng(seed)
    kept, rest = np.split(rng.permutation(len(pairs)), [round(share * len(pairs))])
    if alone or not len(rest):
        return pairs.select(kept)
    x, y = (Subset(pairs.x, rng.permutation(pairs.index[rest, column])) for column in (0, 1))
    return Pairs(images, images, pairs.index[kept], extra_x=x, extra_y=y)


def conditional(model: Any, held_out: Pairs, judges: Any, seed: int = 0) -> dict[str, float]:
    """Accuracy of y given x and of x given y, by the judge of each side."""
    x, y = held_out.arrays()
    made = {"y": model.generate_y(x, seed=seed), "x": model.generate_x(y, seed=seed)}
    labels = {"x": held_out.x_labels, "y": held_out.y_labels}
    return {
        f"conditional_{name}": judges[name].accuracy(examples, labels[name])
        for name, examples in made.items()
    }


def read(model: Any, held_out: Pairs) -> dict[str, float]:
    """Accuracy of the most probable z of q(z|x) and of q(z|y), its values matched to labels."""
    from scipy.optimize import linear_sum_assignment

    # Both sides' labels of a pair are one class.
    labels: Any = held_out.x_labels
    classes = np.unique(labels, return_inverse=True)[1]
    values = {}
    for side, rows in zip(held_out.names, held_out.arrays(), strict=True):
        (probabilities,) = model.posteriors(rows, side)
        values[side] = probabilities.argmax(axis=1)
    counts = np.zeros((probabilities.shape[1], classes.max() + 1))
    for found in values.values():
        np.add.at(counts, (found, classes), 1)
    stands_for = dict(zip(*linear_sum_assignment(-counts), strict=True))
    return {
        f"read_{side}": float(np.mean([stands_for.get(each) for each in found] == classes))
        for side, found in values.items()
    }


def main(arguments: Sequence[str] | None = None) -> int:
    """Measure, write and print; return the exit code, as `wyner_keras.cli.main` does."""
    command = Command("singles", _DESCRIPTION, _run)
    command.add_argument("--data", choices=sorted(_PER_CLASS), default="mnist")
    command.add_argument(
        "--share",
        type=shared.factor,
        nargs="+",
        default=[100.0, 20.0, 5.0, 1.0],
        metavar="PERCENT",
        help="of the pairs that stay pairs (default: 100 20 5 1)",
    )
    command.add_argument("--alone", action="store_true", help="without the singles, to compare")
    command.add_argument("--skip", nargs="*", default=[], metavar="STAGE", help="leave stages out")
    command.add_argument(
        "--longer", type=shared.factor, default=1.0, help="times the epochs (default: 1)"
    )
    command.add_argument(
        "--codecs", metavar="FILE", help="model.keras whose codecs are taken in place of new ones"
    )
    command.add_argument("--out", metavar="FILE", help="JSON to write; must be new")
    shared.add_common(command, "of pairs, weights and noise (default: 0)")
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    """Train and judge by each share."""
    out, seed = options.out and refuse_existing(options.out), options.seed or 0
    import_tensorflow()
    import wyner_keras as wk
    from wyner_keras import runs
    from wyner_keras.evaluation import judges_for

    images, per_class = wk.data.load(options.data), _PER_CLASS[options.data]
    pairs = wk.data.add_one(images.train, per_class, seed=seed)
    held_out = wk.data.add_one(images.test, seed=seed)
    judges = judges_for(pairs, verbose=shared.verbosity(options.quiet))
    codecs = None
    if options.codecs:
        codecs = {side.name: side.codec for side in runs.load_model(Path(options.codecs)).sides}
    found: dict[str, dict[str, float]] = {}
    for percent in options.share:
        few = few_pairs(images.train, pairs, percent / 100, seed, options.alone)
        recipe = wk.recipes.default(few.facts(), seed=seed)
        stages = tuple(stage for stage in recipe.stages if stage.name not in options.skip)
        recipe = dataclasses.replace(recipe, stages=stages).scaled(options.longer)
        trained = wk.train(few, recipe, codecs=codecs, verbose=shared.verbosity(options.quiet))
        found[f"{percent:g} %"] = {
            "pairs": float(len(few)),
            "singles": float(max(map(len, few.singles))),
            **conditional(trained.model, held_out, judges, seed),
            **read(trained.model, held_out),
            "seconds": sum(trained.seconds.values()),
        }
        if out:
            write_json(out, found)
    rows = {
        share: "  ".join(f"{name} {value:.4g}" for name, value in each.items())
        for share, each in found.items()
    }
    return Result(shared.lines(rows), found)


if __name__ == "__main__":
    sys.exit(main())
