"""The examples in the docstrings run and show what they say."""

import doctest
import importlib
from pathlib import Path

import pytest

import wyner_keras.data

_MODULES = sorted(
    path.stem
    for path in Path(wyner_keras.data.__path__[0]).glob("[a-z]*.py")
    if path.stem != "mnist"  # 70,000 images are no example
)


@pytest.mark.parametrize("name", _MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"wyner_keras.data.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
