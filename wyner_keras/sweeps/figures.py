"""The paper's Figures 4 and 5 as sweeps."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.sweeps.configurations import (
    NO_FLOW,
    Band,
    Configuration,
    Start,
    Sweep,
    named,
    size_text,
    with_config,
)
from wyner_keras.training import Recipe

COMMON = ((1, 10), (1, 100), (10, 10), (30, 10))
LOCAL = ((2, 10), (5, 10), (20, 10), (30, 10))


def _without_local(chosen: Recipe, squared_error: bool) -> Recipe:
    """No U, V; and no flow between them and the decoders.

    With plain squared error, which the paper's degenerate baseline has, 2ε² is 1.
    """
    changes: dict[str, Any] = {"u": None, "v": None, **NO_FLOW}
    if squared_error:
        changes["two_epsilon_squared"] = 1.0
        joint = dataclasses.replace(chosen.joint, two_epsilon_squared=None)
        chosen = dataclasses.replace(chosen, joint=joint)
    return dataclasses.replace(with_config(chosen, **changes), flow=None)


def _with_local(chosen: Recipe, variables: int, categories: int) -> Recipe:
    """The paper's U, V of size (N, K); Gaussian ones of N dimensions where the recipe's are."""
    latent: Latent = Categorical(n=variables, k=categories)
    if isinstance(chosen.config.u, DiagonalGaussian):
        latent = DiagonalGaussian(dim=variables)
    return with_config(chosen, u=latent, v=latent)


def _band_of_z(chosen: Recipe, title: str) -> Band:
    configurations = []
    for variables, categories in COMMON:
        one = with_config(chosen, z=Categorical(n=variables, k=categories))
        label = f"|Z| = {size_text(one.config.z)}"
        configurations.append(Configuration(name=named(one), label=label, recipe=one))
    return Band(title=title, configurations=tuple(configurations))


def _band_of_u(chosen: Recipe, title: str) -> Band:
    configurations = []
    for squared_error in (True, False):
        one = _without_local(chosen, squared_error)
        ending, label = ("-mse", "none, with MSE") if squared_error else ("", "none")
        configurations.append(Configuration(name=named(one, ending), label=label, recipe=one))
    for variables, categories in LOCAL:
        one = _with_local(chosen, variables, categories)
        label = f"|U| = |V| = {size_text(one.config.u)}"
        configurations.append(Configuration(name=named(one), label=label, recipe=one))
    return Band(title=title, configurations=tuple(configurations))


def figure_4(start: Start, recipes: Sequence[str]) -> Sweep:
    """|Z| varies, |U| = |V| is fixed: the text's (20, 10), the caption's (2, 10), our recipe's."""
    bands = []
    if "paper" in recipes:
        for local, reading in (((20, 10), "text"), ((2, 10), "caption")):
            chosen = start("paper", local)
            title = f"The paper's recipe, |U| = |V| = {local} as in its {reading}"
            bands.append(_band_of_z(chosen, title))
    if "annealed" in recipes:
        chosen = start("annealed")
        title = f"The default recipe, U and V {size_text(chosen.config.u)}"
        bands.append(_band_of_z(chosen, title))
    return Sweep(name="figure-4", title="Figure 4: the size of Z varies", bands=tuple(bands))


def figure_5(start: Start, recipes: Sequence[str]) -> Sweep:
    """|U| = |V| varies, |Z| is fixed: the paper's (1, 100), our recipe's (1, 10)."""
    bands = []
    for name, owner in (("paper", "The paper's"), ("annealed", "The default")):
        if name in recipes:
            chosen = start(name)
            title = f"{owner} recipe, |Z| = {size_text(chosen.config.z)}"
            bands.append(_band_of_u(chosen, title))
    return Sweep(name="figure-5", title="Figure 5: the size of U and V varies", bands=tuple(bands))
