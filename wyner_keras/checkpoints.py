"""What a training run has reached: model and notes in a folder, each whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from wyner_keras.backend import workers
from wyner_keras.files import whole
from wyner_serving.regular_file import check_regular

MODEL, PROGRESS = "model.keras", "progress.json"


def _random_states(model: keras.Model) -> list[Any]:
    """Variables of dropout and noise, which Keras does not save."""
    saved = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]


def _restore(model: keras.Model, states: list[Any]) -> None:
    for variable, state in zip(_random_states(model), states, strict=True):
        variable.assign(state)


def save(folder: Path, model: keras.Model, progress: dict[str, Any]) -> None:
    """Write the model, its random state, and JSON-able notes, in place of earlier ones.

    The notes come last: with them, both are there. Of several workers the first writes.
    """
    if not workers.worker().first:
        return
    folder.mkdir(parents=True, exist_ok=True)
    random = [variable.numpy().tolist() for variable in _random_states(model)]
    with whole(folder / PROGRESS) as note, whole(folder / MODEL) as temporary:
        model.save(temporary)
        note.write_text(json.dumps({"random": random, **progress}))


def load(folder: Path) -> tuple[Any, dict[str, Any]] | None:
    """The model, random state included, and the notes; None if nothing was written yet.

    Raises:
        ValueError: if a file is damaged.
    """
    if not (folder / PROGRESS).exists():
        return None
    try:
        progress = json.loads(check_regular(folder / PROGRESS).read_text())
        model = keras.models.load_model(check_regular(folder / MODEL))
        # Another version's folder has none.
        states = progress.pop("random", [])
        if states:
            _restore(model, states)
    except Exception as error:  # a damaged file fails in its JSON, its zip, its HDF5 or its values
        raise _damaged(folder, error) from error
    return model, progress


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).strip().splitlines() or [""])[0]
    return ValueError(
        f"{path} should hold what training has reached; remove it to begin anew. "
        f"Received: {type(error).__name__}: {reason:.200}"
    )


class Backup(keras.callbacks.Callback):
    """Keep what a `fit` has reached after every epoch; one that is interrupted goes on from there.

    As `keras.callbacks.BackupAndRestore`, and it ends as if nothing had happened: random states
    and the history are kept too, and each file is there whole or not at all.

    Args:
        path: of a JSON file of notes, beside which weights lie until the end of the `fit`. Of
            several workers all read it, and the first writes.

    Attributes:
        history: one list a metric, earlier epochs included.
    """

    def __init__(self, path: Path) -> None:
        super().__init__()
        self.path = path
        self.history: dict[str, list[float]] = {}

    def _weights(self, epoch: int) -> Path:
        return self.path.with_name(f"{self.path.stem}.{epoch}.weights.h5")

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Go on where an earlier `fit` was interrupted, if one was.

        Raises:
            ValueError: if what it left is damaged.
        """
        self.history = {}
        try:
            notes = json.loads(check_regular(self.path).read_text()) if self.path.exists() else {}
            epoch = notes.get("epoch")
        except Exception as error:
            raise _damaged(self.path, error) from error
        workers.agree("backup in the folder", epoch)
        if not notes:
            return
        try:
            with workers.apart(self.model):
                self.model.load_weights(check_regular(self._weights(notes["epoch"])))
                _restore(self.model, notes["random"])
            self.history = {name: [*map(float, of)] for name, of in notes["history"].items()}
            # Where Keras' own callback puts it.
            self.model._initial_epoch = epoch
        except workers.WorkersStopped:
            raise
        except Exception as error:
            raise _damaged(self.path, error) from error

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write weights, then the notes that name them; then earlier weights may go."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        if not workers.worker().first:
            return
        states = [variable.numpy().tolist() for variable in _random_states(self.model)]
        notes = {"epoch": epoch + 1, "random": states, "history": self.history}
        with whole(self._weights(epoch + 1)) as temporary, workers.apart(self.model):
            self.model.save_weights(temporary)
        with whole(self.path) as temporary:
            temporary.write_text(json.dumps(notes))
        self._weights(epoch).unlink(missing_ok=True)

    def on_train_end(self, logs: dict[str, float] | None = None) -> None:
        """Leave nothing behind."""
        if not workers.worker().first:
            return
        self.path.unlink(missing_ok=True)
        for weights in self.path.parent.glob(f"{self.path.stem}.*.weights.h5"):
            weights.unlink()
