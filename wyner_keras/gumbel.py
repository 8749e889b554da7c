"""Samples of categorical variables from uniform noise."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf
from keras import ops

Tensor = Any
_SMALLEST_UNIFORM = float(np.finfo(np.float32).tiny)
_LARGEST_UNIFORM = float(np.nextafter(np.float32(1), np.float32(0)))


def gumbel(noise: Tensor) -> Tensor:
    """Standard Gumbel of uniform noise on [0, 1), of the same shape."""
    noise = ops.clip(ops.cast(noise, "float32"), _SMALLEST_UNIFORM, _LARGEST_UNIFORM)
    return -ops.log(-ops.log(noise))


def one_hot(scores: Tensor) -> Tensor:
    """One-hot vectors `(batch, n*k)` of the largest scores `(batch, n, k)`."""
    n, k = scores.shape[1:]
    # keras.ops.argmax breaks in ONNX export (a Bitcast); tf.argmax converts. Of ONNX's OneHot
    # engines read different things; Equal is the same in all.
    places = ops.arange(k, dtype="int64")
    chosen = ops.equal(tf.argmax(scores, axis=-1)[..., None], places)
    return ops.reshape(ops.cast(chosen, "float32"), (-1, n * k))
