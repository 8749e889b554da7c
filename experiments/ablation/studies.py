"""The default recipe by several seeds, and without one ingredient at a time."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence

from experiments.ablation.ingredients import INGREDIENTS
from experiments.studies.sweep import Configuration, Group, Start, Sweep

SEEDS, ABLATION_SEEDS = 5, 3


def seeds_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """The default recipe by five seeds of weights, noise and pairs; test images stay the same."""
    _check_recipes(recipes)
    return Sweep(
        name="seeds",
        title="The default recipe by several seeds",
        groups=(_over_seeds(start, SEEDS, "The default recipe"),),
        varies="seed",
    )


def ablation_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """The default recipe, and without one ingredient at a time: a group each, of three seeds.

    An ingredient that the recipe of these data lacks is skipped: on the 8×8 digits q(z|x) reads
    features anyway.
    """
    _check_recipes(recipes)
    default = start("annealed")
    groups = [_over_seeds(start, ABLATION_SEEDS, "default")]
    for ending, title, remove in INGREDIENTS:
        if remove(default) != default:
            groups.append(_over_seeds(start, ABLATION_SEEDS, title, ending, remove))
    return Sweep(
        name="ablation",
        title="The default recipe without one ingredient at a time",
        groups=tuple(groups),
        varies="ingredient",
    )


def _over_seeds(
    start: Start,
    seeds: int,
    title: str,
    ending: str = "",
    change: Callable[[Configuration], Configuration] = lambda configuration: configuration,
) -> Group:
    """One variant of the default recipe by several seeds."""
    configurations = []
    for offset in range(seeds):
        first = change(start("annealed", seed_offset=offset))
        seed = first.recipe.seed
        # Other sweeps train the first seed too, under a name without a seed.
        ending_of = ending + (f"-seed{seed}" if offset else "")
        configurations.append(dataclasses.replace(first, label=f"seed {seed}", ending=ending_of))
    return Group(title=title, configurations=tuple(configurations))


def _check_recipes(recipes: Sequence[str]) -> None:
    if "annealed" not in recipes:
        raise ValueError(
            "`recipes` should have 'annealed', the default recipe, which this study is of. "
            f"Received: recipes={tuple(recipes)}"
        )
