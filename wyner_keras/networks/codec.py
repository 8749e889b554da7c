"""Codecs: examples of one side to standardised features and back."""

from __future__ import annotations

import logging
import math
from collections.abc import Callable
from typing import TYPE_CHECKING, Any

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import Adam, workers
from wyner_keras.data.rows import rows_at_once
from wyner_keras.execution import Epoch, execution

if TYPE_CHECKING:
    from wyner_keras.checkpoints import Backup

Tensor = Any
logger = logging.getLogger(__name__)

_LEAST_SCALE = 1e-7  # of what varies, as a share of its mean: float32 tells no less apart
_LEARNING_RATE = 2e-3  # at first
_AT_ONCE = 10_000  # rows whose moments are taken at once


class Codec(keras.Model):
    """Examples to features of mean 0 and variance 1 and back, trained by `train_on`, then frozen.

    Args:
        seed: of initial weights and noise.

    Attributes:
        backup: what `train_on` keeps each epoch in, and goes on from; None keeps none.
        epoch: that it trains in.
    """

    backup: Backup | None = None
    epoch = 0

    built: bool
    trainable: bool

    def __init__(self, seed: int = 0, **kwargs: Any) -> None:
        # Under mixed precision the networks alone compute in half.
        super().__init__(**{"autocast": False, **kwargs})
        self.seed = seed

    @property
    def feature_size(self) -> int:
        """Width of the features."""
        raise NotImplementedError

    def encode(self, data: Tensor, training: bool = False) -> Tensor:
        """Features `(batch, feature_size)` of examples `(batch, *shape)`."""
        raise NotImplementedError

    def decode(self, features: Tensor) -> Tensor:
        """Examples `(batch, *shape)` of features `(batch, feature_size)`."""
        raise NotImplementedError

    @property
    def noise_units(self) -> np.ndarray | None:
        """Standard deviation, in the data's units, of each noise that `log_prob` has at spread 0.

        `(noises,)`, NaN for one that is no deviation; None of a codec without `log_prob`.
        """
        return None

    def log_prob(self, data: Tensor, features: Tensor, spread: Tensor) -> Tensor:
        """The log of p(example | features), the density in the data's units.

        Args:
            data: examples `(batch, *shape)`.
            features: `(batch, feature_size)`.
            spread: of the noise around what is decoded, the log of its variance in squares of
                `noise_units`, `(noises,)`.

        Returns:
            Nats per example, `(batch,)`; values that are NaN count as nothing.
        """
        raise NotImplementedError

    def train_on(
        self, pairs: Any, *, epochs: int, batch_size: int, verbose: Any = "auto"
    ) -> dict[str, list[float]]:
        """Train on the rows that pairs of each row with itself are of, then freeze.

        Args:
            pairs: `Pairs(rows, rows)`.
            epochs: passes over them.
            batch_size: rows a step.
            verbose: of Keras' progress bars.

        Returns:
            The history, one value an epoch; empty where nothing is learnt by steps.
        """
        raise NotImplementedError

    def _fit(
        self,
        pairs: Any,
        epochs: int,
        batch_size: int,
        verbose: Any,
        **compiled: Any,
    ) -> dict[str, list[float]]:
        workers.refuse_strategies()
        if not self.trainable:  # or it would unfreeze what a user's own layer keeps
            self.trainable = True
        steps = max(1, len(pairs) // batch_size)
        schedule = keras.optimizers.schedules.CosineDecay(_LEARNING_RATE, steps * epochs)
        # Not by XLA, which slows small convolutions down on a CPU.
        how = execution(steps, epochs)
        self.compile(Adam(schedule), **how, **compiled)
        logger.info("Training a codec on %d rows", len(pairs))
        # Keras would shuffle arrays by the global seed.
        data = pairs.dataset(
            batch_size, seed=self.seed, epoch=lambda: self.epoch, worker=workers.worker()
        )
        callbacks = [Epoch(), *([] if self.backup is None else [self.backup])]
        with workers.together(self):
            history = self.fit(
                data, epochs=epochs, callbacks=callbacks, shuffle=False, verbose=verbose
            ).history
        history = history if self.backup is None else self.backup.history
        # Frozen, it has no use for an optimizer, whose state would not fit when loaded.
        self.optimizer, self.compiled = None, False
        self.trainable = False
        return {name: [float(value) for value in values] for name, values in history.items()}

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return {**super().get_config(), "seed": self.seed}


def moments(
    pairs: Any, axes: tuple[int, ...], of: Callable[[np.ndarray], np.ndarray] = np.asarray
) -> tuple[np.ndarray, np.ndarray]:
    """Mean and deviation `of` rows over the first axis and `axes`, NaN left out, float64."""
    total = squares = count = 0.0
    at_once = rows_at_once(pairs.stores[0].shape, _AT_ONCE)
    for batch, _ in pairs.dataset(at_once, shuffle=False):
        rows = of(np.asarray(batch, np.float64))
        known = ~np.isnan(rows)
        rows = np.where(known, rows, 0.0)
        total = total + rows.sum(axis=(0, *axes))
        squares = squares + np.square(rows).sum(axis=(0, *axes))
        count = count + known.sum(axis=(0, *axes))
    count = np.maximum(count, 1.0)
    mean = total / count
    return mean, np.sqrt(np.maximum(squares / count - np.square(mean), 0.0))


def log_gaussian(data: Tensor, mean: Tensor, spread: Tensor, units: Tensor) -> Tensor:
    """Log N(data | mean, e^spread units²) summed over all axes but the first, `(batch,)`."""
    log_variance = spread + 2.0 * ops.log(units)
    error = ops.square(ops.cast(data, "float32") - mean) * ops.exp(-log_variance)
    terms = -0.5 * (error + log_variance + math.log(2 * math.pi))
    return ops.sum(terms, axis=tuple(range(1, len(terms.shape))))


def scale_of(mean: np.ndarray, deviation: np.ndarray) -> np.ndarray:
    """What to divide by, whatever the units: 1 for what never varies."""
    return np.where(deviation > np.maximum(_LEAST_SCALE * np.abs(mean), 1e-30), deviation, 1.0)
