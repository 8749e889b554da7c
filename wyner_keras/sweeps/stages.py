"""Stages that recipes have in common, trained once.

The model after a stage is determined by the settings of that stage and of those before it, and by
what these read of the config. Recipes that agree in all of this share the stage: whichever of them
comes first leaves its model, and the others go on from it, with the weights that they would have
found themselves, bit for bit. Data, label map and the library's version are the folder's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from wyner_keras.models import WynerModel
from wyner_keras.sweeps.configurations import NO_FLOW
from wyner_keras.training import Recipe, checkpoints
from wyner_keras.training.settings import STAGES
from wyner_serving.whole import clear_leftovers, whole_folder

# Fields of the config that no stage before the named one reads, nor do the initial weights of what
# is trained until then depend on them. All other fields are taken to be read from the first on.
_FIRST_READ = {
    "common_information_weight": "joint",
    "concept_weight": "joint",
    **dict.fromkeys(NO_FLOW, "flow"),
    "marginal_encoder": "marginal",
}
# Settings of the recipe that one stage alone reads.
_READ_BY = {
    "train_experts": "joint",
    "warm_start": "marginal",
    "train_marginal_locals": "marginal",
    "distillation_weight": "marginal",
}


def key(values: Any) -> str:
    """A short name for JSON-able values."""
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def wrapper_key(recipe: Recipe) -> str:
    """Of all that the recipe's wrapper depends on, besides the images."""
    wrapper = recipe.wrapper and dataclasses.asdict(recipe.wrapper)
    return key([wrapper, recipe.config.seed])


def keys(recipe: Recipe) -> dict[str, str]:
    """By stage, in order: a key of all that the model after it depends on, besides the images."""
    values = recipe.to_dict()
    config = dict(values["config"]["config"])
    late = {field: config.pop(field) for field in _FIRST_READ}
    apart = ("name", "config", *_READ_BY, *STAGES)
    determined: list[Any] = [config, {k: v for k, v in values.items() if k not in apart}]
    found = {}
    for stage in STAGES:
        determined += [late[field] for field, first in _FIRST_READ.items() if first == stage]
        determined += [values[field] for field, reader in _READ_BY.items() if reader == stage]
        determined.append([stage, values[stage]])
        if values[stage] is not None:
            found[stage] = key(determined)
    return found


def last_shared(one: Recipe, other: Recipe) -> str | None:
    """The last stage that two recipes have in common, None without any."""
    others = set(keys(other).values())
    shared = [stage for stage, found in keys(one).items() if found in others]
    return shared[-1] if shared else None


@dataclasses.dataclass(frozen=True)
class Shelf:
    """Models after stages that several recipes share.

    Args:
        folder: holds a folder a stage, by key, each whole or not at all.
    """

    folder: Path

    def put(self, recipe: Recipe, stage: str, checkpoint: Path) -> None:
        """Keep what a checkpoint's folder holds as the model after a stage of the recipe."""
        place = self.folder / keys(recipe)[stage]
        if place.exists():
            return
        with whole_folder(place) as temporary:
            for name in (checkpoints.MODEL, checkpoints.PROGRESS):
                shutil.copyfile(checkpoint / name, temporary / name)

    def take(self, recipe: Recipe, checkpoint: Path) -> str | None:
        """Write the recipe's last stage that is here into a folder that has reached nothing yet.

        Returns:
            The stage; None where there is nothing, or the folder has reached something.
        """
        if (checkpoint / checkpoints.PROGRESS).exists():
            return None
        stage, place = self._last(recipe)
        reached = None if place is None else checkpoints.load(place)
        if reached is None:
            return None
        model, progress = reached
        checkpoints.save(checkpoint, _as_configured(model, recipe, stage), progress)
        return stage

    def _last(self, recipe: Recipe) -> tuple[str | None, Path | None]:
        """The recipe's last stage that is here, and where."""
        for stage, name in reversed(keys(recipe).items()):
            if (self.folder / name).exists():
                return stage, self.folder / name
        return None, None

    def tidy(self, finished: Iterable[Recipe], unfinished: Iterable[Recipe]) -> None:
        """Remove what finished recipes left and no unfinished one would take."""
        wanted = {self._last(recipe)[1] for recipe in unfinished}
        for recipe in finished:
            for name in keys(recipe).values():
                if self.folder / name not in wanted:
                    shutil.rmtree(self.folder / name, ignore_errors=True)
        if not self.folder.exists():
            return
        clear_leftovers(self.folder)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _as_configured(model: WynerModel, recipe: Recipe, reached: str | None) -> WynerModel:
    """The model of this recipe's config, with the weights of all that was trained so far.

    What was not is as the seed has it: before their stage, marginal encoders, whose kind may be
    another's.
    """
    wrappers = (model.wrapper_x, model.wrapper_y)
    made = WynerModel(recipe.config, wrapper=None if model.wrapper_x is None else wrappers)
    if not made.built:
        made.build(((None, *model.image_shape("x")), (None, *model.image_shape("y"))))
    parts = [*zip(model.joint_parts, made.joint_parts, strict=True)]
    if reached in STAGES[STAGES.index("marginal") :]:
        parts += zip(model.marginal_parts, made.marginal_parts, strict=True)
    for name in ("flow_u", "flow_v", "prior_z"):
        old, new = getattr(model, name), getattr(made, name)
        if old is not None and new is not None:
            parts.append((old, new))
    for old, new in parts:
        # Random states of dropout and noise included.
        for variable, other in zip(old.variables, new.variables, strict=True):
            other.assign(variable)
    return made
