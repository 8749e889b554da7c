"""The how-tos are run as they stand."""

import dataclasses
import re
from pathlib import Path

import keras
import pytest
import tensorflow as tf

import wyner_keras as wk

HOWTO = Path(__file__).parents[2] / "docs" / "howto.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def eagerly(monkeypatch):
    """Two steps a stage, which to trace would take longer."""
    compile_, fit = keras.Model.compile, wk.Stage.fit

    def fit_two_steps(self, *args, **settings):
        return fit(self, *args, **settings | {"epochs": 1, "steps_per_epoch": 2})

    def compile_eagerly(self, *args, **settings):
        settings |= {"jit_compile": False, "steps_per_execution": 1, "run_eagerly": True}
        compile_(self, *args, **settings)

    monkeypatch.setattr(keras.Model, "compile", compile_eagerly)
    monkeypatch.setattr(wk.Stage, "fit", fit_two_steps)
    tf.config.run_functions_eagerly(True)
    yield
    tf.config.run_functions_eagerly(False)


@pytest.fixture
def narrow(monkeypatch):
    """The default's stages on networks that are narrow, and flows of one step."""
    default = wk.recipes.default

    def narrowed(facts, **settings):
        recipe = default(facts, **settings)
        sides = {
            name: dataclasses.replace(side, hidden=(16,), flow_steps=1)
            for name, side in recipe.sides.items()
        }
        codecs = {
            name: dataclasses.replace(codec, code_size=4, filters=(4, 4))
            for name, codec in recipe.codecs.items()
        }
        return dataclasses.replace(recipe, sides=sides, codecs=codecs)

    monkeypatch.setattr(wk.recipes, "default", narrowed)


@pytest.mark.filterwarnings("ignore:Even though the:UserWarning")
def test_every_block_runs(eagerly, narrow, capsys, monkeypatch, tmp_path):
    monkeypatch.chdir(tmp_path)
    scope = {"__name__": "howto"}
    for block in BLOCKS:
        exec(compile(block, str(HOWTO), "exec"), scope)
    printed = capsys.readouterr().out
    assert "'kind': 'log-normal'" in printed
    assert "(2, 8, 8, 3)" in printed
    assert abs(scope["model"].generate_x(scope["y"][:2], seed=0)).max() <= 3.2
