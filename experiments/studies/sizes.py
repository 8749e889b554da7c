"""How much of everything a sweep does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from wyner_keras.training import Recipe
from wyner_keras.training.settings import STAGES


@dataclass(frozen=True, kw_only=True)
class Size:
    """Limits on what a sweep trains and judges. None sets no limit.

    Args:
        name: of the size.
        epochs: the most epochs, by stage and of the "wrapper"; a stage that it does not name
            keeps the recipe's.
        pairs_per_class: the most pairs for each class of x.
        batch_size: the most pairs in a step.
        jit_compile: whether XLA may compile steps, which pays in long runs only.
        inputs: number of test images that are judged.
        styles: number of style references of the transfer.
        concepts: number of concept references of the transfer.
    """

    name: str
    epochs: dict[str, int] = dataclasses.field(default_factory=dict)
    pairs_per_class: int | None = None
    batch_size: int | None = None
    jit_compile: bool = True
    inputs: int | None = None
    styles: int = 100
    concepts: int = 200

    def limit(self, recipe: Recipe) -> Recipe:
        """The recipe with no more of anything than this size allows."""
        limited: dict[str, Any] = {
            "pairs_per_class": _at_most(recipe.pairs_per_class, self.pairs_per_class)
        }
        if recipe.wrapper is not None:
            epochs = _at_most(recipe.wrapper.epochs, self.epochs.get("wrapper"))
            limited["wrapper"] = dataclasses.replace(recipe.wrapper, epochs=epochs)
        for name in STAGES:
            stage = getattr(recipe, name)
            limited[name] = stage and dataclasses.replace(
                stage,
                epochs=_at_most(stage.epochs, self.epochs.get(name)),
                batch_size=_at_most(stage.batch_size, self.batch_size),
                jit_compile=stage.jit_compile and self.jit_compile,
            )
        return dataclasses.replace(recipe, **limited)


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)


# The 22 configurations of both figures train in 114 minutes on one core.
FULL = Size(
    name="full",
    epochs={
        "wrapper": 6,
        "alignment": 6,
        "joint": 10,
        "flow": 40,
        "marginal": 4,
        "refinement": 2,
    },
    pairs_per_class=5000,
    batch_size=500,
    inputs=2000,
    styles=50,
    concepts=100,
)
QUICK = Size(
    name="quick",
    epochs={
        "wrapper": 12,
        "alignment": 8,
        "joint": 10,
        "flow": 4,
        "marginal": 3,
        "refinement": 1,
    },
    pairs_per_class=300,
    batch_size=250,
    jit_compile=False,
    inputs=200,
    styles=10,
    concepts=20,
)
# Recipes as they are, judged as `evaluate` does by default.
WHOLE = Size(name="whole")
