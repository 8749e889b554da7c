"""`wyner train`."""

from __future__ import annotations

import argparse
import contextlib
import dataclasses
import logging
import os
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing, write_json
from wyner_keras.received import received
from wyner_serving.whole import held

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.data.stream import Worker
    from wyner_keras.model import WynerModel
    from wyner_keras.recipe import Recipe

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Train a W-model on pairs (x, y), judge it on pairs held out, and draw what it generates.

Images, vectors (columns of a table) and series, each side of its own kind; the recipe is chosen
from the data. RUN is made as a whole: until the training is finished and judged it is called
RUN.partial, which stays behind when the training is killed or fails. `wyner train --out RUN
--resume` goes on with it, in the settings that it was started with: the interrupted stage from
its last finished epoch; finished stages are not repeated, and a finished training is only judged.
To start afresh, remove RUN.partial.

On JAX several processes train one model: the same command for each, with the same RUN and data, and
--workers. The first worker writes RUN, judges and draws. When one of them stops, all do; the same
commands with --resume go on.
"""

# What may be left out, and must agree with the first call when a run is resumed.
_OPTIONS = (*shared.SOURCE, "seed", "longer", "budget", "quick")


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model and write a run folder",
        description=_DESCRIPTION,
        epilog=shared.examples(
            "wyner train --pairs DIR --out runs/mine          (DIR/x/NAME.png with DIR/y/NAME.png)",
            "wyner train --pairs pairs.csv --budget 5min --out runs/short",
        ),
    )
    parser.add_argument("--out", required=True, metavar="RUN", help="folder to write; must be new")
    shared.add_source(parser, "--data mnist")
    shared.add_common(parser, "of weights, pairs and noise; same seed, same model (default: 0)")
    epochs = parser.add_mutually_exclusive_group()
    epochs.add_argument(
        "--longer",
        type=shared.factor,
        metavar="FACTOR",
        help="FACTOR times the recipe's epochs, of the codecs and of every stage (default: 1)",
    )
    parser.add_argument(
        "--budget",
        metavar="TIME",
        help="train for this long at most, 90s, 5min or 2h: fewer epochs where the recipe would "
        "take longer, and a random share of the pairs where one of each stage would",
    )
    epochs.add_argument(
        "--quick",
        action="store_const",
        const=True,
        help="one epoch of everything on few pairs: tries the path out, learns nothing",
    )
    parser.add_argument("--resume", action="store_true", help="go on from RUN.partial")
    parser.add_argument(
        "--no-evaluate", action="store_true", help="leave the judging to `wyner evaluate`"
    )
    group = parser.add_argument_group("workers", "Several processes, on one machine or many.")
    group.add_argument(
        "--workers",
        metavar="HOST:PORT,…|auto",
        help="one address a worker, that of the first first; auto takes what Slurm or Open MPI "
        "says of the processes that it starts. Without it JAX_COORDINATOR_ADDRESS, "
        "JAX_NUM_PROCESSES and JAX_PROCESS_ID count where they are set",
    )
    group.add_argument(
        "--worker", type=shared.whole, metavar="I", help="which of --workers this is, from 0"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Train, draw, judge, and give the run folder its name."""
    with contextlib.ExitStack() as holding:
        return _run(options, holding)


def _run(options: argparse.Namespace, holding: contextlib.ExitStack) -> Result:
    """What `run` does; the partial folder is held as soon as it is there."""
    out = refuse_existing(options.out)
    asked = shared.said(options, _OPTIONS)
    if options.resume:
        partial, settings = _resumed(out, asked)
        source = runs.Source.from_dict(settings["data"])
        own = _joined(options)
        if own.first:
            holding.enter_context(held(partial))
        train, held_out = runs.pairs_of(partial, settings)
    else:
        runs.refuse_started(out)
        source = _source(asked)
        own = _joined(options)
        train, held_out = source.load()
        partial, settings = _started(out, source, (train, held_out), asked, own)
        if own.first:
            holding.enter_context(held(partial))
    logger.info("Training on %r; held out: %d pairs", train, len(held_out))
    if not own.first:
        _, history = _model(partial, train, settings, options)
        seconds = history["seconds"]
        return Result(f"worker {own.place} is done; the first goes on", {"seconds": seconds})
    try:
        model, history = _model(partial, train, settings, options)
        from wyner_keras.cli import outputs

        runs.save_examples(partial, held_out)
        pictures = outputs.draw(model, held_out, partial / runs.PICTURES, settings["seed"])
        found = None
        if not options.no_evaluate:
            from wyner_keras.cli import evaluate

            found = evaluate.judged(model, train, held_out, settings, options.quiet)
            evaluate.write(partial, found, source)
        runs.finish_run(out)
    except BaseException as error:
        kept = runs.abandon_run(out)
        hint = f"What was reached is kept in {kept}; `--resume` goes on from it." if kept else ""
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(hint) from error
        if kept:
            logger.warning("%s", hint)
        raise
    paths = {"run": str(out)} | {
        name: str(out / runs.PICTURES / path.name) for name, path in pictures.items()
    }
    seconds = history["seconds"]
    table = f"{found.table()}\n\n" if found else ""
    text = f"{table}{shared.lines({'trained in': f'{sum(seconds.values()):.0f} s', **paths})}"
    metrics = found.to_dict() if found else None
    return Result(text, {**paths, "seconds": seconds, "metrics": metrics})


def _joined(options: argparse.Namespace) -> Worker:
    """The worker that this process is, the only one where no others are named."""
    import_tensorflow()
    from wyner_keras.backend import workers
    from wyner_keras.budget import parse_budget

    parse_budget(1 if options.budget is None else options.budget)
    named = options.workers is not None or "JAX_COORDINATOR_ADDRESS" in os.environ
    if not named and options.worker is None:
        return workers.worker()
    if options.budget is not None:
        raise ValueError(
            "--budget should be left out beside --workers, each of which has a clock of its own. "
            f"Received: {options.budget}"
        )
    return workers.join(None if options.workers == "auto" else options.workers, options.worker)


def _started(
    out: Path,
    source: runs.Source,
    pairs: tuple[Pairs, Pairs],
    asked: dict[str, Any],
    own: Worker,
) -> tuple[Path, dict[str, Any]]:
    """The partial folder and its settings, which the first worker writes and the others read."""
    from wyner_keras.backend import workers

    if own.first:
        more: dict[str, Any] = {"workers": own.count} if own.count > 1 else {}
        more |= runs.seen(*pairs)
        settings = runs.settings_of(_recipe(pairs[0], asked), source, asked=asked, **more)
        partial = runs.start_run(out, settings)
    workers.agree("command", asked)
    if not own.first:
        partial = runs.partial_folder(out)
        settings = runs.read_settings(partial)
    return partial, settings


def _source(asked: dict[str, Any]) -> runs.Source:
    said = {name: asked[name] for name in shared.SOURCE if name in asked}
    if not {"pairs", "x", "y", "data"} & set(said):
        said["data"] = "mnist"
    quick = asked.get("quick", False)
    return runs.Source(**said, quick=quick, seed=asked.get("seed", 0))


def _resumed(out: Path, asked: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    partial = runs.partial_folder(out)
    if not partial.is_dir():
        raise ValueError(f"--resume should find {partial}. Received: no such folder")
    settings = runs.read_settings(partial)
    first = settings.get("asked", {})
    if not isinstance(first, dict):
        raise ValueError(
            f"{partial} should hold what was asked, by name. Received: {received(first)}"
        )
    usual = {"seed": settings["seed"], "longer": 1.0, **settings["data"]}
    for name, value in asked.items():
        # Another way to say the same path, or what was left out then, is no other value.
        same = [value, os.path.abspath(value)] if isinstance(value, str) else [value]
        if value != first.get(name) and usual.get(name) not in same:
            raise ValueError(
                f"--{name.replace('_', '-')} should be as at the start of the run, "
                f"{first.get(name)!r}, or left out. Received: {value!r}"
            )
    return partial, settings


def _recipe(train: Pairs, asked: dict[str, Any]) -> Recipe:
    from wyner_keras import recipes

    chosen = recipes.default(train.facts(), seed=asked.get("seed", 0))
    if not asked.get("quick"):
        return chosen.scaled(asked.get("longer", 1.0))
    stages = [
        dataclasses.replace(stage, epochs=1, passes=1, batch_size=min(stage.batch_size, 128))
        for stage in chosen.stages
    ]
    codecs = {
        name: codec and dataclasses.replace(codec, epochs=1)
        for name, codec in chosen.codecs.items()
    }
    return dataclasses.replace(chosen, stages=tuple(stages), codecs=codecs)


def _model(
    partial: Path, train: Pairs, settings: dict[str, Any], options: argparse.Namespace
) -> tuple[WynerModel, dict[str, Any]]:
    """The trained model and what `history.json` holds; trained only where that is not done yet."""
    from wyner_keras import TrainingDiverged, training
    from wyner_keras.backend import workers
    from wyner_keras.callbacks import TimeLeft

    if (partial / runs.HISTORY).is_file():
        workers.leave()
        history = runs.read_history(partial)
        return runs.load_model(partial / runs.MODEL), history
    recipe = runs.Run(partial, settings).recipe
    names = [stage.name for stage in recipe.stages]
    budget = settings.get("asked", {}).get("budget")
    try:
        trained = training.train(
            train,
            recipe,
            folder=partial / runs.CHECKPOINTS,
            **({"budget": budget} if budget else {}),
            callbacks=lambda name: [TimeLeft(name, names.index(name) + 1, len(names))],
            verbose=shared.verbosity(options.quiet),
        )
    except TrainingDiverged as error:
        raise CommandFailed(str(error)) from error
    if trained.recipe != recipe:  # shortened to the budget
        write_json(partial / runs.SETTINGS, {**settings, "recipe": trained.recipe.to_dict()})
    history = {
        "history": trained.history,
        "seconds": trained.seconds,
        "shared_nats": trained.shared_nats,
        "found": trained.found,
    }
    if workers.worker().first:
        runs.save_trained(partial, trained.model, history)
    workers.leave()
    return trained.model, history
