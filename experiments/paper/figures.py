"""The paper's Figures 4 and 5 as sweeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from experiments.studies.sweep import (
    Configuration,
    Group,
    Start,
    Sweep,
    local_of,
    size_text,
    with_epsilon,
    with_sides,
    without_flow,
)
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.losses import Alignment
from wyner_keras.recipe import Recipe

# (N, K) of Z in Figure 4, of U and V in Figure 5.
COMMON = ((1, 10), (1, 100), (10, 10), (30, 10))
LOCAL = ((2, 10), (5, 10), (20, 10), (30, 10))


def figure_4(start: Start, recipes: Sequence[str]) -> Sweep:
    """Figure 4: |Z| varies; |U| = |V| is the text's (20, 10), the caption's (2, 10), or ours."""
    groups = []
    if "paper" in recipes:
        for local, where in (((20, 10), "text"), ((2, 10), "caption")):
            title = f"The paper's recipe, |U| = |V| = {local} as in its {where}"
            groups.append(_vary_z(start("paper", local), title))
    if "annealed" in recipes:
        first = start("annealed")
        title = f"The default recipe, U and V {size_text(local_of(first.recipe))}"
        groups.append(_vary_z(first, title))
    return Sweep(name="figure-4", title="Figure 4: the size of Z varies", groups=tuple(groups))


def figure_5(start: Start, recipes: Sequence[str]) -> Sweep:
    """Figure 5: |U| = |V| varies; |Z| is the paper's (1, 100), or our recipe's."""
    groups = []
    for owner, title in (("paper", "The paper's"), ("annealed", "The default")):
        if owner in recipes:
            first = start(owner)
            title = f"{title} recipe, |Z| = {size_text(first.recipe.z)}"
            groups.append(_vary_local(first, title))
    return Sweep(
        name="figure-5", title="Figure 5: the size of U and V varies", groups=tuple(groups)
    )


def _vary_z(first: Configuration, title: str) -> Group:
    configurations = []
    for n, k in COMMON:
        z = Categorical(n=n, k=k)
        recipe = dataclasses.replace(first.recipe, z=z)
        for stage in recipe.stages:
            # Its size is what is varied: nothing is to find another.
            if isinstance(stage.loss, Alignment):
                loss = dataclasses.replace(stage.loss, find=False)
                recipe = recipe.changed(stage.name, loss=loss)
        configurations.append(first.varied(recipe, f"|Z| = {size_text(z)}"))
    return Group(title=title, configurations=tuple(configurations))


def _vary_local(first: Configuration, title: str) -> Group:
    plain = without_flow(with_sides(first.recipe, local=None, flow_steps=0))
    configurations = [
        # With plain squared error, 2ε² is 1.
        first.varied(with_epsilon(plain, 1.0), "none, with MSE", "-mse"),
        first.varied(plain, "none"),
    ]
    gaussian = isinstance(local_of(first.recipe), DiagonalGaussian)
    for n, k in LOCAL:
        latent: Latent = DiagonalGaussian(dim=n) if gaussian else Categorical(n=n, k=k)
        recipe: Recipe = with_sides(first.recipe, local=latent)
        configurations.append(first.varied(recipe, f"|U| = |V| = {size_text(latent)}"))
    return Group(title=title, configurations=tuple(configurations))
