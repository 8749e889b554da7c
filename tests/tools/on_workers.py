"""One of several workers: `KERAS_BACKEND=jax python on_workers.py OUT FOLDER STAGES [HOSTS PLACE]`.

A recipe is carried out up to STAGES stages. HOSTS and PLACE are as `workers.join` takes them;
without them it trains alone. OUT.npz then holds weights and histories. FOLDER is where `train`
keeps checkpoints.
"""

import dataclasses
import logging
import sys

import numpy as np

import wyner_keras as wk
from wyner_keras.backend import workers


def pairs():
    """128 pairs of vectors, of four kinds that both show."""
    rng, kind = np.random.default_rng(1), np.arange(128) % 4
    x, y = (rng.normal(size=(128, 5)) + 3 * np.eye(4, 5)[kind] for _ in range(2))
    return wk.Pairs(x, y)


def recipe(count):
    """The first stages of the default, a few epochs each."""
    whole = wk.recipes.default(pairs().facts()).scaled(0.02)
    stages = [dataclasses.replace(each, epochs=3, passes=1) for each in whole.stages[:count]]
    return dataclasses.replace(whole, stages=tuple(stages))


def values(trained):
    """Weights and histories by name."""
    found = {f"{weight.path}": np.asarray(weight) for weight in trained.model.weights}
    for stage, history in trained.history.items():
        found |= {f"{stage}/{name}": np.asarray(value) for name, value in history.items()}
    return found


if __name__ == "__main__":
    logging.basicConfig(level=logging.INFO, format="%(relativeCreated)d %(message)s")
    out, folder, count, *workers_of = sys.argv[1:]
    if workers_of:
        workers.join(workers_of[0], int(workers_of[1]))
    trained = wk.train(pairs(), recipe(int(count)), folder=folder, verbose=2)
    workers.leave()
    np.savez(out, **values(trained))
