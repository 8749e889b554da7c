"""Train and draw the paper's figures, or a study.

Run: python -m experiments.figures (--figure 4|5 | --study lambda|seeds|ablation)
"""

from __future__ import annotations

import argparse
import sys
from collections.abc import Sequence

from experiments.command import Command
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result

_DESCRIPTION = """\
Make the paper's figures again: train a model for each of their configurations, by the paper's
recipe and by the default one, judge all by one judge, and draw them in the paper's layout with
their figures under them. Or study λ, the weight of common information, which the paper leaves
as future work; or the default recipe itself, over seeds, and without one ingredient at a time.

FOLDER holds a run folder for each configuration, FOLDER/runs/NAME, and the picture and the table of
each sweep. `wyner generate` and the other commands open these runs too, but for those whose
q(z|x,y) is one network: the paper's, and the ablation's free encoder. Python opens them after
`import experiments.paper`. What is there is not trained again: the same command goes on where a
killed one was, and figures share the configurations that they have in common.
"""


def main(arguments: Sequence[str] | None = None) -> int:
    """Carry out one sweep; return the exit code, as `wyner_keras.cli.main` does."""
    command = Command("figures", _DESCRIPTION, _run)
    what = command.add_mutually_exclusive_group(required=True)
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
    command.add_argument(
        "--recipe",
        choices=("paper", "annealed"),
        help="one recipe only (default: the paper's and beside it the default one; seeds and "
        "ablation are of the default one anyway)",
    )
    command.add_argument(
        "--out",
        metavar="FOLDER",
        help="folder to write or to go on in (default: runs/figures, for seeds and ablation "
        "runs/studies; with --short or --quick that name and -short or -quick)",
    )
    command.add_argument(
        "--data",
        metavar="mnist|mnist-rotated|digits|FOLDER",
        help="images by label, as for `wyner train` (default: mnist, with --quick digits)",
    )
    less = command.add_mutually_exclusive_group()
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
        command, "of weights, pairs, noise and draws; of several seeds the first (default: 0)"
    )
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    """Train, judge and draw one sweep."""
    import_tensorflow()
    from experiments import registry, studies
    from wyner_keras import TrainingDiverged
    from wyner_keras.data import load, whole_name

    name = options.figure or options.study
    over_seeds = name in registry.OVER_SEEDS
    if options.short and not over_seeds:
        raise ValueError(
            "`--short` should come with `--study seeds` or `--study ablation`. Received: it with "
            f"{'--figure' if options.figure else '--study'} {name}, which is as short already"
        )
    data = whole_name(options.data or ("digits" if options.quick else "mnist"))
    out = options.out or "".join(
        ["runs/studies" if over_seeds else "runs/figures"]
        + ["-short"] * options.short
        + ["-quick"] * options.quick
    )
    size = studies.WHOLE if over_seeds and not options.short else studies.FULL
    if options.quick:
        size = studies.QUICK
    seed = options.seed or 0
    folder = studies.check_folder(out, {"data": data, "size": size.name, "seed": seed})
    experiment = studies.Experiment(
        folder=folder,
        source=load(data),
        data=data,
        size=size,
        seed=seed,
        verbose=shared.verbosity(options.quiet),
    )
    sweep = registry.make_sweep(
        name,
        experiment.pairs(seed).facts(),
        recipes=[options.recipe] if options.recipe else registry.RECIPES,
        size=size,
        seed=seed,
    )
    try:
        results = studies.run_sweep(sweep, experiment)
    except KeyboardInterrupt as error:
        raise KeyboardInterrupt(
            f"What was reached is kept in {folder}; the same command goes on from it."
        ) from error
    except TrainingDiverged as error:
        raise CommandFailed(str(error)) from error
    rows, paths = studies.write_report(sweep, experiment, results)
    files = {name: str(path) for name, path in paths.items()}
    text = f"{studies.report_text(sweep, rows)}\n\n{shared.lines(files)}"
    return Result(text, {**files, "rows": rows})


if __name__ == "__main__":
    sys.exit(main())
