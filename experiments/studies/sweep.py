"""What a sweep is: groups of configurations, each one model to train."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

from wyner_keras.latents import Categorical, Latent
from wyner_keras.training import Recipe

# Changes of a config that remove the flows.
NO_FLOW: dict[str, Any] = {"flow_steps": 0}


class RecipeFactory(Protocol):
    """Makes the recipes that a sweep varies."""

    def __call__(
        self, name: str, local: tuple[int, int] | None = None, seed_offset: int = 0
    ) -> Recipe:
        """The recipe "paper" or "annealed".

        Args:
            name: of the recipe.
            local: |U| = |V| as (N, K), of the paper's recipe only.
            seed_offset: added to the sweep's seed.
        """


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One model to train.

    Args:
        name: of its run folder. One name stands for one recipe in all sweeps, so that they share
            what they have in common.
        label: says what is varied.
        recipe: what to build and how to train it.
    """

    name: str
    label: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Group:
    """Configurations that a picture shows side by side.

    Args:
        title: says what they have in common.
        configurations: in the order in which they are shown.
    """

    title: str
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All configurations that one command trains and shows.

    Args:
        name: of its files.
        title: heading of its picture.
        groups: in the order in which they are shown.
        varies: "size", "lambda", "seed" or "ingredient".
    """

    name: str
    title: str
    groups: tuple[Group, ...]
    varies: str = "size"

    @property
    def over_seeds(self) -> bool:
        """Whether the configurations of a group differ in the seed alone."""
        return self.varies in ("seed", "ingredient")

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """Each configuration once, in the order of training.

        Seeds come one after another, since configurations of one seed share stages.
        """
        listed = [each for group in self.groups for each in group.configurations]
        listed.sort(key=lambda configuration: configuration.recipe.config.seed)
        return tuple({each.name: each for each in listed}.values())


def size_text(latent: Latent | None) -> str:
    """The size of a latent: the paper's (N, K) of a categorical one, a Gaussian's dimensions."""
    if latent is None:
        return "none"
    if isinstance(latent, Categorical):
        return f"({latent.n}, {latent.k})"
    return f"{latent.size} Gaussian"


def configuration_name(recipe: Recipe, ending: str = "") -> str:
    """The name of a recipe's configuration: recipe, sizes, and what else is varied."""

    def size(latent: Latent | None) -> str:
        if isinstance(latent, Categorical):
            return f"{latent.n}x{latent.k}"
        return "none" if latent is None else f"{latent.size}"

    return f"{recipe.name}-z{size(recipe.config.z)}-u{size(recipe.config.u)}{ending}"


def with_config(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with changes in its config."""
    return dataclasses.replace(recipe, config=dataclasses.replace(recipe.config, **changes))


def with_joint(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with changes in the settings of its joint stage."""
    return dataclasses.replace(recipe, joint=dataclasses.replace(recipe.joint, **changes))


def without_flow(recipe: Recipe) -> Recipe:
    """The recipe without the flows and the stage that trains them."""
    return dataclasses.replace(with_config(recipe, **NO_FLOW), flow=None)
