import importlib.metadata
import json
import re
import sys
from pathlib import Path

import pytest

from wyner_keras.cli import doctor, probe


@pytest.fixture
def without_keras(monkeypatch):
    """As in the base install; Keras is then asked nothing."""
    find = probe.find_spec
    monkeypatch.setattr(
        probe, "find_spec", lambda name: None if name in ("keras", "tensorflow") else find(name)
    )


@pytest.fixture
def broken_keras(monkeypatch, tmp_path):
    """Makes a Keras, found before the real one, out of a line of Python."""

    def make(line):
        for name in ("keras", "tensorflow"):
            (tmp_path / f"{name}.py").write_text(line)
        path = [str(tmp_path), *sys.path]
        monkeypatch.setenv("PYTHONPATH", ":".join(path))

    return make


def test_doctor_tells_what_an_issue_needs(call, without_keras, monkeypatch, tmp_path):
    folder = tmp_path / "mnist" / "3.0.1"
    folder.mkdir(parents=True)
    (folder / "dataset_info.json").touch()
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path))
    code, out, _ = call("doctor", "--json")
    assert code == 0
    found = json.loads(out)
    numpy = importlib.metadata.version("numpy")
    assert found["packages"]["base"]["installed"]["numpy"] == numpy
    assert found["data"]["mnist"]["there"]
    assert found["engines"]["numpy"]["product"]["gflops"] > 0
    assert "CPUExecutionProvider" in found["engines"]["onnxruntime"]["providers"]
    assert found["engines"]["keras"] == {"missing": ["keras", "tensorflow"]}
    assert min(found["machine"][name] for name in ("memory_free_bytes", "disk_free_bytes")) > 0
    code, out, _ = call("doctor")
    assert code == 0
    for said in (numpy, "GFLOP/s", "not installed: pip install 'wyner-keras[train]'", "issue"):
        assert said in out


def test_doctor_prints_the_variables_that_the_page_of_settings_has(
    call, without_keras, monkeypatch
):
    page = Path(__file__).parents[3] / "docs/reference/settings.md"
    rows = page.read_text(encoding="utf-8").partition("## Of the machine")[2].splitlines()
    names = [name for row in rows if row.startswith("|") for name in re.findall("`([A-Z_]+)`", row)]
    assert "KERAS_BACKEND" in names
    for name in names:
        monkeypatch.setenv(name, "1")
    _, out, _ = call("doctor", "--json")
    assert set(names) <= set(json.loads(out)["environment"])


def test_doctor_hides_the_name_of_the_user(call, without_keras, monkeypatch, tmp_path):
    monkeypatch.setenv("HOME", str(tmp_path))
    monkeypatch.setenv("TFDS_DATA_DIR", str(tmp_path / "sets"))
    _, out, _ = call("doctor", "--json")
    assert str(tmp_path) not in out
    found = json.loads(out)
    assert found["data"]["mnist"] == {"there": False, "folder": "~/sets/mnist"}
    assert found["environment"]["TFDS_DATA_DIR"] == "~/sets"


@pytest.mark.parametrize("home", ["/", "", None])
def test_doctor_works_where_the_user_has_no_home(call, without_keras, monkeypatch, home):
    """As in a container, whose user may be a number alone."""
    monkeypatch.setenv("TFDS_DATA_DIR", "/data/sets")
    if home is None:
        monkeypatch.delenv("HOME", raising=False)
        monkeypatch.setattr("pwd.getpwuid", lambda number: {}[number])
    else:
        monkeypatch.setenv("HOME", home)
    code, out, _ = call("doctor", "--json")
    assert code == 0
    assert json.loads(out)["environment"]["TFDS_DATA_DIR"] == "/data/sets"


def test_keras_here_multiplies_on_its_backend():
    found = probe.keras_here()
    assert found["backend"] == "tensorflow"
    assert any("CPU" in device for device in found["devices"])
    assert found["product"]["milliseconds"] > 0


@pytest.mark.parametrize(
    ("line", "told"),
    [
        ("raise ImportError('no driver')", "ImportError: no driver"),
        ("import os, signal; os.kill(os.getpid(), signal.SIGILL)", "ended by signal 4"),
    ],
)
def test_a_keras_that_does_not_start_is_told(call, broken_keras, line, told):
    broken_keras(line)
    code, out, _ = call("doctor", "--json")
    assert code == 0
    found = json.loads(out)
    assert told in found["engines"]["keras"]["error"]
    (problem,) = [each for each in found["problems"] if each.startswith("keras")]
    assert told in problem


def test_packages_by_extra(monkeypatch):
    versions = {"numpy": "2.4.6", "keras": "3.9.0rc1", "h5py": "3.14"}

    def version(name):
        if name not in versions:
            raise importlib.metadata.PackageNotFoundError(name)
        return versions[name]

    monkeypatch.setattr(importlib.metadata, "version", version)
    found = doctor.packages(
        [
            "numpy>=2.4.6",
            'h5py>=3.14.0; extra == "train"',
            'keras>=3.15.1; extra == "train"',
            'ray[data]>=2.60.0; python_version < "4" and extra == "ray"',
            'wyner-keras[train]; extra == "jax"',
            'pytest>=9.2.0; extra == "dev"',
        ]
    )
    assert set(found) == {"base", "train", "ray"}
    assert found["base"] == {
        "installed": {"numpy": "2.4.6"},
        "missing": [],
        "older": {},
        "get": "pip install wyner-keras",
    }
    assert found["train"]["older"] == {"keras": "3.15.1"}
    assert found["ray"]["missing"] == ["ray"]
    assert found["ray"]["get"] == "pip install 'wyner-keras[ray]'"
