"""The pairs and the held-out images of the comparison as one file, which every model reads."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras import recipes
from wyner_keras.data import ImageSource, Pairs, add_one
from wyner_keras.evaluation import plans
from wyner_keras.recipe import Recipe
from wyner_serving.whole import whole_file

Arrays = Mapping[str, np.ndarray]
PAIRS_PER_CLASS = {"mnist": 5000, "digits": 1000}


def recipe_of(pairs: Pairs, seed: int) -> Recipe:
    """The W-model's recipe, which the others follow."""
    return recipes.default(pairs.facts(), seed=seed)


def training_pairs(source: ImageSource, arrays: Arrays) -> Pairs:
    """The pairs that a file's `index` says."""
    return Pairs(source.train, source.train, arrays["index"])


def held_out_pairs(source: ImageSource, arrays: Arrays) -> Pairs:
    """The pairs that a file's `held_out` says."""
    return Pairs(source.test, source.test, arrays["held_out"])


def unlabelled_pairs(arrays: Arrays) -> Pairs:
    """The pairs of a file of `write_unlabelled`, as a model gets them."""
    return Pairs(arrays["train_x"], arrays["train_y"], arrays["index"])


def write_unlabelled(
    path: Path, train: Pairs, held_out: Pairs, *, ranked: bool = False, **asked: Any
) -> None:
    """Write pairs of two stores, without their labels, and what they will be judged by.

    Args:
        path: the .npz to write, as in `write_pairs`, but with `train_x`, `train_y`, `test_x` and
            `test_y` in place of `train` and `test`.
        train: pairs to train on.
        held_out: pairs held out.
        ranked: whether models are to rank held-out partners.
        asked: as in `write_pairs`, the seed too; without `styles` no transfer is asked for.
    """
    images = {
        f"{part}_{side}": modality.check(store.take(np.arange(len(store))), side)
        for part, pairs in (("train", train), ("test", held_out))
        for side, store, modality in zip("xy", pairs.stores, pairs.modalities, strict=True)
    }
    told = unlabelled_pairs({**images, "index": train.index})
    _write(path, told, held_out, images, ranked=ranked, **asked)


def write_pairs(
    path: Path, source: ImageSource, pairs_per_class: int, *, seed: int = 0, **asked: Any
) -> None:
    """Write the pairs (n, n+1) and what `evaluate` will ask for, whole or not at all.

    Args:
        path: the .npz to write. It holds `train` and `test` images, `index` of the pairs in `train`
            and `held_out` of those in `test`, for either side the positions in `test` of `inputs`,
            `diverse` inputs, `styles` and `concepts`, and `settings` as JSON.
        source: labelled images.
        pairs_per_class: pairs to train on.
        seed: of the pairs, of training and of the evaluation.
        asked: `inputs`, `samples`, `styles` and `concepts` as in `evaluate`.
    """
    pairs = add_one(source.train, pairs_per_class, seed=seed)
    images = {"train": source.train.unit(), "test": source.test.unit()}
    _write(
        path,
        pairs,
        add_one(source.test, seed=seed),
        images,
        seed=seed,
        **{"styles": 100, "concepts": 200, **asked},
    )


def _write(
    path: Path,
    pairs: Pairs,
    held_out: Pairs,
    images: Arrays,
    *,
    seed: int = 0,
    inputs: int | None = None,
    samples: int = 8,
    styles: int = 0,
    concepts: int = 0,
    **more: Any,
) -> None:
    recipe = recipe_of(pairs, seed)
    stage = recipe.stage("joint")
    counts: dict[str, Any] = {"inputs": inputs, "styles": styles, "concepts": concepts}
    # Of each side the images that pairs use, as the evaluator lists them.
    used = {side: np.unique(held_out.index[:, column]) for column, side in enumerate("xy")}
    planned = plans({side: len(each) for side, each in used.items()}, seed=seed, **counts)
    rows: dict[str, Any] = dict(images)
    for side, other in (("y", "x"), ("x", "y")):
        plan = planned[side]
        rows |= {
            f"inputs_{side}": used[other][plan.inputs],
            f"diverse_{side}": used[other][plan.diverse],
        }
        if styles:
            rows[f"styles_{side}"] = used[side][plan.styles]
            rows[f"concepts_{side}"] = used[other][plan.concepts]
    settings: dict[str, Any] = {
        "seed": seed,
        "samples": samples,
        "pairs": len(planned["y"].joint),
        "evaluate": {**counts, "samples": samples, "seed": seed},
        "hidden": list(recipe.sides["x"].hidden),
        "batch_size": stage.batch_size,
        "rate_start": stage.learning_rate.start,
        "rate_end": stage.learning_rate.end,
        **more,
    }
    with whole_file(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            index=pairs.index,
            held_out=held_out.index,
            settings=np.array(json.dumps(settings)),
            **rows,
        )
