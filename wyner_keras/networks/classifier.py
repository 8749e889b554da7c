"""The network of a judge: examples to class logits, and the features that they are read off."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
from keras import layers, ops

from wyner_keras.networks.augmentation import RandomShiftShear

_PIXELS = 32  # a side, about, that larger images are averaged down to
_FILTERS = (32, 64, 96)


@keras.saving.register_keras_serializable(package="wyner_keras")
class ZeroForUnknown(layers.Layer):
    """Puts 0 where a value is NaN: not known."""

    def call(self, values: Any) -> Any:
        """Values of the same shape."""
        return ops.where(ops.isnan(values), ops.zeros_like(values), values)


def build_classifier(
    kind: str, shape: Sequence[int], classes: int, sample: np.ndarray, seed: int
) -> keras.Model:
    """A small classifier: of images and series convolutions, of all else a dense layer.

    Images are shifted and sheared a little while training; all else is standardised.

    Args:
        kind: "image", "series", or anything.
        shape: of one example.
        classes: number of logits.
        sample: examples `(n, *shape)` that mean and deviation are taken of; NaN is left out.
        seed: of the initial weights, dropout and augmentation.

    Returns:
        A model from examples to (logits, 128 features).
    """

    def initial(offset: int) -> keras.initializers.Initializer:
        return keras.initializers.GlorotUniform(seed=1000 * seed + offset)

    def dense(offset: int, **named: str) -> keras.layers.Layer:
        return layers.Dense(128, activation="relu", kernel_initializer=initial(offset), **named)

    examples = keras.Input(tuple(shape), name="examples")
    if kind == "image":
        pool = tuple(max(1, size // _PIXELS) for size in shape[:2])
        hidden = layers.AveragePooling2D(pool)(examples)
        hidden = RandomShiftShear(min(hidden.shape[1:3]) / 14, seed=seed)(hidden)
    else:
        values = np.asarray(sample, np.float64).reshape(-1, shape[-1])
        variance = np.nanvar(values, axis=0)
        variance[variance == 0] = 1.0  # a column that never varies
        scale = layers.Normalization(mean=np.nanmean(values, axis=0), variance=variance)
        hidden = ZeroForUnknown()(scale(examples))
    if kind == "series":  # a grid of one column
        hidden = layers.Reshape((shape[0], 1, shape[1]))(hidden)
    if kind in ("image", "series"):
        width = 3 if kind == "image" else 1
        sizes = hidden.shape[1:3] if kind == "image" else hidden.shape[1:2]
        for level in range(max(2, math.ceil(math.log2(max(sizes) / 8)))):
            hidden = layers.Conv2D(
                _FILTERS[min(level, 2)],
                (3, width),
                padding="same",
                activation="relu",
                kernel_initializer=initial(level if level < 2 else 10 + level),
            )(hidden)
            if min(sizes) >= 14 or level != 1:  # 8×8 digits have no pixels to spare for a second
                hidden = layers.MaxPool2D((2, min(2, width)), padding="same")(hidden)
        hidden = layers.Flatten()(hidden)
    else:
        hidden = dense(0)(layers.Flatten()(hidden))
    hidden = layers.Dropout(0.3, seed=1000 * seed + 10)(hidden)
    features = dense(2, name="features")(hidden)
    hidden = layers.Dropout(0.3, seed=1000 * seed + 11)(features)
    logits = layers.Dense(classes, kernel_initializer=initial(3), name="logits")(hidden)
    return keras.Model(examples, [logits, features], name="judge")
