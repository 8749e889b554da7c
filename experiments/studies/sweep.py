"""What a sweep is: groups of configurations, each one model to train."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any, Protocol

from wyner_keras.latents import Categorical, Latent
from wyner_keras.recipe import Recipe
from wyner_keras.schedules import Ramp


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One model to train.

    Args:
        owner: whose recipe it is, "paper" or "annealed".
        recipe: what to build and how to train it.
        slant: whether slant is a feature of its own, where the images have one.
        label: says what is varied.
        ending: of its name: what is varied besides the sizes of the latents.
    """

    owner: str
    recipe: Recipe
    slant: bool = True
    label: str = ""
    ending: str = ""

    @property
    def name(self) -> str:
        """The name of its run folder: recipe, sizes, and what else is varied.

        One name stands for one recipe in all sweeps, so that they share what they have in common.
        """

        def size(latent: Latent | None) -> str:
            if isinstance(latent, Categorical):
                return f"{latent.n}x{latent.k}"
            return "none" if latent is None else f"{latent.size}"

        sizes = f"z{size(self.recipe.z)}-u{size(local_of(self.recipe))}"
        return f"{self.owner}-{sizes}{self.ending}"

    def varied(self, recipe: Recipe, label: str = "", ending: str = "") -> Configuration:
        """The same start with another recipe."""
        return dataclasses.replace(self, recipe=recipe, label=label, ending=ending)


class Start(Protocol):
    """Makes what a sweep varies."""

    def __call__(
        self, owner: str, local: tuple[int, int] | None = None, seed_offset: int = 0
    ) -> Configuration:
        """The configuration of the recipe "paper" or "annealed", without label or ending.

        Args:
            owner: of the recipe.
            local: |U| = |V| as (N, K), of the paper's recipe only.
            seed_offset: added to the sweep's seed.
        """


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
        """Each configuration once, seed by seed, in the order of training."""
        listed = [each for group in self.groups for each in group.configurations]
        listed.sort(key=lambda configuration: configuration.recipe.seed)
        return tuple({each.name: each for each in listed}.values())


def local_of(recipe: Recipe, side: str = "x") -> Latent | None:
    """The local latent of a side."""
    return recipe.sides[side].local


def size_text(latent: Latent | None) -> str:
    """The size of a latent: the paper's (N, K) of a categorical one, a Gaussian's dimensions."""
    if latent is None:
        return "none"
    if isinstance(latent, Categorical):
        return f"({latent.n}, {latent.k})"
    return f"{latent.size} Gaussian"


def with_sides(recipe: Recipe, **changes: Any) -> Recipe:
    """The recipe with changes in the settings of both sides."""
    sides = {name: dataclasses.replace(side, **changes) for name, side in recipe.sides.items()}
    return dataclasses.replace(recipe, sides=sides)


def with_loss(recipe: Recipe, stage: str, **changes: Any) -> Recipe:
    """The recipe with changes in the loss of a stage."""
    loss: Any = recipe.stage(stage).loss
    return recipe.changed(stage, loss=dataclasses.replace(loss, **changes))


def without(recipe: Recipe, *stages: str) -> Recipe:
    """The recipe without some stages."""
    kept = tuple(stage for stage in recipe.stages if stage.name not in stages)
    return dataclasses.replace(recipe, stages=kept)


def without_flow(recipe: Recipe) -> Recipe:
    """The recipe without the flows and the stage that trains them."""
    return without(with_sides(recipe, flow_steps=0), "flow")


def with_epsilon(recipe: Recipe, two_epsilon_squared: float, *stages: str) -> Recipe:
    """The recipe with a constant 2ε² in some stages, by default in all."""
    for stage in recipe.stages:
        if not stages or stage.name in stages:
            constant = Ramp.constant(two_epsilon_squared)
            recipe = recipe.changed(stage.name, two_epsilon_squared=constant)
    return recipe
