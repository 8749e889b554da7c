"""What a training run has reached: model and notes in a folder, each whole or not at all."""

from __future__ import annotations

import glob
import json
import math
from collections.abc import Iterable, Mapping
from pathlib import Path
from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.backend import workers
from wyner_serving.regular_file import check_regular
from wyner_serving.whole import clear_leftovers, whole_file, whole_folder

REACHED, MODEL, PROGRESS = "reached", "model.keras", "progress.json"
_BACKUP = "backup.npz"


def _random_states(model: keras.Model) -> list[Any]:
    """Variables of dropout and noise, which Keras does not save."""
    saved = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]


def _restore(model: keras.Model, states: list[Any]) -> None:
    for variable, state in zip(_random_states(model), states, strict=True):
        variable.assign(state)


def save(folder: Path, model: keras.Model, progress: dict[str, Any]) -> None:
    """Write the model, its random state, and JSON-able notes, in place of earlier ones.

    They are in one folder, which is replaced as one: a model is never beside another one's notes.
    Of several workers the first writes.

    Raises:
        FileNotFoundError: if the folder is gone; made anew, it would lack what lay around it.
    """
    if not workers.worker().first:
        return
    if not folder.is_dir():
        raise FileNotFoundError(f"{folder} should stay until training ends. Received: none there")
    random = [variable.numpy().tolist() for variable in _random_states(model)]
    with whole_folder(folder / REACHED, replace=True) as new:
        model.save(new / MODEL)
        (new / PROGRESS).write_text(json.dumps({"random": random, **progress}))


def tidy(folder: Path, finished: Iterable[str]) -> None:
    """Remove backups of finished stages, and what killed writers left in the folder."""
    if not (folder.is_dir() and workers.worker().first):
        return
    clear_leftovers(folder)
    for stage in finished:
        for path in folder.glob(f"{glob.escape(stage)}.*"):
            if path.name.endswith(f".{_BACKUP}"):
                path.unlink(missing_ok=True)


def load(folder: Path) -> tuple[Any, dict[str, Any]] | None:
    """The model, random state included, and the notes; None if nothing was written yet.

    Raises:
        ValueError: if a file is damaged.
    """
    if folder.is_dir():
        clear_leftovers(folder, REACHED)  # which puts back what a killed one was replacing
    if (folder / REACHED).exists():
        folder = folder / REACHED
    # Another version's lies in the folder itself.
    elif not (folder / PROGRESS).exists():
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


def refuse_other(path: Path, there: Mapping[str, Any], of: Mapping[str, Any]) -> None:
    """Raise a ValueError if what was reached is of another training.

    Args:
        path: of what was reached.
        there: what it says of its training; another version says nothing.
        of: what tells this one from others.
    """
    other = [name for name in of if name in there and there[name] != of[name]]
    if other:
        raise ValueError(
            f"{path} should hold what a training of the same pairs and seed has reached; give "
            f"another folder, or remove it to begin anew. "
            f"Received: one of other {' and '.join(other)}"
        )


def _damaged(path: Path, error: Exception) -> ValueError:
    reason = (str(error).strip().splitlines() or [""])[0]
    return ValueError(
        f"{path} should hold what training has reached; remove it to begin anew. "
        f"Received: {type(error).__name__}: {reason:.200}"
    )


class Backup(keras.callbacks.Callback):
    """Keep what a `fit` has reached after every epoch; one that is interrupted goes on from there.

    As `keras.callbacks.BackupAndRestore`, and it ends as if nothing had happened: random states
    and the history are kept too, in one file that is there whole or not at all.

    Args:
        path: of an npz file, see `backup`. It stays when the `fit` ends, until what came of it is
            kept, too: `tidy` removes it. Of several workers all read it, and the first writes.
        of: what tells the training from others, whose backups are refused.

    Attributes:
        history: one list a metric, earlier epochs included.
    """

    def __init__(self, path: Path, of: Mapping[str, Any] | None = None) -> None:
        super().__init__()
        self.path, self.of = path, dict(of or {})
        self.history: dict[str, list[float]] = {}

    def _variables(self) -> list[Any]:
        """Weights, random states and the optimizer's, in a fixed order."""
        optimizer = self.model.optimizer
        if not optimizer.built:
            optimizer.build(self.model.trainable_variables)
        return [*self.model.variables, *optimizer.variables]

    def on_train_begin(self, logs: dict[str, float] | None = None) -> None:
        """Go on where an earlier `fit` was interrupted, if one was.

        Raises:
            ValueError: if what it left is damaged, or another training's.
        """
        self.history = {}
        try:
            notes, values = self._kept()
            epoch = notes.get("epoch")
        except Exception as error:  # a damaged file fails in its zip, its arrays or its JSON
            raise _damaged(self.path, error) from error
        workers.agree("backup in the folder", epoch)
        if not notes:
            return
        refuse_other(self.path, notes.get("of", {}), self.of)
        try:
            with workers.apart(self.model):
                for variable, value in zip(self._variables(), values, strict=True):
                    variable.assign(value)
            self.history = {name: [*map(float, of)] for name, of in notes["history"].items()}
            # Where Keras' own callback puts it.
            self.model._initial_epoch = epoch
        except workers.WorkersStopped:
            raise
        except Exception as error:
            raise _damaged(self.path, error) from error

    def _kept(self) -> tuple[dict[str, Any], list[np.ndarray]]:
        """Notes and the variables' values; none where nothing was kept."""
        if not self.path.exists():
            return {}, []
        with (
            check_regular(self.path).open("rb") as file,  # which NumPy leaves open if it fails
            np.load(file, allow_pickle=False) as kept,
        ):
            notes = json.loads(str(kept["notes"]))
            return notes, [kept[f"arr_{place}"] for place in range(len(kept.files) - 1)]

    def on_epoch_end(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Write notes and values, in place of the epoch's before."""
        for name, value in (logs or {}).items():
            self.history.setdefault(name, []).append(float(value))
        # An epoch that diverged is none to go on from.
        if not (math.isfinite((logs or {}).get("loss", 0.0)) and workers.worker().first):
            return
        notes = json.dumps({"epoch": epoch + 1, "history": self.history, "of": self.of})
        with whole_file(self.path) as temporary, workers.apart(self.model):
            values = [ops.convert_to_numpy(variable.value) for variable in self._variables()]
            np.savez(temporary, *values, notes=np.array(notes))


def backup(folder: Path, stage: str, part: str = "", of: Mapping[str, Any] | None = None) -> Backup:
    """The backup of a stage in a folder, or of a part of it that is trained for itself."""
    return Backup(folder / ".".join(filter(None, (stage, part, _BACKUP))), of)
