"""What a sweep is: configurations, side by side in bands."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

from wyner_keras.latents import Categorical, Latent
from wyner_keras.training import Recipe

# A recipe by its name; with |U| = |V|, and the nth seed after the sweep's, where they are chosen.
Start = Callable[..., Recipe]
# What the config is without a flow between U, V and their decoders.
NO_FLOW: dict[str, Any] = {"flow_steps": 0}


@dataclass(frozen=True, kw_only=True)
class Configuration:
    """One model to train.

    Args:
        name: of its run folder; one name, one recipe, so that sweeps share what they have in
            common.
        label: what is varied, for people.
        recipe: what to build and how to train it.
    """

    name: str
    label: str
    recipe: Recipe


@dataclass(frozen=True, kw_only=True)
class Band:
    """Configurations that stand beside one another.

    Args:
        title: what they have in common.
        configurations: in the paper's order.
    """

    title: str
    configurations: tuple[Configuration, ...]


@dataclass(frozen=True, kw_only=True)
class Sweep:
    """All that one command trains and shows.

    Args:
        name: of its files.
        title: for people.
        bands: from top to bottom.
        varies: "size", "lambda", "seed" or "ingredient".
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    varies: str = "size"

    @property
    def over_seeds(self) -> bool:
        """Whether the configurations of a band differ in the seed, for mean and spread."""
        return self.varies in ("seed", "ingredient")

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """Each configuration once, in the order of training.

        One seed comes after another: runs of one seed have stages in common.
        """
        everything = [one for band in self.bands for one in band.configurations]
        everything.sort(key=lambda one: one.recipe.config.seed)
        return tuple({one.name: one for one in everything}.values())


def size_text(latent: Latent | None) -> str:
    """The paper's |Z| = (N, K) of a categorical latent, the dimensions of a Gaussian one."""
    if latent is None:
        return "none"
    if isinstance(latent, Categorical):
        return f"({latent.n}, {latent.k})"
    return f"{latent.size} Gaussian"


def _short(latent: Latent | None) -> str:
    if isinstance(latent, Categorical):
        return f"{latent.n}x{latent.k}"
    return "none" if latent is None else f"{latent.size}"


def with_config(chosen: Recipe, **changes: Any) -> Recipe:
    """The recipe with another config."""
    return dataclasses.replace(chosen, config=dataclasses.replace(chosen.config, **changes))


def without_flow(chosen: Recipe) -> Recipe:
    """The recipe with neither the flows nor their stage."""
    return dataclasses.replace(with_config(chosen, **NO_FLOW), flow=None)


def named(chosen: Recipe, ending: str = "") -> str:
    """The name of a recipe's configuration: its sizes, and what else is varied."""
    return f"{chosen.name}-z{_short(chosen.config.z)}-u{_short(chosen.config.u)}{ending}"
