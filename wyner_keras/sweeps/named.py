"""Sweeps by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from wyner_keras.received import received
from wyner_keras.sweeps.configurations import Sweep
from wyner_keras.sweeps.figures import figure_4, figure_5
from wyner_keras.sweeps.sizes import FULL, Size, sized
from wyner_keras.sweeps.studies import OVER_SEEDS, ablation_study, lambda_study, seeds_study
from wyner_keras.training import Recipe, recipe

RECIPES = ("paper", "annealed")
SWEEPS = {
    "4": figure_4,
    "5": figure_5,
    "lambda": lambda_study,
    "seeds": seeds_study,
    "ablation": ablation_study,
}


def sweep(
    name: str,
    *,
    recipes: Sequence[str] = RECIPES,
    data: str = "mnist",
    size: Size = FULL,
    seed: int = 0,
) -> Sweep:
    """A named sweep.

    Args:
        name: "4" or "5", a figure of the paper, or a study: "lambda", "seeds" or "ablation".
        recipes: those of `RECIPES` to vary; "seeds" and "ablation" vary "annealed" only.
        data: whose sizes the recipes take; see `wyner_keras.training.recipe`.
        size: how much of everything is done.
        seed: of pairs, weights and noise; the first one of "seeds" and "ablation".

    Returns:
        The sweep; its file name tells the recipe where there is only one.

    Raises:
        ValueError: if the name or a recipe is unknown, or there is no recipe that it varies.

    Example:
        >>> [one.label for one in sweep("4", recipes=["paper"]).configurations][:2]
        ['|Z| = (1, 10)', '|Z| = (1, 100)']

    Source: the W-model paper, section 3 and, for λ, section 4.
    """
    if not isinstance(name, str) or name not in SWEEPS:
        raise ValueError(
            f"`name` should be one of {sorted(SWEEPS)}. Received: name={received(name)}"
        )
    recipes = tuple(recipes)
    if not recipes or not all(isinstance(each, str) and each in RECIPES for each in recipes):
        raise ValueError(
            f"`recipes` should be some of {RECIPES}. Received: recipes={received(recipes)}"
        )

    def start(name: str, local: tuple[int, int] | None = None, nth: int = 0) -> Recipe:
        return sized(recipe(name, data, local=local, seed=seed + nth), size)

    found = SWEEPS[name](start, recipes)
    if name in OVER_SEEDS or set(recipes) == set(RECIPES):
        return found
    return dataclasses.replace(found, name=f"{found.name}-{recipes[0]}")
