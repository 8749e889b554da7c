"""`wyner evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.options import Result

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource
    from wyner_keras.evaluation import Report
    from wyner_keras.models import WynerModel

_DESCRIPTION = """\
Judge a trained model on images that it was not trained on, and write RUN/metrics.json anew.

The judge is a digit classifier, trained on the training images alone and cached (in the folder
that the environment variable WYNER_CACHE_DIR names, or the user's cache folder). Beside each
figure of the model stands that of real images, its ceiling.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="judge a trained model on held-out images",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of `wyner train`")
    parser.add_argument(
        "--data",
        metavar="mnist|digits|FOLDER",
        help="judge on the test images of these (default: those that the run was trained with)",
    )
    shared.add_common(parser, "of the draws and the noise (default: the run's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Judge the run and write its metrics."""
    opened = runs.Run.open(options.folder)
    source = opened.source(options.data)
    seed = opened.seed if options.seed is None else options.seed
    settings = {**opened.settings, "seed": seed}
    report = judged(opened.load_model(), source, settings, options.quiet)
    path = write(opened.folder, report, options.data or opened.settings["data"])
    values = {"run": str(opened.folder), "metrics_file": str(path), "metrics": report.to_dict()}
    return Result(f"{report.table()}\n\n{shared.lines({'metrics': path})}", values)


def judged(
    model: WynerModel, source: ImageSource, settings: Mapping[str, Any], quiet: bool
) -> Report:
    """The report on a source's test images; on few of them, by a hasty judge, of a quick run."""
    from wyner_keras import evaluation

    quick = settings.get("asked", {}).get("quick", False)
    judge = evaluation.judge_for(
        source, epochs=2 if quick else None, verbose=shared.verbosity(quiet)
    )
    return evaluation.evaluate(
        model,
        source,
        label_map=settings["label_map"],
        judge=judge,
        **({"inputs": 200, "styles": 10, "concepts": 20} if quick else {}),
        seed=settings["seed"],
        verbose=not quiet,
    )


def write(folder: Path, report: Report, data: str) -> Path:
    """Write a run folder's metrics."""
    return runs.write_json(folder / runs.METRICS, {"data": data, **report.to_dict()})
