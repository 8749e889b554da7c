"""The paper's recipe."""

from __future__ import annotations

import dataclasses

from experiments.paper.losses import PaperJoint, PaperMarginal
from wyner_keras import recipes
from wyner_keras.data import Facts
from wyner_keras.latents import Categorical
from wyner_keras.recipe import Recipe, StageSettings
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings


def paper_recipe(facts: Facts, local: tuple[int, int] | None = None, seed: int = 0) -> Recipe:
    """The settings of the W-model paper, section 3, with Z of size (1, 100).

    Args:
        facts: of the pairs; codecs are the default recipe's, without noise.
        local: |U| = |V| as (N, K). None takes (20, 10), which the text says of Figure 4; its
            caption says (2, 10).
        seed: of weights, order and noise.

    Returns:
        The recipe, frozen: joint and marginal stage of 50 epochs each, without alignment stage,
        flows or refinement.
    """
    n, k = local or (20, 10)
    codecs = recipes.default(facts, seed=seed).codecs
    side = SideSettings(
        local=Categorical(n=n, k=k),
        reader="features",
        residual=False,
        flow_steps=0,
        dropout=0.0,
        noise=0.0,
    )
    # "At most 50 epochs", learning rate and temperature annealed, 2ε² = 1e-4, λ = 0.
    joint = StageSettings(
        name="joint",
        loss=PaperJoint(),
        epochs=50,
        batch_size=max(1, min(256, facts.pairs // 4)),
        learning_rate=Ramp(start=1e-3, end=1e-5),
        temperature=Ramp(start=1.0, end=0.5),
        two_epsilon_squared=Ramp.constant(1e-4),
        jit_compile=True,
    )
    return Recipe(
        z=Categorical(n=1, k=100),
        sides=dict.fromkeys(codecs, side),
        codecs={
            name: codec and dataclasses.replace(codec, noise=0.0) for name, codec in codecs.items()
        },
        stages=(joint, dataclasses.replace(joint, name="marginal", loss=PaperMarginal())),
        learned_prior=False,
        seed=seed,
    )
