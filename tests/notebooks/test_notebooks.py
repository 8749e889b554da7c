import os
import re
import tempfile
import warnings
from pathlib import Path

import nbformat
import numpy as np
import pytest
import shortened
from nbclient import NotebookClient
from nbclient.exceptions import CellExecutionError

from docs.site import links

ROOT = Path(__file__).parents[2]
NOTEBOOKS = sorted((ROOT / "notebooks").glob("*.ipynb"))
# One is run in a kernel, as users run it; the others in this process, without the kernel's start.
IN_A_KERNEL = "02_common_information"


def read(path: Path) -> nbformat.NotebookNode:
    return nbformat.read(path, as_version=4)


def code_of(notebook: nbformat.NotebookNode) -> list[nbformat.NotebookNode]:
    return [cell for cell in notebook.cells if cell.cell_type == "code"]


def execute(notebook: nbformat.NotebookNode, folder: Path) -> None:
    NotebookClient(notebook, timeout=600, resources={"metadata": {"path": str(folder)}}).execute()


@pytest.fixture
def small(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """The environment of a notebook that runs at its small size, away from the tree."""
    monkeypatch.setenv("WYNER_NOTEBOOK_SIZE", "small")
    monkeypatch.setenv("WYNER_CACHE_DIR", str(tmp_path / "cache"))
    monkeypatch.setenv("TF_CPP_MIN_LOG_LEVEL", "2")
    places = [ROOT, ROOT / "build/types", ROOT / "tests/tools", os.environ.get("PYTHONPATH", "")]
    monkeypatch.setenv("PYTHONPATH", os.pathsep.join(map(str, places)))
    # Kernels answer on a local socket; without this they look for the user's own settings.
    monkeypatch.setenv("IPYTHONDIR", str(tmp_path / "ipython"))
    monkeypatch.setenv("JUPYTER_PLATFORM_DIRS", "1")
    return tmp_path


@pytest.fixture
def narrow_kernel(small: Path) -> Path:
    """The same, of a kernel that takes few steps, none of them traced, of narrow networks."""
    startup = small / "ipython" / "profile_default" / "startup"
    startup.mkdir(parents=True)
    (startup / "narrow.py").write_text(
        "import shortened\nimport tensorflow as tf\n\n"
        "tf.config.run_functions_eagerly(True)\nshortened.narrow()\nshortened.two_steps()\n"
    )
    return small


@pytest.fixture
def in_process(small: Path, monkeypatch: pytest.MonkeyPatch, eager: None) -> Path:
    """The same, of this process: networks are narrow, and nothing is traced."""
    shortened.narrow(monkeypatch.setattr)
    shortened.two_steps(monkeypatch.setattr)
    monkeypatch.setattr(tempfile, "tempdir", str(small))
    monkeypatch.chdir(small)
    return small


@pytest.fixture
def pair_files(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for the pictures that this project does not ship."""
    rng = np.random.default_rng(0)
    folder = small / "pairs"
    folder.mkdir()
    letters = np.tile(np.arange(26), 15)
    ink = rng.integers(100, 256, (2, len(letters), 1, 1))
    drawn = (ink * (rng.random((2, 26, 28, 28)) < 0.3)[:, letters]).astype(np.uint8)
    np.savez(folder / "letters.npz", u=drawn[0], l=drawn[1], y=letters)
    made = rng.integers(0, 256, (2, 60, 32, 32, 3), np.uint8)
    np.savez(folder / "emoji.npz", google=made[0], twitter=made[1])
    monkeypatch.setenv("WYNER_PAIRS", str(folder))


@pytest.fixture
def page_files(small: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """Stand-ins for what npm installs."""
    folder = small / "onnxruntime-web"
    folder.mkdir()
    engine = "ort-wasm-simd-threaded"
    for name in ("ort.wasm.min.mjs", f"{engine}.mjs", f"{engine}.wasm"):
        (folder / name).touch()
    monkeypatch.setenv("WYNER_ORT", str(folder))


def test_the_notebooks_are_those_that_the_tour_lists() -> None:
    tour = (ROOT / "docs" / "tour.md").read_text(encoding="utf-8")
    assert re.findall(r"notebooks/(\w+\.ipynb)\)", tour) == [path.name for path in NOTEBOOKS]
    assert len(NOTEBOOKS) == 10


def test_one_runs_in_a_kernel_at_the_small_size(narrow_kernel: Path) -> None:
    (path,) = (path for path in NOTEBOOKS if path.stem == IN_A_KERNEL)
    notebook = read(path)
    execute(notebook, narrow_kernel)
    outputs = [output for cell in code_of(notebook) for output in cell.outputs]
    assert sum("image/png" in output.get("data", {}) for output in outputs) == 3


OTHERS = [path for path in NOTEBOOKS if path.stem != IN_A_KERNEL]


@pytest.mark.parametrize("path", OTHERS, ids=lambda path: path.stem)
def test_every_cell_runs_at_the_small_size(
    path: Path, in_process: Path, pair_files: None, page_files: None, request, monkeypatch
) -> None:
    if "write_bundle" in path.read_text(encoding="utf-8"):
        # Engines are compared by tests of their own, which share this bundle.
        shortened.bundles_are_copies(request.getfixturevalue("bundle"), monkeypatch.setattr)
    scope = {"__name__": "notebook"}
    for number, cell in enumerate(code_of(read(path))):
        exec(compile(cell.source, f"{path.name} {number}", "exec"), scope)


def test_a_failing_cell_fails(small: Path) -> None:
    notebook = nbformat.v4.new_notebook(cells=[nbformat.v4.new_code_cell("assert 1 == 2")])
    with pytest.raises(CellExecutionError, match="AssertionError"):
        execute(notebook, small)


@pytest.mark.parametrize("name", ["04_typefaces", "05_emoji"])
def test_without_its_pictures_a_notebook_says_what_to_set(
    name: str, small: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delenv("WYNER_PAIRS", raising=False)
    first = code_of(read(ROOT / "notebooks" / f"{name}.ipynb"))[0]
    with pytest.raises(FileNotFoundError, match="WYNER_PAIRS"):
        exec(compile(first.source, name, "exec"), {"__name__": "notebook"})


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_the_committed_notebook_was_executed_and_is_small(path: Path) -> None:
    assert path.stat().st_size < 1_000_000
    notebook = read(path)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        nbformat.validate(notebook)
    code = code_of(notebook)
    assert [cell.execution_count for cell in code] == list(range(1, len(code) + 1))
    outputs = [output for cell in code for output in cell.outputs]
    assert any("image/png" in output.get("data", {}) for output in outputs)
    for output in outputs:
        assert output.output_type != "error"
        assert output.get("name") != "stderr"
        assert "Warning" not in str(output.get("text", ""))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_asks_a_question_and_says_what_to_try(path: Path) -> None:
    cells = read(path).cells
    assert cells[0].cell_type == cells[-1].cell_type == "markdown"
    assert re.match(r"# \w", cells[0].source)
    assert "?" in cells[0].source
    tries = cells[-1].source.partition("## What to try")[2]
    assert len(re.findall(r"^- ", tries, re.MULTILINE)) == 3


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_its_links_lead_somewhere(path: Path) -> None:
    page = path.relative_to(ROOT).as_posix()
    for cell in read(path).cells:
        if cell.cell_type == "markdown":
            links.each_link(cell.source, lambda target: links.in_site(page, target))


@pytest.mark.parametrize("path", NOTEBOOKS, ids=lambda path: path.stem)
def test_it_names_no_place_of_the_machine_that_ran_it(path: Path) -> None:
    notebook = read(path)
    parts = [cell.source for cell in notebook.cells]
    for output in (output for cell in code_of(notebook) for output in cell.outputs):
        parts += [output.get("text", ""), output.get("data", {}).get("text/plain", "")]
    assert not re.search(r"/(tmp|home|root|work|Users|usr|var)/", "\n".join(parts))
    assert not re.search(r"https?://(?!127\.0\.0\.1)", "\n".join(parts))
