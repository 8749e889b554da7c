"""Saved images in the place of a model, for the evaluator to judge."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.evaluation import pmi_scores
from wyner_keras.files import write_arrays
from wyner_serving.sides import OTHER


def asked(pairs: Mapping[str, np.ndarray], name: str) -> np.ndarray:
    """The held-out images that a model is given, by the name of their positions in the file."""
    kind, made = name.split("_")
    side = made if kind == "styles" else OTHER[made]
    test = pairs["test"] if "test" in pairs else pairs[f"test_{side}"]
    return test[pairs[name]]


class SavedImages:
    """Answers `evaluate` from arrays; it has the tasks whose arrays there are.

    Args:
        images: uint8 arrays by name, `conditional_y`, `diverse_y`, `transfer_y`, `joint_y` and the
            same for x, as many as the model can make.
        pairs: what `write_pairs` wrote.

    Raises:
        ValueError: a call for other images than those that were asked for when they were made.
    """

    def __init__(self, images: Mapping[str, np.ndarray], pairs: Mapping[str, np.ndarray]) -> None:
        self.images, self.pairs = images, pairs
        kinds = ("conditional", "joint", "transfer")
        self.tasks = tuple(kind for kind in kinds if f"{kind}_x" in images)

    @classmethod
    def load(cls, path: Path, pairs: Mapping[str, np.ndarray]) -> SavedImages:
        """The images in a file that `save_images` or peer.py wrote."""
        with np.load(path) as archive:
            return cls({name: archive[name] for name in archive.files if name != "facts"}, pairs)

    def _stored(self, name: str, **arguments: tuple[np.ndarray, str]) -> np.ndarray:
        for argument, (images, rows) in arguments.items():
            if not np.array_equal(images, asked(self.pairs, rows)):
                raise ValueError(
                    f"`{argument}` should be the images that {name!r} was made for. "
                    f"Received: others, of shape {np.shape(images)}"
                )
        return self.images[name].astype(np.float32) / 255

    def _generate(self, condition: np.ndarray, side: str, samples: int | None) -> np.ndarray:
        other = OTHER[side]
        if samples is None or samples == 1:
            return self._stored(f"conditional_{other}", **{side: (condition, f"inputs_{other}")})
        stored = self._stored(f"diverse_{other}", **{side: (condition, f"diverse_{other}")})
        if stored.shape[1] != samples:
            raise ValueError(f"`samples` should be {stored.shape[1]}. Received: {samples}")
        return stored

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """The stored images; the seed has no effect."""
        return self._generate(x, "x", samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """The stored images; the seed has no effect."""
        return self._generate(y, "y", samples)

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """The stored pairs; the seed has no effect."""
        x, y = self._stored("joint_x"), self._stored("joint_y")
        if len(x) != n:
            raise ValueError(f"`n` should be {len(x)}. Received: {n}")
        return x, y

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        """The stored images; the seed has no effect."""
        return self._stored(
            "transfer_x", style=(style, "styles_x"), concept=(concept, "concepts_x")
        )

    def transfer_y(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        """The stored images; the seed has no effect."""
        return self._stored(
            "transfer_y", style=(style, "styles_y"), concept=(concept, "concepts_y")
        )


def save_images(
    path: Path, model: Any, pairs: Mapping[str, np.ndarray], facts: Mapping[str, Any]
) -> None:
    """Ask a model of this library for all images of the evaluation, and write them.

    Args:
        path: the .npz to write, whole or not at all; `scores` in it, where the pairs ask for any
            and the model has them, rank held-out partners.
        model: the trained model, as `evaluate` takes it.
        pairs: what `write_pairs` wrote.
        facts: about the training, as JSON-able values.
    """
    settings = json.loads(str(pairs["settings"]))
    seed, samples = settings["seed"], settings["samples"]
    tasks = getattr(model, "tasks", ("conditional", "joint", "transfer"))
    images = {}
    for side in ("x", "y"):
        generate = model.generate_x if side == "x" else model.generate_y
        images[f"conditional_{side}"] = generate(asked(pairs, f"inputs_{side}"), seed=seed)
        images[f"diverse_{side}"] = generate(
            asked(pairs, f"diverse_{side}"), seed=seed + 1, samples=samples
        )
        if "transfer" in tasks and f"styles_{side}" in pairs:
            transfer = model.transfer_x if side == "x" else model.transfer_y
            images[f"transfer_{side}"] = transfer(
                style=asked(pairs, f"styles_{side}"),
                concept=asked(pairs, f"concepts_{side}"),
                seed=seed,
            )
    if "joint" in tasks:
        images["joint_x"], images["joint_y"] = model.generate_pairs(settings["pairs"], seed=seed)
    rounded = {name: np.rint(255 * array).astype(np.uint8) for name, array in images.items()}
    scores = pmi_scores(model, pairs["test_x"], pairs["test_y"]) if settings.get("ranked") else None
    ranks = {} if scores is None else {"scores": scores}
    write_arrays(path, facts=np.array(json.dumps({**facts, "tasks": tasks})), **rounded, **ranks)


def facts_of(path: Path) -> dict[str, Any]:
    """What the training noted: epochs, seconds, parameters, tasks."""
    with np.load(path) as archive:
        return json.loads(str(archive["facts"]))
