"""Checks at the door, before any session runs."""

from __future__ import annotations

import math
from collections.abc import Mapping, Sequence
from typing import Any

import numpy as np

from wyner_serving.errors import InputError
from wyner_serving.memory import available

# What fits into any machine is not worth asking how much there is.
_SMALL = 2**26


def check_array(values: Any, name: str, expected: str) -> np.ndarray:
    """An array of real values, all of which count.

    Args:
        values: an array.
        name: of the argument.
        expected: what it should be, for the message.

    Returns:
        The same values, as an array of NumPy's own class.

    Raises:
        InputError: for anything else, masked arrays (a mask would be lost) and complex numbers
            (their imaginary part would be).
    """
    if not isinstance(values, np.ndarray):
        raise InputError(f"`{name}` should be {expected}. Received: {type(values).__name__}")
    if isinstance(values, np.ma.MaskedArray):
        raise InputError(
            f"`{name}` should be {expected} without a mask; fill it by `filled`. "
            "Received: a masked array"
        )
    if values.dtype.kind == "c":
        raise InputError(
            f"`{name}` should be {expected} of real numbers. Received: dtype {values.dtype}"
        )
    return np.asarray(values)


def check_latent(values: Any, name: str, size: int, count: int | None = None) -> np.ndarray:
    """Samples of a latent as float32 `(n, size)`.

    Raises:
        InputError: for another type or shape, a mask, or values that are not finite in float32.
    """
    rows = "n" if count is None else str(count)
    expected = f"an array ({rows}, {size})"
    values = check_array(values, name, expected)
    if values.dtype.kind not in "iuf":
        raise InputError(f"`{name}` should be {expected}. Received: {values.dtype}")
    right = values.ndim == 2 and values.shape[1] == size and len(values)
    if not right or (count is not None and len(values) != count):
        raise InputError(f"`{name}` should have shape ({rows}, {size}). Received: {values.shape}")
    # What float32 cannot hold becomes infinite.
    with np.errstate(over="ignore"):
        values = values.astype(np.float32, copy=False)
    _finite(values, name)
    return values


def _finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"`{name}` should be finite. Received: NaN or infinity")


def check_results(results: Sequence[np.ndarray], name: str) -> None:
    """Refuse results that float32 cannot hold.

    Args:
        results: arrays of a graph, or of a server.
        name: of the graph or task.

    Raises:
        InputError: if one has NaN or infinity.
    """
    if not all(np.isfinite(each).all() for each in results):
        raise InputError(
            f"{name} should be asked for what float32 can hold; values far from those trained "
            "on lead beyond. Received: inputs whose results are NaN or infinite"
        )


def check_count(value: Any, name: str) -> int:
    """A positive integer.

    Raises:
        InputError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"`{name}` should be a positive integer. Received: {name}={_told(value)}")
    return int(value)


def check_seed(value: Any) -> int:
    """A non-negative integer.

    Raises:
        InputError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"`seed` should be a non-negative integer. Received: seed={_told(value)}")
    return int(value)


def _told(value: Any) -> str:
    """A number or a short text as it is written; of anything else, an array say, the type."""
    short = value is None or isinstance(value, int | float | str | np.number)
    return f"{value!r:.80}" if short else f"a value of type {type(value).__name__}"


def check_memory(name: str, counts: Mapping[str, int], *shapes: Sequence[int]) -> None:
    """Refuse a result that cannot fit in memory, before any work.

    Args:
        name: of the argument that made it so large.
        counts: how many of what it has, by words for people; their product is how many results.
        shapes: of one result, an array each.

    Raises:
        InputError: if the result, in float32, needs more than the machine has available.

    Example:
        >>> check_memory("count", {"pairs": 10**15}, (28, 28, 1))
        Traceback (most recent call last):
        wyner_serving.errors.InputError: `count` should leave a result that fits in memory. ...
    """
    needed = 4 * math.prod(counts.values()) * sum(math.prod(shape) for shape in shapes)
    if needed <= _SMALL:
        return
    there = available()
    if there is None or needed <= there:
        return
    asked = " x ".join(f"{_number(count)} {what}" for what, count in counts.items())
    sizes = " and ".join("x".join(map(str, shape)) for shape in shapes)
    raise InputError(
        f"`{name}` should leave a result that fits in memory. "
        f"Received: {asked} of {sizes}, {_size(needed)}, of {_size(there)} available"
    )


def _number(count: int) -> str:
    return str(count) if count < 10**18 else f"about 10^{math.log10(count):.0f}"


def _size(count: int) -> str:
    """Bytes for people."""
    power = (max(count, 1).bit_length() - 1) // 10
    if power > 6:
        return "more than 1024 EiB"
    return f"{count / 1024**power:.4g} {('bytes', 'KiB', 'MiB', 'GiB', 'TiB', 'PiB', 'EiB')[power]}"
