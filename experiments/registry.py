"""All sweeps by name."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from experiments.ablation import ablation_study, seeds_study
from experiments.paper import figure_4, figure_5, lambda_study, paper_recipe
from experiments.studies import FULL, Configuration, Size, Sweep
from wyner_keras import recipes as own
from wyner_keras.data import Facts
from wyner_keras.received import received

RECIPES = ("paper", "annealed")
SWEEPS = {
    "4": figure_4,
    "5": figure_5,
    "lambda": lambda_study,
    "seeds": seeds_study,
    "ablation": ablation_study,
}
# Of the default recipe alone, at its own size and by several seeds.
OVER_SEEDS = ("seeds", "ablation")


def make_sweep(
    name: str,
    facts: Facts,
    *,
    recipes: Sequence[str] = RECIPES,
    size: Size = FULL,
    seed: int = 0,
) -> Sweep:
    """Make a sweep by its name.

    Args:
        name: "4" or "5", a figure of the paper, or a study: "lambda", "seeds" or "ablation".
        facts: of the pairs, which recipes follow.
        recipes: those of `RECIPES` to vary; "seeds" and "ablation" vary "annealed" only.
        size: limits on what is trained and judged.
        seed: of pairs, weights and noise; the first one of "seeds" and "ablation".

    Returns:
        The sweep. Where there is only one recipe, the sweep's name ends with it.

    Raises:
        ValueError: if the name or a recipe is unknown, or the sweep varies none of the recipes.

    Example:
        >>> sweep = make_sweep("4", pairs.facts(), recipes=["paper"])  # doctest: +SKIP
        >>> [each.label for each in sweep.configurations][:2]  # doctest: +SKIP
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

    has_slant = any(getattr(modality, "slant", False) for modality in facts.modalities)

    def start(
        owner: str, local: tuple[int, int] | None = None, seed_offset: int = 0
    ) -> Configuration:
        if owner == "paper":
            recipe = paper_recipe(facts, local, seed + seed_offset)
        else:
            recipe = own.default(facts, seed=seed + seed_offset)
        slant = has_slant and owner != "paper"
        return Configuration(owner=owner, recipe=size.limit(recipe), slant=slant)

    sweep = SWEEPS[name](start, recipes)
    if name in OVER_SEEDS or set(recipes) == set(RECIPES):
        return sweep
    return dataclasses.replace(sweep, name=f"{sweep.name}-{recipes[0]}")
