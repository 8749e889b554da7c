"""What the default recipe's alignment finds in columns whose shared part is known.

Run: python -m benchmarks.columns [--samples]

Kinds are clusters of 12 columns a side, of deviation 0.3 around centres of deviation 1. Quantities
are correlated by 0.8, among 8 columns that are turned at random on each side, and bent in one case.
Both are a label in 6 of 8 columns, as kinds are, and a quantity correlated by 0.9 in one of the
others; the columns are turned at random or not. Nearly all is shared where y is x, of six columns,
turned and with an error. An angle is seen as its sine and cosine, by either side with an error, in
two of 8 columns.

With --samples the whole recipe is trained on 1,500 pairs of three columns a side, whose first ones
are correlated by 0.8 and whose others are noise: generated columns should be as wide, and as much
correlated.
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
_NEARLY_ALL = ((6, 0.1), (6, 0.3))
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


def nearly_all(size: int, error: float, rng: np.random.Generator) -> tuple[wk.Pairs, float]:
    """Half as many pairs, and their I(X; Y) in nats: all columns are shared but for an error."""
    shared = rng.normal(size=(_PAIRS // 2, size))
    x, y = (shared @ np.linalg.qr(rng.normal(size=(size, size)))[0] for _ in range(2))
    y = y + error * rng.normal(size=y.shape)
    return wk.Pairs(x.astype("f"), y.astype("f")), 0.5 * size * math.log1p(error**-2)


def samples(seed: int) -> None:
    """Print how wide generated columns are, and how much they are correlated."""
    rng = np.random.default_rng(seed)

    def rows(count: int) -> list[np.ndarray]:
        own = rng.normal(size=(2, count, 3))
        shared = math.sqrt(_CORRELATION) * rng.normal(size=count)
        own[:, :, 0] = shared + math.sqrt(1 - _CORRELATION) * own[:, :, 0]
        return [*own.astype("f")]

    trained = wk.train(wk.Pairs(*rows(1500)), seed=seed, verbose=0)
    x, y = trained.model.generate_pairs(5000, seed=0)
    told = np.repeat(rows(200)[0], 50, axis=0)
    given = trained.model.generate_y(told, seed=0).reshape(200, 50, 3)[:, :, 0]
    slope = np.polyfit(told[::50, 0], given.mean(axis=1), 1)[0]
    print(
        f"{trained.model.z}, u {trained.model.side('x').local}: deviations of x "
        f"{x.std(axis=0).round(2)}, of y {y.std(axis=0).round(2)} (data 1), correlation "
        f"{np.corrcoef(x[:, 0], y[:, 0])[0, 1]:.2f} ({_CORRELATION}); y given x: slope {slope:.2f} "
        f"({_CORRELATION}), deviation {math.sqrt(given.var(axis=1).mean()):.2f} "
        f"({math.sqrt(1 - _CORRELATION**2):.2f}); {sum(trained.seconds.values()):.0f} s"
    )


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument(
        "--samples", action="store_true", help="whether samples are as wide as data"
    )
    options = parser.parse_args()
    seed = options.seed
    if options.samples:
        samples(seed)
        return
    every = (
        *((kinds, _KINDS), (quantities, _QUANTITIES), (both, _BOTH)),
        *((nearly_all, _NEARLY_ALL), (angle, _ANGLES)),
    )
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
