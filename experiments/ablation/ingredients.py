"""The default recipe's ingredients, each with the change of a recipe that removes it."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from experiments.studies.sweep import with_config, with_joint, without_flow
from wyner_keras.training import Recipe


def _no_alignment(recipe: Recipe) -> Recipe:
    """Experts start random, and the joint stage trains them, by its mutual-information term too."""
    return dataclasses.replace(recipe, alignment=None, train_experts=True)


def _free_encoder(recipe: Recipe) -> Recipe:
    """One network is q(z|x,y): without experts nothing is aligned, and nothing reads concepts."""
    config: dict[str, Any] = {"alignment_weight": 0.0, "concept_weight": 0.0}
    recipe = with_config(recipe, joint_encoder="free", **config)
    recipe = dataclasses.replace(recipe, alignment=None, refinement=None, train_experts=True)
    return with_joint(recipe, concept_weight=0.0)


def _no_residual(recipe: Recipe) -> Recipe:
    return with_config(recipe, residual=False)


def _no_concept_term(recipe: Recipe) -> Recipe:
    """Neither in the joint stage nor in the refinement, which trains by that term alone."""
    recipe = dataclasses.replace(with_config(recipe, concept_weight=0.0), refinement=None)
    return with_joint(recipe, concept_weight=0.0)


def _no_refinement(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, refinement=None)


def _no_distillation(recipe: Recipe) -> Recipe:
    return dataclasses.replace(recipe, distillation_weight=0.0)


def _reader_of_features(recipe: Recipe) -> Recipe:
    return with_config(recipe, marginal_encoder="features")


def _slant_in_code(recipe: Recipe) -> Recipe:
    if recipe.wrapper is None:
        return recipe
    return dataclasses.replace(recipe, wrapper=dataclasses.replace(recipe.wrapper, slant=False))


def _fixed_epsilon(recipe: Recipe) -> Recipe:
    return with_joint(recipe, two_epsilon_squared=None)


# Ending of the run's name, title, and the change that removes the ingredient.
INGREDIENTS: tuple[tuple[str, str, Callable[[Recipe], Recipe]], ...] = (
    ("-no-alignment", "no alignment stage", _no_alignment),
    ("-free-encoder", "free encoder", _free_encoder),
    ("-no-residual", "no residual model", _no_residual),
    ("-no-flow", "no flow", without_flow),
    ("-no-concept", "no concept term", _no_concept_term),
    ("-no-refinement", "no refinement", _no_refinement),
    ("-no-distillation", "no distillation", _no_distillation),
    ("-of-features", "q(z|x) of features", _reader_of_features),
    ("-slant-in-code", "slant in the code", _slant_in_code),
    ("-fixed-epsilon", "fixed 2ε²", _fixed_epsilon),
)
