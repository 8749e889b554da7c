import ast
import importlib
import json
import os
import subprocess
import sys
import tomllib
from pathlib import Path

import public_names
import pytest

import wyner_keras as wk

_ROOT = Path(__file__).parents[2]
_HEAVY = ("keras", "scipy", "skimage", "sklearn", "tensorflow", "tensorflow_datasets")
_SUBMODULES = {
    "callbacks",
    "data",
    "evaluation",
    "information",
    "latents",
    "losses",
    "networks",
    "objectives",
    "pictures",
    "presets",
    "recipes",
}
# Named first in a notebook.
_FIRST = ("Pairs", "Recipe", "WynerModel", "evaluate", "train")


def _loaded_by(statement: str) -> list[str]:
    environment = {name: os.environ[name] for name in os.environ if name != "EAGER_IMPORT"}
    script = f"import json, sys; {statement}; print(json.dumps(sorted(sys.modules)))"
    process = subprocess.run(
        [sys.executable, "-c", script],
        capture_output=True,
        check=True,
        cwd=_ROOT,
        env=environment,
        text=True,
    )
    return json.loads(process.stdout)


def test_import_loads_neither_tensorflow_nor_keras():
    loaded = _loaded_by("import wyner_keras")
    assert "wyner_keras" in loaded
    assert not set(_HEAVY) & set(loaded)
    assert not [name for name in loaded if name.startswith("wyner_keras.")]


def test_a_name_loads_what_it_needs():
    loaded = _loaded_by(
        "from wyner_keras import Categorical; assert Categorical(n=1, k=10).k == 10"
    )
    assert "wyner_keras.latents" in loaded
    assert "wyner_keras.model" not in loaded


def test_after_keras_the_import_registers_what_a_saved_model_needs():
    loaded = _loaded_by(
        "import keras, wyner_keras; "
        "assert keras.saving.get_registered_object('wyner_keras>WynerModel') is not None"
    )
    assert "wyner_keras.model" in loaded


def test_every_public_name_resolves():
    assert set(wk.__all__) == set(dir(wk)) >= {*_SUBMODULES, *_FIRST}
    for name in wk.__all__:
        found = getattr(wk, name)
        if name in _SUBMODULES:
            assert found is importlib.import_module(f"wyner_keras.{name}")
        else:
            assert found.__name__ == name


def test_unknown_name():
    with pytest.raises(AttributeError, match="WynerModle"):
        _ = wk.WynerModle


@pytest.fixture
def renamed(monkeypatch):
    monkeypatch.setattr("wyner_keras._RENAMED", {"CategoricalLatent": "Categorical"})


def test_an_old_name_works_with_a_warning(renamed):
    with pytest.warns(DeprecationWarning, match=r"called wyner_keras\.Categorical now") as told:
        assert wk.CategoricalLatent is wk.Categorical
    assert told[0].filename == __file__
    with pytest.raises(AttributeError):
        _ = wk.GaussianLatent


def test_no_public_name_goes_or_comes_unseen():
    """A name that goes breaks who uses it: see `_RENAMED` in wyner_keras."""
    assert public_names.names() == json.loads(public_names.LIST.read_text(encoding="utf-8")), (
        "the list should be as the packages are; write it anew by tests/tools/public_names.py"
    )


def test_stub_lists_what_it_imports():
    """Type checkers read the stub's `__all__`, Python its imports: they must not drift apart."""
    stub = ast.parse((_ROOT / "wyner_keras" / "__init__.pyi").read_text())
    *imports, listed = stub.body
    names = [alias.name for statement in imports for alias in statement.names]
    assert sorted(names) == sorted(ast.literal_eval(listed.value)) == sorted(wk.__all__)


def test_every_package_is_installed():
    settings = tomllib.loads((_ROOT / "pyproject.toml").read_text())["tool"]["setuptools"]
    found = set()
    for name, folder in settings["package-dir"].items():
        for init in (_ROOT / folder).rglob("__init__.py"):
            if (init.parents[1] / "pyproject.toml").exists() and init.parents[1] != _ROOT:
                continue  # another distribution's
            inner = init.parent.relative_to(_ROOT / folder).parts
            found.add(".".join((name, *inner)))
    assert found == set(settings["packages"])
