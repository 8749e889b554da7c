"""Images as PNG, which holds them to 1/255."""

from __future__ import annotations

import io
from collections.abc import Iterable

import numpy as np
from PIL import Image

from wyner_serving.errors import ServingError


def to_png(images: np.ndarray) -> np.ndarray:
    """PNG bytes, an array of objects `(n,)`, of images `(n, h, w, c)` in [0, 1], c of 1 or 3."""
    found = np.empty(len(images), object)
    for number, image in enumerate(np.round(255 * images).astype(np.uint8)):
        stream = io.BytesIO()
        Image.fromarray(image[..., 0] if image.shape[-1] == 1 else image).save(stream, "PNG")
        found[number] = stream.getvalue()
    return found


def from_png(contents: Iterable[bytes]) -> np.ndarray:
    """Images `(n, h, w, c)` in [0, 1], float32, of PNG bytes.

    Raises:
        ServingError: if something else comes.
    """
    images = []
    try:
        for content in contents:
            pixels = np.asarray(Image.open(io.BytesIO(content)))
            images.append(pixels[..., None] if pixels.ndim == 2 else pixels)
        return np.stack(images).astype(np.float32) / np.float32(255)
    except (OSError, TypeError, ValueError) as error:
        raise ServingError(f"Images of one size should come as PNG. Received: {error}") from error
