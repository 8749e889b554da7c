"""The default recipe's ingredients, each with the change of a configuration that removes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable

from experiments.paper.losses import PaperJoint, TrainedExpertsJoint
from experiments.studies.sweep import (
    Configuration,
    with_epsilon,
    with_loss,
    with_sides,
    without,
    without_flow,
)
from wyner_keras.recipe import Recipe

_ALIGNMENT = 50.0  # γ, where the joint stage has to align the experts


def _no_alignment(recipe: Recipe) -> Recipe:
    """Experts start random, and the joint stage trains them, by a mutual-information term too."""
    joint = dataclasses.asdict(recipe.stage("joint").loss)  # type: ignore[call-overload]
    loss = TrainedExpertsJoint(**joint, alignment_weight=_ALIGNMENT)
    return without(recipe, "alignment").changed("joint", loss=loss)


def _free_encoder(recipe: Recipe) -> Recipe:
    """One network is q(z|x,y): without experts nothing is aligned, and nothing reads concepts."""
    recipe = without(recipe, "alignment", "refinement")
    return recipe.changed("joint", loss=PaperJoint(of_both=False))


def _no_concept_term(recipe: Recipe) -> Recipe:
    """Neither in the joint stage nor in the refinement, which trains by that term alone."""
    return without(with_loss(recipe, "joint", concept_weight=0.0), "refinement")


def _fixed_epsilon(recipe: Recipe) -> Recipe:
    return with_epsilon(recipe, recipe.stage("joint").two_epsilon_squared.end, "joint")


def _of_recipe(change: Callable[[Recipe], Recipe]) -> Callable[[Configuration], Configuration]:
    return lambda first: dataclasses.replace(first, recipe=change(first.recipe))


# Ending of the run's name, title, and the change that removes the ingredient.
INGREDIENTS: tuple[tuple[str, str, Callable[[Configuration], Configuration]], ...] = (
    ("-no-alignment", "no alignment stage", _of_recipe(_no_alignment)),
    ("-free-encoder", "free encoder", _of_recipe(_free_encoder)),
    ("-no-residual", "no residual model", _of_recipe(lambda r: with_sides(r, residual=False))),
    ("-no-flow", "no flow", _of_recipe(without_flow)),
    ("-no-concept", "no concept term", _of_recipe(_no_concept_term)),
    ("-no-refinement", "no refinement", _of_recipe(lambda r: without(r, "refinement"))),
    (
        "-no-distillation",
        "no distillation",
        _of_recipe(lambda r: with_loss(r, "marginal", distillation_weight=0.0)),
    ),
    (
        "-of-features",
        "q(z|x) of features",
        _of_recipe(lambda r: with_sides(r, reader="features")),
    ),
    ("-slant-in-code", "slant in the code", lambda first: dataclasses.replace(first, slant=False)),
    ("-fixed-epsilon", "fixed 2ε²", _of_recipe(_fixed_epsilon)),
)
