"""How much memory does a training take whose pairs lie in files that are mapped?

Pairs of 64×64 colour images, made as they are written, are trained on for one epoch of each stage.
After each stage: the most that the process had of its own since the last (what it computes with)
and the most resident (pages of the files among it, which the system takes back when it needs them).

Run: python -m benchmarks.memory PAIRS [PAIRS ...] [--steps N]   (each in a process of its own)

An epoch of 500,000 pairs takes hours of one core: `--steps` ends each after so many steps. What
is held for all pairs, features, codes and orders, is made before the first and held to the last.
"""

from __future__ import annotations

import argparse
import functools
import subprocess
import sys
import tempfile
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.by_hand.talk import ROOT
from benchmarks.resident import own_mb, resident_mb

SHAPE, _WRITTEN = (64, 64, 3), 2000


def write(path: Path, count: int, seed: int) -> np.memmap:
    """Blocks of colour, whose mean brightness both sides share."""
    rows = np.memmap(path, np.uint8, "w+", shape=(count, *SHAPE))
    rng, shared = np.random.default_rng(seed), np.random.default_rng(0)
    for start in range(0, count, _WRITTEN):
        part = rows[start : start + _WRITTEN]
        blocks = rng.integers(0, 128, (len(part), 8, 8, 3))
        part[:] = blocks.repeat(8, axis=1).repeat(8, axis=2)
        part += shared.integers(0, 128, (len(part), 1, 1, 1), np.uint8)
    rows.flush()
    return np.memmap(path, np.uint8, "r", shape=(count, *SHAPE))


def held() -> dict[str, float]:
    """GB of this process: its own, and resident in all."""
    return {"own": own_mb() / 1e3, "resident": resident_mb() / 1e3}


def train(count: int, steps: int | None) -> None:
    """Train, and print what each stage took."""
    import keras

    import wyner_keras as wk

    if steps is not None:
        keras.Model.fit = functools.partialmethod(keras.Model.fit, steps_per_epoch=steps)

    most = {"own": 0.0, "resident": 0.0}

    def watch() -> None:
        while True:
            for name, value in held().items():
                most[name] = max(most[name], value)
            time.sleep(0.2)

    def after(stage: str) -> None:
        print(
            f"  {stage}: own {most['own']:.2f} GB, resident {most['resident']:.2f} GB", flush=True
        )
        most.update(own=0.0, resident=0.0)

    with tempfile.TemporaryDirectory() as folder:
        sides = [write(Path(folder) / f"{seed}.bin", count, seed) for seed in (1, 2)]
        pairs = wk.Pairs(*sides)
        print(f"{count} pairs", flush=True)
        threading.Thread(target=watch, daemon=True).start()
        recipe = wk.recipes.default(pairs.facts()).scaled(1e-6)
        trained = wk.train(pairs, recipe, verbose=0, after_stage=after)
        print(f"  seconds {trained.seconds}", flush=True)


def main() -> None:
    """Train on each number of pairs."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("pairs", type=int, nargs="+")
    parser.add_argument("--steps", type=int, metavar="N", help="steps of an epoch, at most")
    options = parser.parse_args()
    if len(options.pairs) == 1:
        train(options.pairs[0], options.steps)
        return
    steps = [] if options.steps is None else ["--steps", str(options.steps)]
    for count in options.pairs:
        command = [sys.executable, "-m", "benchmarks.memory", str(count), *steps]
        subprocess.run(command, cwd=ROOT, check=True)


if __name__ == "__main__":
    main()
