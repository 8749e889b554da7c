"""`wyner figures`."""

from __future__ import annotations

import argparse
from typing import Any

from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result

_DESCRIPTION = """\
Make the paper's figures again: train a model for each of their configurations, by the paper's
recipe and by the default one, judge all by one judge, and draw them in the paper's layout with
their figures under them. Or study λ, the weight of common information, which the paper leaves
as future work; or the default recipe itself, over seeds, and without one ingredient at a time.

FOLDER holds a run folder for each configuration (FOLDER/runs/NAME, for `wyner generate` and the
other commands too), and the picture and the table of each sweep. What is there is not trained
again: the same command goes on where a killed one was, and figures share the configurations
that they have in common.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "figures",
        help="train and draw the paper's figures, or study λ, seeds or ingredients",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    what = parser.add_mutually_exclusive_group(required=True)
    what.add_argument(
        "--figure",
        choices=("4", "5"),
        help="4: the size of Z varies, for both readings of |U| and |V|; 5: that of U and V does",
    )
    what.add_argument(
        "--study",
        choices=("lambda", "seeds", "ablation"),
        help="lambda: the weight of common information varies; seeds: the default recipe, whole, "
        "by five seeds; ablation: it and it without one ingredient at a time, by three",
    )
    parser.add_argument(
        "--recipe",
        choices=("paper", "annealed"),
        help="one recipe only (default: the paper's and beside it the default one; seeds and "
        "ablation are of the default one anyway)",
    )
    parser.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder to write or to go on in (default: runs/figures, for seeds and ablation "
        "runs/studies; with --short or --quick that name and -short or -quick)",
    )
    parser.add_argument(
        "--data",
        metavar=shared.SOURCES,
        help="images by label, as for `wyner train` (default: mnist, with --quick digits)",
    )
    less = parser.add_mutually_exclusive_group()
    less.add_argument(
        "--short",
        action="store_true",
        help="seeds and ablation by no more epochs than a figure's configuration has, judged on "
        "as many images: half the time",
    )
    less.add_argument(
        "--quick",
        action="store_true",
        help="few pairs and epochs: minutes instead of hours, to try it out",
    )
    shared.add_common(
        parser, "of weights, pairs, noise and draws; of several seeds the first (default: 0)"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Carry out one sweep and write its picture and table."""
    import_tensorflow()
    data = options.data or ("digits" if options.quick else "mnist")
    from wyner_keras.data import load, whole_name

    data = whole_name(data)
    from wyner_keras import sweeps

    over_seeds = options.study in sweeps.OVER_SEEDS
    if options.short and not over_seeds:
        raise ValueError(
            "`--short` should come with `--study seeds` or `--study ablation`. Received: it with "
            f"{'--figure' if options.figure else '--study'} {options.figure or options.study}, "
            "which is as short already"
        )
    out = options.out or "".join(
        ["runs/studies" if over_seeds else "runs/figures"]
        + ["-short"] * options.short
        + ["-quick"] * options.quick
    )
    whole = over_seeds and not options.short
    size = sweeps.QUICK if options.quick else sweeps.WHOLE if whole else sweeps.FULL
    seed = options.seed or 0
    folder = sweeps.check_folder(out, {"data": data, "size": size.name, "seed": seed})
    from wyner_keras.models import TrainingDiverged

    source = load(data)
    sweep = sweeps.sweep(
        options.figure or options.study,
        recipes=[options.recipe] if options.recipe else sweeps.RECIPES,
        data=shared.like(source.train.image_shape),
        size=size,
        seed=seed,
    )
    workshop = sweeps.Workshop(
        folder=folder,
        source=source,
        data=data,
        mapping=shared.label_map("add-one", source.train.classes),
        size=size,
        seed=seed,
        verbose=shared.verbosity(options.quiet),
    )
    try:
        found = sweeps.carry_out(sweep, workshop)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"What was reached is kept in {folder}; the same command goes on from it."
        ) from error
    except TrainingDiverged as error:
        raise CommandFailed(str(error)) from error
    rows, paths = sweeps.report(sweep, workshop, found)
    written = {name: str(path) for name, path in paths.items()}
    values = {**written, "rows": rows}
    return Result(f"{sweeps.text(sweep, rows)}\n\n{shared.lines(written)}", values)
