"""CVAE and JVAE on a recipe's pairs: same codecs, networks, latents and number of epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping
from typing import Any, NamedTuple

import keras
import numpy as np

from experiments.peers.cvae import CVAE
from experiments.peers.jvae import JVAE
from wyner_keras.data import Pairs
from wyner_keras.networks import Codec
from wyner_keras.received import received
from wyner_keras.recipe import Recipe
from wyner_keras.schedules import Schedule
from wyner_keras.training import train_codecs
from wyner_serving.sides import OTHER

BASELINES = ("cvae", "jvae")
_ROWS = 1000  # in one pass


class Baseline:
    """A trained CVAE or JVAE inside its codecs: examples in, examples out, as `evaluate` asks.

    The same seed gives the same examples.

    Args:
        model: of the codecs' features.
        codecs: trained, by side.
    """

    def __init__(self, model: CVAE | JVAE, codecs: Mapping[str, Codec]) -> None:
        self.model, self.codecs = model, codecs
        self.tasks = model.tasks

    @property
    def trainable_variables(self) -> list[Any]:
        """The model's, without the codecs'."""
        return self.model.trainable_variables

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Examples y given x, `(n, *shape)`, or `(n, samples, *shape)`."""
        return self._conditional(x, "y", seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Examples x given y, likewise."""
        return self._conditional(y, "x", seed, samples)

    def _conditional(
        self, given: np.ndarray, side: str, seed: int, samples: int | None
    ) -> np.ndarray:
        features = np.repeat(encode(self.codecs[OTHER[side]], given), samples or 1, axis=0)
        noise = self._noise(len(features), side, seed)
        parts = [
            self.codecs[side].decode(self.model.conditional(features[rows], side, noise[rows]))
            for rows in _passes(len(features))
        ]
        generated = np.concatenate([np.asarray(part) for part in parts])
        if samples is None:
            return generated
        return generated.reshape(len(given), samples, *generated.shape[1:])

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of examples, each `(n, *shape)`; of a JVAE only."""
        if not isinstance(self.model, JVAE):
            raise NotImplementedError(
                f"A {type(self.model).__name__} should be asked for one of {self.tasks}. "
                "Received: 'joint'"
            )
        noise = self._noise(n, "x", seed)
        features = [self.model.joint(noise[rows]) for rows in _passes(n)]
        x, y = (
            np.concatenate([np.asarray(self.codecs[side].decode(part)) for part in parts])
            for side, parts in zip("xy", zip(*features, strict=True), strict=True)
        )
        return x, y

    def _noise(self, rows: int, side: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((rows, self.model.noise_size(side)), dtype=np.float32)


def encode(codec: Codec, examples: np.ndarray) -> np.ndarray:
    """A codec's features of examples, `(n, features)` float32."""
    parts = [codec.encode(examples[rows]) for rows in _passes(len(examples))]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def _passes(rows: int) -> list[slice]:
    return [slice(start, start + _ROWS) for start in range(0, rows, _ROWS)]


class Trained(NamedTuple):
    """A trained baseline; losses by epoch and seconds, under its name as the W-model's stages."""

    model: Baseline
    history: dict[str, dict[str, list[float]]]
    seconds: dict[str, float]


def make_baseline(name: str, recipe: Recipe, width_x: int, width_y: int) -> CVAE | JVAE:
    """An untrained baseline with a recipe's networks and latents.

    The CVAE takes the recipe's U and V. The JVAE's Z is as wide as both together.

    Args:
        name: "cvae" or "jvae".
        recipe: of the W-model that the baseline is compared with; its U and V are Gaussian.
        width_x: number of features of x.
        width_y: number of features of y.

    Raises:
        ValueError: if the name is unknown.
    """
    if not isinstance(name, str) or name not in BASELINES:
        raise ValueError(f"`name` should be one of {BASELINES}. Received: name={received(name)}")
    size_u, size_v = (recipe.sides[side].local.size for side in "xy")
    settings: dict[str, Any] = {
        "hidden": recipe.sides["x"].hidden,
        "two_epsilon_squared": recipe.stage("joint").two_epsilon_squared.end,
        "seed": recipe.seed,
    }
    if name == "cvae":
        return CVAE(width_x, width_y, size_u=size_u, size_v=size_v, **settings)
    return JVAE(width_x, width_y, size_z=size_u + size_v, **settings)


def epochs_of(recipe: Recipe) -> int:
    """The recipe's passes over the pairs, all stages together."""
    return sum(stage.epochs * stage.passes for stage in recipe.stages)


def train_baseline(
    name: str,
    pairs: Pairs,
    recipe: Recipe,
    *,
    codecs: Mapping[str, Codec] | None = None,
    epochs: int | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Train a baseline on pairs.

    Batches, learning rate and 2ε² are those of the recipe's joint stage.

    Args:
        name: "cvae" or "jvae".
        pairs: the pairs.
        recipe: of the W-model that the baseline is compared with.
        codecs: trained codecs by side; None trains the recipe's.
        epochs: passes over the pairs; None takes the recipe's, all its stages together.
        verbose: of Keras' progress bars.

    Returns:
        The baseline and its history.

    Raises:
        ValueError: if the name is unknown.
        RuntimeError: if the loss stops being finite.

    Example:
        >>> pairs = wk.data.add_one(wk.data.load("digits").train)  # doctest: +SKIP
        >>> recipe = wk.recipes.default(pairs.facts())  # doctest: +SKIP
        >>> trained = train_baseline("cvae", pairs, recipe)  # doctest: +SKIP
    """
    if codecs is None:
        codecs, _ = train_codecs(pairs, recipe, verbose=verbose)
    settings, epochs = recipe.stage("joint"), epochs or epochs_of(recipe)
    model = make_baseline(name, recipe, *(codecs[side].feature_size for side in "xy"))
    batch_size = min(settings.batch_size, len(pairs))
    begin = time.perf_counter()
    features = {
        side: (encode(codecs[side], modality.check(store.take(np.arange(len(store))), side)), place)
        for place, (side, store, modality) in enumerate(
            zip(pairs.names, pairs.stores, pairs.modalities, strict=True)
        )
    }
    batches = pairs.batches(
        batch_size, data=False, by_row=features, seed=recipe.seed, drop_remainder=True
    )
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate.start),
        # A divisor, so that no epoch ends with fewer steps, which would be compiled apart.
        steps_per_execution=math.gcd(len(pairs) // batch_size, 40),
        jit_compile=settings.jit_compile,
    )
    history = model.fit(
        batches.map(lambda batch: (batch["x"], batch["y"])),
        epochs=epochs,
        callbacks=[
            Schedule(
                learning_rate=settings.learning_rate,
                two_epsilon_squared=settings.two_epsilon_squared,
            ),
            keras.callbacks.TerminateOnNaN(),
        ],
        shuffle=False,  # the dataset does
        verbose=verbose,
    ).history["loss"]
    if not np.isfinite(history).all():
        raise RuntimeError(f"The loss of {name} became {history[-1]} in epoch {len(history)}")
    seconds = time.perf_counter() - begin
    return Trained(Baseline(model, codecs), {name: {"loss": history}}, {name: seconds})
