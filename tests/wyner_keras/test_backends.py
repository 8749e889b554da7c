"""The same model on TensorFlow and on JAX: terms, steps, answers and files."""

import os
import subprocess
import sys
from pathlib import Path

import keras
import numpy as np
import pytest
from on_backend import LOSSES, answers, asked

import wyner_keras as wk
from wyner_keras.backend import pushed_forward

TOOL = Path(__file__).parents[1] / "tools/on_backend.py"


def on_jax(out, *arguments):
    """What the tool writes where Keras' backend is JAX."""
    done = subprocess.run(
        [sys.executable, TOOL, out, *arguments],
        env={**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr[-3000:]
    return dict(np.load(out.with_suffix(".npz")))


@pytest.mark.parametrize("names", [["Joint"], pytest.param([*LOSSES], marks=pytest.mark.slow)])
def test_steps_and_answers_on_jax_are_those_on_tensorflow(make_model, tmp_path, names):
    path = tmp_path / "model.keras"
    make_model(dropout=0.0, noise=0.0, readers=("features", "features")).save(path)
    found, expected = on_jax(tmp_path / "out", path, *names), asked(path, names)
    assert set(expected) == set(found)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


@pytest.mark.slow
def test_what_jax_trains_answers_alike_on_tensorflow(tmp_path):
    found = on_jax(tmp_path / "out")
    for name, value in answers(keras.models.load_model(tmp_path / "out.keras")).items():
        np.testing.assert_allclose(found[name], value, rtol=1e-4, atol=1e-4, err_msg=name)


def test_another_backend_is_refused_by_name():
    done = subprocess.run(
        [sys.executable, "-c", "import wyner_keras.backend"],
        env={**os.environ, "KERAS_BACKEND": "openvino"},
        capture_output=True,
        text=True,
        check=False,
    )
    assert "should be tensorflow or jax" in done.stderr, done.stderr[-1000:]


def test_every_layer_is_built_before_it_is_trained(make_model):
    stage = wk.Stage(make_model(), wk.losses.Joint())
    assert [layer.name for layer in stage._flatten_layers() if not layer.built] == []


def test_what_is_rounded_moves_with_nothing():
    """Columns that are all counts or categories are: a flow that reads them starts all the same."""
    at = keras.ops.convert_to_tensor(np.array([[0.2, 1.7]], "f"))
    moved = pushed_forward(keras.ops.round, at, keras.ops.ones_like(at))
    np.testing.assert_array_equal(moved, np.zeros((1, 2)))
