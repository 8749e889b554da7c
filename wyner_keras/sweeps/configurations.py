"""What the paper's figures and the study of λ train: sweeps as lists of configurations."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Any

from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.training import Recipe, recipe
from wyner_keras.training.settings import STAGES

RECIPES = ("paper", "annealed")
COMMON = ((1, 10), (1, 100), (10, 10), (30, 10))
LOCAL = ((2, 10), (5, 10), (20, 10), (30, 10))
WEIGHTS = (0.0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5)


@dataclass(frozen=True, kw_only=True)
class Size:
    """How much of everything a sweep does.

    Args:
        name: its name.
        epochs: the most epochs of each stage, by name, and of the "wrapper".
        pairs_per_class: the most pairs a class of x.
        batch_size: the most pairs a step.
        jit_compile: whether XLA may compile steps; it pays for long runs only.
        inputs: test images that the judge's figures rest on; None for all.
        styles: style references of the transfer.
        concepts: concept references of the transfer.
    """

    name: str
    epochs: dict[str, int]
    pairs_per_class: int
    batch_size: int
    jit_compile: bool
    inputs: int | None
    styles: int
    concepts: int


# All configurations of both figures in 3 hours on 2 cores: 22 of them, at about 20 s for an epoch
# of the paper's joint stage on a busy machine.
FULL = Size(
    name="full",
    epochs={
        **{"wrapper": 6, "alignment": 6, "joint": 10},
        **{"flow": 8, "refinement": 2, "marginal": 4},
    },
    pairs_per_class=5000,
    batch_size=500,
    jit_compile=True,
    inputs=2000,
    styles=50,
    concepts=100,
)
QUICK = Size(
    name="quick",
    epochs={
        **{"wrapper": 12, "alignment": 8, "joint": 10},
        **{"flow": 4, "refinement": 1, "marginal": 3},
    },
    pairs_per_class=300,
    batch_size=250,
    jit_compile=False,
    inputs=200,
    styles=10,
    concepts=20,
)


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
        varies_lambda: whether λ is what varies.
    """

    name: str
    title: str
    bands: tuple[Band, ...]
    varies_lambda: bool = False

    @property
    def configurations(self) -> tuple[Configuration, ...]:
        """Each configuration once, in order."""
        everything = [one for band in self.bands for one in band.configurations]
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


def _sized(chosen: Recipe, size: Size) -> Recipe:
    """The recipe with no more of anything than the size allows."""
    smaller: dict[str, Any] = {"pairs_per_class": min(chosen.pairs_per_class, size.pairs_per_class)}
    if chosen.wrapper is not None:
        epochs = min(chosen.wrapper.epochs, size.epochs["wrapper"])
        smaller["wrapper"] = dataclasses.replace(chosen.wrapper, epochs=epochs)
    for name in STAGES:
        stage = getattr(chosen, name)
        smaller[name] = stage and dataclasses.replace(
            stage,
            epochs=min(stage.epochs, size.epochs[name]),
            batch_size=min(stage.batch_size, size.batch_size),
            jit_compile=stage.jit_compile and size.jit_compile,
        )
    return dataclasses.replace(chosen, **smaller)


def _with(chosen: Recipe, **changes: Any) -> Recipe:
    """The recipe with another config."""
    return dataclasses.replace(chosen, config=dataclasses.replace(chosen.config, **changes))


def _without_local(chosen: Recipe, squared_error: bool) -> Recipe:
    """No U, V; and no flow between them and the decoders.

    With plain squared error, which the paper's degenerate baseline has, 2ε² is 1.
    """
    changes: dict[str, Any] = {"u": None, "v": None, "flow_steps": 0}
    if squared_error:
        changes["two_epsilon_squared"] = 1.0
        joint = dataclasses.replace(chosen.joint, two_epsilon_squared=None)
        chosen = dataclasses.replace(chosen, joint=joint)
    return dataclasses.replace(_with(chosen, **changes), flow=None)


def _with_local(chosen: Recipe, variables: int, categories: int) -> Recipe:
    """The paper's U, V of size (N, K); Gaussian ones of N dimensions where the recipe's are."""
    latent: Latent = Categorical(n=variables, k=categories)
    if isinstance(chosen.config.u, DiagonalGaussian):
        latent = DiagonalGaussian(dim=variables)
    return _with(chosen, u=latent, v=latent)


# The recipe of a name, with |U| = |V| where they are to be chosen.
_Start = Callable[..., Recipe]


def _name(chosen: Recipe, ending: str = "") -> str:
    return f"{chosen.name}-z{_short(chosen.config.z)}-u{_short(chosen.config.u)}{ending}"


def _band_of_z(chosen: Recipe, title: str) -> Band:
    configurations = []
    for variables, categories in COMMON:
        one = _with(chosen, z=Categorical(n=variables, k=categories))
        label = f"|Z| = {size_text(one.config.z)}"
        configurations.append(Configuration(name=_name(one), label=label, recipe=one))
    return Band(title=title, configurations=tuple(configurations))


def _band_of_u(chosen: Recipe, title: str) -> Band:
    configurations = []
    for squared_error in (True, False):
        one = _without_local(chosen, squared_error)
        ending, label = ("-mse", "none, with MSE") if squared_error else ("", "none")
        configurations.append(Configuration(name=_name(one, ending), label=label, recipe=one))
    for variables, categories in LOCAL:
        one = _with_local(chosen, variables, categories)
        label = f"|U| = |V| = {size_text(one.config.u)}"
        configurations.append(Configuration(name=_name(one), label=label, recipe=one))
    return Band(title=title, configurations=tuple(configurations))


def _figure_4(start: _Start, recipes: Sequence[str]) -> Sweep:
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


def _figure_5(start: _Start, recipes: Sequence[str]) -> Sweep:
    """|U| = |V| varies, |Z| is fixed: the paper's (1, 100), our recipe's (1, 10)."""
    bands = []
    for name, owner in (("paper", "The paper's"), ("annealed", "The default")):
        if name in recipes:
            chosen = start(name)
            title = f"{owner} recipe, |Z| = {size_text(chosen.config.z)}"
            bands.append(_band_of_u(chosen, title))
    return Sweep(name="figure-5", title="Figure 5: the size of U and V varies", bands=tuple(bands))


def _lambda_study(start: _Start, recipes: Sequence[str]) -> Sweep:
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
                _with(chosen, alignment_weight=0.0, concept_weight=0.0),
                joint=dataclasses.replace(chosen.joint, concept_weight=None),
                refinement=None,
                train_experts=True,
            )
        configurations = []
        for weight in WEIGHTS:
            one = _with(chosen, common_information_weight=weight)
            # The paper's λ is 0: that model is Figure 4's.
            is_figures = name == "paper" and weight == 0
            ending = "" if is_figures else f"-lambda{weight:g}"
            configurations.append(
                Configuration(name=_name(one, ending), label=f"λ = {weight:g}", recipe=one)
            )
        bands.append(Band(title=title, configurations=tuple(configurations)))
    return Sweep(
        name="lambda",
        title="The weight λ of common information",
        bands=tuple(bands),
        varies_lambda=True,
    )


SWEEPS = {"4": _figure_4, "5": _figure_5, "lambda": _lambda_study}


def sweep(
    name: str,
    *,
    recipes: Sequence[str] = RECIPES,
    data: str = "mnist",
    size: Size = FULL,
    seed: int = 0,
) -> Sweep:
    """A named sweep.

    Args:
        name: "4" or "5", a figure of the paper, or "lambda".
        recipes: those of `RECIPES` to vary.
        data: whose sizes the recipes take; see `wyner_keras.training.recipe`.
        size: how much of everything is done.
        seed: of pairs, weights and noise.

    Returns:
        The sweep; its file name tells the recipe where there is only one.

    Raises:
        ValueError: if the name or a recipe is unknown, or there is no recipe.

    Example:
        >>> [one.label for one in sweep("4", recipes=["paper"]).configurations][:2]
        ['|Z| = (1, 10)', '|Z| = (1, 100)']

    Source: the W-model paper, section 3 and, for λ, section 4.
    """
    if name not in SWEEPS:
        raise ValueError(f"`name` should be one of {sorted(SWEEPS)}. Received: name={name!r}")
    recipes = tuple(recipes)
    if not recipes or not set(recipes) <= set(RECIPES):
        raise ValueError(f"`recipes` should be some of {RECIPES}. Received: recipes={recipes}")

    def start(name: str, local: tuple[int, int] | None = None) -> Recipe:
        return _sized(recipe(name, data, local=local, seed=seed), size)

    found = SWEEPS[name](start, recipes)
    if set(recipes) == set(RECIPES):
        return found
    return dataclasses.replace(found, name=f"{found.name}-{recipes[0]}")
