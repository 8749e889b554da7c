"""`wyner evaluate`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any, NamedTuple

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import Result
from wyner_keras.files import write_json

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.evaluation import Report
    from wyner_keras.model import WynerModel

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Judge a trained model on pairs that it was not trained on, and write RUN/metrics.json anew. Figures
of other pairs than those held out when it was trained are printed, and nothing is written: what
reads RUN/metrics.json takes it for the run's own. It is said where such pairs were trained on.

Beside each figure of the model stands what it is to be compared with. Where labels are known, the
judge is a classifier, trained on the training pairs alone and cached (in the folder that the
environment variable WYNER_CACHE_DIR names, or the user's cache folder). How many nats each latent
holds is measured on the same pairs. What the pairs do not allow is left out and named.
"""


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "evaluate",
        help="judge a trained model on held-out pairs",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner evaluate runs/mine --json"),
    )
    parser.add_argument("folder", metavar="RUN", help="run folder of `wyner train`")
    shared.add_source(parser, "those held out when the run was trained")
    shared.add_common(parser, "of the draws and the noise (default: the run's)")
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Judge the run and write its metrics."""
    opened = runs.Run.open(options.folder)
    source = _source(opened.source, options)
    import_tensorflow()
    train, held_out = opened.pairs() if source == opened.source else source.load()
    own = source == opened.source or opened.held_out_are(train, held_out)
    known = 0 if own else _known(opened, held_out)
    seed = opened.seed if options.seed is None else options.seed
    settings = {**opened.settings, "seed": seed}
    found = judged(opened.load_model(), train, held_out, settings, options.quiet)
    path = write(opened.folder, found, opened.source) if own else None
    values = {
        "run": str(opened.folder),
        "metrics_file": None if path is None else str(path),
        "trained_on": known,
        "metrics": found.to_dict(),
    }
    kept = path or "not kept: these are not the pairs held out when the run was trained"
    return Result(f"{found.table()}\n\n{shared.lines({'metrics': kept})}", values)


def _known(run: runs.Run, held_out: Pairs) -> int | None:
    """How many pairs the run was trained on; None where its own data are gone."""
    from wyner_keras.evaluation.known import trained_on

    try:
        own, _ = run.pairs()
    except ValueError as error:
        logger.warning("Whether the model was trained on these pairs cannot be told: %s", error)
        return None
    known = int(trained_on(held_out, own).sum())
    if known:
        logger.warning(
            "%d of the %d pairs are like pairs that the model was trained on: figures are better "
            "than on new pairs",
            known,
            len(held_out),
        )
    return known


def _source(trained_on: runs.Source, options: argparse.Namespace) -> runs.Source:
    """Where the pairs come from: what is said replaces what the run was trained on."""
    said = shared.said(options)
    if not said:
        return trained_on
    labelled = {"data", "data_y", "map"} & set(said)
    if labelled if trained_on.data else not {"pairs", "x", "y", "data"} & set(said):
        return dataclasses.replace(trained_on, **said)
    keeps = {} if labelled else {"kinds": trained_on.kinds, "missing": trained_on.missing}
    return runs.Source(**{**keeps, **said}, seed=trained_on.seed, quick=trained_on.quick)


class Judged(NamedTuple):
    """What is known of a model on held-out pairs: the report, and nats by name."""

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
    model: WynerModel, train: Pairs, held_out: Pairs, settings: Mapping[str, Any], quiet: bool
) -> Judged:
    """The report on held-out pairs; of a quick run on few of them, by hasty judges."""
    from wyner_keras import evaluation, information

    few: dict[str, Any] = {}
    nats: dict[str, Any] = {"seed": settings["seed"]}
    if settings.get("asked", {}).get("quick", False):
        few = {"inputs": 200 if len(held_out) > 200 else None, "styles": 10, "concepts": 20}
        few["bounds"] = False  # their graphs take longer to build than all other figures
        nats["contrasted"] = 100
        few["judges"] = evaluation.judges_for(train, epochs=2, verbose=shared.verbosity(quiet))
    report = evaluation.evaluate(
        model, held_out, train=train, seed=settings["seed"], verbose=not quiet, **few
    )
    return Judged(report, information.measure(model, held_out, **nats))


def write(folder: Path, found: Judged, source: runs.Source) -> Path:
    """Write a run folder's metrics."""
    return write_json(folder / runs.METRICS, {"data": source.to_dict(), **found.to_dict()})
