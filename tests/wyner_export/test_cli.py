import json
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

from wyner_keras import runs
from wyner_keras.cli import main
from wyner_serving import Bundle


@pytest.fixture(scope="module")
def run(tiny, tmp_path_factory):
    """A run folder of the tiny model on scikit-learn's digits."""
    from wyner_keras.training import recipe

    out = tmp_path_factory.mktemp("runs") / "run"
    mapping = {label: (label + 1) % 10 for label in range(10)}
    settings = runs.settings_of(
        recipe("annealed", "digits"), data="digits", label_map=mapping, seed=0
    )
    partial = runs.start_run(out, settings)
    runs.save_trained(partial, tiny, {}, {})
    return runs.finish_run(out)


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    assert main(["export", str(run), "--out", str(out), "--quiet"]) == 0
    return out


def test_a_run_becomes_a_bundle_that_does_what_the_run_does(run, exported, tmp_path):
    assert main(["export", "--verify", str(exported)]) == 0
    manifest = Bundle.load(exported).manifest
    assert manifest["pairing"]["label_map"]["9"] == 0
    assert manifest["name"] == "run"
    # Not evaluated, so measured by the export.
    assert manifest["metrics"] is None
    assert 0 <= manifest["nats"]["i_xy_z"] <= manifest["nats"]["kl_z"]
    given = tmp_path / "given.npy"
    np.save(given, np.random.default_rng(0).random((4, 8, 8, 1), dtype=np.float32))
    made = {}
    for folder in (run, exported):
        out = tmp_path / f"{folder.name}.npz"
        options = ["--from", "x", "--input", str(given), "--samples", "3", "--seed", "5"]
        assert main(["generate", str(folder), *options, "--out", str(out)]) == 0
        with np.load(out) as arrays:
            made[folder.name] = arrays["y"]
    assert made["run"].shape == (4, 3, 8, 8, 1)
    np.testing.assert_allclose(made["bundle"], made["run"], atol=1e-5)


def test_json_tells_what_was_written(exported, capsys):
    assert main(["export", "--verify", str(exported), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["bundle"] == str(exported)
    assert "transfer_x" in values["graphs"]


def test_a_bundle_generates_and_transfers_without_tensorflow(bundle, tmp_path):
    code = """
import sys
for name in ("tensorflow", "keras", "wyner_export"):
    sys.modules[name] = None
from wyner_keras.cli import main
sys.exit(main(sys.argv[1:]))
"""
    commands = {
        "generate": ["--from", "y"],
        "pairs": ["--from", "prior", "--count", "4"],
        "transfer": ["--side", "x"],
    }
    for name, options in commands.items():
        out = tmp_path / f"{name}.png"
        command = "transfer" if name == "transfer" else "generate"
        done = subprocess.run(
            [sys.executable, "-c", code, command, str(bundle), *options, "--out", str(out)],
            capture_output=True,
            text=True,
            check=False,
        )
        assert done.returncode == 0, done.stderr
        with Image.open(out) as picture:
            assert np.ptp(np.asarray(picture)) > 100


@pytest.mark.parametrize(
    "arguments",
    [
        ["export"],
        ["export", "run"],
        ["export", "--out", "bundle"],
        ["export", "run", "--verify", "bundle"],
        ["export", "run", "--out", "bundle", "--verify", "bundle"],
    ],
)
def test_what_is_to_be_done_must_be_clear(arguments, capsys):
    assert main(arguments) == 2
    assert "export takes RUN and --out BUNDLE" in capsys.readouterr().err


def test_what_is_wrong_is_said_in_one_line(run, exported, bundle, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(exported)]) == 2
    assert main(["export", "--verify", str(tmp_path)]) == 2
    assert main(["generate", str(bundle), "--from", "x", "--count", "99", "--out", "a.png"]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 3
    assert "manifest.json" in errors[1]
    assert "at most 7" in errors[2]
