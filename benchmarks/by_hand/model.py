"""The default model of 28×28 digits by hand, over the operations of PyTorch or of JAX.

`o` holds these operations, `p` the weights by name, `n` gives noise. z is one kind, u and v are
Gaussian, codecs have a slant: what the default recipe chooses for labelled MNIST.
"""

from __future__ import annotations

import math
from typing import Any

Tensor = Any
Arrays = dict[str, Any]
_FREQUENCIES, _EMPTY, _TINY = 4, 1e-6, 1.2e-38


def dense(o: Any, p: Arrays, name: str, inputs: Tensor) -> Tensor:
    """A dense layer, with a bias where there is one."""
    return o.dense(inputs, p[f"{name}.kernel"], p.get(f"{name}.bias"))


def trunk(o: Any, p: Arrays, name: str, inputs: Tensor, n: Any, rates: Any) -> Tensor:
    """The hidden layers of a perceptron.

    Args:
        o: operations.
        p: weights.
        name: of the network.
        inputs: `(batch, width)`.
        n: noise.
        rates: dropout and deviation of noise on the inputs; None for neither.
    """
    if rates:
        inputs = inputs + rates[1] * n.normal(inputs.shape)
    layer = 0
    while f"{name}.{layer}.kernel" in p:
        inputs = o.relu(dense(o, p, f"{name}.{layer}", inputs))
        if rates:
            inputs = n.dropout(inputs, rates[0])
        layer += 1
    return inputs


def mlp(
    o: Any, p: Arrays, name: str, inputs: list[Tensor], n: Any = None, rates: Any = None
) -> Tensor:
    """A perceptron over the concatenation of its inputs; see `trunk`."""
    joined = inputs[0] if len(inputs) == 1 else o.concat(inputs)
    return dense(o, p, f"{name}.output", trunk(o, p, name, joined, n, rates))


# Images are (batch, height, width), one channel.


def shear(o: Any, images: Tensor, amount: Tensor) -> Tensor:
    """Images whose row i is read `amount · (i − middle)` to the right."""
    height, width = images.shape[1:]
    rows = o.arange(height) - (height - 1) / 2
    return o.at_columns(images, o.arange(width) + (amount[:, None] * rows)[:, :, None])


def slant(o: Any, images: Tensor) -> Tensor:
    """μ₁₁ / μ₀₂ of the ink, `(batch,)`."""
    height, width = images.shape[1:]
    rows, columns = o.arange(height), o.arange(width)
    by_row, by_column = images.sum(2), images.sum(1)
    mass = by_row.sum(1) + _EMPTY
    rows = rows - ((by_row @ rows) / mass)[:, None]
    columns = columns - ((by_column @ columns) / mass)[:, None]
    mixed = ((images @ columns[:, :, None])[:, :, 0] * rows).sum(1)
    return mixed / ((by_row * rows**2).sum(1) + _EMPTY)


def codec_code(o: Any, p: Arrays, upright: Tensor) -> Tensor:
    """What the codec's convolutions make of upright images, before it is standardised."""
    hidden = o.image(upright)
    for layer in range(2):
        name = f"codec.down.{layer}"
        hidden = o.relu(o.conv(hidden, p[f"{name}.kernel"], p[f"{name}.bias"], 2))
    return dense(o, p, "codec.code", o.flat(hidden))


def codec_encode(o: Any, p: Arrays, images: Tensor) -> Tensor:
    """Features of images, the slant last."""
    angle = slant(o, images)
    code = codec_code(o, p, shear(o, images, angle))
    code = (code - p["codec.mean"]) / o.sqrt(p["codec.variance"] + 1e-3)
    return o.concat([code, (angle / p["codec.slant_scale"])[:, None]])


def codec_upright(o: Any, p: Arrays, code: Tensor) -> Tensor:
    """Upright images of codes."""
    last = p["codec.down.1.bias"].shape[0]
    side = round(math.sqrt(p["codec.grid.bias"].shape[0] / last))
    hidden = o.grid(o.relu(dense(o, p, "codec.grid", code)), side, last)
    hidden = o.relu(o.conv_up(hidden, p["codec.up.0.kernel"], p["codec.up.0.bias"]))
    hidden = o.conv_up(hidden, p["codec.up.1.kernel"], p["codec.up.1.bias"])
    return o.ink(o.sigmoid(hidden))


def codec_decode(o: Any, p: Arrays, features: Tensor) -> Tensor:
    """Images of features."""
    upright = codec_upright(o, p, features[:, :-1])
    return shear(o, upright, -features[:, -1] * p["codec.slant_scale"])


def moved(o: Any, images: Tensor, n: Any, shift: float) -> Tensor:
    """Images shifted and sheared at random, along one axis after the other."""
    count, size = images.shape[0], images.shape[1]
    for _ in range(2):
        at = n.uniform((count, 2)) * 2.0 - 1.0
        line = (o.arange(size) - (size - 1) / 2)[:, None]
        shifts, shears = shift * size * at[:, 0], 0.15 * at[:, 1]
        columns = o.arange(size) + shifts[:, None, None] + shears[:, None, None] * line
        columns = o.clip(columns, 0.0, size - 1.0)
        images = o.at_columns(o.swap(images), columns)
    return images


def reader(
    o: Any, p: Arrays, side: str, images: Tensor, n: Any = None, rates: Any = None
) -> Tensor:
    """Logits of q(z|x) of images; in training, with dropout and shift, changed a little."""
    name = f"{side}.reader"
    if rates:
        images = moved(o, images, n, rates[1])
    hidden = o.image(images)
    for layer in range(2):
        kernel, bias = p[f"{name}.conv.{layer}.kernel"], p[f"{name}.conv.{layer}.bias"]
        hidden = o.pool(o.relu(o.conv(hidden, kernel, bias, 1)))
    hidden = o.flat(hidden)
    hidden = n.dropout(hidden, rates[0]) if rates else hidden
    hidden = o.relu(dense(o, p, f"{name}.hidden", hidden))
    hidden = n.dropout(hidden, rates[0]) if rates else hidden
    return dense(o, p, f"{name}.output", hidden)


def gumbel(o: Any, noise: Tensor) -> Tensor:
    """Standard Gumbel of uniform noise."""
    return -o.log(-o.log(o.clip(noise, _TINY, 1 - 6e-8)))


def one_hot(o: Any, logits: Tensor, noise: Tensor) -> Tensor:
    """An exact sample of a kind."""
    return o.one_hot(logits + gumbel(o, noise))


def relaxed(o: Any, logits: Tensor, noise: Tensor, temperature: float) -> Tensor:
    """A Gumbel-softmax sample."""
    return o.softmax((logits + gumbel(o, noise)) / temperature)


def concept(o: Any, p: Arrays, side: str, z: Tensor) -> Tensor:
    """The affine map of z to features."""
    return dense(o, p, f"{side}.concept", z)


def posterior(o: Any, p: Arrays, side: str, features: Tensor, z: Tensor) -> tuple[Tensor, Tensor]:
    """Mean and log variance of the code, given features and z."""
    rest = features - o.stop(concept(o, p, side, z))
    found = mlp(o, p, f"{side}.posterior", [rest, z])
    size = found.shape[1] // 2
    return found[:, :size], found[:, size:]


def gaussian(o: Any, told: tuple[Tensor, Tensor], noise: Tensor) -> Tensor:
    """A sample, of mean and log variance."""
    return told[0] + o.exp(0.5 * told[1]) * noise


def decode(o: Any, p: Arrays, side: str, code: Tensor, z: Tensor) -> Tensor:
    """Features of a code and z."""
    return mlp(o, p, f"{side}.decoder", [code, z]) + concept(o, p, side, z)


def velocity(o: Any, p: Arrays, name: str, points: Tensor, time: Tensor, context: Tensor) -> Tensor:
    """The velocity at points, modulated by time and context."""
    phases = math.pi * time * (o.arange(_FREQUENCIES) + 1.0)
    context = o.concat([context, time, o.cos(phases), o.sin(phases)])
    hidden, layer = o.concat([points, context]), 0
    while f"{name}.hidden.{layer}.kernel" in p:
        modulation = dense(o, p, f"{name}.modulation.{layer}", context)
        width = modulation.shape[1] // 2
        hidden = dense(o, p, f"{name}.hidden.{layer}", hidden)
        hidden = o.silu(hidden * (1.0 + modulation[:, :width]) + modulation[:, width:])
        layer += 1
    return dense(o, p, f"{name}.output", hidden)


def matrix(o: Any, p: Arrays, side: str, kind: str, z: Tensor) -> Tensor:
    """Matrices `(batch, size, size)` of the flow's affine map or of its inverse."""
    size = p[f"{side}.flow.shift.bias"].shape[0]
    return dense(o, p, f"{side}.flow.{kind}", z).reshape(-1, size, size)


def product(matrices: Tensor, vectors: Tensor) -> Tensor:
    """A matrix times a vector, row by row."""
    return (matrices @ vectors[:, :, None])[:, :, 0]


def standardised(o: Any, p: Arrays, side: str, codes: Tensor, z: Tensor) -> Tensor:
    """Codes before the flow's affine map."""
    rest = codes - dense(o, p, f"{side}.flow.shift", z)
    return product(matrix(o, p, side, "unscale", z), rest)


def _followed(
    o: Any, p: Arrays, name: str, points: Tensor, context: Tensor, steps: int, backwards: bool
) -> Tensor:
    share = (-1.0 if backwards else 1.0) / steps
    length, slope, ones = 0.5 * math.pi * share, 0.0 * points, 0.0 * points[:, :1] + 1.0
    for step in range(steps):
        time = ((step + 0.5) * share + (1.0 if backwards else 0.0)) * ones
        slope = velocity(o, p, name, points + 0.5 * length * slope, time, context)
        points = points + length * slope
    return points


def code_of(o: Any, p: Arrays, side: str, local: Tensor, z: Tensor, steps: int) -> Tensor:
    """The code that u stands for: the flow's image."""
    first = p[f"{side}.flow.0.output.bias"].shape[0]
    leading = _followed(o, p, f"{side}.flow.0", local[:, :first], z, steps, False)
    rest = o.concat([z, leading])
    rest = _followed(o, p, f"{side}.flow.1", local[:, first:], rest, steps, False)
    ends = product(matrix(o, p, side, "scale", z), o.concat([leading, rest]))
    return ends + dense(o, p, f"{side}.flow.shift", z)


def local_of(o: Any, p: Arrays, side: str, code: Tensor, z: Tensor, steps: int) -> Tensor:
    """The u that a code stands for: the flow's inverse."""
    first = p[f"{side}.flow.0.output.bias"].shape[0]
    ends = standardised(o, p, side, code, z)
    context = o.concat([z, ends[:, :first]])
    return o.concat(
        [
            _followed(o, p, f"{side}.flow.0", ends[:, :first], z, steps, True),
            _followed(o, p, f"{side}.flow.1", ends[:, first:], context, steps, True),
        ]
    )
