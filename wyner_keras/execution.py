"""How the steps of a training are carried out: one by one, as a graph, by XLA."""

from __future__ import annotations

import contextlib
import math
from collections.abc import Sequence
from typing import Any

import keras

from wyner_keras.backend import JITS_BY_DEFAULT, multiplies_tiles

# Steps up to which tracing takes longer than they do, and from which XLA's compiling pays, as does
# to trace a step once more for several in one execution.
_ONE_BY_ONE, _COMPILED = 20, 400
_MOST_STEPS = 40  # of one execution of a graph
# Multiplications of a step's largest product from which tiles of bfloat16 are faster.
_LARGE_PRODUCT = 2**26


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
        >>> execution(97, 100)["steps_per_execution"]  # 33 + 33 + 31
        33
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
    """As few executions of up to 40 steps as an epoch takes, each of about as many."""
    return -(-steps // -(-steps // _MOST_STEPS))


def in_bfloat16(networks: Sequence[keras.layers.Layer], batch_size: int) -> bool:
    """Whether products in bfloat16 are faster on this processor, their casts included.

    Args:
        networks: that are trained.
        batch_size: rows a step.
    """
    largest = max((each for network in networks for each in products(network)), default=0)
    return multiplies_tiles() and batch_size * largest >= _LARGE_PRODUCT


def products(network: keras.layers.Layer) -> list[int]:
    """How many numbers each weight of a network, or of a layer, is multiplied by for one example.

    Args:
        network: a dense layer in it multiplies by each weight once, a convolution once at each of
            its places.

    Returns:
        For each array of weights its size times its places.
    """
    found = []
    for layer in network._flatten_layers():
        if any(True for _ in layer._flatten_layers(include_self=False)):
            continue
        places, shape = 1, (layer.get_build_config() or {}).get("input_shape")
        # A user's own layer need not know its shapes.
        if hasattr(layer, "kernel_size") and shape is not None and None not in shape[1:]:
            with contextlib.suppress(NotImplementedError):
                shapes = shape, layer.compute_output_shape(shape)
                places = min(math.prod(each[1:-1]) for each in shapes)
        found += [places * math.prod(weight.shape) for weight in layer.weights]
    return found
