"""The named recipes: the paper's own settings, and the default that works."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable
from typing import Any

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig
from wyner_keras.received import received
from wyner_keras.training.schedules import Ramp
from wyner_keras.training.settings import Recipe, StageSettings, WrapperSettings


def _paper(data: str, data_y: str, local: tuple[int, int] | None, seed: int) -> Recipe:
    variables, categories = local or (20, 10)
    latent = Categorical(n=variables, k=categories)
    # "At most 50 epochs", learning rate and temperature annealed, 2ε² = 1e-4, λ = 0.
    stage = StageSettings(
        epochs=50,
        learning_rate=Ramp(start=1e-3, end=1e-5),
        temperature=Ramp(start=1.0, end=0.5),
    )
    return Recipe(
        name="paper",
        config=WynerConfig(
            z=Categorical(n=1, k=100),
            u=latent,
            v=latent,
            joint_encoder="free",
            joint_local="xy",
            marginal_local="xz",
            common_information_weight=0.0,
            two_epsilon_squared=1e-4,
            alignment_weight=0.0,
            seed=seed,
        ),
        pairs_per_class=5000,
        wrapper=WrapperSettings(noise=0.0, slant=False, epochs=8),
        joint=stage,
        marginal=stage,
    )


# What belongs to one side alone, and so follows that side's images: the local latent's dimensions
# and the wrapper.
_SIDES = {
    "digits": (16, WrapperSettings(code_size=24, epochs=32, batch_size=64)),
    "mnist": (32, WrapperSettings(noise=0.06, epochs=14)),
}


def _annealed(data: str, data_y: str, local: tuple[int, int] | None, seed: int) -> Recipe:
    if local is not None:
        raise ValueError(
            "`local` should be None: it chooses the paper's |U| = |V|, and the recipe 'annealed' "
            "sets its own. "
            f"Received: local={received(local)}"
        )
    (dim_x, wrapper), (dim_y, wrapper_y) = (
        _SIDES["digits" if each == "digits" else "mnist"] for each in (data, data_y)
    )
    if data == data_y == "digits":
        width = 256
        pairs_per_class, rate, jit_compile = 1000, 2e-3, False
        epochs = {"alignment": 10, "joint": 14, "flow": 80, "marginal": 2, "refinement": 2}
        concept_weight, concept_noise, variance = 20.0, 0.3, 0.07
        marginal_encoder, distillation_weight, batch_size = "features", 50.0, 256
    else:
        width = 512
        pairs_per_class, rate, jit_compile = 5000, 1e-3, True
        epochs = {"alignment": 8, "joint": 16, "flow": 110, "marginal": 8, "refinement": 8}
        concept_weight, concept_noise, variance = 2000.0, 0.5, 0.04
        marginal_encoder, distillation_weight, batch_size = "images", 1000.0, 128
    learning_rate = Ramp(start=rate, end=3e-5)
    stage = StageSettings(
        epochs=1,
        learning_rate=learning_rate,
        temperature=Ramp.constant(0.5),
        jit_compile=jit_compile,
    )

    def stage_of(name: str, **settings: Any) -> StageSettings:
        return dataclasses.replace(stage, epochs=epochs[name], **settings)

    return Recipe(
        name="annealed",
        config=WynerConfig(
            z=Categorical(n=1, k=10),
            u=DiagonalGaussian(dim=dim_x),
            v=DiagonalGaussian(dim=dim_y),
            hidden=(width,) * 3,
            joint_local="xz",
            marginal_encoder=marginal_encoder,
            marginal_local="xz",
            residual=True,
            flow_steps=3,
            prior="tree",
            concept_weight=concept_weight,
            concept_noise=concept_noise,
            encoder_dropout=0.2,
            encoder_noise=0.3,
            two_epsilon_squared=variance,
            seed=seed,
        ),
        pairs_per_class=pairs_per_class,
        wrapper=wrapper,
        wrapper_y=None if wrapper_y == wrapper else wrapper_y,
        alignment=StageSettings(
            epochs=epochs["alignment"], batch_size=500, learning_rate=learning_rate
        ),
        # Legible samples are the refinement's business: here κ would cost reconstruction.
        joint=stage_of(
            "joint",
            concept_weight=2.0,
            two_epsilon_squared=Ramp(start=0.2, end=variance, finish=0.8),
        ),
        flow=stage_of(
            "flow",
            batch_size=512,
            learning_rate=Ramp(start=1e-3, end=3e-5, begin=0.4),
            average=0.999,
        ),
        # In both of these XLA slows convolutions down on a CPU.
        marginal=stage_of(
            "marginal",
            batch_size=batch_size,
            learning_rate=Ramp(start=2e-3, end=3e-5, begin=0.3),
            jit_compile=False,
        ),
        refinement=stage_of(
            "refinement", learning_rate=Ramp(start=0.3 * rate, end=3e-5), jit_compile=False
        ),
        train_experts=False,
        distillation_weight=distillation_weight,
        warm_start=True,
        train_marginal_locals=False,
    )


_RECIPES: dict[str, Callable[..., Recipe]] = {"annealed": _annealed, "paper": _paper}


def recipe(
    name: str = "annealed",
    data: str = "mnist",
    *,
    data_y: str | None = None,
    local: tuple[int, int] | None = None,
    seed: int = 0,
) -> Recipe:
    """A named recipe.

    Args:
        name: "annealed", the default: maximal-correlation alignment, product of experts, Gaussian
            locals with flows, a residual model, annealed 2ε², distilled marginals, refined
            decoders; or "paper", the W-model paper's section 3 with Z of size (1, 100).
        data: "digits" sets sizes for 8×8 images; any other name those for MNIST.
        data_y: the same for y, where y is drawn from a source of its own: wrapper and U, V are of
            the size of their side, all else of MNIST's unless both sides are "digits". None for
            `data`.
        local: the paper's |U| = |V| as (N, K): (20, 10) is the text's reading of Figure 4 and the
            default, (2, 10) the caption's.
        seed: of pairs, weights and noise.

    Returns:
        The settings, frozen.

    Raises:
        ValueError: if the name is unknown or `local` does not belong to the recipe.

    Example:
        >>> recipe("paper", local=(2, 10)).config.u
        Categorical(n=2, k=10)
    """
    if not isinstance(name, str) or name not in _RECIPES:
        raise ValueError(
            f"`name` should be one of {sorted(_RECIPES)}. Received: name={received(name)}"
        )
    return _RECIPES[name](data, data if data_y is None else data_y, local, seed)
