"""A sweep carried out: one run folder a configuration, each trained and judged once."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Collection, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wyner_keras import evaluation, information, runs, training
from wyner_keras.data import ImageSource, label_map
from wyner_keras.evaluation.classifier import Judge
from wyner_keras.files import to_json, whole, write_arrays, write_json
from wyner_keras.models import TrainingDiverged, WynerModel
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.sweeps.configurations import Configuration, Sweep
from wyner_keras.sweeps.sizes import Size
from wyner_keras.sweeps.stages import Shelf, last_shared, wrapper_key
from wyner_keras.training import Recipe

logger = logging.getLogger(__name__)

SETTINGS, SAMPLES = "sweeps.json", "samples.npz"
_SHOWN = 10  # samples an input in the pictures


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What the configurations of one folder have in common.

    Args:
        folder: holds `runs/<configuration>`, a run folder each; `wrappers/<key>.keras`, trained
            once for all that have the same; and, in the meantime, `stages/<key>`, of a `Shelf`.
        source: images to train on, and those that are judged.
        data: the name of the source, as `wyner_keras.data.load` takes it.
        mapping: label of x to label of y.
        size: how much of everything is done.
        seed: of what is judged and shown: the same test pairs and draws for all.
        verbose: of Keras' progress bars.
    """

    folder: Path
    source: ImageSource
    data: str
    mapping: Mapping[int, int]
    size: Size
    seed: int
    verbose: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What all sweeps of the folder have to agree in."""
        return {"data": self.data, "size": self.size.name, "seed": self.seed}

    def run_folder(self, configuration: Configuration) -> Path:
        """Where a configuration's run lies."""
        return self.folder / "runs" / configuration.name


def check_folder(folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> Path:
    """A folder for sweeps: a new one, or one that was begun with the same settings.

    Args:
        folder: its path; nothing is written.
        settings: as `Workshop.settings`.

    Returns:
        The path.

    Raises:
        ValueError: if there is something else, or the settings differ.
    """
    folder = Path(folder)
    if not (folder.exists() or folder.is_symlink()):
        return folder
    if folder.is_dir() and not any(folder.iterdir()):
        return folder
    try:
        begun = json.loads((folder / SETTINGS).read_text(encoding="utf-8"))
        differing = {name: begun[name] for name in settings if begun[name] != settings[name]}
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise ValueError(
            "`out` should be a new folder or one that `wyner figures` began. "
            f"Received: {str(folder)!r}"
        ) from error
    for name, value in differing.items():
        raise ValueError(
            f"`{name}` should be {value!r}, as {str(folder)!r} was begun, or `out` another "
            f"folder. Received: {name}={settings[name]!r}"
        )
    return folder


def carry_out(sweep: Sweep, workshop: Workshop) -> dict[str, dict[str, Any]]:
    """Train and judge what is not done yet; a killed call's work goes on where it was.

    Args:
        sweep: the configurations.
        workshop: where, and on what.

    Returns:
        By configuration: `seconds` of training by stage, `figures` of `evaluate`, `nats` and
        `shared_nats`, those of the alignment stage.

    Raises:
        ValueError: if the folder was begun otherwise, or a run of the same name trained so.
        TrainingDiverged: if a configuration's loss stops being finite.
    """
    check_folder(workshop.folder, workshop.settings)
    for configuration in sweep.configurations:
        _check_recipe(workshop, configuration)
    workshop.folder.mkdir(parents=True, exist_ok=True)
    write_json(workshop.folder / SETTINGS, workshop.settings)
    wrappers: dict[str, ConvAutoencoder | None] = {}
    judge: Judge | None = None
    shelf = Shelf(workshop.folder / "stages")
    for place, configuration in enumerate(sweep.configurations, 1):
        run = workshop.run_folder(configuration)
        done = "is there already" if run.exists() else "begins"
        logger.info("%d of %d: %s %s", place, len(sweep.configurations), configuration.name, done)
        if run.exists():
            continue
        name = wrapper_key(configuration.recipe)
        if name not in wrappers:
            wrappers[name] = _wrapper(workshop, configuration.recipe)
        if judge is None and evaluation.judgeable(workshop.source):
            judge = evaluation.judge_for(workshop.source, verbose=workshop.verbose)
        others = [one.recipe for one in _unfinished(sweep, workshop) if one != configuration]
        shared = {last_shared(configuration.recipe, other) for other in others}
        _carry_out_one(workshop, configuration, wrappers[name], judge, shelf, shared)
        gc.collect()  # a model is a cycle, and holds features and compiled graphs
        _tidy(shelf, sweep, workshop)
    _tidy(shelf, sweep, workshop)
    return {one.name: _read(workshop.run_folder(one)) for one in sweep.configurations}


def _unfinished(sweep: Sweep, workshop: Workshop) -> list[Configuration]:
    return [one for one in sweep.configurations if not workshop.run_folder(one).exists()]


def _tidy(shelf: Shelf, sweep: Sweep, workshop: Workshop) -> None:
    """Remove the shared stages that this sweep left and does not need any more."""
    left = _unfinished(sweep, workshop)
    done = [one.recipe for one in sweep.configurations if one not in left]
    shelf.tidy(done, [one.recipe for one in left])


def _check_recipe(workshop: Workshop, configuration: Configuration) -> None:
    """A run that is there, whole or begun, should be of the recipe that its name stands for."""
    run = workshop.run_folder(configuration)
    for folder in (run, runs.partial_folder(run)):
        if not folder.exists() or (folder != run and not (folder / runs.SETTINGS).exists()):
            continue
        found = runs.read_settings(folder)["recipe"]
        if found != json.loads(to_json(configuration.recipe.to_dict())):
            raise ValueError(
                f"{str(folder)!r} should hold a run of {configuration.name}'s recipe. "
                "Received: one of another recipe, by another version perhaps; remove it"
            )


def _wrapper(workshop: Workshop, recipe: Recipe) -> ConvAutoencoder | None:
    """The recipe's wrapper, trained once for all configurations of a folder that share it."""
    path = workshop.folder / "wrappers" / f"{wrapper_key(recipe)}.keras"
    if path.exists():
        return keras.saving.load_model(path, compile=False)
    wrapper, _ = training.train_wrapper(workshop.source, recipe, verbose=workshop.verbose)
    if wrapper is not None:
        path.parent.mkdir(exist_ok=True)
        with whole(path) as temporary:
            wrapper.save(temporary)
    return wrapper


def _carry_out_one(
    workshop: Workshop,
    configuration: Configuration,
    wrapper: ConvAutoencoder | None,
    judge: Judge | None,
    shelf: Shelf,
    shared: Collection[str | None],
) -> None:
    """Train and judge one; leave its model after the `shared` stages on the shelf."""
    run, recipe, mapping = (
        workshop.run_folder(configuration),
        configuration.recipe,
        workshop.mapping,
    )
    partial = runs.partial_folder(run)
    if not (partial / runs.SETTINGS).exists():
        runs.abandon_run(run)  # killed before its settings were written
        settings = runs.settings_of(
            recipe, data=workshop.data, label_map=mapping, seed=recipe.config.seed
        )
        runs.start_run(run, settings)
    checkpoint = partial / runs.CHECKPOINTS
    if not (partial / runs.HISTORY).exists():
        stage = shelf.take(recipe, checkpoint)
        if stage is not None:
            logger.info("%s goes on from a shared stage: %s", configuration.name, stage)

    def after_stage(stage: str) -> None:
        if stage in shared:
            shelf.put(recipe, stage, checkpoint)

    try:
        model, _ = training.train_kept(
            partial,
            workshop.source,
            recipe,
            mapping=mapping,
            wrapper=wrapper,
            after_stage=after_stage,
            verbose=workshop.verbose,
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{configuration.name}: {error}") from error
    metrics = _judged(workshop, model, judge)
    write_arrays(partial / SAMPLES, **_samples(workshop, model))
    write_json(partial / runs.METRICS, {"data": workshop.data, **metrics})
    runs.finish_run(run)


def _judged(workshop: Workshop, model: WynerModel, judge: Judge | None) -> dict[str, Any]:
    """The figures of test images, and how many nats the latents hold of test pairs."""
    size, seed = workshop.size, workshop.seed
    report = evaluation.evaluate(
        model,
        workshop.source,
        label_map=workshop.mapping,
        judge=judge,
        inputs=size.inputs,
        styles=size.styles,
        concepts=size.concepts,
        seed=seed,
        verbose=workshop.verbose > 0,
    )
    pairs = label_map(workshop.source.test, workshop.mapping, seed=seed)
    nats = information.measure(model, pairs, rows=size.inputs or len(pairs), seed=seed)
    return {**report.to_dict(), "nats": nats}


def _samples(workshop: Workshop, model: WynerModel) -> dict[str, np.ndarray]:
    """What the pictures show, 8 bits a channel: the same inputs for every configuration."""
    test, rng = workshop.source.test, np.random.default_rng(workshop.seed)
    inputs, styles, concepts = (
        test.images[[rng.choice(test.of_class(label)) for label in labels]]
        for labels in (test.classes, test.classes, list(workshop.mapping.values()))
    )
    samples = model.generate_y(inputs, seed=workshop.seed, samples=_SHOWN)
    results = model.transfer_x(style=styles, concept=concepts, seed=workshop.seed)
    shown = {
        **{"inputs": inputs, "samples": samples, "styles": styles},
        **{"concepts": concepts, "results": results},
    }
    return {name: np.rint(255 * images).astype(np.uint8) for name, images in shown.items()}


def _read(run: Path) -> dict[str, Any]:
    history = json.loads((run / runs.HISTORY).read_text(encoding="utf-8"))
    metrics = json.loads((run / runs.METRICS).read_text(encoding="utf-8"))
    figures = {name: figure["model"] for name, figure in metrics["figures"].items()}
    return {
        "seconds": history["seconds"],
        "figures": figures,
        "nats": metrics["nats"],
        "shared_nats": history["shared_nats"],
    }


def shown(workshop: Workshop, configuration: Configuration) -> dict[str, np.ndarray]:
    """The images of a finished configuration's pictures, in [0, 1]."""
    with np.load(workshop.run_folder(configuration) / SAMPLES) as arrays:
        return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}
