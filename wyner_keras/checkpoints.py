"""What a training run has reached: model and notes in a folder, each whole or not at all."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import keras

from wyner_keras.files import whole

MODEL, PROGRESS = "model.keras", "progress.json"


def _random_states(model: keras.Model) -> list[Any]:
    """Variables of dropout and noise, which Keras does not save."""
    saved = {id(variable) for variable in model.weights}
    return [variable for variable in model.variables if id(variable) not in saved]


def save(folder: Path, model: keras.Model, progress: dict[str, Any]) -> None:
    """Write the model, its random state, and JSON-able notes, in place of earlier ones.

    The notes come last: with them, both are there.
    """
    folder.mkdir(parents=True, exist_ok=True)
    random = [variable.numpy().tolist() for variable in _random_states(model)]
    with whole(folder / PROGRESS) as note, whole(folder / MODEL) as temporary:
        model.save(temporary)
        note.write_text(json.dumps({"random": random, **progress}))


def load(folder: Path) -> tuple[Any, dict[str, Any]] | None:
    """The model, random state included, and the notes; None if nothing was written yet."""
    if not (folder / PROGRESS).exists():
        return None
    progress = json.loads((folder / PROGRESS).read_text())
    model = keras.models.load_model(folder / MODEL)
    # Another version's folder has none.
    states = progress.pop("random", [])
    if states:
        for variable, state in zip(_random_states(model), states, strict=True):
            variable.assign(state)
    return model, progress
