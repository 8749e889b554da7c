"""Small random changes of training images."""

from __future__ import annotations

from typing import Any

import keras
from keras import ops


@keras.saving.register_keras_serializable(package="wyner_keras")
class RandomShiftShear(keras.layers.Layer):
    """Shifts and shears each training image a little, by linear interpolation along both axes.

    The resampling is two small matrix products (tent kernels), several times faster on a CPU than
    `keras.layers.RandomTranslation`. Outside training, the images pass unchanged.

    Args:
        shift: largest shift along each axis, in pixels.
        shear: largest shear along each axis, in pixels per pixel.
        seed: seed of the random draws.
    """

    def __init__(self, shift: float, shear: float = 0.15, seed: int = 0, **kwargs: Any) -> None:
        super().__init__(**kwargs)
        self.shift, self.shear, self.seed = float(shift), float(shear), seed
        self.seed_generator = keras.random.SeedGenerator(seed)

    def _kernel(self, size: int, other: int, batch: Any) -> Any:
        """Tent weights `(batch, other, size, size)`: for each line, target from source pixels."""
        shift = keras.random.uniform((batch, 1, 1), -1, 1, seed=self.seed_generator) * self.shift
        shear = keras.random.uniform((batch, 1, 1), -1, 1, seed=self.seed_generator) * self.shear
        place = ops.arange(size, dtype="float32")
        line = (ops.arange(other, dtype="float32") - (other - 1) / 2)[None, :, None]
        source = place[None, None, :] + shift + shear * line
        return ops.relu(1 - ops.abs(source[..., None] - place))

    def call(self, images: Any, training: bool = False) -> Any:
        """Returns images of shape `(batch, h, w, c)`, moved when `training` is true."""
        if not training:
            return images
        batch, height, width = ops.shape(images)[0], images.shape[1], images.shape[2]
        images = ops.einsum("bjis,bsjc->bijc", self._kernel(height, width, batch), images)
        return ops.einsum("bijs,bisc->bijc", self._kernel(width, height, batch), images)

    def get_config(self) -> dict[str, Any]:
        """Returns the arguments that rebuild this layer."""
        own = {"shift": self.shift, "shear": self.shear, "seed": self.seed}
        return {**super().get_config(), **own}
