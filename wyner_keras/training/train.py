"""A recipe carried out: wrapper, alignment, joint stage, flows, marginal stage, refinement."""

from __future__ import annotations

import logging
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras

from wyner_keras.data import ImageSource, Pairs, label_map
from wyner_keras.models import (
    AlignmentStage,
    FlowStage,
    JointStage,
    KeepLastGood,
    MarginalStage,
    WynerModel,
)
from wyner_keras.models.stage import Stage
from wyner_keras.training import checkpoints
from wyner_keras.training.schedules import (
    CapacitySchedule,
    LearningRateSchedule,
    NoiseScaleSchedule,
    TemperatureSchedule,
)
from wyner_keras.training.settings import Recipe, StageSettings
from wyner_keras.training.wrapper import Wrapper, train_wrapper

logger = logging.getLogger(__name__)


@dataclass
class Trained:
    """What a training run leaves.

    Args:
        model: the trained model.
        pairs: the pairs it was trained on.
        history: one list a metric, by stage.
        seconds: wall time, by stage.
        shared_nats: I(Z_x; Z_y) after the alignment stage, in nats; None without that stage.
    """

    model: Any
    pairs: Pairs
    history: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    shared_nats: float | None = None


def add_one(label: int) -> int:
    """The default pairing's label map: n to (n + 1) mod 10."""
    return (label + 1) % 10


def steps_per_execution(steps: int, most: int = 40) -> int:
    """The largest divisor of an epoch's steps up to `most`: no epoch then ends in a remainder."""
    return max(count for count in range(1, min(steps, most) + 1) if steps % count == 0)


def _schedules(settings: StageSettings, stage: Stage) -> list[keras.callbacks.Callback]:
    callbacks: list[keras.callbacks.Callback] = [
        LearningRateSchedule(settings.learning_rate),
        TemperatureSchedule(settings.temperature),
    ]
    for ramp, schedule in (
        (settings.local_weight, CapacitySchedule),
        (settings.two_epsilon_squared, NoiseScaleSchedule),
    ):
        if ramp is not None and hasattr(stage, schedule.variable):
            callbacks.append(schedule(ramp))
    return callbacks


def _fit(
    stage: Stage,
    pairs: Pairs,
    settings: StageSettings,
    name: str,
    folder: Path | None,
    verbose: Any,
) -> dict[str, list[float]]:
    callbacks = _schedules(settings, stage)
    checkpoint = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / f"{name}.weights.h5"
        callbacks.append(keras.callbacks.BackupAndRestore(str(folder / f"{name}.backup")))
    callbacks.append(KeepLastGood(checkpoint))
    stage.compile(
        optimizer=keras.optimizers.Adam(
            settings.learning_rate.start,
            use_ema=settings.average is not None,
            ema_momentum=settings.average or 0.0,
        ),
        steps_per_execution=steps_per_execution(max(1, len(pairs) // settings.batch_size)),
        jit_compile=settings.jit_compile,
    )
    history = stage.fit(
        pairs,
        batch_size=settings.batch_size,
        epochs=settings.epochs,
        callbacks=callbacks,
        verbose=verbose,
    )
    return {name: [float(value) for value in values] for name, values in history.history.items()}


def _finish(trained: Trained, stage: str, begin: float, folder: Path | None) -> None:
    """Note a finished stage's time, and keep what was reached so that a resumed run skips it."""
    trained.seconds[stage] = round(time.perf_counter() - begin, 1)
    logger.info("%s took %.1f s", stage, trained.seconds[stage])
    if folder is None:
        return
    progress = {
        "history": trained.history,
        "seconds": trained.seconds,
        "shared_nats": trained.shared_nats,
    }
    checkpoints.save(folder, trained.model, progress)


def _reached(folder: Path | None, pairs: Pairs) -> Trained | None:
    """What an earlier call with this folder reached, if it finished a stage."""
    reached = None if folder is None else checkpoints.load(folder)
    if reached is None:
        return None
    model, progress = reached
    return Trained(model, pairs, **progress)


def begin(
    source: ImageSource,
    recipe: Recipe,
    mapping: Callable[[int], int] | Mapping[int, int],
    wrapper: Wrapper | None,
    folder: Path | None,
    verbose: Any,
    model_type: Callable[..., Any],
    config: Any,
    target: ImageSource | None = None,
) -> Trained:
    """Pairs and wrapper, and a model that is new or what an earlier call reached."""
    pairs = label_map(
        source.train,
        mapping,
        pairs_per_class=recipe.pairs_per_class,
        seed=recipe.config.seed,
        targets=None if target is None else target.train,
    )
    keras.utils.set_random_seed(recipe.config.seed)
    trained = _reached(folder, pairs)
    if trained is None:
        start, history = time.perf_counter(), {}
        if wrapper is None and recipe.wrapper is not None:
            wrapper, history["wrapper"] = train_wrapper(source, recipe, verbose=verbose)
            if target is not None:
                of_y, found = train_wrapper(target, recipe, side="y", verbose=verbose)
                wrapper = None if wrapper is None or of_y is None else (wrapper, of_y)
                history["wrapper"] |= {f"{name}_y": values for name, values in found.items()}
        trained = Trained(model_type(config, wrapper=wrapper), pairs, history)
        if history:
            _finish(trained, "wrapper", start, folder)
    return trained


def carry_out(
    trained: Trained,
    name: str,
    settings: StageSettings,
    make: Callable[[], Stage],
    folder: Path | None,
    verbose: Any,
) -> None:
    """One stage, unless an earlier call finished it."""
    if name in trained.history:
        return
    start, stage = time.perf_counter(), make()
    trained.history[name] = _fit(stage, trained.pairs, settings, name, folder, verbose)
    if isinstance(stage, AlignmentStage):
        trained.shared_nats = stage.assign(trained.pairs)
    _finish(trained, name, start, folder)


def train(
    source: ImageSource,
    recipe: Recipe,
    *,
    mapping: Callable[[int], int] | Mapping[int, int] = add_one,
    target: ImageSource | None = None,
    wrapper: Wrapper | None = None,
    folder: Path | None = None,
    after_stage: Callable[[str], None] | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Carry out a recipe on the training images of a source.

    Args:
        source: labelled images; only `source.train` is read.
        recipe: what to build and how to train it.
        mapping: label of x to label of y.
        target: where y is drawn from, likewise; its images may have a shape of their own. None
            for `source`, and one wrapper for both sides; else each side has its own.
        wrapper: a trained wrapper, or a pair of them (for x, for y), to use in place of training
            the recipe's.
        folder: where stages keep checkpoints and backups; a call with the same folder resumes.
        after_stage: called with the name of each stage that this call has finished and kept.
        verbose: of Keras' progress bars.

    Returns:
        The model, with what it was trained on and its histories.

    Raises:
        ValueError: if the data cannot be paired.
        TrainingDiverged: if a loss stops being finite.

    Example:
        >>> trained = train(wk.data.load("digits"), recipe("annealed", "digits"))
    """
    trained = begin(
        source, recipe, mapping, wrapper, folder, verbose, WynerModel, recipe.config, target
    )
    model = trained.model

    def stage(name: str, settings: StageSettings | None, make: Callable[[], Stage]) -> None:
        if settings is None or name in trained.history:
            return
        carry_out(trained, name, settings, make, folder, verbose)
        if after_stage is not None:
            after_stage(name)

    def joint() -> JointStage:
        return JointStage(
            model,
            train_experts=recipe.train_experts,
            concept_weight=recipe.joint.concept_weight,
            flows=False,
        )

    def marginal() -> MarginalStage:
        if model.prior_z is not None:
            model.fit_prior(trained.pairs)
        if recipe.warm_start:
            model.warm_start_marginals()
        return MarginalStage(
            model,
            distillation_weight=recipe.distillation_weight,
            train_locals=recipe.train_marginal_locals,
        )

    def refinement() -> JointStage:
        settings = recipe.refinement
        return JointStage(
            model,
            train_experts=False,
            train_locals=False,
            concept_weight=None if settings is None else settings.concept_weight,
            reader="marginals",
        )

    stage("alignment", recipe.alignment, lambda: AlignmentStage(model))
    stage("joint", recipe.joint, joint)
    stage("flow", recipe.flow, lambda: FlowStage(model))
    stage("marginal", recipe.marginal, marginal)
    stage("refinement", recipe.refinement, refinement)
    return trained
