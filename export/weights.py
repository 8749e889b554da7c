"""Whether an engine holds the weights that it should hold."""

from __future__ import annotations

import itertools
from collections.abc import Iterable
from typing import Any

import numpy as np


def lost_weights(
    variables: Iterable[Any], held: Iterable[np.ndarray], converted: bool = True
) -> list[str]:
    """Name the kernels and biases whose values an engine does not hold.

    One weight of a million that is off by a thousandth may change no answer by more than rounding
    does. It shows here: a converter transposes and reshapes kernels and biases, and multiplies a
    kernel's outputs by one number each, where a normalisation follows; it computes nothing else.
    The vectors of normalisations become part of one another, a divisor its reciprocal, say; they
    act on every row, so the outputs tell of them.

    Args:
        variables: those that the graph reads.
        held: the engine's arrays, each in any shape and order.
        converted: whether a converter was at work, and may have multiplied.
    """
    arrays = [values for values in held if values.ndim]
    known = {_fingerprint(values) for values in arrays}
    lost = []
    for variable in variables:
        name, values = variable.name.split(":")[0], variable.numpy()
        normalises = values.ndim < 2 and not name.endswith("bias")
        # One number is told of by the outputs; zeros leave no trace in a sum.
        if normalises or values.size == 1 or not values.any():
            continue
        if (
            _fingerprint(values) not in known
            # What a graph takes from a variable row by row may be held row by row.
            and not all(_fingerprint(part) in known for part in values if part.any())
            and not (converted and any(_is_scaled(values, each) for each in arrays))
        ):
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


def _is_scaled(kernel: np.ndarray, held: np.ndarray) -> bool:
    """Whether an array is a kernel, its axes in any order, times a number an output channel."""
    if kernel.dtype != held.dtype or sorted(kernel.shape) != sorted(held.shape):
        return False
    # The channels of a transposed convolution are the last axis but one.
    channels = [-1] if kernel.ndim == 2 else [-1, -2]
    wide = kernel.astype(np.float64)
    for order, channel in itertools.product(
        itertools.permutations(range(kernel.ndim)), channels if kernel.ndim > 1 else []
    ):
        turned = held.transpose(order)
        if turned.shape == kernel.shape:
            others = tuple(axis for axis in range(kernel.ndim) if axis != channel % kernel.ndim)
            power = np.square(wide).sum(others, keepdims=True)
            # Least squares; of a channel of zeros any number will do.
            factor = (wide * turned).sum(others, keepdims=True) / np.where(power > 0, power, 1.0)
            # Rounded once.
            if np.allclose(turned, wide * factor, rtol=2 * np.finfo(kernel.dtype).eps, atol=0.0):
                return True
    return False
