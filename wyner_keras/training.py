"""`train`, which carries out a recipe on pairs."""

from __future__ import annotations

import contextlib
import logging
import os
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import keras
import numpy as np

from wyner_keras import checkpoints, recipes
from wyner_keras.backend import workers
from wyner_keras.budget import Budget, TimeLimit
from wyner_keras.data import Pairs
from wyner_keras.data.digest import digest_of
from wyner_keras.data.door import LEAST_PAIRS
from wyner_keras.divergence import KeepLastGood, TrainingDiverged
from wyner_keras.execution import execution
from wyner_keras.modality import CodecSettings
from wyner_keras.model import WynerModel
from wyner_keras.networks.codec import Codec
from wyner_keras.received import received
from wyner_keras.recipe import Recipe, StageSettings, untrained
from wyner_keras.schedules import Schedule
from wyner_keras.stage import Stage
from wyner_serving.whole import held

logger = logging.getLogger(__name__)
Callbacks = Sequence[keras.callbacks.Callback]


@dataclass
class Trained:
    """What a training run leaves.

    Args:
        model: the trained model.
        pairs: the pairs it was trained on.
        recipe: by which.
        history: one list a metric, by stage.
        seconds: wall time, by stage.
        shared_nats: what the alignment stage says that x and y share, in nats; None without it.
        found: what else it says: of which kind that is, and by which figures.
        of: what tells it from other trainings in the same folder, see `train`.
    """

    model: WynerModel
    pairs: Pairs
    recipe: Recipe
    history: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    shared_nats: float | None = None
    found: dict[str, Any] = field(default_factory=dict)
    of: dict[str, Any] = field(default_factory=dict)


def train(
    pairs: Pairs,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    after_stage: Callable[[str], None] | None = None,
    codecs: Mapping[str, Codec] | None = None,
    budget: str | float | None = None,
    callbacks: Callbacks | Callable[[str], Callbacks] | None = None,
    validation: Pairs | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Train a W-model on pairs.

    Where several workers have joined (`backend.workers.join`), each calls it with the same
    arguments; the first writes into the folder, which all of them should see.

    Args:
        pairs: the pairs, see `Pairs`.
        recipe: what to build and how to train it; None chooses by the data, `recipes.default`.
        seed: of weights, order and noise, where no recipe says otherwise.
        folder: where codecs and stages keep checkpoints; a call with the same folder, pairs and
            seed goes on from there. Finished stages are not done again, whatever the recipe.
        after_stage: called with the name of each stage that this call has finished and kept.
        codecs: trained codecs by side, in place of training the recipe's.
        budget: a time, "5min" or seconds, that it takes at most: in fewer epochs, and on a random
            share of the pairs where one epoch of each stage takes longer.
        callbacks: Keras' callbacks of each stage's `fit`: the same ones for all, or a function that
            makes a stage's by its name. Codecs are trained without.
        validation: held-out pairs. Each epoch ends with their terms in the logs, `val_loss` and so
            on, which chooses nothing and changes no weight; a stage that holds pairs out itself,
            as the alignment does where it finds z, has those in their place.
        verbose: of Keras' progress bars.

    Returns:
        The model, with what it was trained on and its histories.

    Raises:
        ValueError: if an argument is not as said, the folder is of other pairs or another seed, or
            a tf.distribute strategy is in use.
        TrainingDiverged: if a loss stops being finite.
        WorkersStopped: if another worker stopped.
        BlockingIOError: if another process trains in the folder.
        OSError: if the folder cannot be written, or goes away.

    Example:
        >>> import wyner_keras as wk
        >>> pairs = wk.data.add_one(wk.data.load("digits").train)  # doctest: +SKIP
        >>> trained = train(pairs)  # doctest: +SKIP
        >>> y = trained.model.generate_y(x, seed=0)  # doctest: +SKIP
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs(x, y). Received: pairs={received(pairs)}")
    if len(pairs) < LEAST_PAIRS:
        raise ValueError(
            f"`pairs` should be {LEAST_PAIRS} or more to train on, beside those held out. "
            f"Received: {received(pairs)}"
        )
    if not isinstance(validation, Pairs | None):
        raise ValueError(
            f"`validation` should be Pairs(x, y). Received: validation={received(validation)}"
        )
    workers.refuse_strategies()
    if recipe is None:
        recipe = recipes.default(pairs.facts(), seed=seed)
    if budget is not None and workers.worker().count > 1:
        raise ValueError(
            "`budget` should be None where several workers train: each has a clock of its own. "
            f"Received: budget={received(budget)}"
        )
    kept = None if folder is None else Path(folder)
    verbose = verbose if workers.worker().first else 0
    with _held(kept):
        trained, within = _begun(pairs, recipe, kept, codecs, budget, verbose)
        for settings in trained.recipe.stages:
            if settings.name in trained.history:
                continue
            own = callbacks(settings.name) if callable(callbacks) else callbacks
            limit = None
            if within is not None:
                first = {*trained.history} <= {"codec"}
                settings, limit = within.begun(settings, trained.model, first=first)
                trained.recipe = trained.recipe.with_stage(settings)
            _carry_out(trained, settings, kept, verbose, limit, own or (), validation)
            if after_stage is not None:
                after_stage(settings.name)
        workers.agree("stages", [*trained.history])  # all of them kept
    return trained


def _held(folder: Path | None) -> contextlib.AbstractContextManager[None]:
    """Inside, the folder is there and nobody else's; of several workers the first sees to it."""
    if folder is None or not workers.worker().first:
        return contextlib.nullcontext()
    folder.mkdir(parents=True, exist_ok=True)
    return held(folder)


def _begun(
    pairs: Pairs,
    recipe: Recipe,
    kept: Path | None,
    codecs: Mapping[str, Codec] | None,
    budget: str | float | None,
    verbose: Any,
) -> tuple[Trained, Budget | None]:
    """What an earlier call reached, or a model with its codecs; and what shares the time."""
    keras.utils.set_random_seed(recipe.seed)
    of = {"seed": recipe.seed, "pairs": digest_of(pairs)}
    workers.agree("pairs and recipe", [len(pairs), repr(pairs), recipe.to_dict()])
    trained = _reached(kept, pairs, recipe, of)
    # What the first writes from here on, all have read.
    workers.agree("finished stages in the folder", [*trained.history] if trained else [])
    within = None
    if budget is not None:
        done = {} if trained is None else trained.seconds
        within = Budget(recipe, pairs, budget, done if codecs is None else {"codec": 0.0, **done})
        recipe, pairs = within.recipe, within.pairs
    if trained is not None:
        trained.recipe, trained.pairs = recipe, pairs
        return trained, within
    start, history = time.perf_counter(), dict[str, list[float]]()
    if codecs is None:
        codecs, history = train_codecs(pairs, recipe, folder=kept, verbose=verbose, of=of)
    model = untrained(recipe, pairs, codecs)
    trained = Trained(model, pairs, recipe, {"codec": history}, of=of)
    _finish(trained, "codec", start, kept)
    return trained, within


def train_codecs(
    pairs: Pairs,
    recipe: Recipe,
    *,
    folder: Path | None = None,
    verbose: Any = "auto",
    of: Mapping[str, Any] | None = None,
) -> tuple[dict[str, Codec], dict[str, list[float]]]:
    """Train the codec of each side on its rows; sides share one where `Recipe.shares_codec` says.

    Args:
        pairs: whose rows.
        recipe: by which.
        folder: where epochs are kept, to go on from; see `checkpoints.tidy`.
        verbose: of Keras' progress bars.
        of: what tells it from other trainings in the same folder.

    Returns:
        The frozen codecs by side, and their histories: metrics of the first, and with the side's
        name of the others.
    """
    codecs: dict[str, Codec] = {}
    history: dict[str, list[float]] = {}
    sides = zip(pairs.names, pairs.stores, pairs.modalities, strict=True)
    for position, (name, store, modality) in enumerate(sides):
        settings = recipe.codecs[name]
        if position and recipe.shares_codec(pairs):
            codecs[name] = codecs[pairs.names[0]]
            continue
        codec = modality.codec(settings, recipe.seed)
        rows = Pairs(store, store, x_modality=modality, y_modality=modality)
        sizes = settings or CodecSettings()
        batch_size = _batch_size(sizes.batch_size, len(rows))
        codec.backup = None if folder is None else checkpoints.backup(folder, "codec", name, of)
        made = codec.train_on(rows, epochs=sizes.epochs, batch_size=batch_size, verbose=verbose)
        codec.backup = None
        history |= {metric if not position else f"{metric}_{name}": v for metric, v in made.items()}
        codecs[name] = codec
    return codecs, history


def _carry_out(
    trained: Trained,
    settings: StageSettings,
    folder: Path | None,
    verbose: Any,
    limit: TimeLimit | None,
    of_user: Callbacks,
    watched: Pairs | None,
) -> None:
    """One stage, where its loss has something to do."""
    start, pairs = time.perf_counter(), trained.pairs
    loss = settings.loss.adapted(trained.model, pairs)
    if loss is None:
        logger.info("%s has nothing to do on these pairs", settings.name)
        settings.loss.left_out(trained.model, pairs)
        trained.history[settings.name] = {}
        _finish(trained, settings.name, start, folder)
        return
    pairs, validation = loss.split(pairs, trained.recipe.seed)
    if settings.passes > 1:
        pairs = pairs.select(np.tile(np.arange(len(pairs)), settings.passes))
    stage = Stage(trained.model, loss, bfloat16=settings.bfloat16)
    callbacks: list[keras.callbacks.Callback] = [
        Schedule(
            learning_rate=settings.learning_rate,
            temperature=settings.temperature,
            two_epsilon_squared=settings.two_epsilon_squared,
        ),
        # Before the backup, which keeps what they add to the logs.
        *of_user,
    ]
    checkpoint = backup = None
    if folder is not None:
        checkpoint = folder / f"{settings.name}.weights.h5"
        backup = checkpoints.backup(folder, settings.name)
        callbacks.append(backup)
    callbacks += [KeepLastGood(checkpoint), *([] if limit is None else [limit])]
    batch_size = _batch_size(settings.batch_size, len(pairs))
    stage.compile(
        optimizer=settings.optimizer(),
        **execution(len(pairs) // batch_size, settings.epochs, jit_compile=settings.jit_compile),
    )
    try:
        history = stage.fit(
            pairs,
            batch_size=batch_size,
            epochs=settings.epochs,
            validation_data=watched if validation is None else validation,
            chooses=validation is not None,
            # What a stage chooses by is asked for at its end; nobody watches it before.
            validation_freq=1 if watched is not None else settings.epochs + 1,
            callbacks=callbacks,
            verbose=verbose,
        ).history
    except TrainingDiverged:
        if folder is not None:
            # It would diverge again: another recipe should begin the stage anew.
            checkpoints.tidy(folder, [settings.name])
        raise
    history = history if backup is None else backup.history
    trained.history[settings.name] = {
        name: [float(value) for value in values] for name, values in history.items()
    }
    trained.model = stage.model
    if stage.shared_nats is not None:
        trained.shared_nats, trained.found = stage.shared_nats, stage.found
    _finish(trained, settings.name, start, folder)


def _batch_size(asked: int, rows: int) -> int:
    """What is asked for, as far as there are rows and workers can divide it among them."""
    most = min(asked, rows)
    chosen = workers.worker().divisible(most)
    if chosen != most:
        logger.info("Batches are of %d in place of %d: workers divide them", chosen, most)
    return chosen


def _finish(trained: Trained, stage: str, start: float, folder: Path | None) -> None:
    """Note a finished stage's time, and keep what was reached so that a resumed run skips it."""
    trained.seconds[stage] = round(time.perf_counter() - start, 1)
    logger.info("%s took %.1f s", stage, trained.seconds[stage])
    if folder is None:
        return
    progress = {
        "history": trained.history,
        "seconds": trained.seconds,
        "shared_nats": trained.shared_nats,
        "found": trained.found,
        "of": trained.of,
    }
    checkpoints.save(folder, trained.model, progress)
    checkpoints.tidy(folder, trained.history)


def _reached(
    folder: Path | None, pairs: Pairs, recipe: Recipe, of: dict[str, Any]
) -> Trained | None:
    """What an earlier call with this folder reached, if it finished a stage."""
    reached = None if folder is None else checkpoints.load(folder)
    if folder is None or reached is None:
        return None
    model, progress = reached
    try:
        trained = Trained(model, pairs, recipe, **progress)
    except TypeError as error:
        raise ValueError(
            f"{folder} should hold what training has reached; remove it to begin anew. "
            f"Received: notes of {', '.join(progress):.200}"
        ) from error
    checkpoints.refuse_other(folder, trained.of, of)
    trained.of = of
    checkpoints.tidy(folder, trained.history)
    return trained
