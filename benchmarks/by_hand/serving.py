"""Times an engine's tasks in a process of its own. NumPy and the standard library only.

An engine has `generate_y`, `transfer_x`, `gallery` and `rank`. One that `draws` takes seeds, as
bundles and models do; others are given noise, which is drawn in their time too.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from typing import Any

import numpy as np

from benchmarks.by_hand.talk import answer
from benchmarks.resident import resident_mb

TASKS = ("generate_y", "transfer_x", "rank")


class _Served:
    """An engine, opened at the first request."""

    def __init__(self, opened: Callable[[], Any], inputs: str) -> None:
        self._opened = opened
        with np.load(inputs) as arrays:
            self._arrays = {name: arrays[name] for name in arrays.files}
        self._engine: Any = None
        self._gallery: Any = None

    def start(self) -> float:
        """Open, and answer once; resident memory in MB."""
        self._engine = self._opened()
        self._call("generate_y", 1)()
        return resident_mb()

    def _noise(self, name: str, rows: int, recorded: bool) -> np.ndarray:
        held = self._arrays[name]
        if recorded:
            return held[:rows]
        rng = np.random.default_rng(0)
        draw = rng.random if name.endswith("z") else rng.standard_normal
        return draw((rows, held.shape[1]), dtype=np.float32)

    def _call(self, task: str, rows: int, recorded: bool = False) -> Callable[[], Any]:
        engine, arrays = self._engine, self._arrays
        x, y = (np.ascontiguousarray(arrays[name][:rows]) for name in "xy")
        if task == "rank":
            if self._gallery is None:
                self._gallery = engine.gallery(arrays["y"])
            return lambda: engine.rank(x, self._gallery)
        if task == "generate_y":
            if getattr(engine, "draws", False):
                return lambda: engine.generate_y(x)
            return lambda: engine.generate_y(
                x=x,
                noise_z=self._noise("noise_z", rows, recorded),
                noise_v=self._noise("noise_v", rows, recorded),
            )
        if getattr(engine, "draws", False):
            return lambda: engine.transfer_x(x, y[:1])
        return lambda: engine.transfer_x(
            style=x,
            concept=y[:1],
            noise_concept_z=self._noise("noise_concept_z", 1, recorded),
            noise_style_z=self._noise("noise_style_z", rows, recorded),
            noise_u=self._noise("noise_u", rows, recorded),
        )

    def save(self, task_name: str, rows: int, file: str) -> None:
        """Write an answer by the recorded noise."""
        found = self._call(task_name, rows, recorded=True)()
        np.save(file, np.asarray(found[1] if isinstance(found, tuple) else found))

    def times(self, task_name: str, rows: int, count: int, warm: int) -> list[float]:
        """Milliseconds of each of `count` calls, after some that do not count."""
        call, found = self._call(task_name, rows), []
        for place in range(warm + count):
            begin = time.perf_counter()
            call()
            if place >= warm:
                found.append(1e3 * (time.perf_counter() - begin))
        return found


def serve(opened: Callable[[], Any], inputs: str) -> None:
    """Answer what `benchmarks.infer` asks of an engine.

    Args:
        opened: gives it; what it imports counts as its start.
        inputs: file of examples "x" and "y", and of recorded noise.
    """
    served = _Served(opened, inputs)
    answer({"start": served.start, "save": served.save, "times": served.times})
