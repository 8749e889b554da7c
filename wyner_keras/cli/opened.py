"""What `wyner generate` and `wyner transfer` work with: a run folder, or a bundle."""

from __future__ import annotations

from pathlib import Path
from typing import Any, Protocol

import numpy as np

from wyner_keras import runs
from wyner_keras.cli.engine import import_tensorflow


class Opened(Protocol):
    """A trained model and images to try it on."""

    def load_model(self) -> Any:
        """The model: a `WynerModel`, or a bundle with the same methods."""

    def images(
        self, side: str, seed: int, count: int | None = None, default: int | None = None
    ) -> np.ndarray:
        """Held-out images `(count, h, w, c)`, one of each class in turn.

        Args:
            side: "x" or "y".
            seed: which ones.
            count: how many; None takes the default, or what there is.
            default: None takes one of each class.

        Raises:
            ValueError: if there are not `count` of them.
        """


class _Run:
    def __init__(self, folder: str) -> None:
        self._run = runs.Run.open(folder)
        import_tensorflow()

    def load_model(self) -> Any:
        return self._run.load_model()

    def images(
        self, side: str, seed: int, count: int | None = None, default: int | None = None
    ) -> np.ndarray:
        held = self._run.examples(side)
        if count is not None and count > len(held):
            # More than the folder has: all test images of its data.
            target = self._run.target() if side == "y" else None
            held = (target or self._run.source()).test
        if count is not None and count > len(held):
            raise ValueError(f"--count should be at most {len(held)}. Received: {count}")
        count = count or min(default or len(held.classes), len(held))
        return held.by_class(count, seed).images


class _Bundle:
    """A bundle needs no TensorFlow; its images are the samples that came with it."""

    def __init__(self, folder: Path) -> None:
        from wyner_serving import Bundle

        self._folder = folder
        self._bundle = Bundle.load(folder)

    def load_model(self) -> Any:
        return self._bundle

    def images(
        self, side: str, seed: int, count: int | None = None, default: int | None = None
    ) -> np.ndarray:
        from wyner_keras.cli import pictures

        shape: Any = self._bundle.image_shape(side)
        found = pictures.read([str(self._folder / "samples" / side)], shape, "samples")
        if count is not None and count > len(found):
            raise ValueError(
                f"--count should be at most {len(found)}, the samples in the bundle, or images "
                f"should be given. Received: {count}"
            )
        return np.roll(found, -seed, axis=0)[: count or default]


def open_folder(folder: str) -> Opened:
    """A run folder or a bundle, told apart by the bundle's manifest.

    Raises:
        ValueError: if it is neither, or damaged.
    """
    if (Path(folder) / "manifest.json").is_file():
        return _Bundle(Path(folder))
    return _Run(folder)
