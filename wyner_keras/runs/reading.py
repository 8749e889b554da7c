"""Run folders read: settings checked at the door, model and data loaded when they are asked for."""

from __future__ import annotations

import os
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras.files import read_json
from wyner_keras.received import received
from wyner_keras.runs.examples import Examples
from wyner_keras.runs.layout import (
    EXAMPLES,
    FORMAT,
    HISTORY,
    METRICS,
    MODEL,
    SETTINGS,
    partial_folder,
)
from wyner_keras.runs.source import Source

if TYPE_CHECKING:
    from wyner_keras.data import Pairs
    from wyner_keras.model import WynerModel
    from wyner_keras.recipe import Recipe

_REQUIRED = {"data": dict, "seed": int, "recipe": dict}


def read_settings(folder: str | os.PathLike[str]) -> dict[str, Any]:
    """The settings of a run folder, finished or partial, checked.

    Raises:
        ValueError: if there is no such folder, its settings are damaged, or of another format.
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
    settings = read_json(path)
    if not isinstance(settings, dict) or type(settings.get("format")) is not int:
        raise ValueError(
            f"{path} should hold a JSON object with a `format`. Received: {received(settings)}"
        )
    if settings["format"] == 1:
        raise ValueError(
            f"{path} should have format {FORMAT}: the model of an earlier one cannot be built any "
            f"more; train anew, by `wyner train {_trained_by(settings)}--out NEW`. "
            "Received: format 1"
        )
    if settings["format"] != FORMAT:
        raise ValueError(
            f"{path} should have format {FORMAT}. Received: format {settings['format']}, "
            "written by another version of wyner_keras"
        )
    for name, kind in _REQUIRED.items():
        if not isinstance(settings.get(name), kind) or isinstance(settings[name], bool):
            raise ValueError(
                f"{path} should hold `{name}` ({kind.__name__}). "
                f"Received: {received(settings.get(name))}"
            )
    if settings["seed"] < 0:
        raise ValueError(f"{path} should hold a `seed` of 0 or more. Received: {settings['seed']}")
    Source.from_dict(settings["data"])
    return settings


def read_history(folder: Path) -> dict[str, Any]:
    """What `history.json` of a run folder holds.

    Raises:
        ValueError: if it is damaged.
    """
    history = read_json(folder / HISTORY)
    seconds = history.get("seconds") if isinstance(history, dict) else None
    if not isinstance(seconds, dict) or not all(
        type(each) in (int, float) for each in seconds.values()
    ):
        raise ValueError(
            f"{folder / HISTORY} should hold `seconds` by stage. Received: {received(history)}"
        )
    return history


def _trained_by(settings: dict[str, Any]) -> str:
    """The options by which a run of format 1 was trained, as far as they are still there."""
    asked = settings.get("asked")
    asked = asked if isinstance(asked, dict) else {}
    options = {name.replace("_", "-"): asked.get(name) for name in ("data", "data_y", "map")}
    return "".join(f"--{name} {value} " for name, value in options.items() if value)


_PARTS = ("trained_on", "held_out")  # of the pairs, as `settings.json` calls them


@dataclass(frozen=True)
class Run:
    """A finished run folder.

    Args:
        folder: where it lies.
        settings: what `settings.json` holds.

    Example:
        >>> run = Run.open("runs/demo")  # doctest: +SKIP
        >>> model = run.load_model()  # doctest: +SKIP
        >>> y = model.generate_y(run.examples().rows["x"], seed=0)  # doctest: +SKIP
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
    def source(self) -> Source:
        """Where its pairs come from."""
        return Source.from_dict(self.settings["data"])

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
        from wyner_keras.recipe import Recipe

        try:
            return Recipe.from_dict(self.settings["recipe"])
        except Exception as error:  # Keras raises as it likes
            raise ValueError(
                f"The recipe in {self.folder / SETTINGS} should be readable. Received: {error!r}"
            ) from error

    def load_model(self) -> WynerModel:
        """The trained model.

        Raises:
            ValueError: if its file is damaged.
        """
        return load_model(self.folder / MODEL)

    def examples(self) -> Examples:
        """Held-out examples of x and y in pairs, which the folder holds.

        Raises:
            ValueError: if they are damaged.
        """
        return Examples.read(self.folder / EXAMPLES)

    def metrics(self) -> dict[str, Any] | None:
        """What `metrics.json` holds; None where the run was not judged.

        Raises:
            ValueError: if it is damaged.
        """
        path = self.folder / METRICS
        if not os.path.lexists(path):
            return None
        try:
            values = read_json(path)
            # Read as they are used, before anything is made of them.
            for value in (values.get("nats") or {}).values():
                float("nan" if value is None else value)
            for each in (values.get("figures") or {}).values():
                float("nan" if each["model"] is None else each["model"])
        except (KeyError, TypeError, ValueError, AttributeError, OverflowError) as error:
            raise ValueError(
                f"{path} should hold figures; write it anew by `wyner evaluate {self.folder}`. "
                f"Received: {type(error).__name__}: {error!s:.200}"
            ) from error
        return values

    def pairs(self) -> tuple[Pairs, Pairs]:
        """The pairs that it was trained on and those held out, loaded anew.

        Raises:
            ValueError: if the data are gone, or changed.
        """
        return pairs_of(self.folder, self.settings)

    def held_out_are(self, train: Pairs, held_out: Pairs) -> bool:
        """Whether pairs are those that it was trained on and those held out, from another place."""
        return seen(train, held_out).items() <= self.settings.items()


def pairs_of(folder: Path, settings: Mapping[str, Any]) -> tuple[Pairs, Pairs]:
    """The pairs that a run is trained on and those held out, loaded anew.

    Raises:
        ValueError: if the data are gone, or are not those that the run was started with: pairs that
            are held out now may have been trained on.
    """
    from wyner_keras.data.digest import digest_of

    try:
        found = Source.from_dict(settings["data"]).load()
    except ValueError as error:
        raise ValueError(f"The data of {folder} should be as they were. {error}") from error
    for what, pairs in zip(_PARTS, found, strict=True):
        known, now = settings.get(what), digest_of(pairs)
        if known is not None and known != now:
            before = known.get("pairs") if isinstance(known, dict) else None
            raise ValueError(
                f"The data of {folder} should be as they were when it was started, {before} pairs "
                f"in `{what}`. Received: {now['pairs']} pairs"
                + " of other rows, or in another order"
                * (before == now["pairs"])
            )
    return found


def seen(train: Pairs, held_out: Pairs) -> dict[str, Any]:
    """What `settings.json` holds of the pairs, by which they are known again."""
    from wyner_keras.data.digest import digest_of

    return dict(zip(_PARTS, map(digest_of, (train, held_out)), strict=True))


def load_model(path: Path | str) -> WynerModel:
    """Load a W-model that `model.save` wrote, or a run folder holds.

    `keras.models.load_model` does too, where Keras was imported before wyner_keras.

    Args:
        path: of the file, NAME.keras.

    Raises:
        ValueError: if the file is damaged or holds something else.

    Example:
        >>> model = load_model("model.keras")  # doctest: +SKIP
    """
    path = Path(path)
    import keras

    import wyner_keras.families  # noqa: F401, registers those of a z
    from wyner_keras.model import WynerModel
    from wyner_serving.regular_file import check_regular

    check_regular(path, "a saved model")
    try:
        model = keras.saving.load_model(path, compile=False, safe_mode=True)
    except Exception as error:  # a damaged archive fails in its zip, its JSON or its HDF5
        reason = (str(error).strip().splitlines() or [type(error).__name__])[0]
        raise ValueError(f"{path} should be a saved model. Received: {reason}") from error
    if not isinstance(model, WynerModel):
        raise ValueError(f"{path} should hold a WynerModel. Received: {type(model).__name__}")
    return model
