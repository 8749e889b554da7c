"""How much of everything a sweep does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

from wyner_keras.training import Recipe
from wyner_keras.training.settings import STAGES


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything a sweep does.

    Args:
        name: its name.
        epochs: the most epochs of each stage, by name, and of the "wrapper"; what is not named has
            the recipe's.
        pairs_per_class: the most pairs a class of x; None for the recipe's.
        batch_size: the most pairs a step; None for the recipe's.
        jit_compile: whether XLA may compile steps; it pays for long runs only.
        inputs: test images that the judge's figures rest on; None for all.
        styles: style references of the transfer.
        concepts: concept references of the transfer.
    """

    name: str
    epochs: dict[str, int] = dataclasses.field(default_factory=dict)
    pairs_per_class: int | None = None
    batch_size: int | None = None
    jit_compile: bool = True
    inputs: int | None = None
    styles: int = 100
    concepts: int = 200


# All configurations of both figures, 22 of them, in 3 hours: they train in 114 minutes on one core.
FULL = Size(
    name="full",
    epochs={
        **{"wrapper": 6, "alignment": 6, "joint": 10},
        **{"flow": 40, "marginal": 4, "refinement": 2},
    },
    pairs_per_class=5000,
    batch_size=500,
    jit_compile=True,
    inputs=2000,
    styles=50,
    concepts=100,
)
QUICK = Size(
    name="quick",
    epochs={
        **{"wrapper": 12, "alignment": 8, "joint": 10},
        **{"flow": 4, "marginal": 3, "refinement": 1},
    },
    pairs_per_class=300,
    batch_size=250,
    jit_compile=False,
    inputs=200,
    styles=10,
    concepts=20,
)
# The recipes as they are, and as `evaluate` judges them.
WHOLE = Size(name="whole")


def sized(chosen: Recipe, size: Size) -> Recipe:
    """The recipe with no more of anything than the size allows."""

    def at_most(value: int, most: int | None) -> int:
        return value if most is None else min(value, most)

    smaller: dict[str, Any] = {
        "pairs_per_class": at_most(chosen.pairs_per_class, size.pairs_per_class)
    }
    if chosen.wrapper is not None:
        epochs = at_most(chosen.wrapper.epochs, size.epochs.get("wrapper"))
        smaller["wrapper"] = dataclasses.replace(chosen.wrapper, epochs=epochs)
    for name in STAGES:
        stage = getattr(chosen, name)
        smaller[name] = stage and dataclasses.replace(
            stage,
            epochs=at_most(stage.epochs, size.epochs.get(name)),
            batch_size=at_most(stage.batch_size, size.batch_size),
            jit_compile=stage.jit_compile and size.jit_compile,
        )
    return dataclasses.replace(chosen, **smaller)
