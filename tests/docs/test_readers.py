"""The page on readers is run as it stands, with one stage of the recipe alone."""

import dataclasses
import re
import sys
from importlib.util import find_spec
from pathlib import Path

import pytest
import stand_ins

from wyner_keras import recipes

PAGE = Path(__file__).parents[2] / "docs" / "readers.md"
BLOCKS = re.findall(r"^```python\n(.*?)^```", PAGE.read_text(encoding="utf-8"), re.M | re.S)
PACKAGES = ("anndata", "mudata", "datasets", "torch", "torch.utils", "torch.utils.data")
pytestmark = pytest.mark.filterwarnings("ignore::FutureWarning", "ignore::DeprecationWarning")


@pytest.fixture
def shortly(monkeypatch, eager):
    """Stages cost seconds each, however few their steps; tracing would cost more."""
    default = recipes.default

    def first(facts, **settings):
        recipe = default(facts, **settings)
        return dataclasses.replace(recipe, stages=(recipe.stage("joint"),))

    monkeypatch.setattr(recipes, "default", first)


@pytest.fixture
def readable(monkeypatch):
    """Packages that are absent have their stand-ins; `make test-readers` has the packages."""
    absent = [name for name in PACKAGES if find_spec(name.partition(".")[0]) is None]
    for name in absent:
        monkeypatch.setitem(sys.modules, name, stand_ins)


def test_every_block_runs(shortly, readable, capsys):
    scope = {"__name__": "readers"}
    for block in BLOCKS:
        exec(compile(block, str(PAGE), "exec"), scope)
    printed = capsys.readouterr().out
    assert "('count', 'binary', 'categorical')" in printed
    assert "Pairs(70 pairs, x=80 vectors of shape (6,); y=70 vectors of shape (2,); sin" in printed
    assert "Pairs(80 pairs, x=80 images of shape (8, 8, 3); y=80 vectors of shape (2,))" in printed
    assert "(80, 2)" in printed
