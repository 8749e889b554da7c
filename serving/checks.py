"""Checks at the door, before any session runs."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_serving.errors import InputError


def check_images(images: Any, name: str, shape: tuple[int, ...]) -> np.ndarray:
    """A batch of images as float32 in [0, 1].

    Args:
        images: floating-point `(n, h, w, c)` in [0, 1], or uint8 in 0–255.
        name: of the argument.
        shape: `(h, w, c)` that each image should have.

    Returns:
        float32 `(n, h, w, c)`; a float32 array is not copied.

    Raises:
        InputError: for another type, shape or range, no images, or values that are not finite.
    """
    expected = f"an array (n, {', '.join(map(str, shape))})"
    if not isinstance(images, np.ndarray):
        raise InputError(f"`{name}` should be {expected}. Received: {type(images).__name__}")
    if images.dtype != np.uint8 and not np.issubdtype(images.dtype, np.floating):
        raise InputError(
            f"`{name}` should be floating-point in [0, 1], or uint8 in 0-255. "
            f"Received: dtype {images.dtype}"
        )
    if images.ndim != 4 or images.shape[1:] != shape or not len(images):
        raise InputError(f"`{name}` should be {expected}, n > 0. Received: shape {images.shape}")
    if images.dtype == np.uint8:
        return images.astype(np.float32) / np.float32(255)
    _finite(images, name)
    low, high = float(images.min()), float(images.max())
    if low < 0 or high > 1:
        hint = "; give 0-255 data as uint8" if high > 1.5 else ""
        raise InputError(
            f"`{name}` should be in [0, 1]{hint}. Received: values from {low:.6g} to {high:.6g}"
        )
    return images.astype(np.float32, copy=False)


def check_latent(values: Any, name: str, size: int, count: int | None = None) -> np.ndarray:
    """Samples of a latent as float32 `(n, size)`.

    Raises:
        InputError: for another type or shape, or values that are not finite.
    """
    rows = "n" if count is None else str(count)
    if not isinstance(values, np.ndarray) or not np.issubdtype(values.dtype, np.number):
        received = values.dtype if isinstance(values, np.ndarray) else type(values).__name__
        raise InputError(f"`{name}` should be an array ({rows}, {size}). Received: {received}")
    right = values.ndim == 2 and values.shape[1] == size and len(values)
    if not right or (count is not None and len(values) != count):
        raise InputError(f"`{name}` should have shape ({rows}, {size}). Received: {values.shape}")
    _finite(values, name)
    return values.astype(np.float32, copy=False)


def _finite(values: np.ndarray, name: str) -> None:
    if not np.isfinite(values).all():
        raise InputError(f"`{name}` should be finite. Received: NaN or infinity")


def check_count(value: Any, name: str) -> int:
    """A positive integer.

    Raises:
        InputError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise InputError(f"`{name}` should be a positive integer. Received: {name}={value!r}")
    return int(value)


def check_seed(value: Any) -> int:
    """A non-negative integer.

    Raises:
        InputError: for anything else.
    """
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 0:
        raise InputError(f"`seed` should be a non-negative integer. Received: seed={value!r}")
    return int(value)
