"""Training steps by hand in JAX, asked for over a pipe."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import jax
import jax.numpy as jnp
import numpy as np
from jax import lax

from benchmarks.by_hand import jax_ops as ops
from benchmarks.by_hand.losses import LOSSES
from benchmarks.by_hand.products import Product, by_name
from benchmarks.by_hand.talk import answer, seconds_of

_state: dict[str, Any] = {}


def build(file: str, **settings: Any) -> int:
    """Take a stage's weights and data; the number of parameters that are trained."""
    arrays = by_name(file)
    _state.clear()
    _state.update(settings=settings, n=arrays["n"], run=None)
    _state["p"] = {name: ops.weight(name, values) for name, values in arrays["p"].items()}
    _state["b"] = {name: jnp.asarray(values) for name, values in arrays["b"].items()}
    return sum(_state["p"][name].size for name in settings["trained"])


def loss_of(training: bool) -> Callable[..., Any]:
    """The stage's loss of what is trained, the other weights, a batch and noise."""
    settings = {**_state["settings"], "training": training}
    loss = LOSSES[settings["stage"]]
    return lambda own, rest, b, n: loss(ops, {**rest, **own}, b, n, settings)


def check() -> float:
    """The loss of the first batch by recorded noise."""
    size = _state["settings"]["batch_size"]
    batch = {name: values[:size] for name, values in _state["b"].items()}
    return float(loss_of(False)({}, _state["p"], batch, ops.Noise(recorded=_state["n"])))


def _adam(rate: float, values: Any, gradients: Any, moments: Any, count: Any) -> tuple[Any, Any]:
    """Adam as Keras has it."""
    step = rate * jnp.sqrt(1.0 - 0.999**count) / (1.0 - 0.9**count)
    new = jax.tree.map(
        lambda g, m: (m[0] + 0.1 * (g - m[0]), m[1] + 0.001 * (g * g - m[1])), gradients, moments
    )
    moved = {
        name: value - step * new[name][0] / (jnp.sqrt(new[name][1]) + 1e-7)
        for name, value in values.items()
    }
    return moved, new


def prepared() -> Callable[[int], None]:
    """A function that takes so many steps."""
    settings, data, loss = _state["settings"], _state["b"], loss_of(True)
    # A step takes the weights over; a copy stays.
    own = {name: jnp.copy(_state["p"][name]) for name in settings["trained"]}
    rest = {name: value for name, value in _state["p"].items() if name not in own}
    average, size = settings["average"], settings["batch_size"]

    @functools.partial(jax.jit, donate_argnums=0)
    def step(state: Any, rest: Any, data: Any, places: Any) -> tuple[Any, Any]:
        key = jax.random.fold_in(jax.random.key(0, impl="rbg"), state["count"])
        batch = {name: values[places] for name, values in data.items()}
        value, gradients = jax.value_and_grad(loss)(state["own"], rest, batch, ops.Noise(key))
        count = state["count"] + 1
        own, moments = _adam(
            settings["learning_rate"], state["own"], gradients, state["moments"], count
        )
        averages = state["averages"]
        if average:
            averages = jax.tree.map(lambda a, b: a + (1 - average) * (b - a), averages, own)
        return {"own": own, "moments": moments, "averages": averages, "count": count}, value

    state = {
        "own": own,
        "moments": {n: (jnp.zeros_like(v), jnp.zeros_like(v)) for n, v in own.items()},
        "averages": jax.tree.map(jnp.copy, own) if average else {},
        "count": jnp.zeros((), jnp.int32),
    }
    rng, rows = np.random.default_rng(0), len(next(iter(data.values())))

    def run(count: int) -> None:
        nonlocal state
        order = rng.permutation(rows).astype(np.int32)
        for place in range(count):
            start = place % (rows // size) * size
            state, value = step(state, rest, data, order[start : start + size])
        value.block_until_ready()

    run(3)
    return run


def steps(kind: str, count: int) -> float:
    """Seconds of a step; it is compiled at the first call, before."""
    if kind != "jit":
        raise ValueError(f"`kind` should be jit. Received: {kind}")
    if _state["run"] is None:
        _state["run"] = prepared()
    return seconds_of(lambda: _state["run"](count), 1) / count


@functools.cache
def _product(product: Product) -> Callable[[], Any]:
    if product.kind == "dense":
        (m, k, n), layout = product.sizes, product.part
        a, b = jnp.ones((k, m) if layout == "tn" else (m, k)), jnp.ones((k, n))
        b = b.T.copy() if layout == "nt" else b
        made = {"nn": lambda a, b: a @ b, "tn": lambda a, b: a.T @ b, "nt": lambda a, b: a @ b.T}
        call = jax.jit(made[layout])
        return lambda: call(a, b)
    count, side, channels, filters, stride = product.sizes
    inputs, kernel = jnp.ones((count, side, side, channels)), jnp.ones((3, 3, channels, filters))
    out = jnp.ones((count, side // stride, side // stride, filters))

    def forward(inputs: Any, kernel: Any) -> Any:
        layout = ("NHWC", "HWIO", "NHWC")
        strides = (stride, stride)
        return lax.conv_general_dilated(inputs, kernel, strides, "SAME", dimension_numbers=layout)

    if product.part == "forward":
        whole = jax.jit(forward)
        return lambda: whole(inputs, kernel)
    if product.part == "input":
        back = jax.jit(lambda k, o: jax.linear_transpose(lambda i: forward(i, k), inputs)(o)[0])
        return lambda: back(kernel, out)
    back = jax.jit(lambda i, o: jax.linear_transpose(lambda k: forward(i, k), kernel)(o)[0])
    return lambda: back(inputs, out)


def products(wanted: list[list[Any]], count: int) -> list[float]:
    """Seconds of each product."""
    found = []
    for kind, part, sizes in wanted:
        call = _product(Product(kind, part, tuple(sizes)))
        call()
        found.append(
            min(
                seconds_of(lambda call=call: call().block_until_ready(), count)  # type: ignore[misc]
                for _ in range(2)
            )
        )
    return found


if __name__ == "__main__":
    answer({"build": build, "check": check, "steps": steps, "products": products})
