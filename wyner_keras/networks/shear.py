"""The slant of an image by its moments, and shearing by it."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops

from wyner_keras.networks.interpolation import at_columns

Tensor = Any
_EMPTY = 1e-6


def slant(images: Tensor) -> Tensor:
    """μ₁₁ / μ₀₂ of the ink: the horizontal shift, in pixels a row downwards, of the axis of ink.

    Second-order central moments (Hu, 1962), over the sum of channels; an empty image has slant 0.

    Args:
        images: `(batch, h, w, c)` in [0, 1], ink bright.

    Returns:
        `(batch,)`, dimensionless (pixels across for a pixel down).
    """
    ink = ops.sum(ops.cast(images, "float32"), axis=-1)
    rows = ops.arange(ink.shape[1], dtype="float32")
    columns = ops.arange(ink.shape[2], dtype="float32")
    mass = ops.sum(ink, axis=(1, 2)) + _EMPTY
    row_profile, column_profile = ops.sum(ink, axis=2), ops.sum(ink, axis=1)
    row_mean = ops.matmul(row_profile, rows) / mass
    column_mean = ops.matmul(column_profile, columns) / mass
    row_offsets = rows[None] - row_mean[:, None]
    column_offsets = columns[None] - column_mean[:, None]
    # (b, r, c) x (b, c) -> (b, r); an einsum would leave an Unsqueeze without axes in ONNX.
    moments = ops.matmul(ink, column_offsets[:, :, None])[:, :, 0]
    mixed = ops.sum(moments * row_offsets, axis=1)
    vertical = ops.sum(row_profile * ops.square(row_offsets), axis=1)
    return mixed / (vertical + _EMPTY)


@keras.saving.register_keras_serializable(package="wyner_keras")
class Shear(keras.layers.Layer):
    """Shear images horizontally about their middle row, by linear interpolation."""

    def __init__(self, **kwargs: Any) -> None:
        super().__init__(**{"autocast": False, **kwargs})
        self.built = True

    def call(self, images: Tensor, amount: Tensor) -> Tensor:
        """Images `(batch, h, w, c)` whose row i is read `amount · (i − middle)` to the right.

        Shearing by an image's `slant` makes it upright; by the negative puts the slant back.
        """
        images, amount = ops.cast(images, "float32"), ops.cast(amount, "float32")
        height, width = images.shape[1], images.shape[2]
        rows = ops.arange(height, dtype="float32") - (height - 1) / 2
        columns = ops.arange(width, dtype="float32")
        return at_columns(images, columns + (amount[:, None] * rows)[:, :, None])

    def compute_output_shape(self, images_shape: Any, amount_shape: Any = None) -> Any:
        """The images' shape."""
        return images_shape
