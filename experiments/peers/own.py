"""Train one model of this library on the pairs and write the examples that it is asked for.

Run by `python -m experiments.peers`, a process for each model, so that its seconds are its own.
"""

from __future__ import annotations

import argparse
import dataclasses
import json
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np

from experiments.peers.baselines import BASELINES, epochs_of, train_baseline
from experiments.peers.pairs import recipe_of, training_pairs, unlabelled_pairs
from experiments.peers.saved import save_images
from wyner_keras.data import Pairs, load
from wyner_keras.files import write_json
from wyner_keras.latents import can_rank
from wyner_keras.losses.finding import words
from wyner_keras.networks import Codec
from wyner_keras.recipe import Recipe
from wyner_keras.training import train, train_codecs

OWN = ("wyner", *BASELINES)


def with_epochs(settings: Recipe, epochs: float) -> Recipe:
    """The recipe with this many epochs in all, shared among its stages as before, one at least.

    An epoch is a pass over the pairs, of which a stage's may be several. Codecs keep theirs.
    """
    factor, stages = max(epochs, 1) / epochs_of(settings), []
    for stage in settings.stages:
        total = max(1.0, factor * stage.epochs * stage.passes)
        passes = min(stage.passes, round(total))
        stages.append(
            dataclasses.replace(stage, epochs=max(1, round(total / passes)), passes=passes)
        )
    return dataclasses.replace(settings, stages=tuple(stages))


def each_stage(settings: Recipe, epochs: int) -> Recipe:
    """The recipe with this many epochs in every stage."""
    stages = tuple(dataclasses.replace(stage, epochs=epochs) for stage in settings.stages)
    return dataclasses.replace(settings, stages=stages)


def fit(name: str, pairs: Pairs, settings: Recipe, codecs: dict[str, Codec], epochs: float) -> Any:
    """The named model trained for this many epochs in all, with `history` and `seconds`."""
    if name == "wyner":
        return train(pairs, with_epochs(settings, epochs), codecs=codecs, verbose=0)
    most = max(1, round(epochs))
    return train_baseline(name, pairs, settings, codecs=codecs, epochs=most, verbose=0)


def epochs_within(seconds: float, name: str, pairs: Pairs, settings: Recipe, path: Path) -> float:
    """Estimate how many epochs fit into the time, by trainings of 1 and 3 epochs for each stage.

    Their difference is the cost of epochs without that of compiling. Where it is too small to be
    measured, compiling counts as epochs, so that fewer are trained rather than more.

    Args:
        seconds: of training, codecs not counted.
        name: of the model.
        pairs: the pairs.
        settings: the recipe.
        path: of `codecs_for`; each training reads them anew, so that it computes features too.
    """

    def tried(epochs: int) -> dict[str, float]:
        short, codecs = each_stage(settings, epochs), codecs_for(path, pairs, settings)[0]
        total = epochs_of(short) if name == "wyner" else epochs
        return fit(name, pairs, short, codecs, total).seconds

    first, second = tried(1), tried(3)
    shares = {stage.name: stage.epochs for stage in settings.stages}
    if name != "wyner":
        shares = {name: epochs_of(settings)}  # its one stage has all the epochs
    whole = fixed = 0.0
    for stage, epochs in shares.items():
        spent = second[stage]
        difference = (spent - first[stage]) / 2
        cost = difference if difference > spent / 10 else spent / 3
        fixed += max(spent - 3 * cost, 0.0)
        whole += epochs * cost
    return epochs_of(settings) * max(seconds - fixed, 0.0) / whole


def epochs_trained(trained: Any, settings: Recipe) -> int:
    """Passes over the pairs that a training took, by its history."""
    passes = {stage.name: stage.passes for stage in settings.stages}
    return sum(
        passes.get(name, 1) * len(history.get("loss", ()))
        for name, history in trained.history.items()
    )


def codecs_for(path: Path, pairs: Pairs, settings: Recipe) -> tuple[dict[str, Codec], float]:
    """The codecs that this library's models share, trained once, and their seconds of training.

    Sides of one store have one codec; that of another y is kept beside the path.
    """
    note, same = path.with_suffix(".json"), pairs.stores[0] is pairs.stores[1]
    files = {"x": path} if same else {"x": path, "y": path.with_stem(f"{path.stem}-y")}
    if not note.exists():
        begin = time.perf_counter()
        codecs, _ = train_codecs(pairs, settings, verbose=0)
        seconds = time.perf_counter() - begin
        for side, file in files.items():
            codecs[side].save(file)
        write_json(note, {"seconds": seconds})
    codecs = {side: keras.models.load_model(file) for side, file in files.items()}
    return {"y": codecs["x"], **codecs}, json.loads(note.read_text())["seconds"]


def main() -> None:
    """Train, answer, and write the file whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=OWN)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", help="what the file's labelled images are of")
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=int)
    budget.add_argument("--seconds", type=float)
    options = parser.parse_args()
    arrays = dict(np.load(options.pairs))
    told = options.data is not None
    pairs = training_pairs(load(options.data), arrays) if told else unlabelled_pairs(arrays)
    settings = recipe_of(pairs, json.loads(str(arrays["settings"]))["seed"])
    share = 1.0
    if options.model == "wyner" and options.seconds and not told:
        begin = time.perf_counter()
        trained = train(pairs, settings, budget=options.seconds, verbose=0)
        seconds = time.perf_counter() - begin
        # Of little time a part of the pairs is left, and passes over it are less than epochs.
        settings, share = trained.recipe, len(trained.pairs) / len(pairs)
    else:
        path = options.out.with_name("codec.keras")
        codecs, seconds = codecs_for(path, pairs, settings)
        epochs = options.epochs or epochs_within(
            options.seconds - seconds, options.model, pairs, settings, path
        )
        begin = time.perf_counter()
        trained = fit(options.model, pairs, settings, codecs, epochs)
        seconds += time.perf_counter() - begin
    facts: dict[str, Any] = {
        "epochs": share * epochs_trained(trained, settings),
        "seconds": seconds,
        "parameters": sum(int(np.prod(each.shape)) for each in trained.model.trainable_variables),
    }
    if options.model == "wyner":
        facts["calibrated"] = can_rank(trained.model.z)
        if "shared" in trained.found:
            facts["shared"] = words(trained.found)
    save_images(options.out, trained.model, arrays, facts)


if __name__ == "__main__":
    main()
