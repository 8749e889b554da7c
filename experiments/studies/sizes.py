"""How much of everything a sweep does."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass

from wyner_keras.recipe import Recipe, StageSettings


@dataclass(frozen=True, kw_only=True)
class Size:
    """Limits on what a sweep trains and judges. None sets no limit.

    Args:
        name: of the size.
        epochs: the most passes over the pairs, by stage, and over the rows, of the "codec"; a
            stage that it does not name keeps the recipe's.
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
        codecs = {
            name: codec
            and dataclasses.replace(codec, epochs=_at_most(codec.epochs, self.epochs.get("codec")))
            for name, codec in recipe.codecs.items()
        }
        stages = tuple(map(self._limited, recipe.stages))
        return dataclasses.replace(recipe, codecs=codecs, stages=stages)

    def _limited(self, stage: StageSettings) -> StageSettings:
        most = self.epochs.get(stage.name)
        passes = _at_most(stage.passes, most)
        return dataclasses.replace(
            stage,
            passes=passes,
            epochs=_at_most(stage.epochs, most and most // passes),
            batch_size=_at_most(stage.batch_size, self.batch_size),
            jit_compile=stage.jit_compile and self.jit_compile,
        )


def _at_most(value: int, limit: int | None) -> int:
    return value if limit is None else min(value, limit)


FULL = Size(
    name="full",
    epochs={
        "codec": 6,
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
        "codec": 12,
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
