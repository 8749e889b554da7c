"""The operations of `model` and `losses` in JAX, its noise, and its weights, which are Keras'."""

from __future__ import annotations

from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

Tensor = Any
exp, log, sqrt, cos, sin, floor = jnp.exp, jnp.log, jnp.sqrt, jnp.cos, jnp.sin, jnp.floor
relu, silu, sigmoid, clip, diagonal = (
    jax.nn.relu,
    jax.nn.silu,
    jax.nn.sigmoid,
    jnp.clip,
    jnp.diagonal,
)
softmax, log_softmax, logsumexp = jax.nn.softmax, jax.nn.log_softmax, jax.nn.logsumexp
stop = lax.stop_gradient
_LAYOUT = ("NHWC", "HWIO", "NHWC")


def dense(inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A dense layer."""
    return inputs @ kernel if bias is None else inputs @ kernel + bias


def one_hot(scores: Tensor) -> Tensor:
    """Of the largest."""
    return jax.nn.one_hot(scores.argmax(-1), scores.shape[-1])


def variance(values: Tensor) -> Tensor:
    """Of a batch, not corrected."""
    return values.var(0)


def arange(count: int) -> Tensor:
    """Whole numbers as float32."""
    return jnp.arange(count, dtype=jnp.float32)


def concat(parts: list[Tensor]) -> Tensor:
    """Along the last axis."""
    return jnp.concatenate(parts, -1)


def stack(parts: list[Tensor]) -> Tensor:
    """Along the first axis."""
    return jnp.concatenate(parts, 0)


def swap(images: Tensor) -> Tensor:
    """Rows for columns."""
    return images.swapaxes(1, 2)


def at_columns(images: Tensor, columns: Tensor) -> Tensor:
    """Images read at columns."""
    columns = jnp.broadcast_to(jnp.clip(columns, -1, images.shape[2]), images.shape)
    whole = jnp.floor(columns)
    place = whole.astype(jnp.int32) + 1
    padded = jnp.pad(images, ((0, 0), (0, 0), (1, 2)))
    left, right = (
        jnp.take_along_axis(padded, each, 2, mode="promise_in_bounds")
        for each in (place, place + 1)
    )
    return left + (right - left) * (columns - whole)


def image(images: Tensor) -> Tensor:
    """Images `(batch, h, w)` as convolutions take them."""
    return images[..., None]


def ink(hidden: Tensor) -> Tensor:
    """Back, of one channel."""
    return hidden[..., 0]


def flat(hidden: Tensor) -> Tensor:
    """Rows."""
    return hidden.reshape(hidden.shape[0], -1)


def grid(hidden: Tensor, side: int, channels: int) -> Tensor:
    """Of rows."""
    return hidden.reshape(-1, side, side, channels)


def conv(inputs: Tensor, kernel: Tensor, bias: Tensor, stride: int) -> Tensor:
    """A 3×3 convolution."""
    strides = (stride, stride)
    return lax.conv_general_dilated(inputs, kernel, strides, "SAME", dimension_numbers=_LAYOUT) + (
        bias
    )


def conv_up(inputs: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Its transpose of stride 2."""
    return (
        lax.conv_transpose(
            inputs, kernel, (2, 2), "SAME", dimension_numbers=_LAYOUT, transpose_kernel=True
        )
        + bias
    )


def pool(inputs: Tensor) -> Tensor:
    """The largest of 2×2."""
    window = (1, 2, 2, 1)
    return lax.reduce_window(inputs, -jnp.inf, lax.max, window, window, "VALID")


def weight(name: str, values: np.ndarray) -> Tensor:
    """A weight, as Keras has it."""
    del name
    return jnp.asarray(values)


class Noise:
    """Noise of a key, or what was recorded, in its order."""

    def __init__(self, key: Any = None, recorded: list[np.ndarray] | None = None) -> None:
        self._key, self._drawn = key, 0
        self._recorded = None if recorded is None else iter(recorded)

    def _next(self, shape: Any, draw: Any) -> Tensor:
        if self._recorded is None:
            self._drawn += 1
            return draw(jax.random.fold_in(self._key, self._drawn), shape)
        values = next(self._recorded)
        assert values.shape == tuple(shape), (values.shape, shape)
        return jnp.asarray(values)

    def normal(self, shape: Any) -> Tensor:
        """Standard normal."""
        return self._next(shape, jax.random.normal)

    def uniform(self, shape: Any) -> Tensor:
        """On [0, 1)."""
        return self._next(shape, jax.random.uniform)

    def dropout(self, values: Tensor, rate: float) -> Tensor:
        """Inverted dropout."""
        return jnp.where(self.uniform(values.shape) < rate, 0.0, values / (1.0 - rate))
