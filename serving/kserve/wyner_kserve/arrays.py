"""Arrays from what a request holds: nested numbers, or PNG files in base64."""

from __future__ import annotations

import base64
import io
import reprlib
from typing import Any

import numpy as np
import PIL.Image
from kserve.errors import InvalidInput

from wyner_kserve.tasks import Tensor

_MODES = {1: "L", 3: "RGB"}


def numbers(values: Any, name: str, missing: bool = False) -> np.ndarray:
    """Nested lists of numbers as an array of integers or floating-point numbers.

    Args:
        values: nested lists.
        name: of the tensor, for the message.
        missing: whether null stands for a value that is missing, NaN in the array.

    Raises:
        InvalidInput: for ragged lists, or entries that are no numbers.
    """
    try:
        found = np.array(values)
        if missing and found.dtype.kind == "O":
            found = np.where(found == None, np.nan, found)  # noqa: E711 - element by element
            found = np.array(found.tolist())
    except (ValueError, OverflowError) as error:
        raise InvalidInput(
            f"`{name}` should be lists of numbers of equal lengths. Received: {error}"
        ) from error
    if found.dtype.kind not in "iuf":
        raise InvalidInput(f"`{name}` should be lists of numbers. Received: {reprlib.repr(values)}")
    return found


def is_png(value: Any) -> bool:
    """Whether a JSON value is `{"b64": …}`, the way in which JSON carries bytes."""
    return isinstance(value, dict) and set(value) == {"b64"}


def pngs(values: list[Any], tensor: Tensor) -> np.ndarray:
    """PNG files `{"b64": …}` as uint8 `(n, h, w, c)`.

    Raises:
        InvalidInput: for anything else, or another size or number of channels.
    """
    return np.stack([_png(value, tensor) for value in values])


def _png(value: Any, tensor: Tensor) -> np.ndarray:
    height, width, channels = (int(size) for size in tensor.shape[1:])
    mode = _MODES.get(channels)
    expected = f"`{tensor.name}` should be 8-bit PNG files {width} wide and {height} high"
    if mode is None or not is_png(value) or not isinstance(value["b64"], str):
        raise InvalidInput(f'{expected}, as {{"b64": …}}. Received: {reprlib.repr(value)}')
    try:
        content = io.BytesIO(base64.b64decode(value["b64"], validate=True))
        image = PIL.Image.open(content, formats=["PNG"])
    except Exception as error:  # a decoder's errors for broken bytes are of many classes
        raise InvalidInput(f"{expected}. Received: {type(error).__name__}") from error
    if image.size != (width, height) or image.mode != mode:
        received = f"{image.width} by {image.height}, mode {image.mode}"
        raise InvalidInput(f"{expected}, mode {mode}. Received: {received}")
    try:
        return np.asarray(image).reshape(height, width, channels)
    except Exception as error:
        raise InvalidInput(f"{expected}. Received: {type(error).__name__}: {error}") from error
