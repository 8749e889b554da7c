"""Stages that several recipes share, trained once.

The model after a stage is determined by the settings of that stage and of those before it, and by
the fields of the config that these read. Recipes that agree in all of this share the stage: the
first of them caches its model, and the others go on from it. Their weights are, bit for bit, those
that they would have trained themselves. Data, label map and version are the folder's.
"""

from __future__ import annotations

import dataclasses
import hashlib
import json
import shutil
from collections.abc import Iterable
from pathlib import Path
from typing import Any

from experiments.studies.sweep import NO_FLOW
from wyner_keras.models import WynerModel
from wyner_keras.training import Recipe, checkpoints
from wyner_keras.training.settings import STAGES
from wyner_serving.whole import clear_leftovers, whole_folder

# Fields of the config, by the first stage that reads them. The initial weights of what is trained
# before that stage do not depend on them. Any other field counts as read from the first stage on.
_FIRST_READ = {
    "common_information_weight": "joint",
    "concept_weight": "joint",
    **dict.fromkeys(NO_FLOW, "flow"),
    "marginal_encoder": "marginal",
}
# Settings of the recipe, by the one stage that reads them.
_READ_BY = {
    "train_experts": "joint",
    "warm_start": "marginal",
    "train_marginal_locals": "marginal",
    "distillation_weight": "marginal",
}


def wrapper_key(recipe: Recipe) -> str:
    """A key of all that the recipe's wrapper depends on, besides the images."""
    wrapper = recipe.wrapper and dataclasses.asdict(recipe.wrapper)
    return _hash([wrapper, recipe.config.seed])


def stage_keys(recipe: Recipe) -> dict[str, str]:
    """By stage, in order: a key of all that the model after it depends on, besides the images."""
    values = recipe.to_dict()
    config = dict(values["config"]["config"])
    late = {field: config.pop(field) for field in _FIRST_READ}
    separate = ("name", "config", *_READ_BY, *STAGES)
    dependencies: list[Any] = [config, {k: v for k, v in values.items() if k not in separate}]
    keys = {}
    for stage in STAGES:
        dependencies += [late[field] for field, first in _FIRST_READ.items() if first == stage]
        dependencies += [values[field] for field, reader in _READ_BY.items() if reader == stage]
        dependencies.append([stage, values[stage]])
        if values[stage] is not None:
            keys[stage] = _hash(dependencies)
    return keys


def _hash(values: Any) -> str:
    text = json.dumps(values, sort_keys=True)
    return hashlib.sha256(text.encode()).hexdigest()[:16]


def last_shared(recipe: Recipe, other: Recipe) -> str | None:
    """The last stage that two recipes share; None without any."""
    other_keys = set(stage_keys(other).values())
    shared = [stage for stage, key in stage_keys(recipe).items() if key in other_keys]
    return shared[-1] if shared else None


@dataclasses.dataclass(frozen=True)
class StageCache:
    """Models after stages that several recipes share.

    Args:
        folder: holds a folder for each stage, by key, each whole or not at all.
    """

    folder: Path

    def store(self, recipe: Recipe, stage: str, checkpoint: Path) -> None:
        """Keep the model of a checkpoint's folder as the one after a stage of the recipe."""
        place = self.folder / stage_keys(recipe)[stage]
        if place.exists():
            return
        with whole_folder(place) as temporary:
            for name in (checkpoints.MODEL, checkpoints.PROGRESS):
                shutil.copyfile(checkpoint / name, temporary / name)

    def restore(self, recipe: Recipe, checkpoint: Path) -> str | None:
        """Write the model after the recipe's last cached stage into a checkpoint's folder.

        Returns:
            The stage; None if none is cached, or the folder has a model already.
        """
        if (checkpoint / checkpoints.PROGRESS).exists():
            return None
        stage, place = self._last(recipe)
        cached = None if place is None else checkpoints.load(place)
        if cached is None:
            return None
        model, progress = cached
        checkpoints.save(checkpoint, _reconfigured(model, recipe, stage), progress)
        return stage

    def _last(self, recipe: Recipe) -> tuple[str | None, Path | None]:
        """The recipe's last cached stage, and its folder."""
        for stage, key in reversed(stage_keys(recipe).items()):
            if (self.folder / key).exists():
                return stage, self.folder / key
        return None, None

    def tidy(self, finished: Iterable[Recipe], unfinished: Iterable[Recipe]) -> None:
        """Remove what finished recipes stored and no unfinished one would restore."""
        needed = {self._last(recipe)[1] for recipe in unfinished}
        for recipe in finished:
            for key in stage_keys(recipe).values():
                if self.folder / key not in needed:
                    shutil.rmtree(self.folder / key, ignore_errors=True)
        if not self.folder.exists():
            return
        clear_leftovers(self.folder)
        if not any(self.folder.iterdir()):
            self.folder.rmdir()


def _reconfigured(model: WynerModel, recipe: Recipe, stage: str | None) -> WynerModel:
    """A model of this recipe's config, with the weights of all that was trained up to a stage.

    What was not trained keeps its initial weights: marginal encoders, for instance, may be of
    another kind than the cached model's.
    """
    wrappers = (model.wrapper_x, model.wrapper_y)
    copy = WynerModel(recipe.config, wrapper=None if model.wrapper_x is None else wrappers)
    if not copy.built:
        copy.build(((None, *model.image_shape("x")), (None, *model.image_shape("y"))))
    parts = [*zip(model.joint_parts, copy.joint_parts, strict=True)]
    if stage in STAGES[STAGES.index("marginal") :]:
        parts += zip(model.marginal_parts, copy.marginal_parts, strict=True)
    for name in ("flow_u", "flow_v", "prior_z"):
        old, new = getattr(model, name), getattr(copy, name)
        if old is not None and new is not None:
            parts.append((old, new))
    for old, new in parts:
        # `variables` has the random states of dropout and noise too.
        for variable, target in zip(old.variables, new.variables, strict=True):
            target.assign(variable)
    return copy
