"""What the default recipe's alignment finds in columns whose shared part is known.

Run: python -m benchmarks.columns

Kinds are clusters of 12 columns a side, of deviation 0.3 around centres of deviation 1. Quantities
are correlated by 0.8, among 8 columns that are turned at random on each side, and bent in one case.
Both are a label in 6 of 8 columns, as kinds are, and a quantity correlated by 0.9 in one of the
others; the columns are turned at random or not. An angle is seen as its sine and cosine, by either
side with an error, in two of 8 columns.
"""

from __future__ import annotations

import argparse
import dataclasses
import math

import numpy as np

import wyner_keras as wk

_KINDS = ((600, 2), (2000, 20), (2000, 100))
_QUANTITIES = ((1, False), (2, False), (3, True))
_BOTH = ((5, False), (5, True))
_ANGLES = ((0.2,), (0.4,))
_PAIRS, _COLUMNS, _CORRELATION = 3000, 8, 0.8


def kinds(count: int, classes: int, rng: np.random.Generator) -> tuple[wk.Pairs, float]:
    """Pairs, and the nats of their label."""
    labels = rng.integers(classes, size=count)
    centres = rng.normal(size=(2, classes, 12))
    x, y = (centre[labels] + 0.3 * rng.normal(size=(count, 12)) for centre in centres)
    return wk.Pairs(x.astype("f"), y.astype("f")), math.log(classes)


def quantities(size: int, bent: bool, rng: np.random.Generator) -> tuple[wk.Pairs, float]:
    """Pairs, and their I(X; Y) in nats."""
    z = rng.normal(size=(_PAIRS, size))
    sides = []
    for _ in range(2):
        own = rng.normal(size=(_PAIRS, _COLUMNS))
        own[:, :size] = math.sqrt(_CORRELATION) * z + math.sqrt(1 - _CORRELATION) * own[:, :size]
        turned = own @ np.linalg.qr(rng.normal(size=(_COLUMNS, _COLUMNS)))[0]
        sides.append((np.tanh(turned) + 0.2 * turned**3 if bent else turned).astype("f"))
    return wk.Pairs(*sides), -0.5 * size * math.log(1 - _CORRELATION**2)


def both(classes: int, turned: bool, rng: np.random.Generator) -> tuple[wk.Pairs, float]:
    """Pairs, and their I(X; Y) in nats: of the label and of the quantity."""
    labels, rho = rng.integers(classes, size=_PAIRS), 0.9
    shared, sides = rng.normal(size=_PAIRS), []
    for _ in range(2):
        own = rng.normal(size=(_PAIRS, _COLUMNS))
        own[:, :6] = rng.normal(size=(classes, 6))[labels] + 0.3 * own[:, :6]
        own[:, 6] = math.sqrt(rho) * shared + math.sqrt(1 - rho) * own[:, 6]
        if turned:
            own = own @ np.linalg.qr(rng.normal(size=(_COLUMNS, _COLUMNS)))[0]
        sides.append(own.astype("f"))
    return wk.Pairs(*sides), math.log(classes) - 0.5 * math.log(1 - rho**2)


def angle(error: float, rng: np.random.Generator) -> tuple[wk.Pairs, float]:
    """Pairs, and their I(X; Y) in nats, of an error that does not go round."""
    sides, shared = [], rng.uniform(0, 2 * math.pi, _PAIRS)
    for _ in range(2):
        own = rng.normal(size=(_PAIRS, _COLUMNS))
        seen = shared + math.sqrt(0.5) * error * rng.normal(size=_PAIRS)
        own[:, :2] = math.sqrt(2) * np.stack([np.cos(seen), np.sin(seen)], axis=1)
        turned = own @ np.linalg.qr(rng.normal(size=(_COLUMNS, _COLUMNS)))[0]
        sides.append(turned.astype("f"))
    return wk.Pairs(*sides), 0.5 * math.log(2 * math.pi / (math.e * error**2))


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    seed = parser.parse_args().seed
    every = ((kinds, _KINDS), (quantities, _QUANTITIES), (both, _BOTH), (angle, _ANGLES))
    for of, cases in every:
        for case in cases:
            pairs, nats = of(*case, np.random.default_rng(seed))
            recipe = wk.recipes.default(pairs.facts(), seed=seed)
            recipe = dataclasses.replace(recipe, stages=recipe.stages[:1])
            trained = wk.train(pairs, recipe, verbose=0)
            print(
                f"{of.__name__} {case}, {nats:.3f} nats: {trained.model.z}, "
                f"{trained.found['nats']:.3f} nats, {trained.seconds['alignment']:.0f} s",
                flush=True,
            )


if __name__ == "__main__":
    main()
