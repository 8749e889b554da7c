"""Run folders written: begun, filled, and given their name once they are whole."""

from __future__ import annotations

import importlib.metadata
import os
import platform
import shutil
from collections.abc import Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras.files import refuse_existing, write_arrays, write_json
from wyner_keras.runs.examples import Examples
from wyner_keras.runs.layout import (
    CHECKPOINTS,
    EXAMPLES,
    FORMAT,
    HISTORY,
    MODEL,
    PICTURES,
    SETTINGS,
    partial_folder,
)
from wyner_keras.runs.machine import machine
from wyner_keras.runs.source import Source
from wyner_serving.whole import clear_leftovers, whole_file, whole_folder

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.model import WynerModel
    from wyner_keras.recipe import Recipe

_EXAMPLES = 200


def version(distribution: str = "wyner-keras") -> str:
    """The installed version of a distribution, "unknown" where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def settings_of(recipe: Recipe, source: Source, **more: Any) -> dict[str, Any]:
    """What `settings.json` holds of a run.

    Args:
        recipe: by which it is trained.
        source: where its pairs come from.
        **more: further JSON-able values by name.
    """
    packages = ("wyner-keras", "tensorflow", "keras", "numpy")
    return {
        "format": FORMAT,
        "data": source.to_dict(),
        "seed": recipe.seed,
        **more,
        "recipe": recipe.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
        "machine": machine(),
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
    }


def refuse_started(out: str | os.PathLike[str]) -> Path:
    """The path of a run that neither exists nor was begun.

    Raises:
        ValueError: if it does or was.
    """
    out, partial = refuse_existing(out), partial_folder(out)
    if partial.exists():
        raise ValueError(
            f"{str(partial)!r} should not exist: an earlier run left it, or another process trains "
            "it. Go on from it with `--resume`, or remove it. "
            f"Received: out={str(out)!r}"
        )
    return out


def start_run(out: str | os.PathLike[str], settings: Mapping[str, Any]) -> Path:
    """Make the partial folder of a new run, with its settings: both or neither.

    Returns:
        The partial folder.

    Raises:
        ValueError: if the run or its partial folder exists.
        BlockingIOError: if another process is making it.
    """
    partial = partial_folder(refuse_started(out))
    with whole_folder(partial) as folder:
        write_json(folder / SETTINGS, settings)
    return partial


def save_trained(partial: Path, model: WynerModel, history: Mapping[str, Any]) -> None:
    """Write model and history into a partial folder, the history last: with it, both are whole."""
    with whole_file(partial / MODEL) as temporary:
        model.save(temporary)
    write_json(partial / HISTORY, history)


def save_examples(partial: Path, held_out: Pairs) -> None:
    """Write held-out pairs into a partial folder, at most 200, one of each class in turn."""
    write_arrays(partial / EXAMPLES, **Examples.of(held_out, _EXAMPLES).to_arrays())


def finish_run(out: str | os.PathLike[str]) -> Path:
    """Drop the checkpoints of a partial folder and give it its name.

    Returns:
        The run folder.

    Raises:
        ValueError: if the run exists by now.
        FileNotFoundError: if its settings are gone, as where the folder was removed meanwhile.
    """
    out, partial = refuse_existing(out), partial_folder(out)
    if not (partial / SETTINGS).is_file():
        raise FileNotFoundError(
            f"{partial} should hold {SETTINGS} to the end. Received: a folder without it"
        )
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)
    for folder in (partial, partial / PICTURES):
        if folder.is_dir():
            clear_leftovers(folder)
    os.rename(partial, out)
    return out


def abandon_run(out: str | os.PathLike[str]) -> Path | None:
    """Remove a partial folder in which no stage has kept anything yet.

    Returns:
        The partial folder if it was worth keeping, else None.
    """
    partial = partial_folder(out)
    checkpoints = partial / CHECKPOINTS
    if (partial / MODEL).exists() or any(path.is_file() for path in checkpoints.rglob("*")):
        return partial
    shutil.rmtree(partial, ignore_errors=True)
    return None
