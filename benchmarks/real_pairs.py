"""What the default recipe finds in real pairs without being told, and how well it finds partners.

Run: python -m benchmarks.real_pairs icons --folder PAIRS

PAIRS holds icons.npz, emoji.npz and letters.npz; stereo needs no folder: 16×16 patches of a picture
with those of the same thing in the other eye's. Held out are a fixed fifth of the icons and emoji,
a fifth of the typefaces, and the right of the picture, which no patch of training overlaps. No
label is given; "letters" are paired across typefaces by theirs, "faces" are upper and lower case of
one typeface, and the purity of z is judged by the letter. PCA with canonical correlations, its size
the best on the held-out pairs, stands beside.
"""

from __future__ import annotations

import argparse
import dataclasses
import logging
from pathlib import Path

import matplotlib.pyplot as plt
import numpy as np
import skimage.data
import tensorflow as tf

import wyner_keras as wk
from experiments.peers.figures import SIZES, linear_scores
from experiments.peers.real import LETTERS, fifth_held, of_held_faces, real_pairs
from wyner_keras.evaluation import recall_at
from wyner_keras.evaluation.digits import slant, stroke_thickness
from wyner_keras.latents import kinds_of

_SIDES = {
    "icons": ("thin", "fill"),
    "emoji": ("google", "twitter"),
    "letters": ("u", "l"),
    "faces": ("u", "l"),
}
_FILES = {"faces": "letters"}


def stereo_pairs() -> tuple[wk.Pairs, wk.Pairs]:
    """Patches 16×16 of what both eyes see, every 8 pixels; held out is the right of the picture."""
    size, step, first_held = 16, 8, 568
    left, right, disparity = skimage.data.stereo_motorcycle()
    height, width = disparity.shape
    places = []
    for top in range(0, height - size + 1, step):
        for column in range(0, width - size + 1, step):
            moved = disparity[top + size // 2, column + size // 2]
            if np.isfinite(moved) and 0 <= round(column - moved) <= width - size:
                places.append((top, column, round(column - moved)))
    x, y = (
        np.stack([eye[p[0] : p[0] + size, p[at] : p[at] + size] for p in places])
        for eye, at in ((left, 1), (right, 2))
    )
    column = np.array(places)[:, 1]
    trained, held = column + size <= first_held, column >= first_held
    # Patches overlap: those of one strip are trained on, or chosen by, together.
    strips = column[trained] // (first_held // 8)
    return wk.Pairs(x[trained], y[trained], groups=strips), wk.Pairs(x[held], y[held])


def pairs_of(name: str, folder: Path | None) -> tuple[wk.Pairs, wk.Pairs]:
    """Pairs to train on, without labels, and held out; the letters held out have theirs."""
    if name == "stereo":
        return stereo_pairs()
    if folder is None:
        raise ValueError(f"{name} should come with --folder. Received: none")
    if name == "letters":
        train, apart = real_pairs(name, folder)
        return wk.Pairs(train.x, train.y, index=train.index), apart
    arrays = np.load(folder / f"{_FILES.get(name, name)}.npz")
    x, y = (arrays[side] for side in _SIDES[name])
    if name != "faces":
        return fifth_held(x, y)
    face, held = of_held_faces()
    known = dict.fromkeys(("x_labels", "y_labels"), arrays["y"].astype(int)[held])
    return wk.Pairs(x[~held], y[~held], groups=face[~held]), wk.Pairs(x[held], y[held], **known)


def retrieval(model: wk.WynerModel, held: wk.Pairs) -> str:
    """R@1 and R@5 both ways."""
    x, y = held.arrays()
    scores = np.asarray(model.log_pmi(x, y), float)
    return ", ".join(
        f"{way} R@1 {recall_at(table, 1):.3f} R@5 {recall_at(table, 5):.3f}"
        for way, table in (("y from x", scores), ("x from y", scores.T))
    )


def linear_retrieval(train: wk.Pairs, held: wk.Pairs) -> str:
    """R@1 and R@5, y from x, by the cosine of canonical variates of principal components."""
    seen, apart = ([r.reshape(len(r), -1) for r in each.arrays()] for each in (train, held))
    found = []
    for size in SIZES:
        scores = linear_scores(seen, apart, size)
        found.append((recall_at(scores, 1), recall_at(scores, 5), size))
    first, fifth, size = max(found)
    return f"PCA + CCA of {size}: y from x R@1 {first:.3f} R@5 {fifth:.3f}"


def pure(kinds: np.ndarray, labels: np.ndarray) -> float:
    """Share of examples whose label is the commonest of their kind; both `(examples,)`."""
    right = sum(np.bincount(labels[kinds == kind]).max() for kind in np.unique(kinds))
    return float(right / len(labels))


def purity(model: wk.WynerModel, held: wk.Pairs) -> str:
    """Share of held-out examples whose letter is the commonest of the kind read off them."""
    batch, k = dict(zip("xy", map(tf.constant, held.arrays()), strict=True)), kinds_of(model.z).size
    found = []
    experts = [model.z.product(each) for each in model.experts(batch)]
    readers = [
        side.read(batch[side.name], side.encode(batch[side.name]), False) for side in model.sides
    ]
    for name, read in (("experts", experts), ("q(z|x), q(z|y)", readers)):
        shares = []
        for q, labels in zip(read, (held.x_labels, held.y_labels), strict=True):
            values = np.argmax(np.asarray(q.mode)[:, :k], axis=1)
            shares.append(f"{pure(values, labels):.4f}")
        found.append(f"by {name} {' / '.join(shares)}")
    return f"purity {', '.join(found)}"


def draw(model: wk.WynerModel, held: wk.Pairs, path: Path) -> None:
    """Of three typefaces x, their own y, and three samples of y given x."""
    x, y = held.arrays()
    made = np.asarray(model.generate_y(x, seed=0, samples=3))
    rows = []
    for face in (0, 1, 10):
        those = slice(face * LETTERS, (face + 1) * LETTERS)
        rows += [x[those], y[those], *np.moveaxis(made[those], 1, 0)]
    sheet = np.concatenate([np.concatenate(list(row), axis=1) for row in rows])[..., 0]
    plt.imsave(path, 1 - sheet / sheet.max(), cmap="gray")


def carried(model: wk.WynerModel, held: wk.Pairs) -> str:
    """How far a typeface's stroke weight and slant are carried from x to the y made of it.

    The correlation over held-out typefaces of means over their letters; beside it that of the
    typefaces' own y.
    """
    x, y = held.arrays()
    made = model.generate_y(x, seed=0)
    found = []
    for name, measure in (("weight", stroke_thickness), ("slant", slant)):
        of_x, of_made, of_y = (
            measure(np.asarray(rows, np.float32)).reshape(-1, LETTERS).mean(axis=1)
            for rows in (x, made, y)
        )
        kept, own = (np.corrcoef(of_x, other)[0, 1] for other in (of_made, of_y))
        found.append(f"{name} {kept:.3f} (real y: {own:.3f})")
    return ", ".join(found)


def _factor(text: str) -> tuple[str, float]:
    """Of "joint=0.25"."""
    stage, _, factor = text.partition("=")
    return stage, float(factor)


def main() -> None:
    """Train and print."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("name", choices=[*_SIDES, "stereo"])
    parser.add_argument("--folder", type=Path)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--picture", type=Path, help="of faces: a file to draw them into")
    parser.add_argument("--alignment", action="store_true", help="stop after the alignment")
    parser.add_argument(
        "--validation", action="store_true", help="hold a fifth of the training pairs out instead"
    )
    parser.add_argument(
        "--scale", nargs="*", type=_factor, default=[], help="STAGE=FACTOR, of its epochs"
    )
    options = parser.parse_args()
    logging.basicConfig(level="INFO")
    train, held = pairs_of(options.name, options.folder)
    if options.validation:
        apart, others = np.split(
            np.random.default_rng(7).permutation(len(train)), [len(train) // 5]
        )
        train, held = train.select(np.sort(others)), train.select(apart)
    recipe = wk.recipes.default(train.facts(), seed=options.seed)
    for stage, factor in options.scale:
        recipe = recipe.with_stage(recipe.stage(stage).scaled(factor))
    if options.alignment:
        recipe = dataclasses.replace(recipe, stages=recipe.stages[:1])
    trained = wk.train(train, recipe, verbose=0)
    print(f"{trained.model.z}, {trained.found}, seconds {trained.seconds}")
    if held.x_labels is not None and kinds_of(trained.model.z) is not None:
        print(purity(trained.model, held))
    if options.name != "letters":
        print(retrieval(trained.model, held))
        print(linear_retrieval(train, held))
    if not options.alignment:
        if options.name == "faces":
            print(carried(trained.model, held))
            if options.picture:
                draw(trained.model, held, options.picture)
        print(wk.evaluate(trained.model, held, train=train).table())


if __name__ == "__main__":
    main()
