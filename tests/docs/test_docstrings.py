"""The examples in docstrings run and show what they say."""

import doctest
import importlib
import pkgutil

import numpy as np
import pytest

import wyner_export
import wyner_keras
import wyner_serving

_APART = (
    "wyner_keras.backend",  # of one of two engines each
    "wyner_keras.data.mnist",  # 70,000 images are no example
    "wyner_serving.ray",  # an extra
    "wyner_serving.kserve",  # distributions of their own
    "wyner_serving.web",
    "wyner_serving.tests",
)


def _modules() -> list[str]:
    found = []
    for package in (wyner_keras, wyner_serving, wyner_export):
        walked = pkgutil.walk_packages(package.__path__, f"{package.__name__}.", lambda name: None)
        found += [each.name for each in walked if not each.name.startswith(_APART)]
    return sorted(found)


@pytest.mark.parametrize("name", _modules())
def test_examples(name):
    module = importlib.import_module(name)
    result = doctest.testmod(module, extraglobs={"np": np}, optionflags=doctest.ELLIPSIS)
    assert result.failed == 0
    if name.startswith("wyner_keras.data."):
        assert result.attempted > 0
