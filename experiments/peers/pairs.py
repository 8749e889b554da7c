"""The pairs and the held-out images of the comparison as one file, which every model reads."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.data import ImageSource, add_one
from wyner_keras.evaluation import Plan, partnered
from wyner_keras.files import whole
from wyner_keras.training import Recipe


def write_pairs(
    path: Path,
    source: ImageSource,
    recipe: Recipe,
    *,
    inputs: int | None = None,
    samples: int = 8,
    styles: int = 100,
    concepts: int = 200,
) -> None:
    """Write the recipe's pairs and what `evaluate` will ask for, whole or not at all.

    Args:
        path: the .npz to write. It holds `train` and `test` images, `index` of the pairs in
            `train`, for either side the positions in `test` of `inputs`, `diverse` inputs,
            `styles` and `concepts`, and `settings` as JSON.
        source: the images.
        recipe: whose pairs, sizes and rates.
        inputs: as in `evaluate`, and so are the rest.
        samples: samples for each input.
        styles: style references.
        concepts: concept references.
    """
    seed, stage = recipe.config.seed, recipe.joint
    pairs = add_one(source.train, recipe.pairs_per_class, seed=seed)
    x, y = (np.flatnonzero(mask) for mask in partnered(source, lambda label: (label + 1) % 10))
    counts: dict[str, Any] = {"inputs": inputs, "styles": styles, "concepts": concepts}
    plan = Plan.draw(len(x), len(y), seed=seed, **counts)
    rows: dict[str, Any] = {}
    for side, own, other in (("y", y, x), ("x", x, y)):
        drawn = plan.sides[side]
        rows |= {
            f"inputs_{side}": other[drawn.inputs],
            f"diverse_{side}": other[drawn.diverse],
            f"styles_{side}": own[drawn.styles],
            f"concepts_{side}": other[drawn.concepts],
        }
    settings: dict[str, Any] = {
        "seed": seed,
        "pairs_per_class": recipe.pairs_per_class,
        "samples": samples,
        "pairs": plan.pairs,
        "evaluate": {**counts, "samples": samples, "seed": seed},
        "hidden": list(recipe.config.hidden),
        "batch_size": stage.batch_size,
        "rate_start": stage.learning_rate.start,
        "rate_end": stage.learning_rate.end,
    }
    with whole(path) as temporary, temporary.open("wb") as stream:
        np.savez(
            stream,
            train=source.train.images,
            test=source.test.images,
            index=pairs.index,
            settings=np.array(json.dumps(settings)),
            **rows,
        )
