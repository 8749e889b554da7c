"""`wyner report`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from typing import TYPE_CHECKING, Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.evaluation import Report

_DESCRIPTION = """\
Say on one page what x and y share, what is private, how well it is known, which pairs do not fit,
and what to try.

The page goes to stdout as text, and as one HTML file with pictures, which needs no network, to
RUN/report.html, anew each time. Wrong partners are looked for among the pairs trained on too.
Figures are those of RUN/metrics.json where the run was judged, else it is judged now.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "report",
        help="say on one page what a trained model found",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner report runs/mine"),
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of `wyner train`")
    parser.add_argument(
        "--out", metavar="FILE", help="file to write; must be new (default: RUN/report.html)"
    )
    shared.add_common(parser, "of the draws and the noise (default: the run's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Write the page of a run."""
    opened = runs.Run.open(options.folder)
    path = opened.folder / runs.REPORT
    if options.out is not None:
        path = refuse_existing(options.out, "--out", (".html", ".htm"))
    import_tensorflow()
    from wyner_keras.cli.evaluate import judged
    from wyner_keras.reporting import report

    train, held_out = opened.pairs()
    model = opened.load_model()
    seed = opened.seed if options.seed is None else options.seed
    found = judged_before(opened, seed)
    if found is None:
        settings = {**opened.settings, "seed": seed}
        found = judged(model, train, held_out, settings, options.quiet)
    page = report(
        model,
        held_out,
        train=train,
        figures=found[0],
        nats=found[1],
        epochs=_shares(opened, train),
        seed=seed,
        verbose=not options.quiet,
    )
    page.write(path)
    values = {"run": str(opened.folder), "report": str(path), **page.values}
    return Result(f"{page}\n\n{shared.lines({'report': path})}", values)


def _shares(run: runs.Run, train: Pairs) -> dict[str, float]:
    """Of each stage the share of the epochs that it has where nobody shortens it."""
    from wyner_keras import recipes
    from wyner_keras.recipe import shares_trained

    history = runs.read_history(run.folder).get("history", {})
    return shares_trained(recipes.default(train.facts(), seed=run.seed), run.recipe, history)


def judged_before(run: runs.Run, seed: int) -> tuple[Report, Mapping[str, float]] | None:
    """What `metrics.json` holds of the run's own pairs by this seed; None where it holds none.

    Raises:
        ValueError: if it is damaged.
    """
    from wyner_keras.evaluation import Report

    values = run.metrics()
    try:
        if values is None or values["data"] != run.settings["data"] or values["seed"] != seed:
            return None
        # JSON has no NaN.
        nats = {
            name: float("nan") if value is None else float(value)
            for name, value in values["nats"].items()
        }
        return Report.from_dict(values), nats
    except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
        raise ValueError(
            f"{run.folder / runs.METRICS} should be readable; write it anew by "
            f"`wyner evaluate {run.folder}`. Received: {type(error).__name__}: {error!s:.200}"
        ) from error
