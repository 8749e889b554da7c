"""Run folders read: settings checked at the door, model and data loaded when they are asked for."""

from __future__ import annotations

import json
import os
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from wyner_keras.runs.layout import EXAMPLES, FORMAT, MODEL, SETTINGS, partial_folder

if TYPE_CHECKING:
    from wyner_keras.data import ImageSource, LabelledImages
    from wyner_keras.models import WynerModel
    from wyner_keras.training import Recipe

_REQUIRED = {"format": int, "data": str, "label_map": dict, "seed": int, "recipe": dict}


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

    def examples(self, side: str) -> LabelledImages:
        """Held-out images of side "x" or "y", a few of each class, which the folder holds.

        Of a run of an earlier version, which holds none, all test images of its data.

        Raises:
            ValueError: if the folder's images are damaged, or an earlier version's data are gone.
        """
        from wyner_keras.data import LabelledImages

        path = self.folder / EXAMPLES
        if not path.is_file():
            target = self.target() if side == "y" else None
            return (target or self.source()).test
        try:
            with np.load(path, allow_pickle=False) as arrays:
                return LabelledImages(arrays[side], arrays[f"{side}_labels"])
        except Exception as error:  # a damaged archive fails in its zip, its header or its arrays
            raise ValueError(
                f"{path} should hold held-out images and labels. Received: {error}"
            ) from error

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
