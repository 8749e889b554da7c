"""Pairs that every model gets without labels: letters, halves of digits, emoji of two vendors."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.data import LabelledImages, Pairs, add_one, load, same_label
from wyner_keras.evaluation import Judge, judges_for

# Of those that there are, the ones that are asked of these pairs by default.
FIRST_ASKED = (
    "wyner",
    "multivae-jmvae",
    "multivae-mvtcae",
    "multivae-dmvae",
    "multivae-mmvae+",
)
_PER_LETTER = 1000  # pairs to train on
_FACES, _HELD_FACES, LETTERS = 290, 58, 26
_HALVES = {"halves": "mnist", "digit-halves": "digits"}
REAL = ("letters", "emoji", *_HALVES)


def real_pairs(
    name: str, folder: Path | None, pairs_per_letter: int | None = None
) -> tuple[Pairs, Pairs]:
    """Pairs to train on and pairs held out, with labels, where there are any, for judges alone.

    "letters" are upper and lower case of one letter, across typefaces, a fifth of which is held
    out; "emoji" those of two vendors, a fixed fifth held out; halves the left and the right one of
    a digit, held out where its source has it so.

    Args:
        name: one of `REAL`.
        folder: where letters.npz and emoji.npz are.
        pairs_per_letter: of "letters", to train on; 1,000 by default.

    Raises:
        ValueError: if the folder is needed and not there.
    """
    if name in _HALVES:
        source = load(_HALVES[name])
        return _halves(source.train), _halves(source.test)
    if folder is None or not (folder / f"{name}.npz").is_file():
        raise ValueError(f"`folder` should hold {name}.npz. Received: {str(folder)!r}")
    arrays = dict(np.load(folder / f"{name}.npz"))
    if name == "emoji":
        return fifth_held(arrays["google"], arrays["twitter"])
    labels, held = arrays["y"].astype(int), of_held_faces()[1]

    def across(rows: np.ndarray, each: int | None) -> Pairs:
        x, y = (LabelledImages(arrays[case][rows][..., None], labels[rows]) for case in "ul")
        return same_label(x, y, each, seed=0)

    return across(~held, pairs_per_letter or _PER_LETTER), across(held, None)


def fifth_held(x: np.ndarray, y: np.ndarray) -> tuple[Pairs, Pairs]:
    """Pairs of arrays to train on, and a fixed fifth held out."""
    held = np.zeros(len(x), bool)
    held[np.random.default_rng(0).permutation(len(x))[: len(x) // 5]] = True
    return Pairs(x[~held], y[~held]), Pairs(x[held], y[held])


def of_held_faces() -> tuple[np.ndarray, np.ndarray]:
    """Of each letter of letters.npz its typeface, and whether that is held out; `(letters,)`."""
    face = np.repeat(np.arange(_FACES), LETTERS)
    return face, np.isin(face, np.random.default_rng(0).permutation(_FACES)[:_HELD_FACES])


def judges_of(name: str, train: Pairs) -> dict[str, Judge]:
    """Judges of the sides that have labels; of halves one of the "whole" image."""
    if name in _HALVES:
        return {"whole": judges_for(add_one(load(_HALVES[name]).train), verbose=0)["x"]}
    return judges_for(train, verbose=0)


def _halves(digits: LabelledImages) -> Pairs:
    images, labels = digits.unit(), digits.labels
    middle = images.shape[2] // 2
    return Pairs(images[:, :, :middle], images[:, :, middle:], x_labels=labels, y_labels=labels)


def asked_of(name: str) -> dict[str, Any]:
    """What `write_unlabelled` asks of these pairs."""
    if name == "letters":
        return {"styles": 100, "concepts": 200}
    return {"ranked": True} if name == "emoji" else {}
