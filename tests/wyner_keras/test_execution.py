from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf

import wyner_keras as wk
from wyner_keras import execution as how_executed
from wyner_keras.backend import Adam, by_tiles, multiplies_tiles
from wyner_keras.execution import execution, in_bfloat16, products


@pytest.mark.parametrize(
    ("steps", "epochs", "jit_compile", "how"),
    [
        (0, 1, True, (True, False, 1)),  # fewer pairs than a batch
        (5, 4, True, (True, False, 1)),
        (7, 3, True, (False, False, 1)),
        (90, 4, True, (False, False, 1)),
        (90, 5, True, (False, True, 30)),
        (90, 5, False, (False, False, 30)),
        (97, 10, True, (False, True, 33)),  # 33 + 33 + 31
    ],
)
def test_a_few_steps_are_not_traced_nor_some_hundreds_compiled_or_traced_twice(
    steps, epochs, jit_compile, how
):
    found = execution(steps, epochs, jit_compile=jit_compile)
    names = ("run_eagerly", "jit_compile", "steps_per_execution")
    assert tuple(found[name] for name in names) == how


@pytest.mark.parametrize(("tiles", "rows", "expected"), [(1, 256, 1), (1, 255, 0), (0, 512, 0)])
def test_products_are_in_bfloat16_where_the_processor_has_tiles_and_they_are_large(
    monkeypatch, tiles, rows, expected
):
    monkeypatch.setattr(how_executed, "multiplies_tiles", lambda: bool(tiles))
    assert in_bfloat16([built(keras.layers.Dense(512), 512)], rows) == bool(expected)


@pytest.mark.parametrize(("side", "expected"), [(16, True), (14, False)])
def test_a_convolution_multiplies_at_each_of_its_places(monkeypatch, side, expected):
    monkeypatch.setattr(how_executed, "multiplies_tiles", lambda: True)
    convolution = keras.layers.Conv2D(64, 3, strides=2, padding="same")
    network = keras.Sequential([keras.Input((side, side, 32)), convolution])
    # 8 × 8 or 7 × 7 places for 3 × 3 × 32 × 64 weights
    assert in_bfloat16([network], 57) == expected
    assert products(network) == [(side // 2) ** 2 * 3 * 3 * 32 * 64, (side // 2) ** 2 * 64]


class Own(keras.layers.Layer):
    """A convolution of a user's own, which does not say what it was built for."""

    kernel_size = (3, 3)

    def build(self, _):
        self.kernel = self.add_weight(name="kernel", shape=(3, 3, 2, 4))

    def get_build_config(self):
        return None


def test_a_layer_that_does_not_tell_its_places_counts_once():
    free = keras.Sequential([keras.Input((None, None, 2)), keras.layers.Conv2D(4, 3)])
    assert products(built(Own(), 8, 8, 2)) == [72]
    assert products(free) == [72, 4]


def test_a_reader_of_digits_is_trained_in_bfloat16(monkeypatch):
    monkeypatch.setattr(how_executed, "multiplies_tiles", lambda: True)
    reader = wk.Image(shape=(28, 28, 1)).reader(10, 0)
    assert in_bfloat16([built(reader, 28, 28, 1)], 128)


def built(layer, *shape):
    layer.build((None, *shape))
    return layer


def test_products_are_exact_again_after_those_in_bfloat16():
    rng = np.random.default_rng(0)
    left, right = (rng.standard_normal((256, 256)).astype("f") for _ in range(2))
    product = tf.function(lambda a, b: tf.exp(0.01 * tf.matmul(a, b)))
    before = product(left, right).numpy()
    inside = by_tiles(product)(left, right).numpy()
    np.testing.assert_array_equal(product(left, right), before)
    # Another processor's TensorFlow may leave the graph as it is.
    assert np.abs(inside / before - 1).max() < 0.02
    if multiplies_tiles():
        assert np.abs(inside / before - 1).max() > 1e-4


class Exact(wk.losses.Joint):
    """Joint, which writes down whether graphs may multiply in bfloat16."""

    told: ClassVar = []

    def begin(self, stage, pairs):
        self.note("begin")

    def end(self, stage, pairs, validation=None):
        self.note("end")

    def __call__(self, *args):
        self.note("step")
        return super().__call__(*args)

    def note(self, where):
        options = tf.config.optimizer.get_experimental_options()
        self.told.append((where, options.get("auto_mixed_precision_onednn_bfloat16", False)))


@pytest.mark.parametrize("asked", [True, False])
def test_only_a_stage_s_steps_multiply_in_bfloat16_and_only_if_they_may(
    monkeypatch, make_model, pairs, asked
):
    monkeypatch.setattr("wyner_keras.stage.in_bfloat16", lambda networks, rows: True)
    Exact.told.clear()
    stage = wk.Stage(make_model(), Exact(), bfloat16=asked)
    stage.compile("adam")
    told = keras.callbacks.LambdaCallback(on_epoch_end=lambda *_: stage.objective.note("callback"))
    stage.fit(pairs, batch_size=12, verbose=0, callbacks=[told])
    others = {(where, False) for where in ("begin", "callback", "end")}
    assert {*Exact.told} == {("step", asked), *others}


def test_adam_in_one_kernel_is_keras_s():
    rng = np.random.default_rng(1)
    start = [rng.standard_normal(shape).astype("f") for shape in ((3, 4), (4,), (5, 2))]
    reached = []
    for kind in (keras.optimizers.Adam, Adam):
        optimizer = kind(
            keras.optimizers.schedules.CosineDecay(0.1, 20), use_ema=True, ema_momentum=0.9
        )
        variables = [keras.Variable(value) for value in start]
        draw = np.random.default_rng(2)
        for _ in range(20):
            gradients = [tf.constant(draw.standard_normal(v.shape).astype("f")) for v in variables]
            # Of rows that are looked up TensorFlow gives slices, with some rows twice.
            gradients[-1] = tf.IndexedSlices(gradients[-1][:3], tf.constant([0, 2, 0]), (5, 2))
            optimizer.apply(gradients, variables)
        reached.append([np.asarray(v) for v in (*variables, *optimizer.variables)])
    for ours, theirs in zip(*reached[::-1], strict=True):
        # Steps add up to 1; the kernel subtracts β from 1 in float32, Keras in float64.
        np.testing.assert_allclose(ours, theirs, rtol=0, atol=2e-5)
