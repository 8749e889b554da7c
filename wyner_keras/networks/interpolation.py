"""Linear interpolation along one axis of images."""

from __future__ import annotations

from typing import Any

from keras import ops

Tensor = Any


def at_columns(images: Tensor, columns: Tensor) -> Tensor:
    """Images read at columns between their own.

    A gather of the two nearest: no work for the columns between which nothing is read, as tent
    kernels have it, and standard operators in an exported graph.

    Args:
        images: `(batch, h, w, c)`, 0 beyond their edges.
        columns: where each pixel of the result is read, in pixels, `(batch, h, w')`.

    Returns:
        `(batch, h, w', c)`, of the images' dtype. The derivative along the columns is that of the
        line between pixels.
    """
    height, width, channels = images.shape[1:]
    columns = ops.clip(ops.cast(columns, "float32"), -1.0, width)
    whole = ops.floor(columns)
    # Of a NaN the weight stays one; clipped, its place is a place.
    left = ops.clip(ops.cast(whole, "int32"), -1, width) + 1
    right = ops.minimum(left + 1, width + 1)
    padded = ops.reshape(ops.pad(images, ((0, 0), (0, 0), (1, 1), (0, 0))), (-1, channels))
    lines = ops.arange(ops.shape(images)[0] * height, dtype="int32") * (width + 2)
    lines = ops.reshape(lines, (-1, height, 1))
    weight = ops.cast(columns - whole, images.dtype)[..., None]
    nearest = [ops.take(padded, lines + place, axis=0) for place in (left, right)]
    return (1.0 - weight) * nearest[0] + weight * nearest[1]
