"""The default recipe's stages for 50,000 labelled 28×28 pairs, ready to be timed, and their peers.

Images are drawn: only steps are timed. Weights and batches go to the peers by file.
"""

from __future__ import annotations

import dataclasses
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import keras
import numpy as np
import tensorflow as tf

import wyner_keras as wk
from benchmarks.weights import trained_names, weights_of
from wyner_keras.backend import Adam
from wyner_keras.divergence import KeepLastGood
from wyner_keras.execution import execution
from wyner_keras.recipe import untrained
from wyner_keras.schedules import Ramp, Schedule
from wyner_keras.stage import Stage

PAIRS, ROWS, CLASSES = 50_000, 60_000, 10  # of MNIST add-one, which the recipe is chosen for
Arrays = dict[str, np.ndarray]
Turn = Callable[[int, float], None]


def drawn_images(count: int, side: int = 28, seed: int = 0) -> np.ndarray:
    """Grey strokes on an empty ground, uint8 `(count, side, side, 1)`."""
    rng = np.random.default_rng(seed)
    places = np.arange(side, dtype=np.float32)
    images = np.zeros((count, side, side), np.float32)
    for _ in range(3):
        middle = rng.uniform(0.3, 0.7, (2, count, 1, 1)).astype(np.float32) * side
        angle = rng.uniform(0, np.pi, (count, 1, 1)).astype(np.float32)
        across, down = places[None, None] - middle[0], places[None, :, None] - middle[1]
        along = across * np.cos(angle) + down * np.sin(angle)
        beside = across * np.sin(angle) - down * np.cos(angle)
        ink = np.exp(-((along / (0.2 * side)) ** 4) - (beside / (0.06 * side)) ** 2)
        images = np.maximum(images, ink)
    return (255 * images[..., None]).round().astype(np.uint8)


def drawn_pairs(count: int, rows: int = 5000, side: int = 28) -> wk.Pairs:
    """Pairs of rows of one store of images."""
    images = drawn_images(min(count, rows), side)
    index = np.random.default_rng(1).integers(0, len(images), (count, 2))
    return wk.Pairs(images, images, index)


def default_recipe(pairs: wk.Pairs) -> Any:
    """The recipe of as many pairs and classes as MNIST has."""
    rows = (ROWS, ROWS)
    facts = dataclasses.replace(pairs.facts(), pairs=PAIRS, rows=rows, classes=CLASSES)
    return wk.recipes.default(facts)


def built(pairs: wk.Pairs, recipe: Any) -> wk.WynerModel:
    """The recipe's model; what begins as 0 is a little beside it, so that losses depend on it."""
    codec = pairs.modalities[0].codec(recipe.codecs["x"], recipe.seed)
    codec.trainable = False
    model = untrained(recipe, pairs, dict.fromkeys(pairs.names, codec))
    rng = np.random.default_rng(2)
    for side in model.sides:
        for layer in (side.concept, *(each.output_layer for each in side.flow.velocities)):
            layer.kernel.assign(0.05 * rng.standard_normal(layer.kernel.shape))
    return model


class Recorded:
    """Noise that is written down as it is drawn; what a loss calls `draw`."""

    def __init__(self, stage: Any) -> None:
        self.heads, self.drawn = stage.heads, list[np.ndarray]()
        self.temperature, self.two_epsilon_squared = stage.temperature, stage.two_epsilon_squared
        self._rng = np.random.default_rng(3)

    def _noise(self, latent: Any, count: Any) -> np.ndarray:
        self.drawn.append(latent.draw_noise(self._rng, int(count)))
        return self.drawn[-1]

    def __call__(self, latent: Any, distribution: Any, exact: bool = False) -> Any:
        """A sample."""
        noise = self._noise(latent, distribution.outputs()[0].shape[0])
        return distribution.sample(noise, None if exact else self.temperature)

    def prior(self, latent: Any, count: Any) -> Any:
        """A sample of the prior."""
        return latent.prior_sample(self._noise(latent, count))


class Turns(keras.callbacks.Callback):
    """Times each epoch, and gives the others their turn when it has ended."""

    history: dict[str, list[float]] = {}  # noqa: RUF012 - what a codec asks of its backup

    def __init__(self, steps: int, epochs: int, turn: Turn) -> None:
        super().__init__()
        self._steps, self._epochs, self._turn, self._begin = steps, epochs, turn, 0.0

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Start the clock."""
        self._begin = time.perf_counter()

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Stop it."""
        self._turn(epoch, (time.perf_counter() - self._begin) / self._steps)
        if epoch + 1 >= self._epochs:
            self.model.stop_training = True


@dataclasses.dataclass
class Case:
    """A stage that can be timed.

    Args:
        name: of the stage, or "codec".
        model: whose networks it trains.
        recipe: of all stages.
        steps: of an epoch, about.
        bfloat16: whether it may multiply in bfloat16.
    """

    name: str
    model: wk.WynerModel
    recipe: Any
    steps: int
    bfloat16: bool = True

    def __post_init__(self) -> None:
        self.is_codec, codec = self.name == "codec", self.recipe.codecs["x"]
        settings: Any = None if self.is_codec else self.recipe.stage(self.name)
        self.settings = settings
        self.batch_size = codec.batch_size if settings is None else settings.batch_size
        whole = (ROWS if self.is_codec else PAIRS) // self.batch_size
        epochs, jit = (codec.epochs, False) if settings is None else (0, settings.jit_compile)
        self.how = execution(whole, epochs or settings.epochs, jit_compile=jit)
        # As many whole executions as come next to what was asked for.
        at_once = self.how["steps_per_execution"]
        self.steps = max(1, round(self.steps / at_once)) * at_once
        if self.is_codec:
            self.pairs = drawn_pairs(self.steps * self.batch_size, self.steps * self.batch_size)
            self.codec = self.model.sides[0].codec
            self.codec.trainable = True
            self.stage: Any = None
            rows = drawn_images(self.steps * self.batch_size).astype(np.float32) / 255
            self.data: Arrays = {"x": rows}
        else:
            self.pairs = drawn_pairs(self.steps * self.batch_size)
            self.stage = Stage(self.model, settings.loss, bfloat16=self.bfloat16)
            for name in ("temperature", "two_epsilon_squared"):
                getattr(self.stage, name).assign(getattr(settings, name).start)
            settings.loss.begin(self.stage, self.pairs)
            (batch,) = self.stage._batches(self.pairs, len(self.pairs), training=False)
            self.data = {key: np.asarray(value) for key, value in batch.items()}
        self.weights = weights_of(self.model, self.stage, self.name)

    @property
    def products(self) -> str:
        """The arithmetic of its products, once it was fitted."""
        by_tiles = not self.is_codec and self.stage.multiplies_bfloat16
        return "bfloat16" if by_tiles else "float32"

    @property
    def parameters(self) -> int:
        """How many are trained."""
        owner = self.codec if self.is_codec else self.stage
        return int(sum(np.prod(v.shape) for v in owner.trainable_variables))

    def loss(self) -> tuple[float, list[np.ndarray]]:
        """The loss of the first batch without dropout, and the noise that it drew."""
        first = {key: tf.constant(v[: self.batch_size]) for key, v in self.data.items()}
        if self.is_codec:
            images = first["x"]
            return float(self.codec.compute_loss(images, images, self.codec(images))), []
        draw, loss = Recorded(self.stage), self.settings.loss
        terms = loss(self.model, first, draw, False)
        found = sum(w * float(np.mean(terms[n])) for n, w in loss.weights(self.model).items())
        return found, draw.drawn

    def told(self, folder: Path) -> dict[str, Any]:
        """What a peer's `build` takes; the arrays are in a file of the folder."""
        file = folder / f"{self.name}.npz"
        noise = {f"n/{place}": values for place, values in enumerate(self.loss()[1])}
        weights = {f"p/{key}": value for key, value in self.weights.items()}
        data = {f"b/{key}": value for key, value in self.data.items()}
        np.savez(file, **weights, **data, **noise)  # type: ignore[arg-type]
        settings, side = self.settings, self.recipe.sides["x"]
        constants = {
            "stage": self.name,
            "batch_size": self.batch_size,
            "trained": trained_names(self.name, self.weights),
            "learning_rate": 2e-3 if settings is None else settings.learning_rate.start,
            "average": None if settings is None else settings.average,
            "steps": side.flow_steps,
            "local": side.local.dim,
            "rates": [side.dropout, side.noise],
            "reader_rates": [0.3, 1 / 14],
            "codec_noise": self.recipe.codecs["x"].noise,
        }
        if settings is not None:
            fields = dataclasses.asdict(settings.loss)
            names = ("price", "concept_weight", "concept_noise", "distillation_weight")
            constants |= {name: fields[name] for name in names if name in fields}
            constants["temperature"] = settings.temperature.start
            constants["two_epsilon_squared"] = settings.two_epsilon_squared.start
        return {"file": str(file), **constants}

    def optimizer(self) -> keras.optimizers.Optimizer:
        """Adam, as `wyner_keras` has it."""
        return Adam(2e-3) if self.is_codec else self.settings.optimizer()

    def fit(self, epochs: int, turn: Turn) -> None:
        """Train as `wk.train` does."""
        turns = Turns(self.steps, epochs, turn)
        if self.is_codec:
            self.codec.backup = turns
            images = self.pairs.stores[0]
            rows = wk.Pairs(images, images)
            # As many as whole training has: by their number steps are carried out several at once.
            long = self.recipe.codecs["x"].epochs * (ROWS // self.batch_size) // self.steps
            self.codec.train_on(rows, epochs=long, batch_size=self.batch_size, verbose=0)
            self.codec.backup = None
            return
        settings = self.settings
        constant = {
            name: Ramp.constant(getattr(settings, name).start)
            for name in ("learning_rate", "temperature", "two_epsilon_squared")
        }
        self.stage.compile(optimizer=self.optimizer(), **self.how)
        self.stage.fit(
            self.pairs,
            batch_size=self.batch_size,
            epochs=epochs,
            callbacks=[Schedule(**constant), KeepLastGood(), turns],
            verbose=0,
        )

    def bare(self, jit: bool) -> Iterator[float]:
        """Seconds of a step of TensorFlow alone, again and again; the first is for tracing."""
        owner = self.codec if self.is_codec else self.stage
        variables, optimizer = owner.trainable_variables, self.optimizer()
        optimizer.build(variables)
        data = {key: tf.constant(values) for key, values in self.data.items()}
        rng, rows = np.random.default_rng(0), len(next(iter(self.data.values())))

        @tf.function(jit_compile=jit)
        def step(places: tf.Tensor) -> tf.Tensor:
            batch = {key: tf.gather(values, places) for key, values in data.items()}
            with tf.GradientTape() as tape:
                if self.is_codec:
                    found = self.codec(batch["x"], training=True)
                    loss = self.codec.compute_loss(batch["x"], batch["x"], found)
                else:
                    loss, _ = self.stage.loss_and_terms(batch, training=True)
            optimizer.apply(tape.gradient(loss, variables), variables)
            return loss

        def run(count: int) -> float:
            order = rng.permutation(rows).astype(np.int32)
            begin = time.perf_counter()
            for place in range(count):
                loss = step(order[place * self.batch_size :][: self.batch_size])
            float(loss)
            return (time.perf_counter() - begin) / count

        yield run(2)
        while True:
            yield run(self.steps)
