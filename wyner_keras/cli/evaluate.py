"""`wyner evaluate`."""

from __future__ import annotations

import argparse
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import write_json

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource
    from wyner_keras.evaluation import Report
    from wyner_keras.models import WynerModel

_DESCRIPTION = """\
Judge a trained model on images that it was not trained on, and write RUN/metrics.json anew.

The judge is a digit classifier, trained on the training images alone and cached (in the folder
that the environment variable WYNER_CACHE_DIR names, or the user's cache folder). Beside each
figure of the model stands that of real images, its ceiling. How many nats each latent holds is
measured on pairs of the same images. What too few images or classes do not allow is left out and
named.
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
        metavar=shared.SOURCES,
        help="judge on the test images of these (default: those that the run was trained with)",
    )
    parser.add_argument(
        "--data-y",
        metavar=shared.SOURCES,
        help="the same for y (default: those that the run's y was trained with, or else --data)",
    )
    shared.add_common(parser, "of the draws and the noise (default: the run's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Judge the run and write its metrics."""
    opened = runs.Run.open(options.folder)
    import_tensorflow()
    source, target = opened.source(options.data), opened.target(options.data_y)
    model = opened.load_model()
    for option, side, images in (("--data", "x", source), ("--data-y", "y", target or source)):
        if images.test.image_shape != model.image_shape(side):
            raise ValueError(
                f"{option} should be images of shape {model.image_shape(side)}, as {side} was "
                f"trained with. Received: shape {images.test.image_shape}"
            )
    seed = opened.seed if options.seed is None else options.seed
    settings = {**opened.settings, "seed": seed}
    found = judged(model, source, settings, options.quiet, target)
    data = options.data or opened.settings["data"]
    data_y = options.data_y or opened.settings.get("data_y")
    path = write(opened.folder, found, data, data_y)
    values = {"run": str(opened.folder), "metrics_file": str(path), "metrics": found.to_dict()}
    return Result(f"{found.table()}\n\n{shared.lines({'metrics': path})}", values)


class Judged(NamedTuple):
    """What is known of a model on held-out images: the judge's report, and nats by name."""

    report: Report
    nats: dict[str, float]

    def to_dict(self) -> dict[str, Any]:
        """The report's plain numbers and `nats`."""
        return {**self.report.to_dict(), "nats": self.nats}

    def table(self) -> str:
        """Both as tables in plain text."""
        named = {name: f"{value:.3f}" for name, value in self.nats.items() if name != "rows"}
        return f"{self.report.table()}\n\nnats an example\n{shared.lines(named)}"


def judged(
    model: WynerModel,
    source: ImageSource,
    settings: Mapping[str, Any],
    quiet: bool,
    target: ImageSource | None = None,
) -> Judged:
    """The report on test images, of y from a target if there is one.

    Of a quick run it is on few of them, by a hasty judge.
    """
    from wyner_keras import evaluation

    quick = settings.get("asked", {}).get("quick", False)
    epochs, verbose = 2 if quick else None, shared.verbosity(quiet)
    judge, target_judge = (
        evaluation.judge_for(each, epochs=epochs, verbose=verbose)
        if each is not None and evaluation.judgeable(each)
        else None
        for each in (source, target)
    )
    report = evaluation.evaluate(
        model,
        source,
        target=target,
        label_map=settings["label_map"],
        judge=judge,
        target_judge=target_judge,
        **({"inputs": 200, "styles": 10, "concepts": 20} if quick else {}),
        seed=settings["seed"],
        verbose=not quiet,
    )
    return Judged(report, measured(model, source, settings, target))


def measured(
    model: WynerModel,
    source: ImageSource,
    settings: Mapping[str, Any],
    target: ImageSource | None = None,
) -> dict[str, float]:
    """What the latents hold of pairs of test images, nats; see `measure`."""
    from wyner_keras import information
    from wyner_keras.data import LabelledImages, label_map

    mapping, test, targets = settings["label_map"], source.test, (target or source).test
    # As in the report, images without a partner are left out.
    paired = np.isin(test.labels, [x for x, y in mapping.items() if y in targets.classes])
    images = LabelledImages(test.images[paired], test.labels[paired])
    pairs = label_map(images, mapping, targets=targets, seed=settings["seed"])
    return information.measure(model, pairs, seed=settings["seed"])


def write(folder: Path, found: Judged, data: str, data_y: str | None = None) -> Path:
    """Write a run folder's metrics."""
    of_y = {} if data_y is None else {"data_y": data_y}
    return write_json(folder / runs.METRICS, {"data": data, **of_y, **found.to_dict()})
