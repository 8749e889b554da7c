"""Baselines trained on a recipe's pairs: same networks, latents, wrapper and number of epochs."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Mapping
from pathlib import Path
from typing import Any

from wyner_keras.data import ImageSource
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.models import CVAE, JVAE, CVAEConfig, CVAEStage, JVAEStage, WynerConfig
from wyner_keras.models.pair_config import PairConfig
from wyner_keras.received import received
from wyner_keras.training.settings import STAGES, Recipe, StageSettings
from wyner_keras.training.train import Trained, add_one, begin, carry_out
from wyner_keras.training.wrapper import Wrapper

BASELINES = ("cvae", "jvae")


def baseline_settings(
    name: str, recipe: Recipe, epochs: int | None = None
) -> tuple[PairConfig, StageSettings]:
    """The config of a baseline and the settings of its one stage.

    The CVAE takes the recipe's U and V as its latents. The JVAE, which has none besides z, takes
    one that is as wide as both together.

    Args:
        name: "cvae" or "jvae".
        recipe: of the W-model that the baseline is compared with.
        epochs: passes over the pairs; None takes the recipe's, all its stages together.

    Raises:
        ValueError: if the name is unknown, the recipe has no U or V, or epochs are not positive.
    """
    if not isinstance(name, str) or name not in BASELINES:
        raise ValueError(f"`name` should be one of {BASELINES}. Received: name={received(name)}")
    config = recipe.config
    u, v = config.u, config.v
    if u is None or v is None:
        raise ValueError(
            f"`recipe` should have U and V. Received: u={received(u)}, v={received(v)}"
        )
    shared = {
        field.name: getattr(config, field.name)
        for field in dataclasses.fields(PairConfig)
        if field.name not in ("u", "v")
    }
    stages = [stage for stage in (getattr(recipe, each) for each in STAGES) if stage is not None]
    if epochs is None:
        epochs = sum(stage.epochs for stage in stages)
    settings = dataclasses.replace(recipe.joint, epochs=epochs, concept_weight=None)
    if name == "cvae":
        return CVAEConfig(u=u, v=v, **shared), settings
    return (
        WynerConfig(
            z=_together(u, v),
            u=None,
            v=None,
            joint_encoder="free",
            common_information_weight=0.0,
            alignment_weight=0.0,
            **shared,
        ),
        settings,
    )


def _together(u: Latent, v: Latent) -> Latent:
    if isinstance(u, Categorical) and isinstance(v, Categorical) and u.k == v.k:
        return Categorical(n=u.n + v.n, k=u.k)
    return DiagonalGaussian(dim=u.size + v.size)


def train_baseline(
    name: str,
    source: ImageSource,
    recipe: Recipe,
    *,
    mapping: Callable[[int], int] | Mapping[int, int] = add_one,
    target: ImageSource | None = None,
    wrapper: Wrapper | None = None,
    epochs: int | None = None,
    folder: Path | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Train a baseline on a recipe's pairs, wrapper, networks and latents, for as many epochs.

    All epochs go to the baseline's one stage, with the learning rate, temperature and 2ε² of the
    recipe's joint stage.

    Args:
        name: "cvae" or "jvae".
        source: labelled images; only `source.train` is read.
        recipe: of the W-model that the baseline is compared with.
        mapping: label of x to label of y.
        target: where y is drawn from; None for `source` (see `train`).
        wrapper: a trained wrapper, or a pair of them, to use in place of training the recipe's.
        epochs: passes over the pairs; None takes the recipe's, all its stages together.
        folder: where checkpoints and backups are kept; a call with the same folder resumes.
        verbose: of Keras' progress bars.

    Returns:
        The baseline, with what it was trained on and its history.

    Raises:
        ValueError: if the name is unknown, epochs are not positive, or the data cannot be paired.
        TrainingDiverged: if a loss stops being finite.

    Example:
        >>> trained = train_baseline("cvae", wk.data.load("digits"), recipe("annealed", "digits"))
    """
    config, settings = baseline_settings(name, recipe, epochs)
    model_type, stage_type = {"cvae": (CVAE, CVAEStage), "jvae": (JVAE, JVAEStage)}[name]
    trained = begin(source, recipe, mapping, wrapper, folder, verbose, model_type, config, target)
    carry_out(trained, name, settings, lambda: stage_type(trained.model), folder, verbose)
    return trained
