"""The default recipe by several seeds, and without one ingredient at a time."""

from __future__ import annotations

from collections.abc import Callable, Sequence

from experiments.ablation.ingredients import INGREDIENTS
from experiments.studies.sweep import (
    Configuration,
    Group,
    RecipeFactory,
    Sweep,
    configuration_name,
)
from wyner_keras.training import Recipe

SEEDS, ABLATION_SEEDS = 5, 3


def seeds_study(make_recipe: RecipeFactory, recipes: Sequence[str]) -> Sweep:
    """The default recipe by five seeds of weights, noise and pairs; test images stay the same."""
    _check_recipes(recipes)
    return Sweep(
        name="seeds",
        title="The default recipe by several seeds",
        groups=(_over_seeds(make_recipe, SEEDS, "The default recipe"),),
        varies="seed",
    )


def ablation_study(make_recipe: RecipeFactory, recipes: Sequence[str]) -> Sweep:
    """The default recipe, and without one ingredient at a time: a group each, of three seeds.

    An ingredient that the recipe of these data lacks is skipped: on the 8×8 digits q(z|x) reads
    features anyway.
    """
    _check_recipes(recipes)
    default = make_recipe("annealed")
    groups = [_over_seeds(make_recipe, ABLATION_SEEDS, "default")]
    for ending, title, remove in INGREDIENTS:
        if remove(default) != default:
            groups.append(_over_seeds(make_recipe, ABLATION_SEEDS, title, ending, remove))
    return Sweep(
        name="ablation",
        title="The default recipe without one ingredient at a time",
        groups=tuple(groups),
        varies="ingredient",
    )


def _over_seeds(
    make_recipe: RecipeFactory,
    seeds: int,
    title: str,
    ending: str = "",
    change: Callable[[Recipe], Recipe] = lambda recipe: recipe,
) -> Group:
    """One variant of the default recipe by several seeds."""
    configurations = []
    for offset in range(seeds):
        recipe = change(make_recipe("annealed", seed_offset=offset))
        seed = recipe.config.seed
        # Other sweeps train the first seed too, under a name without a seed.
        name = configuration_name(recipe, ending + (f"-seed{seed}" if offset else ""))
        configurations.append(Configuration(name=name, label=f"seed {seed}", recipe=recipe))
    return Group(title=title, configurations=tuple(configurations))


def _check_recipes(recipes: Sequence[str]) -> None:
    if "annealed" not in recipes:
        raise ValueError(
            "`recipes` should have 'annealed', the default recipe, which this study is of. "
            f"Received: recipes={tuple(recipes)}"
        )
