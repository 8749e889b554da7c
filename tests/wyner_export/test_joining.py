"""Graphs that are made of parts: what ONNX answers, and that a part's weights are held once."""

import functools

import numpy as np
import onnx
import pytest
import tensorflow as tf
from onnx import numpy_helper

from wyner_export.functions import Graph, TensorInfo
from wyner_export.onnx_files import run_onnx, write_onnx

KERNEL = np.random.default_rng(0).normal(size=(3, 3)).astype(np.float32)


def info(name, size=3):
    return TensorInfo(name=name, shape=("n", size), meaning="")


def part(name, function, *inputs):
    return Graph(
        name=name,
        meaning="",
        inputs=tuple(map(info, inputs)),
        outputs=(info(f"{name}_out"),),
        function=function,
    )


@pytest.fixture
def whole():
    """f(x) = g(h(x), h(1 − x)): one part twice, one that reads both, one with a loop inside."""
    kernel = tf.Variable(KERNEL)

    def h(a):
        return (tf.tanh(a @ kernel),)

    def g(a, b):
        _, last = tf.while_loop(
            lambda step, _: step < 3, lambda step, rows: (step + 1, rows @ kernel + b), (0, a)
        )
        return (last,)

    def f(parts, x):
        (first,), (second,) = parts["h"](a=x), parts["h"](a=1.0 - x)
        (made,) = parts["g"](a=first, b=second)
        return (2.0 * made, second)

    graph = Graph(
        name="f",
        meaning="",
        inputs=(info("x"),),
        outputs=(info("made"), info("second")),
        function=f,
        parts={"h": part("h", h, "a"), "g": part("g", g, "a", "b")},
    )
    object.__setattr__(graph, "held", kernel)  # a trace does not keep its variables
    return graph


def expected(x):
    h = np.tanh(x @ KERNEL), np.tanh((1 - x) @ KERNEL)
    made = functools.reduce(lambda rows, _: rows @ KERNEL + h[1], range(3), h[0])
    return {"made": 2 * made, "second": h[1]}


def test_a_graph_of_parts_is_answered_alike_by_keras_and_onnx(whole, tmp_path):
    x = np.random.default_rng(1).normal(size=(5, 3)).astype(np.float32)
    write_onnx(whole, tmp_path / "f.onnx")
    for results in (whole.run({"x": x}), run_onnx(tmp_path / "f.onnx", {"x": x})):
        for name, values in expected(x).items():
            np.testing.assert_allclose(results[name], values, rtol=1e-5, atol=1e-5)


def test_a_part_is_converted_once_and_its_weights_are_held_once(whole, tmp_path):
    converted = {}
    write_onnx(whole, tmp_path / "f.onnx", converted)
    assert sorted(converted) == ["f", "g", "h"]
    held = onnx.load(tmp_path / "f.onnx").graph.initializer
    assert sum(np.array_equal(numpy_helper.to_array(each), KERNEL) for each in held) == 1


def test_the_parts_of_a_model_hold_no_weight_twice(bundle_of):
    """A style transfer reads its style by two encoders, which share the codec."""
    for name in ("transfer_x", "generate_pairs"):
        held = onnx.load(bundle_of("columns") / "onnx" / f"{name}.onnx").graph.initializer
        contents = [(each.data_type, *each.dims, each.raw_data) for each in held]
        assert len(contents) == len(set(contents))
