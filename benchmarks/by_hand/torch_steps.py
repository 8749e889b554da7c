"""Training steps by hand in PyTorch, asked for over a pipe; runs where PyTorch is installed."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import torch

from benchmarks.by_hand import torch_ops as ops
from benchmarks.by_hand.losses import LOSSES
from benchmarks.by_hand.products import Product, by_name
from benchmarks.by_hand.talk import answer, seconds_of, threads

Arrays = dict[str, Any]
_state: dict[str, Any] = {}


def build(file: str, **settings: Any) -> int:
    """Take a stage's weights and data; the number of parameters that are trained."""
    arrays = by_name(file)
    _state.clear()
    _state.update(arrays, settings=settings, runs={})
    _state["b"] = {name: torch.from_numpy(values) for name, values in arrays["b"].items()}
    return sum(weights().get(name).numel() for name in settings["trained"])


def weights() -> dict[str, torch.Tensor]:
    """New tensors of the stage's weights; those that are trained have gradients."""
    found = {name: ops.weight(name, values.copy()) for name, values in _state["p"].items()}
    for name in _state["settings"]["trained"]:
        found[name].requires_grad_()
    return found


def loss_of(training: bool) -> Callable[..., torch.Tensor]:
    """The stage's loss of weights, a batch and noise."""
    settings = {**_state["settings"], "training": training}
    loss = LOSSES[settings["stage"]]
    return lambda p, b, n: loss(ops, p, b, n, settings)


@torch.no_grad()
def check() -> float:
    """The loss of the first batch by recorded noise."""
    size = _state["settings"]["batch_size"]
    batch = {name: values[:size] for name, values in _state["b"].items()}
    return float(loss_of(False)(weights(), batch, ops.Noise(_state["n"])))


def prepared(kind: str) -> Callable[[int], None]:
    """A function that takes so many steps of one kind."""
    settings, data, p = _state["settings"], _state["b"], weights()
    trained = [p[name] for name in settings["trained"]]
    optimizer = torch.optim.Adam(trained, lr=settings["learning_rate"], fused=True)
    averages, loss = [each.detach().clone() for each in trained], loss_of(True)
    if kind == "compiled":
        loss = torch.compile(loss)
    half = torch.autocast("cpu", torch.bfloat16, enabled=kind == "bfloat16")
    size, rows, noise = settings["batch_size"], len(next(iter(data.values()))), ops.Noise()

    def run(count: int) -> None:
        order = torch.randperm(rows).split(size)
        for step in range(count):
            places = order[step % (rows // size)]
            batch = {name: values[places] for name, values in data.items()}
            with half:
                value = loss(p, batch, noise)
            optimizer.zero_grad()
            value.backward()
            optimizer.step()
            if settings["average"]:
                with torch.no_grad():
                    torch._foreach_lerp_(averages, trained, 1.0 - settings["average"])

    run(3)
    return run


def steps(kind: str, count: int) -> float:
    """Seconds of a step; what has to be compiled is compiled at the first call, before."""
    if kind not in _state["runs"]:
        _state["runs"][kind] = prepared(kind)
    return seconds_of(lambda: _state["runs"][kind](count), 1) / count


@functools.cache
def _product(product: Product) -> Callable[[], Any]:
    if product.kind == "dense":
        (m, k, n), layout = product.sizes, product.part
        a = torch.rand(k, m).T if layout == "tn" else torch.rand(m, k)
        b = torch.rand(n, k).T if layout == "nt" else torch.rand(k, n)
        return lambda: a @ b
    count, side, channels, filters, stride = product.sizes
    last = torch.channels_last
    inputs = torch.rand(count, channels, side, side).contiguous(memory_format=last)
    kernel = torch.rand(filters, channels, 3, 3).contiguous(memory_format=last)
    out = torch.rand(count, filters, side // stride, side // stride)
    out = out.contiguous(memory_format=last)
    shape = ([stride, stride], [1, 1], [1, 1], False, [0, 0], 1)
    if product.part == "forward":
        return lambda: torch.conv2d(inputs, kernel, None, stride, 1)
    mask = [product.part == "input", product.part == "filter", False]
    return lambda: torch.ops.aten.convolution_backward(out, inputs, kernel, None, *shape, mask)


@torch.no_grad()
def products(wanted: list[list[Any]], count: int) -> list[float]:
    """Seconds of each product."""
    calls = [_product(Product(kind, part, tuple(sizes))) for kind, part, sizes in wanted]
    return [min(seconds_of(call, count) for _ in range(2)) for call in calls]


if __name__ == "__main__":
    torch.set_num_threads(threads())
    answer({"build": build, "check": check, "steps": steps, "products": products})
