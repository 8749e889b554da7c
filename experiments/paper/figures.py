"""The paper's Figures 4 and 5 as sweeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from experiments.studies.sweep import (
    NO_FLOW,
    Configuration,
    Group,
    RecipeFactory,
    Sweep,
    configuration_name,
    size_text,
    with_config,
    with_joint,
)
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.training import Recipe

# (N, K) of Z in Figure 4, of U and V in Figure 5.
COMMON = ((1, 10), (1, 100), (10, 10), (30, 10))
LOCAL = ((2, 10), (5, 10), (20, 10), (30, 10))


def figure_4(make_recipe: RecipeFactory, recipes: Sequence[str]) -> Sweep:
    """Figure 4: |Z| varies; |U| = |V| is the text's (20, 10), the caption's (2, 10), or ours."""
    groups = []
    if "paper" in recipes:
        for local, where in (((20, 10), "text"), ((2, 10), "caption")):
            title = f"The paper's recipe, |U| = |V| = {local} as in its {where}"
            groups.append(_vary_z(make_recipe("paper", local), title))
    if "annealed" in recipes:
        recipe = make_recipe("annealed")
        title = f"The default recipe, U and V {size_text(recipe.config.u)}"
        groups.append(_vary_z(recipe, title))
    return Sweep(name="figure-4", title="Figure 4: the size of Z varies", groups=tuple(groups))


def figure_5(make_recipe: RecipeFactory, recipes: Sequence[str]) -> Sweep:
    """Figure 5: |U| = |V| varies; |Z| is the paper's (1, 100), or our recipe's (1, 10)."""
    groups = []
    for name, owner in (("paper", "The paper's"), ("annealed", "The default")):
        if name in recipes:
            recipe = make_recipe(name)
            title = f"{owner} recipe, |Z| = {size_text(recipe.config.z)}"
            groups.append(_vary_local(recipe, title))
    return Sweep(
        name="figure-5", title="Figure 5: the size of U and V varies", groups=tuple(groups)
    )


def _vary_z(recipe: Recipe, title: str) -> Group:
    configurations = []
    for n, k in COMMON:
        varied = with_config(recipe, z=Categorical(n=n, k=k))
        label = f"|Z| = {size_text(varied.config.z)}"
        configurations.append(
            Configuration(name=configuration_name(varied), label=label, recipe=varied)
        )
    return Group(title=title, configurations=tuple(configurations))


def _vary_local(recipe: Recipe, title: str) -> Group:
    configurations = []
    for ending, label, squared_error in (("-mse", "none, with MSE", True), ("", "none", False)):
        varied = _without_local(recipe, squared_error)
        configurations.append(
            Configuration(name=configuration_name(varied, ending), label=label, recipe=varied)
        )
    for n, k in LOCAL:
        varied = _with_local(recipe, n, k)
        label = f"|U| = |V| = {size_text(varied.config.u)}"
        configurations.append(
            Configuration(name=configuration_name(varied), label=label, recipe=varied)
        )
    return Group(title=title, configurations=tuple(configurations))


def _without_local(recipe: Recipe, squared_error: bool) -> Recipe:
    """No U and V, and no flows of them; with plain squared error, 2ε² is 1."""
    changes: dict[str, Any] = {"u": None, "v": None, **NO_FLOW}
    if squared_error:
        changes["two_epsilon_squared"] = 1.0
        recipe = with_joint(recipe, two_epsilon_squared=None)
    return dataclasses.replace(with_config(recipe, **changes), flow=None)


def _with_local(recipe: Recipe, n: int, k: int) -> Recipe:
    """U and V of the paper's size (N, K); of N dimensions where the recipe's are Gaussian."""
    gaussian = isinstance(recipe.config.u, DiagonalGaussian)
    latent: Latent = DiagonalGaussian(dim=n) if gaussian else Categorical(n=n, k=k)
    return with_config(recipe, u=latent, v=latent)
