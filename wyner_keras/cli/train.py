"""`wyner train`."""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import CommandFailed, Result
from wyner_keras.files import refuse_existing

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource
    from wyner_keras.models import WynerModel
    from wyner_keras.training import Recipe

logger = logging.getLogger(__name__)

_DESCRIPTION = """\
Train a W-model on pairs of images, judge it on images held out, and draw what it generates.

RUN is made as a whole: until the training is finished and judged it is called RUN.partial,
which stays behind when the training is killed or fails. `wyner train --out RUN --resume` goes
on with it, in the settings that it was started with: the interrupted stage from its last
finished epoch; finished stages are not repeated, and a finished training is only judged.
To start afresh, remove RUN.partial.
"""

# What may be left out, and must agree with the first call when a run is resumed.
_DEFAULTS: dict[str, Any] = {
    "data": "mnist",
    "data_y": None,
    "recipe": "annealed",
    "local": None,
    "map": "add-one",
    "seed": 0,
    "longer": 1.0,
    "quick": False,
}


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "train",
        help="train a model and write a run folder",
        description=_DESCRIPTION,
        formatter_class=argparse.RawDescriptionHelpFormatter,
    )
    parser.add_argument("--out", required=True, metavar="RUN", help="folder to write; must be new")
    parser.add_argument(
        "--data",
        metavar=shared.SOURCES,
        help="images by label: MNIST (28x28), the digits that ship with scikit-learn (8x8), either "
        "turned by 90° to the left (…-rotated), or a folder FOLDER/<label>/*.png of .png, .jpg, "
        ".bmp, .webp, .tif or .gif files of one size, of 8 bits a channel, grey ones also of 16; "
        "each is turned upright by its EXIF orientation, and what is transparent shows a white "
        "ground (default: mnist)",
    )
    parser.add_argument(
        "--data-y",
        metavar=shared.SOURCES,
        help="the same for y, of any shape (default: y is drawn from --data too)",
    )
    parser.add_argument(
        "--recipe",
        metavar="annealed|paper",
        help="how to train: what works best, or exactly the paper's settings (default: annealed)",
    )
    parser.add_argument(
        "--local",
        type=shared.local_size,
        metavar="NxK",
        help="sizes of U and V in the paper's recipe, N variables with K categories each; the "
        "paper says both 20x10 and 2x10",
    )
    parser.add_argument(
        "--map",
        type=shared.map_text,
        metavar="MAP",
        help="which label of y goes with a label of x: add-one, same, an expression such as 3n+2 "
        "(modulo the number of classes), pairs such as 0:1,1:2,2:0, or a JSON object or file "
        "(default: add-one)",
    )
    shared.add_common(parser, "of weights, pairs and noise; same seed, same model (default: 0)")
    parser.add_argument(
        "--longer",
        type=shared.factor,
        metavar="FACTOR",
        help="FACTOR times the recipe's epochs, of the wrapper and of every stage (default: 1)",
    )
    parser.add_argument(
        "--quick",
        action="store_const",
        const=True,
        help="one epoch of everything on few pairs: tries the path out, learns nothing",
    )
    parser.add_argument("--resume", action="store_true", help="go on from RUN.partial")
    parser.add_argument(
        "--no-evaluate", action="store_true", help="leave the judging to `wyner evaluate`"
    )
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Train, draw, judge, and give the run folder its name."""
    out = refuse_existing(options.out)
    given = {name: getattr(options, name) for name in _DEFAULTS}
    if options.resume:
        partial, settings = _resumed(out, given)
        source, target = _sources(settings["data"], settings.get("data_y"))
    else:
        runs.refuse_started(out)
        asked = {name: _DEFAULTS[name] if value is None else value for name, value in given.items()}
        source, target, settings = _settings(asked)
        partial = runs.start_run(out, settings)
    try:
        model, history = _model(partial, source, target, settings, options)
        from wyner_keras.cli import pictures

        runs.save_examples(partial, source.test, (target or source).test)
        folder = partial / runs.FIGURES
        figures = pictures.draw(model, source, folder, settings["seed"], target)
        found = None
        if not options.no_evaluate:
            from wyner_keras.cli import evaluate

            found = evaluate.judged(model, source, settings, options.quiet, target)
            evaluate.write(partial, found, settings["data"], settings.get("data_y"))
    except BaseException as error:
        kept = runs.abandon_run(out)
        hint = f"What was reached is kept in {kept}; `--resume` goes on from it." if kept else ""
        if isinstance(error, KeyboardInterrupt):
            raise KeyboardInterrupt(hint) from error
        if kept:
            logger.warning("%s", hint)
        raise
    runs.finish_run(out)
    paths = {"run": str(out)} | {
        name: str(out / runs.FIGURES / path.name) for name, path in figures.items()
    }
    seconds = history["seconds"]
    table = f"{found.table()}\n\n" if found else ""
    text = f"{table}{shared.lines({'trained in': f'{sum(seconds.values()):.0f} s', **paths})}"
    metrics = found.to_dict() if found else None
    return Result(text, {**paths, "seconds": seconds, "metrics": metrics})


def _resumed(out: Path, given: dict[str, Any]) -> tuple[Path, dict[str, Any]]:
    partial = runs.partial_folder(out)
    if not partial.is_dir():
        raise ValueError(f"--resume should find {partial}. Received: no such folder")
    settings = runs.read_settings(partial)
    first = settings.get("asked", {})
    for name, value in given.items():
        if value is not None and value != first.get(name):
            option = name.replace("_", "-")
            raise ValueError(
                f"--{option} should be as at the start of the run, {first.get(name)!r}, or left "
                f"out. Received: {value!r}"
            )
    return partial, settings


def _sources(data: str, data_y: str | None) -> tuple[ImageSource, ImageSource | None]:
    """Where x is drawn from, and y if from elsewhere."""
    import_tensorflow()
    from wyner_keras.data import load, whole_name

    other = data_y is not None and whole_name(data_y) != whole_name(data)
    return load(data), load(data_y) if other else None


def _settings(asked: dict[str, Any]) -> tuple[ImageSource, ImageSource | None, dict[str, Any]]:
    source, target = _sources(asked["data"], asked["data_y"])
    from wyner_keras.training import recipe

    local = asked["local"] and tuple(int(size) for size in asked["local"].split("x"))
    chosen = recipe(
        asked["recipe"],
        shared.like(source.train.image_shape),
        data_y=None if target is None else shared.like(target.train.image_shape),
        local=local,
        seed=asked["seed"],
    ).longer(asked["longer"])
    if asked["quick"]:
        chosen = _quick(chosen)
    mapping = shared.label_map(asked["map"], source.train.classes)
    settings = runs.settings_of(
        chosen,
        data=asked["data"],
        data_y=asked["data_y"] if target else None,
        label_map=mapping,
        seed=asked["seed"],
        asked=asked,
    )
    return source, target, settings


def _quick(recipe: Recipe) -> Recipe:
    from wyner_keras.training.settings import STAGES

    few: dict[str, Any] = {"pairs_per_class": min(recipe.pairs_per_class, 64)}
    for name in ("wrapper", "wrapper_y", *STAGES):
        stage = getattr(recipe, name)
        few[name] = stage and dataclasses.replace(
            stage, epochs=1, batch_size=min(stage.batch_size, 128)
        )
    return dataclasses.replace(recipe, **few)


def _model(
    partial: Path,
    source: ImageSource,
    target: ImageSource | None,
    settings: dict[str, Any],
    options: argparse.Namespace,
) -> tuple[WynerModel, dict[str, Any]]:
    """The trained model and what `history.json` holds; trained only where that is not done yet."""
    from wyner_keras import training
    from wyner_keras.models import TrainingDiverged

    try:
        return training.train_kept(
            partial,
            source,
            training.Recipe.from_dict(settings["recipe"]),
            mapping=settings["label_map"],
            target=target,
            verbose=shared.verbosity(options.quiet),
        )
    except TrainingDiverged as error:
        raise CommandFailed(str(error)) from error
