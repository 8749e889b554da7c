"""The operations of `model` and `losses` in PyTorch, its noise, and weights in its layouts."""

from __future__ import annotations

from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor

exp, log, sqrt, cos, sin, floor = (
    torch.exp,
    torch.log,
    torch.sqrt,
    torch.cos,
    torch.sin,
    torch.floor,
)
relu, silu, sigmoid, clip, diagonal = F.relu, F.silu, torch.sigmoid, torch.clamp, torch.diagonal
logsumexp = torch.logsumexp


def dense(inputs: Tensor, kernel: Tensor, bias: Tensor | None) -> Tensor:
    """A dense layer."""
    return F.linear(inputs, kernel, bias)


def softmax(logits: Tensor) -> Tensor:
    """Along the last axis."""
    return torch.softmax(logits, -1)


def log_softmax(logits: Tensor) -> Tensor:
    """Along the last axis."""
    return torch.log_softmax(logits, -1)


def one_hot(scores: Tensor) -> Tensor:
    """Of the largest."""
    return F.one_hot(scores.argmax(-1), scores.shape[-1]).to(scores.dtype)


def variance(values: Tensor) -> Tensor:
    """Of a batch, not corrected."""
    return values.var(0, unbiased=False)


def arange(count: int) -> Tensor:
    """Whole numbers as float32."""
    return torch.arange(count, dtype=torch.float32)


def concat(parts: list[Tensor]) -> Tensor:
    """Along the last axis."""
    return torch.cat(parts, -1)


def stack(parts: list[Tensor]) -> Tensor:
    """Along the first axis."""
    return torch.cat(parts, 0)


def stop(value: Tensor) -> Tensor:
    """Without a gradient."""
    return value.detach()


def swap(images: Tensor) -> Tensor:
    """Rows for columns."""
    return images.transpose(1, 2)


def at_columns(images: Tensor, columns: Tensor) -> Tensor:
    """Images read at columns; `grid_sample` takes twice as long on a CPU."""
    columns = columns.clamp(-1, images.shape[2]).expand(images.shape)
    whole = columns.floor()
    place, padded = whole.long() + 1, F.pad(images, (1, 2))
    left, right = padded.gather(2, place), padded.gather(2, place + 1)
    return left + (right - left) * (columns - whole)


def image(images: Tensor) -> Tensor:
    """Images `(batch, h, w)` as convolutions take them."""
    return images[:, None].contiguous(memory_format=torch.channels_last)


def ink(hidden: Tensor) -> Tensor:
    """Back, of one channel."""
    return hidden[:, 0]


def flat(hidden: Tensor) -> Tensor:
    """In the order of channels last: where these are stored last, a view."""
    return hidden.permute(0, 2, 3, 1).reshape(len(hidden), -1)


def grid(hidden: Tensor, side: int, channels: int) -> Tensor:
    """Of flat rows, likewise."""
    return hidden.reshape(-1, side, side, channels).permute(0, 3, 1, 2)


def conv(inputs: Tensor, kernel: Tensor, bias: Tensor, stride: int) -> Tensor:
    """A 3×3 convolution padded as TensorFlow does."""
    if stride == 1:
        return F.conv2d(inputs, kernel, bias, padding=1)
    return F.conv2d(F.pad(inputs, (0, 1, 0, 1)), kernel, bias, stride)


def conv_up(inputs: Tensor, kernel: Tensor, bias: Tensor) -> Tensor:
    """Its transpose of stride 2."""
    return F.conv_transpose2d(inputs, kernel, bias, 2)[:, :, :-1, :-1]


def pool(inputs: Tensor) -> Tensor:
    """The largest of 2×2."""
    return F.max_pool2d(inputs, 2)


def weight(name: str, values: np.ndarray) -> Tensor:
    """A weight in PyTorch's layout, of Keras' one."""
    if values.ndim == 4:
        axes = (3, 2, 0, 1)  # of both kinds: a transpose's inputs are Keras' last
        tensor = torch.from_numpy(np.ascontiguousarray(values.transpose(axes)))
        return tensor.contiguous(memory_format=torch.channels_last)
    return torch.from_numpy(np.ascontiguousarray(values.T if name.endswith("kernel") else values))


class Noise:
    """Noise of PyTorch's generator, or what was recorded, in its order."""

    def __init__(self, recorded: list[np.ndarray] | None = None) -> None:
        self._recorded = None if recorded is None else iter(recorded)

    def _next(self, shape: Any, draw: Any) -> Tensor:
        if self._recorded is None:
            return draw(*shape)
        values = torch.from_numpy(next(self._recorded))
        assert tuple(values.shape) == tuple(shape), (values.shape, shape)
        return values

    def normal(self, shape: Any) -> Tensor:
        """Standard normal."""
        return self._next(shape, torch.randn)

    def uniform(self, shape: Any) -> Tensor:
        """On [0, 1)."""
        return self._next(shape, torch.rand)

    def dropout(self, values: Tensor, rate: float) -> Tensor:
        """Inverted dropout."""
        return F.dropout(values, rate)
