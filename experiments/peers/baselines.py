"""CVAE and JVAE on a recipe's pairs: same wrapper, networks, latents and number of epochs."""

from __future__ import annotations

import math
import time
from collections.abc import Callable
from typing import Any, NamedTuple

import keras
import numpy as np

from experiments.loss_model import learning_rate_schedule
from experiments.peers.cvae import CVAE
from experiments.peers.jvae import JVAE
from wyner_keras.data import ImageSource, add_one
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.received import received
from wyner_keras.training import Recipe, train_wrapper
from wyner_keras.training.settings import STAGES

BASELINES = ("cvae", "jvae")
_ROWS = 1000  # in one pass


class Baseline:
    """A trained CVAE or JVAE inside its wrapper: images in, images out, as `evaluate` asks.

    The same seed gives the same images.

    Args:
        model: of the wrapper's features.
        wrapper: trained.
    """

    def __init__(self, model: CVAE | JVAE, wrapper: ConvAutoencoder) -> None:
        self.model, self.wrapper = model, wrapper
        self.tasks = model.tasks

    @property
    def trainable_variables(self) -> list[Any]:
        """The model's, without the wrapper's."""
        return self.model.trainable_variables

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Images y given x, `(n, h, w, c)`, or `(n, samples, h, w, c)`."""
        return self._conditional(x, "y", seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Images x given y, likewise."""
        return self._conditional(y, "x", seed, samples)

    def _conditional(
        self, images: np.ndarray, side: str, seed: int, samples: int | None
    ) -> np.ndarray:
        features = np.repeat(encode(self.wrapper, images), samples or 1, axis=0)
        noise = self._noise(len(features), side, seed)
        parts = [
            self.wrapper.decode(self.model.conditional(features[rows], side, noise[rows]))
            for rows in _passes(len(features))
        ]
        generated = np.concatenate([np.asarray(part) for part in parts])
        if samples is None:
            return generated
        return generated.reshape(len(images), samples, *generated.shape[1:])

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Pairs of images, each `(n, h, w, c)`; of a JVAE only."""
        if not isinstance(self.model, JVAE):
            raise NotImplementedError(
                f"A {type(self.model).__name__} should be asked for one of {self.tasks}. "
                "Received: 'joint'"
            )
        noise = self._noise(n, "x", seed)
        features = [self.model.joint(noise[rows]) for rows in _passes(n)]
        x, y = (
            np.concatenate([np.asarray(self.wrapper.decode(part)) for part in parts])
            for parts in zip(*features, strict=True)
        )
        return x, y

    def _noise(self, rows: int, side: str, seed: int) -> np.ndarray:
        rng = np.random.default_rng(seed)
        return rng.standard_normal((rows, self.model.noise_size(side)), dtype=np.float32)


def encode(wrapper: ConvAutoencoder, images: np.ndarray) -> np.ndarray:
    """The wrapper's features of images, `(n, features)` float32."""
    parts = [wrapper.encode(images[rows]) for rows in _passes(len(images))]
    return np.concatenate([np.asarray(part, np.float32) for part in parts])


def _passes(rows: int) -> list[slice]:
    return [slice(start, start + _ROWS) for start in range(0, rows, _ROWS)]


class Trained(NamedTuple):
    """A trained baseline; losses by epoch and seconds, under its name as the W-model's stages."""

    model: Baseline
    history: dict[str, dict[str, list[float]]]
    seconds: dict[str, float]


def make_baseline(name: str, recipe: Recipe, width: int) -> CVAE | JVAE:
    """An untrained baseline with a recipe's networks and latents.

    The CVAE takes the recipe's U and V. The JVAE's Z is as wide as both together.

    Args:
        name: "cvae" or "jvae".
        recipe: of the W-model that the baseline is compared with; its U and V are Gaussian.
        width: number of features of x and of y.

    Raises:
        ValueError: if the name is unknown.
    """
    config = recipe.config
    if not isinstance(name, str) or name not in BASELINES:
        raise ValueError(f"`name` should be one of {BASELINES}. Received: name={received(name)}")
    assert config.u is not None and config.v is not None
    size_u, size_v = config.u.size, config.v.size
    settings: dict[str, Any] = {
        "hidden": config.hidden,
        "two_epsilon_squared": config.two_epsilon_squared,
        "seed": config.seed,
    }
    if name == "cvae":
        return CVAE(width, width, size_u=size_u, size_v=size_v, **settings)
    return JVAE(width, width, size_z=size_u + size_v, **settings)


def epochs_of(recipe: Recipe) -> int:
    """The recipe's epochs, all stages together."""
    stages = (getattr(recipe, name) for name in STAGES)
    return sum(stage.epochs for stage in stages if stage is not None)


def train_baseline(
    name: str,
    source: ImageSource,
    recipe: Recipe,
    *,
    wrapper: ConvAutoencoder | None = None,
    epochs: int | None = None,
    verbose: Any = "auto",
) -> Trained:
    """Train a baseline on the pairs (n, n+1) of a recipe.

    Batches, learning rate and 2ε² are those of the recipe's joint stage.

    Args:
        name: "cvae" or "jvae".
        source: labelled images; only `source.train` is read.
        recipe: of the W-model that the baseline is compared with.
        wrapper: a trained wrapper; None trains the recipe's.
        epochs: passes over the pairs; None takes the recipe's, all its stages together.
        verbose: of Keras' progress bars.

    Returns:
        The baseline and its history.

    Raises:
        ValueError: if the name is unknown.
        RuntimeError: if the loss stops being finite.

    Example:
        >>> trained = train_baseline("cvae", wk.data.load("digits"), recipe("digits"))
    """
    if wrapper is None:
        wrapper, _ = train_wrapper(source, recipe, verbose=verbose)
    assert wrapper is not None  # the default recipe has one
    settings, seed = recipe.joint, recipe.config.seed
    epochs = epochs or epochs_of(recipe)
    model = make_baseline(name, recipe, wrapper.feature_size)
    pairs = add_one(source.train, recipe.pairs_per_class, seed=seed)
    steps = max(1, len(pairs) // settings.batch_size)
    begin = time.perf_counter()
    features = encode(wrapper, source.train.images)
    model.compile(
        optimizer=keras.optimizers.Adam(settings.learning_rate.start),
        # A divisor, so that no epoch ends with fewer steps, which would be compiled apart.
        steps_per_execution=math.gcd(steps, 40),
        jit_compile=settings.jit_compile,
    )
    history = model.fit(
        pairs.dataset(
            settings.batch_size,
            seed=seed,
            drop_remainder=len(pairs) >= settings.batch_size,
            x_values=features,
            y_values=features,
        ),
        epochs=epochs,
        callbacks=[
            learning_rate_schedule(settings.learning_rate, epochs),
            *_noise_schedule(model, settings.two_epsilon_squared, epochs),
            keras.callbacks.TerminateOnNaN(),
        ],
        shuffle=False,  # the dataset does
        verbose=verbose,
    ).history["loss"]
    if not np.isfinite(history).all():
        raise RuntimeError(f"The loss of {name} became {history[-1]} in epoch {len(history)}")
    seconds = time.perf_counter() - begin
    return Trained(Baseline(model, wrapper), {name: {"loss": history}}, {name: seconds})


def _noise_schedule(
    model: CVAE | JVAE, ramp: Callable[[float], float] | None, epochs: int
) -> list[keras.callbacks.Callback]:
    """A callback that sets 2ε² of each epoch; none where it stays the config's."""
    if ramp is None:
        return []

    def assign(epoch: int, logs: Any) -> None:
        model.two_epsilon_squared.assign(ramp(epoch / max(1, epochs - 1)))

    return [keras.callbacks.LambdaCallback(on_epoch_begin=assign)]
