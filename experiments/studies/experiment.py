"""A sweep trained and judged in a folder: one run folder for each configuration."""

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

from experiments.studies.sizes import Size
from experiments.studies.stage_cache import StageCache, last_shared, wrapper_key
from experiments.studies.sweep import Configuration, Sweep
from wyner_keras import evaluation, information, runs, training
from wyner_keras.data import ImageSource, label_map
from wyner_keras.evaluation import Judge
from wyner_keras.files import to_json, whole, write_arrays, write_json
from wyner_keras.models import TrainingDiverged, WynerModel
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.training import Recipe

logger = logging.getLogger(__name__)

SETTINGS, SAMPLES = "sweeps.json", "samples.npz"
_SAMPLES_SHOWN = 10  # for each input of a picture


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What all configurations of a folder have in common.

    Args:
        folder: holds `runs/<configuration>`, a run folder each, and `wrappers/<key>.keras`,
            trained once for all that share it; while a sweep runs, also a `StageCache` in `stages`.
        source: training images, and test images that are judged.
        data: the name of the source, as `wyner_keras.data.load` takes it.
        mapping: label of x to label of y.
        size: limits on what is trained and judged.
        seed: of the test pairs and draws, which are the same for all configurations.
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
        """The run folder of a configuration."""
        return self.folder / "runs" / configuration.name

    def load_samples(self, configuration: Configuration) -> dict[str, np.ndarray]:
        """The images that a finished configuration shows in pictures, in [0, 1], by name."""
        with np.load(self.run_folder(configuration) / SAMPLES) as arrays:
            return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}


def check_folder(folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> Path:
    """Check that a folder is new, or was begun with the same settings. Nothing is written.

    Args:
        folder: its path.
        settings: as `Experiment.settings`.

    Returns:
        The path.

    Raises:
        ValueError: if it holds something else, or the settings differ.
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
            "`out` should be a new folder or one that `experiments.figures` began. "
            f"Received: {str(folder)!r}"
        ) from error
    for name, value in differing.items():
        raise ValueError(
            f"`{name}` should be {value!r}, as {str(folder)!r} was begun, or `out` another "
            f"folder. Received: {name}={settings[name]!r}"
        )
    return folder


def run_sweep(sweep: Sweep, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """Train and judge every configuration that is not finished yet.

    A killed call's work is kept: the next call goes on where it was.

    Args:
        sweep: the configurations.
        experiment: where and on what they are trained.

    Returns:
        By configuration: `seconds` of training by stage, `figures` of `evaluate`, `nats`, and
        `shared_nats` of the alignment stage.

    Raises:
        ValueError: if the folder was begun otherwise, or holds a run of the same name and another
            recipe.
        TrainingDiverged: if a configuration's loss stops being finite.
    """
    check_folder(experiment.folder, experiment.settings)
    for configuration in sweep.configurations:
        _check_recipe(experiment, configuration)
    experiment.folder.mkdir(parents=True, exist_ok=True)
    write_json(experiment.folder / SETTINGS, experiment.settings)
    wrappers: dict[str, ConvAutoencoder | None] = {}
    judge: Judge | None = None
    cache = StageCache(experiment.folder / "stages")
    for number, configuration in enumerate(sweep.configurations, 1):
        finished = experiment.run_folder(configuration).exists()
        logger.info(
            "%d of %d: %s %s",
            number,
            len(sweep.configurations),
            configuration.name,
            "is there already" if finished else "begins",
        )
        if finished:
            continue
        key = wrapper_key(configuration.recipe)
        if key not in wrappers:
            wrappers[key] = _wrapper(experiment, configuration.recipe)
        if judge is None and evaluation.judgeable(experiment.source):
            judge = evaluation.judge_for(experiment.source, verbose=experiment.verbose)
        shared = {
            last_shared(configuration.recipe, other.recipe)
            for other in _unfinished(sweep, experiment)
            if other != configuration
        }
        _run_configuration(experiment, configuration, wrappers[key], judge, cache, shared)
        gc.collect()  # a model is a cycle, and holds features and compiled graphs
        _tidy(cache, sweep, experiment)
    _tidy(cache, sweep, experiment)
    return {each.name: _read_results(experiment.run_folder(each)) for each in sweep.configurations}


def _unfinished(sweep: Sweep, experiment: Experiment) -> list[Configuration]:
    return [each for each in sweep.configurations if not experiment.run_folder(each).exists()]


def _tidy(cache: StageCache, sweep: Sweep, experiment: Experiment) -> None:
    """Remove the stages that this sweep cached and no unfinished configuration needs."""
    unfinished = _unfinished(sweep, experiment)
    finished = [each.recipe for each in sweep.configurations if each not in unfinished]
    cache.tidy(finished, [each.recipe for each in unfinished])


def _check_recipe(experiment: Experiment, configuration: Configuration) -> None:
    """Check that a run of this name, finished or begun, has the recipe that the name stands for."""
    run = experiment.run_folder(configuration)
    for folder in (run, runs.partial_folder(run)):
        if not folder.exists() or (folder != run and not (folder / runs.SETTINGS).exists()):
            continue
        if runs.read_settings(folder)["recipe"] != json.loads(
            to_json(configuration.recipe.to_dict())
        ):
            raise ValueError(
                f"{str(folder)!r} should hold a run of {configuration.name}'s recipe. "
                "Received: one of another recipe, by another version perhaps; remove it"
            )


def _wrapper(experiment: Experiment, recipe: Recipe) -> ConvAutoencoder | None:
    """The recipe's wrapper, trained once for all configurations of the folder that share it."""
    path = experiment.folder / "wrappers" / f"{wrapper_key(recipe)}.keras"
    if path.exists():
        return keras.saving.load_model(path, compile=False)
    wrapper, _ = training.train_wrapper(experiment.source, recipe, verbose=experiment.verbose)
    if wrapper is not None:
        path.parent.mkdir(exist_ok=True)
        with whole(path) as temporary:
            wrapper.save(temporary)
    return wrapper


def _run_configuration(
    experiment: Experiment,
    configuration: Configuration,
    wrapper: ConvAutoencoder | None,
    judge: Judge | None,
    cache: StageCache,
    shared: Collection[str | None],
) -> None:
    """Train and judge one configuration; cache its model after each of the `shared` stages."""
    run, recipe = experiment.run_folder(configuration), configuration.recipe
    partial = runs.partial_folder(run)
    if not (partial / runs.SETTINGS).exists():
        runs.abandon_run(run)  # killed before its settings were written
        settings = runs.settings_of(
            recipe,
            data=experiment.data,
            label_map=experiment.mapping,
            seed=recipe.config.seed,
        )
        runs.start_run(run, settings)
    checkpoint = partial / runs.CHECKPOINTS
    if not (partial / runs.HISTORY).exists():
        stage = cache.restore(recipe, checkpoint)
        if stage is not None:
            logger.info("%s goes on from a shared stage: %s", configuration.name, stage)

    def after_stage(stage: str) -> None:
        if stage in shared:
            cache.store(recipe, stage, checkpoint)

    try:
        model, _ = training.train_kept(
            partial,
            experiment.source,
            recipe,
            mapping=experiment.mapping,
            wrapper=wrapper,
            after_stage=after_stage,
            verbose=experiment.verbose,
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{configuration.name}: {error}") from error
    metrics = _judge(experiment, model, judge)
    write_arrays(partial / SAMPLES, **_draw_samples(experiment, model))
    write_json(partial / runs.METRICS, {"data": experiment.data, **metrics})
    runs.finish_run(run)


def _judge(experiment: Experiment, model: WynerModel, judge: Judge | None) -> dict[str, Any]:
    """Figures on test images, and how many nats the latents hold of test pairs."""
    source, size, seed = experiment.source, experiment.size, experiment.seed
    report = evaluation.evaluate(
        model,
        source,
        label_map=experiment.mapping,
        judge=judge,
        inputs=size.inputs,
        styles=size.styles,
        concepts=size.concepts,
        seed=seed,
        verbose=experiment.verbose > 0,
    )
    pairs = label_map(source.test, experiment.mapping, seed=seed)
    nats = information.measure(model, pairs, rows=size.inputs or len(pairs), seed=seed)
    return {**report.to_dict(), "nats": nats}


def _draw_samples(experiment: Experiment, model: WynerModel) -> dict[str, np.ndarray]:
    """What pictures show, 8 bits a channel; the same inputs for every configuration."""
    test, rng = experiment.source.test, np.random.default_rng(experiment.seed)
    inputs, styles, concepts = (
        test.images[[rng.choice(test.of_class(label)) for label in labels]]
        for labels in (test.classes, test.classes, list(experiment.mapping.values()))
    )
    images = {
        "inputs": inputs,
        "samples": model.generate_y(inputs, seed=experiment.seed, samples=_SAMPLES_SHOWN),
        "styles": styles,
        "concepts": concepts,
        "results": model.transfer_x(style=styles, concept=concepts, seed=experiment.seed),
    }
    return {name: np.rint(255 * array).astype(np.uint8) for name, array in images.items()}


def _read_results(run: Path) -> dict[str, Any]:
    history = json.loads((run / runs.HISTORY).read_text(encoding="utf-8"))
    metrics = json.loads((run / runs.METRICS).read_text(encoding="utf-8"))
    return {
        "seconds": history["seconds"],
        "figures": {name: figure["model"] for name, figure in metrics["figures"].items()},
        "nats": metrics["nats"],
        "shared_nats": history["shared_nats"],
    }
