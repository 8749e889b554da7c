"""How many kinds does the default recipe find where nobody says that there are any?

Run: python -m benchmarks.kinds_found DATA [--seeds 0 1 2 3 4] [--folder PAIRS]

DATA is one of

add-one    MNIST digits n and n + 1: 10 kinds.
products   two MNIST digits side by side, and the two digits of their product: 37 kinds, of which a
           fifth of the pairs are 00 and five have one pair in a hundred each.
letters    upper and lower case across typefaces, PAIRS/letters.npz: 26 kinds.

The codecs are trained once, those of products for a quarter of the default's epochs; by each seed
the alignment is, without labels. The purity is that of held-out x: the share whose label is the
commonest of the kind read off them.
"""

from __future__ import annotations

import argparse
import dataclasses
from pathlib import Path

import numpy as np
import tensorflow as tf

import wyner_keras as wk
from benchmarks.real_pairs import pairs_of, pure
from wyner_keras.latents import kinds_of

_PRODUCTS, _HELD = 50_000, 2_000  # pairs of numbers that are multiplied
Held = tuple[np.ndarray, np.ndarray]  # x held out, and labels


def add_one() -> tuple[wk.Pairs, Held]:
    """50,000 pairs of training digits, and the test digits."""
    source = wk.data.load("mnist")
    pairs = wk.data.add_one(source.train, 5000, seed=0)
    return wk.Pairs(pairs.x, pairs.y, index=pairs.index), (source.test.unit(), source.test.labels)


def products() -> tuple[wk.Pairs, Held]:
    """Digits a and b beside each other, and the digits of a times b, each drawn anew."""
    source, rng = wk.data.load("mnist"), np.random.default_rng(0)

    def drawn(images: wk.data.LabelledImages, count: int) -> tuple[np.ndarray, ...]:
        rows = images.unit()
        of = [np.flatnonzero(images.labels == digit) for digit in range(10)]

        def written(tens: np.ndarray, units: np.ndarray) -> np.ndarray:
            digits = [rows[[rng.choice(of[digit]) for digit in column]] for column in (tens, units)]
            return np.rint(255 * np.concatenate(digits, axis=2)).astype(np.uint8)

        a, b = rng.integers(10, size=(2, count))
        return written(a, b), written(*np.divmod(a * b, 10)), a * b

    x, y, _ = drawn(source.train, _PRODUCTS)
    held, _, labels = drawn(source.test, _HELD)
    return wk.Pairs(x, y), (held / np.float32(255), labels)


def letters(folder: Path) -> tuple[wk.Pairs, Held]:
    """Those of real_pairs.py."""
    train, held = pairs_of("letters", folder)
    return train, (held.arrays()[0], held.x_labels)


def purity(model: wk.WynerModel, held: Held) -> float:
    """Share of held-out x whose label is the commonest of the kind read off them."""
    x, labels = held
    side, kinds = model.sides[0], kinds_of(model.z).size
    features = model.features(side, wk.Pairs(x, x).x)
    read = np.asarray(model.z.product(side.expert(tf.constant(features))).mode)[:, :kinds]
    return pure(read.argmax(axis=1), labels)


def main() -> None:
    """Find kinds by each seed."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("data", choices=("add-one", "products", "letters"))
    parser.add_argument("--seeds", type=int, nargs="+", default=[0, 1, 2, 3, 4])
    parser.add_argument("--folder", type=Path, help="of letters.npz")
    options = parser.parse_args()
    if options.data == "letters":
        if options.folder is None:
            parser.error("letters should come with --folder. Received: none")
        pairs, held = letters(options.folder)
    else:
        pairs, held = add_one() if options.data == "add-one" else products()
    codecs = None
    for seed in options.seeds:
        recipe = wk.recipes.default(pairs.facts(), seed=seed)
        if options.data == "products":
            shorter = {
                name: dataclasses.replace(codec, epochs=codec.epochs // 4)
                for name, codec in recipe.codecs.items()
                if codec
            }
            recipe = dataclasses.replace(recipe, codecs=shorter)
        alignment = dataclasses.replace(recipe, stages=recipe.stages[:1])
        trained = wk.train(pairs, alignment, codecs=codecs, verbose=0)
        model, found = trained.model, trained.found
        codecs = {side.name: side.codec for side in model.sides}
        pure = f"purity {purity(model, held):.4f}" if kinds_of(model.z) else "no kinds"
        print(f"seed {seed}: {model.z}, {pure}", found, trained.seconds, flush=True)


if __name__ == "__main__":
    main()
