"""Run folders: what a training run leaves on disk, written whole or not at all.

A run folder `RUN` holds

- `settings.json`: recipe, data (and `data_y` where y has a source of its own), label map, seed and
  the versions that made it;
- `model.keras`: the trained W-model;
- `history.json`: metrics by stage and epoch, seconds by stage;
- `metrics.json`: the report on held-out images, where it was evaluated;
- `figures/*.png`: the grids.

While it is in the making it is called `RUN.partial` and also holds `checkpoints/`. What was killed
or failed stays there, to be resumed; only a finished run is renamed to `RUN`.
"""

from __future__ import annotations

import importlib.metadata
import json
import os
import platform
import shutil
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras.files import refuse_existing, whole, write_json

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource
    from wyner_keras.models import WynerModel
    from wyner_keras.training import Recipe

FORMAT = 1
SETTINGS, MODEL, HISTORY, METRICS = "settings.json", "model.keras", "history.json", "metrics.json"
FIGURES, CHECKPOINTS = "figures", "checkpoints"
_REQUIRED = {"format": int, "data": str, "label_map": dict, "seed": int, "recipe": dict}


def version(distribution: str = "wyner-keras") -> str:
    """The installed version of a distribution, "unknown" where it is not installed."""
    try:
        return importlib.metadata.version(distribution)
    except importlib.metadata.PackageNotFoundError:
        return "unknown"


def partial_folder(out: str | os.PathLike[str]) -> Path:
    """Where the run `out` lies while it is in the making: `out` with `.partial` added."""
    # abspath gives "runs/.." and "." a name to add to; resolve() would follow a link at the end.
    out = Path(os.path.abspath(out))
    return out.with_name(f"{out.name}.partial")


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings of a run folder, finished or partial, checked.

    Raises:
        ValueError: if there is no such folder or its settings are damaged.
    """
    folder = Path(folder)
    path = folder / SETTINGS
    if not path.is_file():
        found = f"which has no {SETTINGS}" if folder.is_dir() else "which is not a folder"
        if not folder.exists():
            found = "which does not exist"
            if partial_folder(folder).is_dir():
                found += f" (its training has not finished: see {partial_folder(folder)})"
        raise ValueError(
            f"A run should be a folder written by `wyner train`. Received: {str(folder)!r}, {found}"
        )
    try:
        settings = json.loads(path.read_text(encoding="utf-8"))
    except (OSError, ValueError) as error:
        raise ValueError(f"{SETTINGS} should be readable. Received: {path} ({error})") from error
    if not isinstance(settings, dict):
        raise ValueError(f"{path} should hold a JSON object. Received: {settings!r}")
    for name, kind in _REQUIRED.items():
        if not isinstance(settings.get(name), kind):
            raise ValueError(
                f"{path} should hold `{name}` ({kind.__name__}). Received: {settings.get(name)!r}"
            )
    if not isinstance(settings.get("data_y"), str | None):
        raise ValueError(
            f"{path} should hold a `data_y` of str, or none. Received: {settings['data_y']!r}"
        )
    if settings["format"] != FORMAT:
        raise ValueError(
            f"{path} should have format {FORMAT}. Received: format {settings['format']}, "
            "written by another version of wyner_keras"
        )
    try:
        settings["label_map"] = {int(x): int(y) for x, y in settings["label_map"].items()}
    except (TypeError, ValueError) as error:
        raise ValueError(
            f"{path} should map integer labels to integer labels. "
            f"Received: {settings['label_map']!r}"
        ) from error
    return settings


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Args:
        folder: where it lies.
        settings: what `settings.json` holds; `label_map` has integer keys.

    Example:
        >>> run = Run.open("runs/demo")  # doctest: +SKIP
        >>> model = run.load_model()  # doctest: +SKIP
        >>> y = model.generate_y(run.source().test.images[:10], seed=0)  # doctest: +SKIP
    """

    folder: Path
    settings: dict[str, Any]

    @classmethod
    def open(cls, path: str | os.PathLike[str]) -> Run:
        """Read and check a run folder; neither the model nor the data are loaded yet.

        Raises:
            ValueError: if there is no such folder, or it is damaged.
        """
        folder = Path(path)
        settings = read_settings(folder)
        if not (folder / MODEL).is_file():
            raise ValueError(
                f"A run folder should hold {MODEL}. Received: {str(folder)!r} without it"
            )
        return cls(folder, settings)

    @property
    def label_map(self) -> dict[int, int]:
        """Label of x to label of y."""
        return self.settings["label_map"]

    @property
    def seed(self) -> int:
        """The seed that it was trained with."""
        return self.settings["seed"]

    @property
    def recipe(self) -> Recipe:
        """The recipe that it was trained by.

        Raises:
            ValueError: if the stored recipe is damaged.
        """
        from wyner_keras.training import Recipe

        try:
            return Recipe.from_dict(self.settings["recipe"])
        except (KeyError, TypeError, ValueError) as error:
            raise ValueError(
                f"The recipe in {self.folder / SETTINGS} should be readable. Received: {error!r}"
            ) from error

    def load_model(self) -> WynerModel:
        """The trained model.

        Raises:
            ValueError: if its file is damaged.
        """
        return load_model(self.folder / MODEL)

    def source(self, data: str | None = None) -> ImageSource:
        """The images that it was trained on and those held out; or another source's.

        Raises:
            ValueError: if the images cannot be had any more.
        """
        from wyner_keras.data import load

        return load(data or self.settings["data"])

    def target(self, data_y: str | None = None) -> ImageSource | None:
        """The images that y was drawn from, or another source's; None where they are x's.

        Raises:
            ValueError: if the images cannot be had any more.
        """
        from wyner_keras.data import load

        data_y = data_y or self.settings.get("data_y")
        return None if data_y is None else load(data_y)


def load_model(path: Path) -> WynerModel:
    """A saved W-model.

    Raises:
        ValueError: if the file is damaged or holds something else.
    """
    import keras

    from wyner_keras.models import WynerModel

    try:
        model = keras.saving.load_model(path, compile=False)
    except Exception as error:  # a damaged archive fails in its zip, its JSON or its HDF5
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} should be a saved model. Received: {reason}") from error
    if not isinstance(model, WynerModel):
        raise ValueError(f"{path} should hold a WynerModel. Received: {type(model).__name__}")
    return model


def settings_of(
    recipe: Recipe,
    *,
    data: str,
    data_y: str | None = None,
    label_map: Mapping[int, int],
    seed: int,
    **more: Any,
) -> dict[str, Any]:
    """What `settings.json` holds of a run.

    Args:
        recipe: the recipe.
        data: the name of a source that `wyner_keras.data.load` knows, or the path of a folder.
        data_y: the same for y; None where y is drawn from x's.
        label_map: label of x to label of y.
        seed: of the run.
        **more: further JSON-able values by name.
    """
    from wyner_keras.data import whole_name

    packages = ("wyner-keras", "tensorflow", "keras", "numpy")
    return {
        "format": FORMAT,
        "data": whole_name(data),
        **({} if data_y is None else {"data_y": whole_name(data_y)}),
        "label_map": {int(x): int(y) for x, y in label_map.items()},
        "seed": seed,
        **more,
        "recipe": recipe.to_dict(),
        "versions": {
            "python": platform.python_version(),
            **{name: version(name) for name in packages},
        },
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
            f"{str(partial)!r} should not exist: an earlier run left it. Go on from it with "
            f"`--resume`, or remove it. Received: out={str(out)!r}"
        )
    return out


def start_run(out: str | os.PathLike[str], settings: Mapping[str, Any]) -> Path:
    """Make the partial folder of a new run, with its settings.

    Returns:
        The partial folder.

    Raises:
        ValueError: if the run or its partial folder exists.
    """
    partial = partial_folder(refuse_started(out))
    partial.mkdir(parents=True)
    write_json(partial / SETTINGS, settings)
    return partial


def save_trained(
    partial: Path,
    model: WynerModel,
    history: Mapping[str, Any],
    seconds: Mapping[str, float],
    **more: Any,
) -> None:
    """Write model and history into a partial folder, the history last: with it, both are whole."""
    with whole(partial / MODEL) as temporary:
        model.save(temporary)
    write_json(partial / HISTORY, {"history": history, "seconds": seconds, **more})


def finish_run(out: str | os.PathLike[str]) -> Path:
    """Drop the checkpoints of a partial folder and give it its name.

    Returns:
        The run folder.

    Raises:
        ValueError: if the run exists by now.
    """
    out, partial = refuse_existing(out), partial_folder(out)
    shutil.rmtree(partial / CHECKPOINTS, ignore_errors=True)
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
