import os
from pathlib import Path

import nbformat
import pytest
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

NOTEBOOKS = sorted((Path(__file__).parents[2] / "notebooks").glob("*.ipynb"))


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()


# The default's stages on narrow networks with flows of one step, and judges of two epochs: to
# trace the whole ones, to train judges and to write a bundle takes a minute.
NARROW = """
import dataclasses

from wyner_keras import recipes
from wyner_keras.evaluation import Judge

default, train = recipes.default, Judge.train

def narrow(facts, **settings):
    recipe = default(facts, **settings)
    sides = {
        name: dataclasses.replace(side, hidden=(16,), flow_steps=1)
        for name, side in recipe.sides.items()
    }
    return dataclasses.replace(recipe, sides=sides)

recipes.default = narrow
Judge.train = lambda *given, **settings: train(*given, **settings | {"epochs": 2})
"""


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a kernel that runs a notebook at its small size, away from the tree."""
    monkeypatch.setenv("WYNER_NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    root = str(Path(__file__).parents[2])
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join([root, os.environ.get("PYTHONPATH", "")]))
    # Kernels answer on a local socket; without this they look for the user's own settings.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return tmp_path


@pytest.fixture
def narrow(small: Path) -> Path:
    """Such a kernel, whose networks are narrow."""
    startup = small / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "narrow.py").write_text(NARROW)
    return small


def test_there_are_notebooks() -> None:
    assert NOTEBOOKS


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_every_cell_runs_at_the_small_size(path: Path, narrow: Path) -> None:
    notebook = nbformat.read(path, as_version=4)
    execute(notebook, narrow)
    pictures = [
        output
        for cell in notebook.cells
        for output in cell.get("outputs", [])
        if "image/png" in output.get("data", {})
    ]
    assert len(pictures) == 3


def test_a_failing_cell_fails(small: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2")])
    with pytest.raises(CellExecutionError, match="AssertionError"):
        execute(notebook, small)


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_was_executed_and_is_small(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    notebook = nbformat.read(path, as_version=4)
    nbformat.validate(notebook)
    code = [cell for cell in notebook.cells if cell.cell_type == "code"]
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    assert not any(output.output_type == "error" for output in outputs)
