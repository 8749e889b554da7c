"""Which products of matrices, and which convolutions, a step cannot do without.

Forward ones of every layer that is used; of what is trained that of the kernel's gradient; where a
gradient goes on to the inputs, that one too.
"""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any, NamedTuple

import numpy as np

Arrays = dict[str, Any]


class Product(NamedTuple):
    """A product of float32 arrays.

    Args:
        kind: "dense", or "conv" of 3×3.
        part: of a dense one which operand is stored transposed, "nn", "tn" or "nt"; of a
            convolution "forward", or the gradient of its "filter" or "input".
        sizes: m, k, n; or batch, side, channels, filters, stride.
    """

    kind: str
    part: str
    sizes: tuple[int, ...]

    @property
    def flops(self) -> int:
        """Multiplications and additions."""
        if self.kind == "dense":
            m, k, n = self.sizes
            return 2 * m * k * n
        count, side, channels, filters, stride = self.sizes
        return 2 * 9 * count * (side // stride) ** 2 * channels * filters


class Use(NamedTuple):
    """A network of a step.

    Args:
        name: of the network, the beginning of its weights' names.
        rows: that pass through it.
        trained: whether it learns.
        below: whether a gradient goes on to its inputs.
        times: how often.
    """

    name: str
    rows: int
    trained: bool = False
    below: bool = False
    times: int = 1


def by_name(file: str) -> dict[str, Any]:
    """Weights "p", data "b" by name, and recorded noise "n" in its order, of a file."""
    found: dict[str, Any] = {"p": {}, "b": {}, "n": []}
    with np.load(file) as arrays:
        for key in arrays.files:
            kind, _, name = key.partition("/")
            if kind == "n":
                found["n"].append(arrays[key])
            else:
                found[kind][name] = arrays[key]
    return found


def _dense(rows: int, shape: tuple[int, ...], trained: bool, below: bool) -> Iterator[Product]:
    inputs, outputs = shape
    yield Product("dense", "nn", (rows, inputs, outputs))
    if trained:
        yield Product("dense", "tn", (inputs, rows, outputs))
    if below:
        yield Product("dense", "nt", (rows, outputs, inputs))


def _conv(
    rows: int, side: int, shape: tuple[int, ...], up: bool, stride: int, trained: bool, below: bool
) -> Iterator[Product]:
    # A transposed convolution is the gradient of the inputs of one that halves what it makes.
    sizes = (rows, side * (2 if up else 1), shape[2], shape[3], stride)
    yield Product("conv", "input" if up else "forward", sizes)
    if trained:
        yield Product("conv", "filter", sizes)
    if below:
        yield Product("conv", "forward" if up else "input", sizes)


_IMAGE = 28


def products_of(stage: str, arrays: Arrays, rows: int, steps: int) -> list[Product]:
    """The products of a stage's step, by the kernels of weights by name.

    Args:
        stage: its name.
        arrays: weights by name.
        rows: of a batch.
        steps: of the flow.
    """
    found: list[Product] = []
    if stage == "alignment":  # all scores of a batch, and their gradients for either side
        size = arrays["x.head.kernel"].shape[1]
        found.append(Product("dense", "nt", (rows, size, rows)))
        found += [Product("dense", part, (rows, rows, size)) for part in ("nn", "tn")]
    for use in uses_of(stage, rows, steps):
        names = [n for n in arrays if n.startswith(use.name + ".") and n.endswith("kernel")]
        first, side = True, _IMAGE // 4 if names[0].startswith("codec.up") else _IMAGE
        for name in names:
            shape = arrays[name].shape
            # What modulates a velocity comes from time and z, which no gradient asks for.
            goes_on = (use.below or use.trained) if not first else use.below
            if ".modulation." in name:
                made = list(_dense(use.rows, shape, use.trained, use.below))
            elif len(shape) == 2:
                made, first = list(_dense(use.rows, shape, use.trained, goes_on)), False
            else:
                up, halves = ".up." in name, ".conv." not in name
                stride = 2 if halves else 1
                made = list(_conv(use.rows, side, shape, up, stride, use.trained, goes_on))
                side, first = side * 2 if up else side // 2, False
            found += made * use.times
    return found


def uses_of(stage: str, rows: int, steps: int) -> list[Use]:
    """The networks that a step of a stage uses."""
    half, found = (rows + 1) // 2, []
    if stage == "codec":
        return [
            Use("codec.down", rows, trained=True),
            Use("codec.code", rows, trained=True, below=True),
            Use("codec.grid", rows, trained=True, below=True),
            Use("codec.up", rows, trained=True, below=True),
        ]
    for side in "xy":
        expert, posterior, decoder = (
            f"{side}.{kind}" for kind in ("expert", "posterior", "decoder")
        )
        if stage == "alignment":
            found += [Use(expert, rows, trained=True), Use(f"{side}.head", rows, True, True)]
        elif stage == "joint":
            found += [
                Use(expert, rows),
                Use(posterior, rows, trained=True),
                Use(decoder, rows, trained=True, below=True),
                Use(decoder, half, trained=True, below=True),
                Use(expert, half, below=True),
            ]
        elif stage == "flow":
            found += [
                Use(f"{side}.flow.0", rows, trained=True),
                Use(f"{side}.flow.1", rows, trained=True),
                Use(f"{side}.flow.scale", rows),
                Use(f"{side}.flow.unscale", rows),
            ]
        elif stage == "marginal":
            found += [
                Use(f"{side}.reader", rows, trained=True),
                Use(expert, rows),
                Use(posterior, rows, below=True),
                Use(decoder, rows, below=True),
            ]
        else:
            velocities = [f"{side}.flow.0", f"{side}.flow.1"]
            found += [Use(each, half, times=steps) for each in velocities]
            found += [Use(each, half - half // 2, times=steps) for each in velocities]
            found += [
                Use(expert, rows),
                Use(posterior, rows),
                Use(decoder, rows, trained=True),
                Use(decoder, half, trained=True),
                Use("codec.grid", half, below=True),
                Use("codec.up", half, below=True),
                Use(f"{side}.reader", half, below=True),
            ]
    return found
