"""Callbacks of Keras that look at a model while a stage trains it; they change nothing in it."""

from __future__ import annotations

import importlib.util
import logging
import os
import tempfile
import time
from pathlib import Path
from typing import Any

import keras
import numpy as np
from PIL import Image

from wyner_keras import pictures, plots
from wyner_keras.backend import workers
from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation.retrieval import pmi_scores, recall_at
from wyner_keras.information import measure
from wyner_keras.model import WynerModel
from wyner_keras.received import received

logger = logging.getLogger(__name__)
# Of what `measure` finds, one figure a latent.
_NATS = {"z": "i_xy_z", "u": "i_x_u_lower", "v": "i_y_v_lower"}
_PICTURED, _SAMPLES = 6, 8


class HeldOut(keras.callbacks.Callback):
    """Look at held-out pairs at the end of epochs: retrieval, nats of the latents, samples.

    Figures go into the logs of the epoch, so that callbacks after this one have them (early stops,
    CSV, Weights & Biases, MLflow), and so has the history: `held_out_found_first_y` and `_x`, the
    share of pairs whose own y, or x, is ranked first; `held_out_nats_z`, I(X,Y;Z);
    `held_out_nats_u` and `_v`, InfoNCE's lower bounds of I(X;U) and I(Y;V). Where the model cannot
    rank, the shares are left out.

    Args:
        pairs: held out.
        folder: where TensorBoard's curves and sample grids are written, which needs tensorboard;
            None writes none.
        every: how many epochs lie between two looks.
        count: pairs that are looked at, at most.
        seed: of noise and draws.

    Raises:
        ValueError: if an argument is not as said.
        ModuleNotFoundError: if tensorboard is needed and not installed.

    Example:
        >>> import wyner_keras as wk
        >>> look = wk.callbacks.HeldOut(held_out, "logs", every=5)  # doctest: +SKIP
        >>> trained = wk.train(pairs, callbacks=[look])  # doctest: +SKIP
    """

    def __init__(
        self,
        pairs: Pairs,
        folder: str | os.PathLike[str] | None = None,
        *,
        every: int = 1,
        count: int = 200,
        seed: int = 0,
    ) -> None:
        super().__init__()
        if not isinstance(pairs, Pairs):
            raise ValueError(f"`pairs` should be Pairs(x, y). Received: pairs={received(pairs)}")
        self.every = check_whole(every, "`every`", minimum=1)
        count, self.seed = check_whole(count, "`count`", minimum=2), check_whole(seed, "`seed`")
        if folder is not None and importlib.util.find_spec("tensorboard") is None:
            raise ModuleNotFoundError("`folder` needs tensorboard: pip install tensorboard")
        chosen = pairs.take(min(count, len(pairs)), seed=seed)
        self.x, self.y = chosen.arrays()
        # Without labels, whose classifiers would take minutes.
        modalities = dict(zip(("x_modality", "y_modality"), pairs.modalities, strict=True))
        self.pairs = Pairs(self.x, self.y, **modalities)
        self.folder, self.epochs = folder, 0
        self._writer: Any = None

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Look, add to the logs, and write."""
        self.epochs += 1
        # Of a loss that is not finite there is nothing to be seen, and the stage stops.
        ends = not np.isfinite((logs or {}).get("loss", 0.0))
        if ends or self.epochs % self.every or not workers.worker().first:
            return
        model = self.model if isinstance(self.model, WynerModel) else self.model.model
        with workers.apart(self.model):
            figures = self.figures(model)
            if logs is not None:
                logs.update(figures)
            if self.folder is not None:
                self._write(figures, self._picture(model))

    def figures(self, model: WynerModel) -> dict[str, float]:
        """The figures of a model, by the names that they have in the logs."""
        nats = measure(model, self.pairs, seed=self.seed)
        found = {f"held_out_nats_{name}": nats[of] for name, of in _NATS.items() if of in nats}
        scores = pmi_scores(model, self.x, self.y)
        if scores is not None:
            found["held_out_found_first_y"] = recall_at(scores, 1)
            found["held_out_found_first_x"] = recall_at(scores.T, 1)
        return {name: float(value) for name, value in found.items()}

    def _picture(self, model: WynerModel) -> np.ndarray:
        """Samples of y for some x, `(height, width, 3)` in bytes."""
        x, y, entries = self.x[:_PICTURED], self.y[:_PICTURED], model.side_entries
        made = model.generate_y(x, seed=self.seed, samples=_SAMPLES)
        with tempfile.TemporaryDirectory() as place:
            path = Path(place) / "grid.png"
            if all(entry["kind"] == "image" for entry in entries.values()):
                pictures.conditional_grid(x, made, path)
            else:
                plots.conditional_plot((entries["x"], entries["y"]), x, made, y, path)
            with Image.open(path) as image:
                return np.asarray(image.convert("RGB"))

    def _write(self, figures: dict[str, float], picture: np.ndarray) -> None:
        import tensorflow as tf

        if self._writer is None:
            self._writer = tf.summary.create_file_writer(os.fspath(self.folder or ""))
        with self._writer.as_default():
            for name, value in figures.items():
                tf.summary.scalar(name, value, step=self.epochs)
            tf.summary.image("samples of y given x", picture[None], step=self.epochs)
        self._writer.flush()


class TimeLeft(keras.callbacks.Callback):
    """Say on the log how far a stage is, and for about how long it still trains.

    Args:
        stage: its name.
        place: which of the recipe's stages it is, from 1.
        of: how many there are.
        every: seconds between two lines, at least.

    Example:
        >>> callback = TimeLeft("joint", 2, 5)
    """

    def __init__(self, stage: str, place: int = 1, of: int = 1, every: float = 10.0) -> None:
        super().__init__()
        self.stage, self.place, self.of, self.every = stage, place, of, every
        self._first = self._said = time.perf_counter()
        self._epochs = 0

    def on_train_begin(self, logs: dict[str, Any] | None = None) -> None:
        """Begin to count."""
        self._first = self._said = time.perf_counter()
        self._epochs = 0

    def on_epoch_end(self, epoch: int, logs: dict[str, Any] | None = None) -> None:
        """Say it, unless it was said a moment ago."""
        now, self._epochs = time.perf_counter(), self._epochs + 1
        if self._epochs == 1:
            self._first = now  # the first epoch compiles, too
        total = self.params["epochs"]
        if now - self._said < self.every or self._epochs < 2 or epoch + 1 >= total:
            return
        self._said = now
        left = (now - self._first) / (self._epochs - 1) * (total - epoch - 1)
        logger.info(
            "%s, stage %d of %d: epoch %d of %d, about %s left in it",
            *(self.stage, self.place, self.of, epoch + 1, total, _time(left)),
        )


def _time(seconds: float) -> str:
    """A time in words, "1 min 20 s" say."""
    minutes, rest = divmod(round(seconds), 60)
    return f"{minutes} min {rest} s" if minutes else f"{rest} s"
