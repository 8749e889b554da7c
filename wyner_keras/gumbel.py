"""Samples of categorical variables from uniform noise, or from normal noise made uniform."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from keras import ops

from wyner_keras.backend import argmax

Tensor = Any
_SMALLEST_UNIFORM = float(np.finfo(np.float32).tiny)
_LARGEST_UNIFORM = float(np.nextafter(np.float32(1), np.float32(0)))
_LEAST_PLACE = 2.0**-25  # half of what float32 tells 1 from


def uniform_of_normal(noise: Tensor) -> Tensor:
    """Uniform noise of standard normal noise by its distribution function, inside (0, 1)."""
    place = 0.5 * (1.0 + ops.erf(ops.cast(noise, "float32") / math.sqrt(2.0)))
    return ops.clip(place, _LEAST_PLACE, _LARGEST_UNIFORM)


def gumbel(noise: Tensor) -> Tensor:
    """Standard Gumbel of uniform noise on [0, 1), of the same shape."""
    noise = ops.clip(ops.cast(noise, "float32"), _SMALLEST_UNIFORM, _LARGEST_UNIFORM)
    return -ops.log(-ops.log(noise))


def one_hot(scores: Tensor) -> Tensor:
    """One-hot vectors `(batch, n*k)` of the largest scores `(batch, n, k)`."""
    n, k = scores.shape[1:]
    # Of ONNX's OneHot engines read different things; Equal is the same in all.
    largest = argmax(scores)[..., None]
    chosen = ops.equal(largest, ops.arange(k, dtype=largest.dtype))
    return ops.reshape(ops.cast(chosen, "float32"), (-1, n * k))
