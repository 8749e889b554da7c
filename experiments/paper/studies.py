"""The study of λ, the weight of common information, which the paper leaves as future work."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence

from experiments.studies.sweep import (
    Configuration,
    Group,
    RecipeFactory,
    Sweep,
    configuration_name,
    with_config,
    with_joint,
)
from wyner_keras.training import Recipe

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5)


def lambda_study(make_recipe: RecipeFactory, recipes: Sequence[str]) -> Sweep:
    """λ varies in the paper's objective, from either recipe's start.

    The paper's recipe starts from random weights, with the caption's |U| = |V|, where Z is used
    most. The default recipe starts from experts of z that know the label; its joint stage then
    trains them too, by the paper's objective alone.
    """
    groups = []
    if "paper" in recipes:
        title = "The paper's recipe, from random weights"
        groups.append(_vary_lambda(make_recipe("paper", (2, 10)), title))
    if "annealed" in recipes:
        title = "The default recipe, from experts that know the label"
        groups.append(_vary_lambda(_by_the_papers_objective(make_recipe("annealed")), title))
    return Sweep(
        name="lambda",
        title="The weight λ of common information",
        groups=tuple(groups),
        varies="lambda",
    )


def _by_the_papers_objective(recipe: Recipe) -> Recipe:
    """Without alignment and concept term, which would hold the label in Z whatever λ is."""
    recipe = with_config(recipe, alignment_weight=0.0, concept_weight=0.0)
    recipe = with_joint(recipe, concept_weight=None)
    # The refinement trains by the concept term alone.
    return dataclasses.replace(recipe, refinement=None, train_experts=True)


def _vary_lambda(recipe: Recipe, title: str) -> Group:
    configurations = []
    for weight in WEIGHTS:
        varied = with_config(recipe, common_information_weight=weight)
        # The paper's recipe has λ = 0: that model is Figure 4's, and has its name.
        unchanged = recipe.name == "paper" and weight == 0
        name = configuration_name(varied, "" if unchanged else f"-lambda{weight:g}")
        configurations.append(Configuration(name=name, label=f"λ = {weight:g}", recipe=varied))
    return Group(title=title, configurations=tuple(configurations))
