"""What `wyner generate`, `wyner transfer` and `wyner rank` work with: a run folder, or a bundle."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras import runs
from wyner_keras.cli.engine import import_tensorflow
from wyner_keras.cli.options import PRESET


@dataclass(frozen=True)
class Opened:
    """A trained model and held-out examples to try it on.

    Args:
        model: a `WynerModel`, or a bundle with the same methods.
        examples: those that the folder holds.
        run: the run folder; None of a bundle.
    """

    model: Any
    examples: runs.Examples
    run: runs.Run | None = None

    def chosen(
        self, side: str, seed: int, count: int | None = None, default: int = 10
    ) -> tuple[runs.Examples, np.ndarray]:
        """Examples, and the positions of some: one of each class of a side in turn.

        Raises:
            ValueError: if there are not `count` of them.
        """
        examples = self.examples
        if count is not None and count > len(examples) and self.run is not None:
            # More than the folder has: all held-out pairs of its data.
            _, held_out = self.run.pairs()
            examples = runs.Examples.of(held_out, len(held_out))
        if count is not None and count > len(examples):
            raise ValueError(
                f"--count should be at most {len(examples)}, or --input should name examples. "
                f"Received: {count}"
            )
        return examples, examples.positions(side, count, seed, default)


def bundle_folder(text: str) -> str:
    """The folder that a word names: of preset:NAME that of its bundle, else the word itself.

    Raises:
        ValueError: if there is no such preset, or it has no bundle.
        OSError: if it cannot be downloaded.
    """
    if not text.startswith(PRESET):
        return text
    from wyner_serving import presets

    return str(presets.bundle_of(presets.find(text.removeprefix(PRESET))))


def open_folder(folder: str) -> Opened:
    """A run folder or a bundle, told apart by the bundle's manifest; or the bundle of preset:NAME.

    A bundle needs no TensorFlow.

    Raises:
        ValueError: if it is neither, or damaged, or there is no such preset.
        OSError: if a preset cannot be downloaded.
    """
    folder = bundle_folder(folder)
    if (Path(folder) / "manifest.json").is_file():
        from wyner_serving import Bundle

        bundle = Bundle.load(folder)
        rows = {side: bundle.samples(side) for side in runs.SIDES}
        count = min(map(len, rows.values()))
        rows = {side: values[:count] for side, values in rows.items()}
        return Opened(bundle, runs.Examples(rows, dict.fromkeys(rows)))
    run = runs.Run.open(folder)
    examples = run.examples()
    import_tensorflow()
    return Opened(run.load_model(), examples, run)
