"""A recipe, and `train`, which carries it out on pairs."""

from __future__ import annotations

import dataclasses
import logging
import math
import os
import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any, Self

import keras

from wyner_keras import checkpoints
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_number, check_whole
from wyner_keras.divergence import KeepLastGood
from wyner_keras.latents import Latent
from wyner_keras.losses import Loss
from wyner_keras.modality import CodecSettings
from wyner_keras.model import SideSettings, WynerModel
from wyner_keras.networks.codec import Codec
from wyner_keras.received import received
from wyner_keras.schedules import Ramp, Schedule
from wyner_keras.stage import Stage

logger = logging.getLogger(__name__)
_MOST_STEPS = 40  # of one execution of a compiled step


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage of a recipe.

    Args:
        name: of the stage, in history and checkpoints.
        loss: what it minimises.
        epochs: passes over the pairs.
        batch_size: pairs a step.
        learning_rate: of Adam, by epoch.
        temperature: of the Gumbel-softmax, by epoch.
        two_epsilon_squared: 2ε² by epoch, in squared feature units.
        average: momentum of the moving average of the weights, a step, which the stage leaves in
            place of the last ones; None leaves the last ones.
        jit_compile: whether XLA compiles the step; it pays for wide dense networks.

    Raises:
        ValueError: if a count is not positive or the average out of range.
    """

    name: str
    loss: Loss
    epochs: int
    batch_size: int = 256
    learning_rate: Ramp = Ramp(start=1e-3, end=3e-5)
    temperature: Ramp = Ramp(start=0.5, end=0.5)
    two_epsilon_squared: Ramp = Ramp(start=0.04, end=0.04)
    average: float | None = None
    jit_compile: bool = False

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size"):
            check_whole(getattr(self, name), f"`{name}`", minimum=1)
        if self.average is not None:
            check_number(self.average, "`average`", "in [0, 1)")
            if not 0 <= self.average < 1:
                raise ValueError(f"`average` should be in [0, 1). Received: average={self.average}")

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        ramps = {name: value.to_dict() for name, value in values.items() if isinstance(value, Ramp)}
        return {**values, **ramps, "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The settings again, from `get_config`'s values."""
        values = dict(config)
        for name in ("learning_rate", "temperature", "two_epsilon_squared"):
            values[name] = Ramp(**values[name])
        loss = keras.saving.deserialize_keras_object(values.pop("loss"))
        return cls(loss=loss, **values)


@dataclass(frozen=True, kw_only=True)
class Recipe:
    """A whole training run: what is built, and how each stage trains it.

    Args:
        z: the common latent.
        sides: settings of each side's networks, by name.
        codecs: settings of each side's codec, by name; None for one that learns nothing.
        stages: in their order.
        learned_prior: whether pairs are generated from a p(z) fitted to the data.
        seed: of weights, order and noise.

    Example:
        >>> import wyner_keras as wk
        >>> recipe = wk.recipes.default(pairs.facts())  # doctest: +SKIP
        >>> [stage.name for stage in recipe.stages]  # doctest: +SKIP
        ['alignment', 'joint', 'flow', 'marginal', 'refinement']
    """

    z: Latent
    sides: Mapping[str, SideSettings]
    codecs: Mapping[str, CodecSettings | None]
    stages: tuple[StageSettings, ...]
    learned_prior: bool = True
    seed: int = 0

    def __post_init__(self) -> None:
        check_whole(self.seed, "`seed`")
        if list(self.sides) != list(self.codecs):
            raise ValueError(
                "`sides` and `codecs` should be of the same sides. "
                f"Received: {received(list(self.sides))} and {received(list(self.codecs))}"
            )
        names = [stage.name for stage in self.stages]
        if len(set(names)) != len(names):
            raise ValueError(f"`stages` should have different names. Received: {received(names)}")

    def stage(self, name: str) -> StageSettings:
        """The stage of that name.

        Raises:
            ValueError: if there is none.
        """
        for stage in self.stages:
            if stage.name == name:
                return stage
        raise ValueError(
            f"`name` should be one of {[stage.name for stage in self.stages]}. "
            f"Received: name={received(name)}"
        )

    def changed(self, name: str, **settings: Any) -> Recipe:
        """The recipe with other settings of one stage."""
        changed = dataclasses.replace(self.stage(name), **settings)
        stages = tuple(changed if stage.name == name else stage for stage in self.stages)
        return dataclasses.replace(self, stages=stages)

    def scaled(self, factor: float) -> Recipe:
        """The recipe with `factor` times the epochs of the codecs and of every stage.

        Args:
            factor: above 0; below 1 is shorter. Epochs are rounded, and at least one.

        Returns:
            The recipe; ramps still run over the whole of their stage.

        Raises:
            ValueError: if the factor is not a finite number above 0.
        """
        check_number(factor, "`factor`", "a finite number above 0")
        if not 0 < factor < math.inf:
            raise ValueError(
                f"`factor` should be a finite number above 0. Received: factor={factor}"
            )

        def scaled(part: Any) -> Any:
            return part and dataclasses.replace(part, epochs=max(1, round(factor * part.epochs)))

        return dataclasses.replace(
            self,
            codecs={name: scaled(codec) for name, codec in self.codecs.items()},
            stages=tuple(map(scaled, self.stages)),
        )

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values; `from_dict` reads them."""
        serialize = keras.saving.serialize_keras_object
        return {
            "z": serialize(self.z),
            "sides": {name: serialize(side) for name, side in self.sides.items()},
            "codecs": {
                name: codec and dataclasses.asdict(codec) for name, codec in self.codecs.items()
            },
            "stages": [serialize(stage) for stage in self.stages],
            "learned_prior": self.learned_prior,
            "seed": self.seed,
        }

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Recipe:
        """The recipe again, from `to_dict`'s values.

        Raises:
            KeyError, TypeError, ValueError: if they are not such values.
        """
        deserialize = keras.saving.deserialize_keras_object
        codecs = {
            name: codec and CodecSettings(**codec) for name, codec in values["codecs"].items()
        }
        return cls(
            **{
                **values,
                "z": deserialize(values["z"]),
                "sides": {name: deserialize(side) for name, side in values["sides"].items()},
                "codecs": codecs,
                "stages": tuple(map(deserialize, values["stages"])),
            }
        )


@dataclass
class Trained:
    """What a training run leaves.

    Args:
        model: the trained model.
        pairs: the pairs it was trained on.
        recipe: by which.
        history: one list a metric, by stage.
        seconds: wall time, by stage.
        shared_nats: I(Z_x; Z_y) after the alignment stage, in nats; None without that stage.
    """

    model: WynerModel
    pairs: Pairs
    recipe: Recipe
    history: dict[str, dict[str, list[float]]] = field(default_factory=dict)
    seconds: dict[str, float] = field(default_factory=dict)
    shared_nats: float | None = None


def train(
    pairs: Pairs,
    recipe: Recipe | None = None,
    *,
    seed: int = 0,
    folder: str | os.PathLike[str] | None = None,
    after_stage: Callable[[str], None] | None = None,
    codecs: Mapping[str, Codec] | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Train a W-model on pairs.

    Args:
        pairs: the pairs, see `Pairs`.
        recipe: what to build and how to train it; None chooses by the data, `recipes.default`.
        seed: of weights, order and noise, where no recipe says otherwise.
        folder: where stages keep checkpoints; a call with the same folder goes on from there.
        after_stage: called with the name of each stage that this call has finished and kept.
        codecs: trained codecs by side, in place of training the recipe's.
        verbose: of Keras' progress bars.

    Returns:
        The model, with what it was trained on and its histories.

    Raises:
        ValueError: if an argument is not as said.
        TrainingDiverged: if a loss stops being finite.

    Example:
        >>> import wyner_keras as wk
        >>> pairs = wk.data.add_one(wk.data.load("digits").train)  # doctest: +SKIP
        >>> trained = train(pairs)  # doctest: +SKIP
        >>> y = trained.model.generate_y(x, seed=0)  # doctest: +SKIP
    """
    if not isinstance(pairs, Pairs):
        raise ValueError(f"`pairs` should be Pairs(x, y). Received: pairs={received(pairs)}")
    if recipe is None:
        from wyner_keras import recipes

        recipe = recipes.default(pairs.facts(), seed=seed)
    kept = None if folder is None else Path(folder)
    keras.utils.set_random_seed(recipe.seed)
    trained = _reached(kept, pairs, recipe)
    if trained is None:
        start, history = time.perf_counter(), {}
        if codecs is None:
            codecs, history = train_codecs(pairs, recipe, verbose=verbose)
        modalities = dict(zip(pairs.names, pairs.modalities, strict=True))
        model = WynerModel(
            recipe.z,
            modalities,
            codecs=codecs,
            settings=recipe.sides,
            learned_prior=recipe.learned_prior,
            seed=recipe.seed,
        )
        trained = Trained(model, pairs, recipe, {"codec": history})
        _finish(trained, "codec", start, kept)
    for settings in recipe.stages:
        if settings.name in trained.history:
            continue
        _carry_out(trained, settings, kept, verbose)
        if after_stage is not None:
            after_stage(settings.name)
    return trained


def train_codecs(
    pairs: Pairs, recipe: Recipe, *, verbose: Any = "auto"
) -> tuple[dict[str, Codec], dict[str, list[float]]]:
    """Train the codec of each side on its rows; sides of one store of rows share one.

    Returns:
        The frozen codecs by side, and their histories: metrics of the first, and with the side's
        name of the others.
    """
    codecs: dict[str, Codec] = {}
    history: dict[str, list[float]] = {}
    sides = zip(pairs.names, pairs.stores, pairs.modalities, strict=True)
    for position, (name, store, modality) in enumerate(sides):
        settings = recipe.codecs[name]
        if position and store is pairs.stores[0] and settings == recipe.codecs[pairs.names[0]]:
            codecs[name] = codecs[pairs.names[0]]
            continue
        codec = modality.codec(settings, recipe.seed)
        rows = Pairs(store, store, x_modality=modality, y_modality=modality)
        sizes = settings or CodecSettings()
        made = codec.train_on(
            rows, epochs=sizes.epochs, batch_size=min(sizes.batch_size, len(rows)), verbose=verbose
        )
        history |= {metric if not position else f"{metric}_{name}": v for metric, v in made.items()}
        codecs[name] = codec
    return codecs, history


def _carry_out(trained: Trained, settings: StageSettings, folder: Path | None, verbose: Any) -> None:
    """One stage."""
    start, pairs = time.perf_counter(), trained.pairs
    stage = Stage(trained.model, settings.loss)
    callbacks: list[keras.callbacks.Callback] = [
        Schedule(
            learning_rate=settings.learning_rate,
            temperature=settings.temperature,
            two_epsilon_squared=settings.two_epsilon_squared,
        )
    ]
    checkpoint = None
    if folder is not None:
        folder.mkdir(parents=True, exist_ok=True)
        checkpoint = folder / f"{settings.name}.weights.h5"
        callbacks.append(keras.callbacks.BackupAndRestore(str(folder / f"{settings.name}.backup")))
    callbacks.append(KeepLastGood(checkpoint))
    batch_size = min(settings.batch_size, len(pairs))
    stage.compile(
        optimizer=keras.optimizers.Adam(
            settings.learning_rate.start,
            use_ema=settings.average is not None,
            ema_momentum=settings.average or 0.0,
        ),
        steps_per_execution=_steps_per_execution(max(1, len(pairs) // batch_size)),
        jit_compile=settings.jit_compile,
    )
    history = stage.fit(
        pairs,
        batch_size=batch_size,
        epochs=settings.epochs,
        callbacks=callbacks,
        verbose=verbose,
    ).history
    trained.history[settings.name] = {
        name: [float(value) for value in values] for name, values in history.items()
    }
    trained.model = stage.model
    if stage.shared_nats is not None:
        trained.shared_nats = stage.shared_nats
    _finish(trained, settings.name, start, folder)


def _steps_per_execution(steps: int) -> int:
    """The largest divisor of an epoch's steps up to 40: no epoch then ends in a remainder."""
    return max(count for count in range(1, min(steps, _MOST_STEPS) + 1) if steps % count == 0)


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
    }
    checkpoints.save(folder, trained.model, progress)


def _reached(folder: Path | None, pairs: Pairs, recipe: Recipe) -> Trained | None:
    """What an earlier call with this folder reached, if it finished a stage."""
    reached = None if folder is None else checkpoints.load(folder)
    if reached is None:
        return None
    model, progress = reached
    return Trained(model, pairs, recipe, **progress)
