"""What happens when a loss stops being a number."""

from __future__ import annotations

import logging
import math
import os
from pathlib import Path
from typing import Any

import keras

from wyner_keras.backend import workers
from wyner_serving.whole import whole_file

logger = logging.getLogger(__name__)


class TrainingDiverged(RuntimeError):
    """The loss became NaN or infinite; the message says where and what was kept."""


class KeepLastGood(keras.callbacks.Callback):
    """Stop at a loss that is not finite, put the last good epoch's weights back, and raise.

    A stage adds one to every `fit` that has none.

    Args:
        path: file for the last good weights (`*.weights.h5`), written once a loss was not finite,
            by the first of several workers; None puts them back into the model alone.

    Raises:
        TrainingDiverged: at the end of the `fit` whose loss was not finite.
    """

    def __init__(self, path: str | os.PathLike[str] | None = None) -> None:
        super().__init__()
        self.path = None if path is None else Path(path)
        self._good: list[Any] | None = None
        self._good_epoch = 0
        self._epoch = 0
        self._bad: tuple[int, float] | None = None

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Remember the weights that training starts from."""
        # A `fit` that goes on from a backup has good epochs behind it.
        self._bad, self._good_epoch = None, self.model._initial_epoch or 0
        self._good = self.model.get_weights() if self.model.built else None

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Remember the epoch for the message."""
        self._epoch = epoch

    def on_train_batch_end(self, batch: int, logs: dict[str, float] | None = None) -> None:
        """Stop as soon as the running mean of the loss is not finite."""
        loss = float((logs or {}).get("loss", 0.0))
        if not math.isfinite(loss) and self._bad is None:
            self._bad = (batch, loss)
            self.model.stop_training = True

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Keep the weights of a good epoch."""
        if self._bad is not None:
            return
        self._good, self._good_epoch = self.model.get_weights(), epoch + 1

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Restore, keep and raise, if the loss was not finite."""
        if self._bad is None:
            return
        batch, loss = self._bad
        if self._good is not None:
            self.model.set_weights(self._good)
        kept = ""
        if self.path is not None and self._good_epoch:
            kept = f"; they are also in {self.path}"
            if workers.worker().first:
                with whole_file(self.path) as temporary, workers.apart(self.model):
                    self.model.save_weights(temporary)
        message = (
            f"The loss became {loss} in epoch {self._epoch + 1}, batch {batch + 1}. Training "
            f"stopped, and the weights from after {self._good_epoch} good epochs are back in the "
            f"model{kept}. A lower learning rate or a larger two_epsilon_squared usually helps."
        )
        logger.error(message)
        raise TrainingDiverged(message)
