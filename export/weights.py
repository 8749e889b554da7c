"""Whether an engine holds the weights that it should hold, bit for bit."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import numpy as np

# Batch normalisation's statistics become part of other constants; the outputs tell of them.
_FOLDED = ("moving_mean", "moving_variance")


def lost_weights(variables: Iterable[Any], held: Iterable[np.ndarray]) -> list[str]:
    """Names the variables whose values an engine does not hold.

    One weight of a million that is off by a thousandth may change no answer by more than rounding
    does. It shows here: a converter transposes and reshapes weights but computes none, except a
    batch normalisation's statistics and zeros.

    Args:
        variables: those that the graph reads.
        held: the engine's arrays, each in any shape and order.
    """
    known = {_fingerprint(values) for values in held if values.ndim}
    lost = []
    for variable in variables:
        name, values = variable.name.split(":")[0], variable.numpy()
        # One number is told of by the outputs; zeros leave no trace in a sum.
        if values.size == 1 or name.endswith(_FOLDED) or not values.any():
            continue
        # What a graph takes from a variable row by row may be held row by row.
        parts = [part for part in values if part.any()]
        if _fingerprint(values) not in known and not all(_fingerprint(p) in known for p in parts):
            lost.append(f"{name} {values.shape}")
    return lost


def _fingerprint(values: np.ndarray) -> tuple[str, int, int]:
    """A sum over hashed elements, which their order does not change; with their type and count."""
    bits = np.ascontiguousarray(values).ravel().view(f"u{values.dtype.itemsize}")
    mixed = bits.astype(np.uint64) + np.uint64(0x9E3779B97F4A7C15)
    # The finaliser of SplitMix64.
    mixed = (mixed ^ (mixed >> np.uint64(30))) * np.uint64(0xBF58476D1CE4E5B9)
    mixed = (mixed ^ (mixed >> np.uint64(27))) * np.uint64(0x94D049BB133111EB)
    mixed = mixed ^ (mixed >> np.uint64(31))
    return values.dtype.name, values.size, int(mixed.sum(dtype=np.uint64))
