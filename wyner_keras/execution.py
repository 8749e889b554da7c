"""How the steps of a training are carried out: one by one, as a graph, by XLA."""

from __future__ import annotations

from typing import Any

import keras

from wyner_keras.backend import JITS_BY_DEFAULT

# Steps up to which tracing takes longer than they do, and from which XLA's compiling pays, as does
# to trace a step once more for several in one execution.
_ONE_BY_ONE, _COMPILED = 20, 400
_MOST_STEPS = 40  # of one execution of a graph


class Epoch(keras.callbacks.Callback):
    """Tells a model, as its `epoch`, which one it is in: by that a resumed `fit` shuffles."""

    def on_epoch_begin(self, epoch: int, logs: dict[str, float] | None = None) -> None:
        """Say it."""
        self.model.epoch = epoch


def execution(steps: int, epochs: int, *, jit_compile: bool = False) -> dict[str, Any]:
    """Settings of `keras.Model.compile` by which a training takes least time.

    Args:
        steps: of an epoch.
        epochs: of the training.
        jit_compile: whether XLA's step, once compiled, is faster than TensorFlow's graph.

    Returns:
        `run_eagerly`, `jit_compile` and `steps_per_execution`.

    Example:
        >>> execution(5, 2, jit_compile=True)["run_eagerly"]
        True
        >>> execution(90, 100, jit_compile=True)["steps_per_execution"]
        30
    """
    steps = max(1, steps)
    total = steps * epochs
    if total <= _ONE_BY_ONE and not JITS_BY_DEFAULT:
        return {"run_eagerly": True, "jit_compile": False, "steps_per_execution": 1}
    return {
        "run_eagerly": False,
        "jit_compile": JITS_BY_DEFAULT or (jit_compile and total >= _COMPILED),
        "steps_per_execution": _steps_per_execution(steps) if total >= _COMPILED else 1,
    }


def _steps_per_execution(steps: int) -> int:
    """The largest divisor of an epoch's steps up to 40: no epoch then ends in a remainder."""
    return max(count for count in range(1, min(steps, _MOST_STEPS) + 1) if steps % count == 0)
