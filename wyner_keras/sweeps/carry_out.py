"""A sweep carried out: one run folder a configuration, each trained and judged once."""

from __future__ import annotations

import gc
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wyner_keras import evaluation, information, runs, training
from wyner_keras.data import ImageSource, label_map
from wyner_keras.evaluation.classifier import Judge
from wyner_keras.models import TrainingDiverged, WynerModel
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.sweeps.configurations import Configuration, Size, Sweep
from wyner_keras.training import Recipe

logger = logging.getLogger(__name__)

SETTINGS, SAMPLES = "sweeps.json", "samples.npz"
_SHOWN = 10  # samples an input in the pictures


@dataclass(frozen=True, kw_only=True)
class Workshop:
    """What the configurations of one folder have in common.

    Args:
        folder: holds `runs/<configuration>`, a run folder each, and `wrappers/<recipe>.keras`.
        source: images to train on, and those that are judged.
        data: the name of the source, as `wyner_keras.data.load` takes it.
        mapping: label of x to label of y.
        size: how much of everything is done.
        seed: of pairs, weights, noise and draws.
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
        By configuration: `seconds` of training by stage, `figures` of the judge and `nats`.

    Raises:
        ValueError: if the folder was begun otherwise, or a run of the same name trained so.
        TrainingDiverged: if a configuration's loss stops being finite.
    """
    check_folder(workshop.folder, workshop.settings)
    for configuration in sweep.configurations:
        _check_recipe(workshop, configuration)
    workshop.folder.mkdir(parents=True, exist_ok=True)
    runs.write_json(workshop.folder / SETTINGS, workshop.settings)
    wrappers: dict[str, ConvAutoencoder | None] = {}
    judge = None
    for place, configuration in enumerate(sweep.configurations, 1):
        run = workshop.run_folder(configuration)
        done = "is there already" if run.exists() else "begins"
        logger.info("%d of %d: %s %s", place, len(sweep.configurations), configuration.name, done)
        if run.exists():
            continue
        name = configuration.recipe.name
        if name not in wrappers:
            wrappers[name] = _wrapper(workshop, configuration.recipe)
        judge = judge or evaluation.judge_for(workshop.source, verbose=workshop.verbose)
        _carry_out_one(workshop, configuration, wrappers[name], judge)
        gc.collect()  # a model is a cycle, and holds features and compiled graphs
    return {one.name: _read(workshop.run_folder(one)) for one in sweep.configurations}


def _check_recipe(workshop: Workshop, configuration: Configuration) -> None:
    """A run that is there, whole or begun, should be of the recipe that its name stands for."""
    run = workshop.run_folder(configuration)
    for folder in (run, runs.partial_folder(run)):
        if not folder.exists() or (folder != run and not (folder / runs.SETTINGS).exists()):
            continue
        found = runs.read_settings(folder)["recipe"]
        if found != json.loads(runs.to_json(configuration.recipe.to_dict())):
            raise ValueError(
                f"{str(folder)!r} should hold a run of {configuration.name}'s recipe. "
                "Received: one of another recipe, by another version perhaps; remove it"
            )


def _wrapper(workshop: Workshop, recipe: Recipe) -> ConvAutoencoder | None:
    """The recipe's wrapper, trained once for all configurations of a folder."""
    path = workshop.folder / "wrappers" / f"{recipe.name}.keras"
    if path.exists():
        return keras.saving.load_model(path, compile=False)
    wrapper, _ = training.train_wrapper(workshop.source, recipe, verbose=workshop.verbose)
    if wrapper is not None:
        path.parent.mkdir(exist_ok=True)
        temporary = path.with_name(f".{recipe.name}.tmp.keras")
        wrapper.save(temporary)
        os.replace(temporary, path)
    return wrapper


def _carry_out_one(
    workshop: Workshop,
    configuration: Configuration,
    wrapper: ConvAutoencoder | None,
    judge: Judge,
) -> None:
    run, recipe, mapping = (
        workshop.run_folder(configuration),
        configuration.recipe,
        workshop.mapping,
    )
    partial = runs.partial_folder(run)
    if not (partial / runs.SETTINGS).exists():
        runs.abandon_run(run)  # killed before its settings were written
        settings = runs.settings_of(
            recipe, data=workshop.data, label_map=mapping, seed=workshop.seed
        )
        runs.start_run(run, settings)
    try:
        model, _ = training.train_kept(
            partial,
            workshop.source,
            recipe,
            mapping=mapping,
            wrapper=wrapper,
            verbose=workshop.verbose,
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{configuration.name}: {error}") from error
    metrics = _judged(workshop, model, judge)
    runs.write_arrays(partial / SAMPLES, **_samples(workshop, model))
    runs.write_json(partial / runs.METRICS, {"data": workshop.data, **metrics})
    runs.finish_run(run)


def _judged(workshop: Workshop, model: WynerModel, judge: Judge) -> dict[str, Any]:
    """The judge's figures, and how many nats the latents hold of test pairs."""
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
    return {"seconds": history["seconds"], "figures": figures, "nats": metrics["nats"]}


def shown(workshop: Workshop, configuration: Configuration) -> dict[str, np.ndarray]:
    """The images of a finished configuration's pictures, in [0, 1]."""
    with np.load(workshop.run_folder(configuration) / SAMPLES) as arrays:
        return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}
