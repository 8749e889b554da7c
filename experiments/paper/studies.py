"""The study of λ, the weight of common information, which the paper leaves as future work."""

from __future__ import annotations

from collections.abc import Sequence

from experiments.paper.losses import TrainedExpertsJoint
from experiments.studies.sweep import Configuration, Group, Start, Sweep, with_loss, without

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5)


def lambda_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """λ varies in the paper's objective, from either recipe's start.

    The paper's recipe starts from random weights, with the caption's |U| = |V|, where Z is used
    most. The default recipe starts from experts of z that know the label; its joint stage then
    trains them too, by the paper's objective alone.
    """
    groups = []
    if "paper" in recipes:
        title = "The paper's recipe, from random weights"
        groups.append(_vary_lambda(start("paper", (2, 10)), title))
    if "annealed" in recipes:
        title = "The default recipe, from experts that know the label"
        groups.append(_vary_lambda(_by_the_papers_objective(start("annealed")), title))
    return Sweep(
        name="lambda",
        title="The weight λ of common information",
        groups=tuple(groups),
        varies="lambda",
    )


def _by_the_papers_objective(first: Configuration) -> Configuration:
    """Without concept terms, which would hold the label in Z whatever λ is.

    The refinement trains by such a term alone.
    """
    recipe = first.recipe.changed("joint", loss=TrainedExpertsJoint(concept_weight=0.0))
    return first.varied(without(recipe, "refinement"))


def _vary_lambda(first: Configuration, title: str) -> Group:
    configurations = []
    for weight in WEIGHTS:
        recipe = with_loss(first.recipe, "joint", common_information_weight=weight)
        # The paper's recipe has λ = 0: that model is Figure 4's, and has its name.
        unchanged = first.owner == "paper" and weight == 0
        ending = "" if unchanged else f"-lambda{weight:g}"
        configurations.append(first.varied(recipe, f"λ = {weight:g}", ending))
    return Group(title=title, configurations=tuple(configurations))
