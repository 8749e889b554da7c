"""Small random changes of training images."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
from keras import ops

from wyner_keras.networks.interpolation import at_columns

Tensor = Any
# Largest changes that both sides of a pair undergo, and those of one side alone: shifts as a share
# of the size, log scales, turns in radians.
_SHARED = (0.12, 0.12, 0.15)
_OWN = (0.03, 0.03, 0.03)


def warp(images: Tensor, shared: Tensor, own: Tensor) -> Tensor:
    """Shift, scale, turn and mirror images; beyond the edge is what is nearest on it.

    Args:
        images: `(batch, h, w, c)`.
        shared: uniform noise on [0, 1), `(batch, 6)`, of the large changes; the mirror is in them.
        own: likewise, of small ones.

    Returns:
        Images of the same shape, by linear interpolation.
    """
    height, width = images.shape[1:3]
    mirror = ops.where(shared[:, 5] < 0.5, -1.0, 1.0)
    (shared_map, shared_shift), (own_map, own_shift) = (
        _maps(noise, *largest) for noise, largest in ((shared, _SHARED), (own, _OWN))
    )
    maps = ops.matmul(shared_map * mirror[:, None, None], own_map)
    # Mirrored from left to right alone.
    maps = ops.stack([maps[:, 0], maps[:, 1] * mirror[:, None]], axis=1)
    middle = np.array([(width - 1) / 2, (height - 1) / 2], np.float32)
    shift = (shared_shift + own_shift) * np.array([width, height], np.float32)
    shift = shift + middle - ops.sum(maps * middle, axis=2)
    rows = [maps[:, 0, 0], maps[:, 0, 1], shift[:, 0], maps[:, 1, 0], maps[:, 1, 1], shift[:, 1]]
    zero = ops.zeros_like(mirror)
    return ops.image.affine_transform(
        images, ops.stack([*rows, zero, zero], axis=1), fill_mode="nearest"
    )


def _maps(noise: Tensor, shift: float, scale: float, turn: float) -> tuple[Tensor, Tensor]:
    """Matrices `(batch, 2, 2)` and shifts `(batch, 2)`, a share of the size."""
    at = 2.0 * noise - 1.0
    angle, both = turn * at[:, 2], scale * at[:, 3]
    # The sides' lengths differ by a part of what they change together.
    across, down = ops.exp(both + 0.25 * scale * at[:, 4]), ops.exp(both)
    cosine, sine = ops.cos(angle), ops.sin(angle)
    rows = [[across * cosine, -down * sine], [across * sine, down * cosine]]
    maps = ops.stack([ops.stack(row, axis=1) for row in rows], axis=1)
    return maps, shift * at[:, :2]


@keras.saving.register_keras_serializable(package="wyner_keras")
class RandomShiftShear(keras.layers.Layer):
    """Shifts and shears each training image a little, by linear interpolation along both axes.

    What comes in is like the nearest edge. Outside training, the images pass unchanged.

    Args:
        shift: largest shift along each axis, in pixels.
        shear: largest shear along each axis, in pixels per pixel.
        seed: seed of the random draws.
    """

    def __init__(self, shift: float, shear: float = 0.15, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shift, self.shear = float(shift), float(shear)
        self.seed_generator = keras.random.SeedGenerator(seed)
        self.built = True

    def _columns(self, size: int, other: int, batch: Any) -> Any:
        """Where the pixels of each line are read, `(batch, other, size)`."""
        shift = keras.random.uniform((batch, 1, 1), -1, 1, seed=self.seed_generator) * self.shift
        shear = keras.random.uniform((batch, 1, 1), -1, 1, seed=self.seed_generator) * self.shear
        place = ops.arange(size, dtype="float32")
        line = (ops.arange(other, dtype="float32") - (other - 1) / 2)[None, :, None]
        return ops.clip(place + shift + shear * line, 0.0, size - 1.0)

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns images of shape `(batch, h, w, c)`, moved when `training` is true."""
        if not training:
            return images
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        turned = at_columns(ops.swapaxes(images, 1, 2), self._columns(height, width, batch))
        return at_columns(ops.swapaxes(turned, 1, 2), self._columns(width, height, batch))
