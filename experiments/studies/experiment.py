"""A sweep trained and judged in a folder: one run folder for each configuration."""

from __future__ import annotations

import dataclasses
import functools
import gc
import hashlib
import json
import logging
import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import keras
import numpy as np

from experiments.studies.sizes import Size
from experiments.studies.sweep import Configuration, Sweep
from wyner_keras import evaluation, information, runs, training
from wyner_keras.data import ImageSource, Pairs, label_map
from wyner_keras.divergence import TrainingDiverged
from wyner_keras.files import to_json, write_arrays, write_json
from wyner_keras.modality import Image
from wyner_keras.model import WynerModel
from wyner_keras.networks.codec import Codec
from wyner_serving.whole import clear_leftovers, held, whole_file

logger = logging.getLogger(__name__)

SETTINGS, SAMPLES = "sweeps.json", "samples.npz"
_SAMPLES_SHOWN = 10  # for each input of a picture
_MAP = "add-one"
# Pairs for each class: as many as the largest has images, within these. (`wyner train` counts the
# images of each class by itself.)
_LEAST, _MOST = 1000, 5000


@dataclass(frozen=True, kw_only=True)
class Experiment:
    """What all configurations of a folder have in common.

    Args:
        folder: holds `runs/<configuration>`, a run folder each, and `codecs/<key>.keras`, trained
            once for all that share it.
        source: training images, and test images that are judged.
        data: the name of the source, as `wyner_keras.data.load` takes it.
        size: limits on what is trained and judged.
        seed: of the test pairs and draws, which are the same for all configurations.
        verbose: of Keras' progress bars.
    """

    folder: Path
    source: ImageSource
    data: str
    size: Size
    seed: int
    verbose: int = 0

    @property
    def settings(self) -> dict[str, Any]:
        """What all sweeps of the folder have to agree in."""
        return {"data": self.data, "size": self.size.name, "seed": self.seed}

    @property
    def mapping(self) -> dict[Any, Any]:
        """Label of x to label of y: the paper's."""
        return runs.label_map(_MAP, self.source.train.classes)

    def pairs(self, seed: int, slant: bool = True) -> Pairs:
        """Pairs to train on, the same stores for every seed.

        Args:
            seed: of the pairs.
            slant: whether slant is a feature of its own, where the images have one.
        """
        images = self.source.train
        largest = max(len(images.of_class(label)) for label in images.classes)
        count = min(self.size.pairs_per_class or _MOST, max(_LEAST, largest), _MOST)
        pairs = label_map(images, self.mapping, count, seed=seed)
        if slant:
            return pairs
        modality = plain(pairs.modalities[0])
        return Pairs(images, images, pairs.index, x_modality=modality)

    @functools.cached_property
    def held_out(self) -> Pairs:
        """Pairs of test images."""
        return label_map(self.source.test, self.mapping, seed=self.seed)

    def run_folder(self, configuration: Configuration) -> Path:
        """The run folder of a configuration."""
        return self.folder / "runs" / configuration.name

    def load_samples(self, configuration: Configuration) -> dict[str, np.ndarray]:
        """The images that a finished configuration shows in pictures, in [0, 1], by name."""
        with np.load(self.run_folder(configuration) / SAMPLES) as arrays:
            return {name: arrays[name].astype(np.float32) / 255 for name in arrays.files}


def plain(modality: Any) -> Any:
    """A modality without a feature of slant."""
    return dataclasses.replace(modality, slant=False) if isinstance(modality, Image) else modality


def check_folder(folder: str | os.PathLike[str], settings: Mapping[str, Any]) -> Path:
    """Check that a folder is new, or was begun with the same settings. Nothing is begun.

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
    if folder.is_dir():
        clear_leftovers(folder, SETTINGS)  # of one that was killed as it began
        if not any(folder.iterdir()):
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
        BlockingIOError: if another process works in the folder.
    """
    check_folder(experiment.folder, experiment.settings)
    experiment.folder.mkdir(parents=True, exist_ok=True)
    with held(experiment.folder):
        return _run_sweep(sweep, experiment)


def _run_sweep(sweep: Sweep, experiment: Experiment) -> dict[str, dict[str, Any]]:
    """What `run_sweep` does, in a folder of its own."""
    for configuration in sweep.configurations:
        _check_recipe(experiment, configuration)
    for folder in (experiment.folder, experiment.folder / "codecs"):
        if folder.is_dir():
            clear_leftovers(folder)
    write_json(experiment.folder / SETTINGS, experiment.settings)
    judges: Any = None
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
        if judges is None:
            # One for all: pairs of another seed would teach another.
            pairs = experiment.pairs(experiment.seed)
            judges = evaluation.judges_for(pairs, verbose=experiment.verbose)
        _run_configuration(experiment, configuration, judges)
        gc.collect()  # a model is a cycle, and holds features and compiled graphs
    return {each.name: _read_results(experiment.run_folder(each)) for each in sweep.configurations}


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


def _codecs(experiment: Experiment, configuration: Configuration, pairs: Pairs) -> dict[str, Codec]:
    """Both sides' codec, trained once for all configurations of the folder that share it.

    x and y are drawn from one store, by one recipe: they have one codec.
    """
    recipe = configuration.recipe
    first = recipe.codecs["x"]
    settings = [first and dataclasses.asdict(first), configuration.slant, recipe.seed]
    key = hashlib.sha256(json.dumps(settings).encode()).hexdigest()[:16]
    path = experiment.folder / "codecs" / f"{key}.keras"
    if path.exists():
        codec = keras.saving.load_model(path, compile=False)
    else:
        codec = training.train_codecs(pairs, recipe, verbose=experiment.verbose)[0]["x"]
        path.parent.mkdir(exist_ok=True)
        with whole_file(path) as temporary:
            codec.save(temporary)
    return dict.fromkeys(pairs.names, codec)


def _run_configuration(
    experiment: Experiment, configuration: Configuration, judges: Mapping[str, Any]
) -> None:
    """Train and judge one configuration."""
    run, recipe = experiment.run_folder(configuration), configuration.recipe
    partial = runs.partial_folder(run)
    if not (partial / runs.SETTINGS).exists():
        runs.abandon_run(run)  # an earlier version, killed before it wrote them
        source = runs.Source(data=experiment.data, map=_MAP, seed=recipe.seed)
        runs.start_run(run, runs.settings_of(recipe, source))
    if (partial / runs.HISTORY).exists():
        model = runs.load_model(partial / runs.MODEL)
    else:
        model = _train(experiment, configuration, partial)
    metrics = _judge(experiment, model, judges)
    runs.save_examples(partial, experiment.held_out)
    write_arrays(partial / SAMPLES, **_draw_samples(experiment, model))
    write_json(partial / runs.METRICS, {"data": experiment.data, **metrics})
    runs.finish_run(run)


def _train(experiment: Experiment, configuration: Configuration, partial: Path) -> WynerModel:
    pairs = experiment.pairs(configuration.recipe.seed, configuration.slant)
    codecs = _codecs(experiment, configuration, pairs)
    try:
        trained = training.train(
            pairs,
            configuration.recipe,
            folder=partial / runs.CHECKPOINTS,
            codecs=codecs,
            verbose=experiment.verbose,
        )
    except TrainingDiverged as error:
        raise TrainingDiverged(f"{configuration.name}: {error}") from error
    history = {
        "history": trained.history,
        "seconds": trained.seconds,
        "shared_nats": trained.shared_nats,
    }
    runs.save_trained(partial, trained.model, history)
    return trained.model


def _judge(experiment: Experiment, model: WynerModel, judges: Mapping[str, Any]) -> dict[str, Any]:
    """Figures on test images, and how many nats the latents hold of test pairs."""
    pairs, size, seed = experiment.held_out, experiment.size, experiment.seed
    report = evaluation.evaluate(
        model,
        pairs,
        judges=judges,
        inputs=size.inputs,
        styles=size.styles,
        concepts=size.concepts,
        seed=seed,
        verbose=experiment.verbose > 0,
    )
    nats = information.measure(model, pairs, rows=size.inputs or len(pairs), seed=seed)
    return {**report.to_dict(), "nats": nats}


def _draw_samples(experiment: Experiment, model: WynerModel) -> dict[str, np.ndarray]:
    """What pictures show, 8 bits a channel; the same inputs for every configuration."""
    test, rng = experiment.source.test, np.random.default_rng(experiment.seed)
    inputs, styles, concepts = (
        test.select(np.array([rng.choice(test.of_class(label)) for label in labels])).unit()
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
