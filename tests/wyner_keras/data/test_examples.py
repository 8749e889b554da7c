"""The examples in the docstrings run and show what they say."""

import doctest
import importlib

import pytest

_MODULES = (
    "checks",
    "folder",
    "image_file",
    "images",
    "listing",
    "pairings",
    "pairs",
    "regular_file",
    "sources",
    "splits",
)


@pytest.mark.parametrize("name", _MODULES)
def test_examples(name):
    result = doctest.testmod(importlib.import_module(f"wyner_keras.data.{name}"))
    assert result.attempted > 0
    assert result.failed == 0
