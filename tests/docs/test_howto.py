"""The how-tos are run as they stand."""

import re
import sys
from importlib.util import find_spec
from pathlib import Path

import keras
import pytest
import stand_ins

HOWTO = Path(__file__).parents[2] / "docs" / "howto.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", HOWTO.read_text(encoding="utf-8"), re.M | re.S)


@pytest.fixture
def eagerly(monkeypatch):
    """Tracing would take longer than the few steps that are trained."""
    compile_ = keras.Model.compile

    def compile_eagerly(self, *args, **settings):
        settings |= {"jit_compile": False, "steps_per_execution": 1, "run_eagerly": True}
        compile_(self, *args, **settings)

    monkeypatch.setattr(keras.Model, "compile", compile_eagerly)
    monkeypatch.setattr("wyner_keras.losses.matching._CALIBRATED_ON", 1000)


@pytest.fixture
def readable(monkeypatch):
    """Packages that are absent have their stand-ins; `make test-readers` has the packages."""
    for package, modules in {
        "anndata": (),
        "mudata": (),
        "datasets": (),
        "torch": ("torch.utils", "torch.utils.data"),
    }.items():
        if find_spec(package) is None:
            for name in (package, *modules):
                monkeypatch.setitem(sys.modules, name, stand_ins)


def test_every_block_runs(eagerly, readable, capsys):
    scope = {"__name__": "howto"}
    for block in BLOCKS:
        exec(compile(block, str(HOWTO), "exec"), scope)
    printed = capsys.readouterr().out
    assert "'kind': 'log-normal'" in printed
    assert "(2, 8, 8, 3)" in printed
    assert "('count', 'binary', 'categorical')" in printed
    assert "Pairs(70 pairs, x=80 vectors of shape (6,); y=70 vectors of shape (2,); sin" in printed
    assert "Pairs(80 pairs, x=80 images of shape (8, 8, 3); y=80 vectors of shape (2,))" in printed
    assert abs(scope["model"].generate_x(scope["y"][:2], seed=0)).max() <= 3.2
