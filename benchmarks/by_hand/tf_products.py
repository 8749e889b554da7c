"""Products alone by TensorFlow, whose CPU kernels are oneDNN's."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import tensorflow as tf

from benchmarks.by_hand.products import Product
from benchmarks.by_hand.talk import seconds_of


@functools.cache
def _call(product: Product) -> Callable[[], Any]:
    if product.kind == "dense":
        (m, k, n), layout = product.sizes, product.part
        a = tf.random.normal((k, m) if layout == "tn" else (m, k))
        b = tf.random.normal((n, k) if layout == "nt" else (k, n))
        how = {"transpose_a": layout == "tn", "transpose_b": layout == "nt"}
        return functools.partial(tf.matmul, a, b, **how)
    count, side, channels, filters, stride = product.sizes
    inputs = tf.random.normal((count, side, side, channels))
    kernel = tf.random.normal((3, 3, channels, filters))
    out = tf.random.normal((count, side // stride, side // stride, filters))
    shape = {"strides": [1, stride, stride, 1], "padding": "SAME"}
    if product.part == "forward":
        return functools.partial(tf.raw_ops.Conv2D, input=inputs, filter=kernel, **shape)
    if product.part == "filter":
        return functools.partial(
            tf.raw_ops.Conv2DBackpropFilter,
            input=inputs,
            filter_sizes=kernel.shape,
            out_backprop=out,
            **shape,
        )
    return functools.partial(
        tf.raw_ops.Conv2DBackpropInput,
        input_sizes=inputs.shape,
        filter=kernel,
        out_backprop=out,
        **shape,
    )


def products(wanted: list[Product], count: int) -> list[float]:
    """Seconds of each product."""
    return [min(seconds_of(_call(each), count) for _ in range(2)) for each in wanted]
