"""A recipe: what is built, and how each stage trains it."""

from __future__ import annotations

import dataclasses
import math
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, Self

import keras

from wyner_keras.backend import Adam
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_number, check_whole
from wyner_keras.latents import Latent
from wyner_keras.losses import Loss
from wyner_keras.modality import CodecSettings
from wyner_keras.model import WynerModel
from wyner_keras.networks.codec import Codec
from wyner_keras.received import received
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings

_LARGEST_SEED = 2**32 - 1  # that Python, NumPy and Keras take
_RAMPS = ("learning_rate", "temperature", "two_epsilon_squared")


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class StageSettings:
    """One stage of a recipe.

    Args:
        name: of the stage, in history and checkpoints.
        loss: what it minimises.
        epochs: how many.
        batch_size: pairs a step.
        passes: over the pairs, in one epoch: more than one where they are few, since an epoch costs
            time of its own.
        learning_rate: of Adam, by epoch.
        temperature: of the Gumbel-softmax, by epoch.
        two_epsilon_squared: 2ε² by epoch, in squared feature units.
        average: momentum of the moving average of the weights, a step, which the stage leaves in
            place of the last ones; None leaves the last ones.
        jit_compile: whether XLA compiles TensorFlow's step. On the CPUs that were measured
            TensorFlow's own products are faster, so no stage of the default asks for it.
        bfloat16: whether products may be taken in bfloat16, sums and weights staying float32: they
            are where the processor multiplies tiles of it (AMX) and the stage's are large enough.

    Raises:
        ValueError: if a count is not positive, the average out of range, or no Ramp where one is
            due.
    """

    name: str
    loss: Loss
    epochs: int
    batch_size: int = 256
    passes: int = 1
    learning_rate: Ramp = Ramp(start=1e-3, end=3e-5)
    temperature: Ramp = Ramp(start=0.5, end=0.5)
    two_epsilon_squared: Ramp = Ramp(start=0.04, end=0.04)
    average: float | None = None
    jit_compile: bool = False
    bfloat16: bool = True

    def __post_init__(self) -> None:
        for name in ("epochs", "batch_size", "passes"):
            check_whole(getattr(self, name), f"`{name}`", minimum=1)
        for name in _RAMPS:
            if not isinstance(getattr(self, name), Ramp):
                value = received(getattr(self, name))
                raise ValueError(f"`{name}` should be a Ramp. Received: {name}={value}")
        if self.average is not None:
            check_number(self.average, "`average`", "in [0, 1)")
            if not 0 <= self.average < 1:
                raise ValueError(f"`average` should be in [0, 1). Received: average={self.average}")

    def optimizer(self) -> keras.optimizers.Optimizer:
        """A new Adam at the stage's first learning rate, which averages weights if asked to."""
        return Adam(
            self.learning_rate.start,
            use_ema=self.average is not None,
            ema_momentum=self.average or 0.0,
        )

    def scaled(self, factor: float) -> Self:
        """The stage with `factor` times the epochs; where that is less than one, fewer passes."""
        epochs = factor * self.epochs
        passes = max(1, round(min(1.0, epochs) * self.passes))
        return dataclasses.replace(self, epochs=max(1, round(epochs)), passes=passes)

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = {field.name: getattr(self, field.name) for field in dataclasses.fields(self)}
        ramps = {name: value.to_dict() for name, value in values.items() if isinstance(value, Ramp)}
        return {**values, **ramps, "loss": keras.saving.serialize_keras_object(self.loss)}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Self:
        """The settings again, from `get_config`'s values."""
        values = dict(config)
        for name in _RAMPS:
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
        seed: of weights, order and noise; below 2^32.

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
        seed = check_whole(self.seed, "`seed`", maximum=_LARGEST_SEED)
        object.__setattr__(self, "seed", seed)  # one of NumPy is none to Keras
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

    def shares_codec(self, pairs: Pairs) -> bool:
        """Whether both sides have one codec: of one store of rows, taken for one thing alike."""
        first, second = pairs.names
        return (
            pairs.stores[0] is pairs.stores[1]
            and pairs.modalities[0] == pairs.modalities[1]
            and self.codecs[first] == self.codecs[second]
        )

    def changed(self, name: str, **settings: Any) -> Recipe:
        """The recipe with other settings of one stage."""
        return self.with_stage(dataclasses.replace(self.stage(name), **settings))

    def with_stage(self, changed: StageSettings) -> Recipe:
        """The recipe with this stage in the place of the one of its name."""
        stages = tuple(changed if stage.name == changed.name else stage for stage in self.stages)
        return dataclasses.replace(self, stages=stages)

    def scaled(self, factor: float) -> Recipe:
        """The recipe with `factor` times the epochs of the codecs and of every stage.

        Args:
            factor: above 0; below 1 is shorter. Epochs are rounded, and at least one; where less
                than one is asked for, it takes fewer passes.

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

        stages = tuple(stage.scaled(factor) for stage in self.stages)
        return dataclasses.replace(self.with_codecs_scaled(factor), stages=stages)

    def with_codecs_scaled(self, factor: float) -> Recipe:
        """The recipe with `factor` times the epochs of the codecs, one at least."""
        codecs = {
            name: codec and dataclasses.replace(codec, epochs=max(1, round(factor * codec.epochs)))
            for name, codec in self.codecs.items()
        }
        return dataclasses.replace(self, codecs=codecs)

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


def shares_trained(
    whole: Recipe, own: Recipe, history: Mapping[str, Mapping[str, list[Any]]]
) -> dict[str, float]:
    """Of each stage the share of a whole recipe's epochs that it was trained for, at most 1.

    Args:
        whole: the recipe as long as it should be.
        own: by which was trained.
        history: by stage one list a metric, and "codec".

    Returns:
        By stage, and "codec"; stages that had nothing to do are left out.
    """
    found: dict[str, float] = {}
    codecs = [sum(each.epochs for each in of.codecs.values() if each) for of in (own, whole)]
    if history.get("codec") and codecs[1]:
        found["codec"] = min(1.0, codecs[0] / codecs[1])
    done = {stage.name: stage for stage in own.stages}
    for stage in whole.stages:
        epochs = max(map(len, history.get(stage.name, {}).values()), default=0)
        if epochs and stage.name in done:
            passes = epochs * done[stage.name].passes
            found[stage.name] = min(1.0, passes / (stage.epochs * stage.passes))
    return found


def untrained(recipe: Recipe, pairs: Pairs, codecs: Mapping[str, Codec]) -> WynerModel:
    """The model of a recipe for pairs, untrained but for its codecs."""
    modalities = dict(zip(pairs.names, pairs.modalities, strict=True))
    return WynerModel(recipe.z, modalities, codecs, recipe.sides, recipe.learned_prior, recipe.seed)
