"""Weights of few values, which a compressor makes small."""

from __future__ import annotations

import numpy as np

from wyner_keras.data.checks import check_whole
from wyner_keras.model import WynerModel


def stepped(model: WynerModel, steps: int = 16) -> WynerModel:
    """A copy of a model whose kernels are rounded to multiples of a step each.

    A step is the power of two next to the root mean square of the kernel over `steps`. Biases and
    other vectors stay as they are. The copy is a model like any other, of as many bytes in memory;
    compressed by xz it takes about log2(4 steps) bits a weight in place of 26.

    Args:
        model: a trained W-model, which stays as it is.
        steps: in the root mean square of a kernel.

    Raises:
        ValueError: if `steps` is no whole number of 1 or more.

    Example:
        >>> small = stepped(model, 16)  # doctest: +SKIP
    """
    check_whole(steps, "`steps`", minimum=1)
    copy = WynerModel.from_config(model.get_config())
    copy.set_weights([_rounded(values, steps) for values in model.get_weights()])
    return copy


def _rounded(values: np.ndarray, steps: int) -> np.ndarray:
    size = np.sqrt(np.mean(np.square(values, dtype=np.float64)))
    if values.ndim < 2 or values.dtype.kind != "f" or not size > 0:
        return values
    step = 2.0 ** np.round(np.log2(size / steps))
    return (np.round(values / step) * step).astype(values.dtype)
