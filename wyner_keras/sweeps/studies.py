"""Studies that the paper does not have: of λ, of seeds, and of the default recipe's ingredients."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from typing import Any

from wyner_keras.sweeps.configurations import (
    Band,
    Configuration,
    Start,
    Sweep,
    named,
    with_config,
    without_flow,
)
from wyner_keras.training import Recipe

WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5)
SEEDS, ABLATION_SEEDS = 5, 3
# Studies of the default recipe itself: at its own size, over several seeds.
OVER_SEEDS = ("seeds", "ablation")


def lambda_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """λ varies in the paper's objective.

    Each recipe is one start: the paper's, from random weights, with the caption's |U| = |V|, where
    Z is used most; and the default's, from experts of z that have found the label. Its joint stage
    then trains them too, by the paper's objective alone: neither alignment nor concept term, either
    of which would hold the label in Z whatever λ is, and no refinement, which is the latter's.
    """
    bands = []
    for name, title in (
        ("paper", "The paper's recipe, from random weights"),
        ("annealed", "The default recipe, from experts that know the label"),
    ):
        if name not in recipes:
            continue
        chosen = start(name, (2, 10) if name == "paper" else None)
        if name == "annealed":
            chosen = dataclasses.replace(
                with_config(chosen, alignment_weight=0.0, concept_weight=0.0),
                joint=dataclasses.replace(chosen.joint, concept_weight=None),
                refinement=None,
                train_experts=True,
            )
        configurations = []
        for weight in WEIGHTS:
            one = with_config(chosen, common_information_weight=weight)
            # The paper's λ is 0: that model is Figure 4's.
            is_figures = name == "paper" and weight == 0
            ending = "" if is_figures else f"-lambda{weight:g}"
            configurations.append(
                Configuration(name=named(one, ending), label=f"λ = {weight:g}", recipe=one)
            )
        bands.append(Band(title=title, configurations=tuple(configurations)))
    return Sweep(
        name="lambda",
        title="The weight λ of common information",
        bands=tuple(bands),
        varies="lambda",
    )


def _with_joint(chosen: Recipe, **changes: Any) -> Recipe:
    return dataclasses.replace(chosen, joint=dataclasses.replace(chosen.joint, **changes))


def _no_alignment(chosen: Recipe) -> Recipe:
    """Experts begin random, and the joint stage trains them, by its mutual-information term too."""
    return dataclasses.replace(chosen, alignment=None, train_experts=True)


def _free_encoder(chosen: Recipe) -> Recipe:
    """One network for q(z|x,y): without experts there is nothing to align, nor to read concepts."""
    config: dict[str, Any] = {"alignment_weight": 0.0, "concept_weight": 0.0}
    chosen = with_config(chosen, joint_encoder="free", **config)
    chosen = dataclasses.replace(chosen, alignment=None, refinement=None, train_experts=True)
    return _with_joint(chosen, concept_weight=0.0)


def _no_concept_term(chosen: Recipe) -> Recipe:
    """Neither in the joint stage nor in the refinement, which is that term's."""
    chosen = dataclasses.replace(with_config(chosen, concept_weight=0.0), refinement=None)
    return _with_joint(chosen, concept_weight=0.0)


def _slant_in_the_code(chosen: Recipe) -> Recipe:
    if chosen.wrapper is None:
        return chosen
    return dataclasses.replace(chosen, wrapper=dataclasses.replace(chosen.wrapper, slant=False))


# Ending of the run's name, words, and what takes the ingredient away.
INGREDIENTS: tuple[tuple[str, str, Callable[[Recipe], Recipe]], ...] = (
    ("-no-alignment", "no alignment stage", _no_alignment),
    ("-free-encoder", "free encoder", _free_encoder),
    ("-no-residual", "no residual model", lambda chosen: with_config(chosen, residual=False)),
    ("-no-flow", "no flow", without_flow),
    ("-no-concept", "no concept term", _no_concept_term),
    (
        "-no-refinement",
        "no refinement",
        lambda chosen: dataclasses.replace(chosen, refinement=None),
    ),
    (
        "-no-distillation",
        "no distillation",
        lambda chosen: dataclasses.replace(chosen, distillation_weight=0.0),
    ),
    (
        "-of-features",
        "q(z|x) of features",
        lambda chosen: with_config(chosen, marginal_encoder="features"),
    ),
    ("-slant-in-code", "slant in the code", _slant_in_the_code),
    (
        "-fixed-epsilon",
        "fixed 2ε²",
        lambda chosen: _with_joint(chosen, two_epsilon_squared=None),
    ),
)


def _band_of_seeds(
    start: Start,
    seeds: int,
    title: str,
    ending: str = "",
    change: Callable[[Recipe], Recipe] = lambda chosen: chosen,
) -> Band:
    """One variant of the default recipe by several seeds."""
    configurations = []
    for nth in range(seeds):
        one = change(start("annealed", nth=nth))
        seed = one.config.seed
        # Other sweeps have the first seed's model under the name without a seed.
        name = named(one, ending + (f"-seed{seed}" if nth else ""))
        configurations.append(Configuration(name=name, label=f"seed {seed}", recipe=one))
    return Band(title=title, configurations=tuple(configurations))


def _check_default(recipes: Sequence[str]) -> None:
    if "annealed" not in recipes:
        raise ValueError(
            "`recipes` should have 'annealed', the default recipe, which this study is of. "
            f"Received: recipes={tuple(recipes)}"
        )


def seeds_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """The default recipe, five seeds: of weights, noise and pairs; test images stay the same."""
    _check_default(recipes)
    return Sweep(
        name="seeds",
        title="The default recipe by several seeds",
        bands=(_band_of_seeds(start, SEEDS, "The default recipe"),),
        varies="seed",
    )


def ablation_study(start: Start, recipes: Sequence[str]) -> Sweep:
    """The default recipe, and without one ingredient at a time: a band each, three seeds in it.

    An ingredient that the default recipe of these data does not have is not taken away: on the 8×8
    digits q(z|x) is of features anyway.
    """
    _check_default(recipes)
    whole = start("annealed")
    bands = [_band_of_seeds(start, ABLATION_SEEDS, "default")]
    for ending, title, change in INGREDIENTS:
        if change(whole) != whole:
            bands.append(_band_of_seeds(start, ABLATION_SEEDS, title, ending, change))
    return Sweep(
        name="ablation",
        title="The default recipe without one ingredient at a time",
        bands=tuple(bands),
        varies="ingredient",
    )
