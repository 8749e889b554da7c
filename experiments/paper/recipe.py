"""The paper's recipe."""

from __future__ import annotations

from wyner_keras.latents import Categorical
from wyner_keras.models import WynerConfig
from wyner_keras.training import Ramp, Recipe, StageSettings, WrapperSettings


def paper_recipe(local: tuple[int, int] | None = None, seed: int = 0) -> Recipe:
    """The settings of the W-model paper, section 3, with Z of size (1, 100).

    Args:
        local: |U| = |V| as (N, K). None takes (20, 10), which the text says of Figure 4; its
            caption says (2, 10).
        seed: of pairs, weights and noise.

    Returns:
        The recipe, frozen: joint and marginal stage of 50 epochs each, without alignment stage,
        flows or refinement.

    Example:
        >>> paper_recipe(local=(2, 10)).config.u
        Categorical(n=2, k=10)
    """
    n, k = local or (20, 10)
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
            u=Categorical(n=n, k=k),
            v=Categorical(n=n, k=k),
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
