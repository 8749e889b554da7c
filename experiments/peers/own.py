"""Train one model of this library on the pairs and write the images that it is asked for.

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
from experiments.peers.saved import save_images
from wyner_keras.data import ImageSource, load
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.training import Recipe, recipe, train, train_wrapper
from wyner_keras.training.settings import STAGES

OWN = ("wyner", *BASELINES)


def stages_of(settings: Recipe) -> dict[str, Any]:
    """The recipe's stages by name."""
    stages = {name: getattr(settings, name) for name in STAGES}
    return {name: stage for name, stage in stages.items() if stage is not None}


def with_epochs(settings: Recipe, epochs: float) -> Recipe:
    """The recipe with this many epochs in all, shared among its stages as before, one at least."""
    return settings.longer(max(epochs, 1) / epochs_of(settings))


def fit(
    name: str, source: ImageSource, settings: Recipe, wrapper: ConvAutoencoder | None, epochs: float
) -> Any:
    """The named model trained for this many epochs in all, with `history` and `seconds`."""
    if name == "wyner":
        return train(source, with_epochs(settings, epochs), wrapper=wrapper, verbose=0)
    most = max(1, round(epochs))
    return train_baseline(name, source, settings, wrapper=wrapper, epochs=most, verbose=0)


def epochs_within(
    seconds: float, name: str, source: ImageSource, settings: Recipe, wrapper: Any
) -> float:
    """Estimate how many epochs fit into the time, by trainings of 1 and 3 epochs for each stage.

    Their difference is the cost of epochs without that of compiling. Where it is too small to be
    measured, compiling counts as epochs, so that fewer are trained rather than more.
    """
    stages, even = stages_of(settings), with_epochs(settings, 1)
    count = len(stages) if name == "wyner" else 1
    first, second = (fit(name, source, even, wrapper, each * count).seconds for each in (1, 3))
    cost, fixed = {}, 0.0
    for stage, spent in second.items():
        difference = (spent - first[stage]) / 2
        cost[stage] = difference if difference > spent / 10 else spent / 3
        fixed += max(spent - 3 * cost[stage], 0.0)
    # A baseline's one stage has all the epochs.
    shares = {each: stage.epochs for each, stage in stages.items()}
    if name != "wyner":
        shares = {name: epochs_of(settings)}
    whole = sum(shares[stage] * cost[stage] for stage in cost)
    return epochs_of(settings) * max(seconds - fixed, 0.0) / whole


def wrapper_for(path: Path, source: ImageSource, settings: Recipe) -> tuple[Any, float]:
    """The wrapper that this library's models share, trained once, and its seconds of training."""
    note = path.with_suffix(".json")
    if not note.exists():
        begin = time.perf_counter()
        wrapper, _ = train_wrapper(source, settings, verbose=0)
        assert wrapper is not None  # the default recipe has one
        seconds = time.perf_counter() - begin
        wrapper.save(path)
        note.write_text(json.dumps({"seconds": seconds}))
    return keras.models.load_model(path), json.loads(note.read_text())["seconds"]


def main() -> None:
    """Train, answer, and write the file whole or not at all."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", choices=OWN)
    parser.add_argument("--pairs", type=Path, required=True)
    parser.add_argument("--out", type=Path, required=True)
    parser.add_argument("--data", required=True)
    budget = parser.add_mutually_exclusive_group(required=True)
    budget.add_argument("--epochs", type=int)
    budget.add_argument("--seconds", type=float)
    options = parser.parse_args()
    pairs = dict(np.load(options.pairs))
    comparison = json.loads(str(pairs["settings"]))
    source, settings = load(options.data), recipe(options.data, seed=comparison["seed"])
    settings = dataclasses.replace(settings, pairs_per_class=comparison["pairs_per_class"])
    wrapper, wrapper_seconds = wrapper_for(options.out.with_name("wrapper.keras"), source, settings)
    epochs = options.epochs or epochs_within(
        options.seconds - wrapper_seconds, options.model, source, settings, wrapper
    )
    begin = time.perf_counter()
    trained = fit(options.model, source, settings, wrapper, epochs)
    facts = {
        "epochs": sum(len(history["loss"]) for history in trained.history.values()),
        "seconds": time.perf_counter() - begin + wrapper_seconds,
        "parameters": sum(int(np.prod(each.shape)) for each in trained.model.trainable_variables),
    }
    save_images(options.out, trained.model, pairs, facts)


if __name__ == "__main__":
    main()
