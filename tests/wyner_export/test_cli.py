import json
import shutil
import subprocess
import sys

import numpy as np
import pytest
from PIL import Image

import wyner_export
from wyner_keras import data, runs
from wyner_keras.cli import main
from wyner_serving import Bundle


@pytest.fixture(scope="module")
def run(make_tiny, tmp_path_factory):
    """A run folder of a tiny model on scikit-learn's digits, without flows, which take time."""
    from wyner_keras.training import recipe

    out = tmp_path_factory.mktemp("runs") / "run"
    mapping = {label: (label + 1) % 10 for label in range(10)}
    settings = runs.settings_of(
        recipe("annealed", "digits"), data="digits", label_map=mapping, seed=0
    )
    partial = runs.start_run(out, settings)
    runs.save_trained(partial, make_tiny(flow_steps=0, marginal_encoder="images"), {}, {})
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


@pytest.fixture
def gone(run, tmp_path):
    """A run whose data are gone: a folder of images that was moved."""
    folder = tmp_path / "run"
    shutil.copytree(run, folder)
    settings = json.loads((folder / "settings.json").read_text())
    (folder / "settings.json").write_text(
        json.dumps({**settings, "data": str(tmp_path / "moved"), "data_y": str(tmp_path / "moved")})
    )
    return folder


def test_an_export_takes_all_from_the_run_folder(gone, tmp_path, monkeypatch, capsys):
    digits = data.load("digits").test
    runs.save_examples(gone, digits, digits.take(300))
    values = {"data": "a", "figures": {}, "nats": {"i_xy_z": 1.5}}
    (gone / "metrics.json").write_text(json.dumps(values))
    found = {}

    def write(model, path, **given):
        found.update(given)
        raise wyner_export.ExportError("enough")

    monkeypatch.setattr("wyner_export.write_bundle", write)
    assert main(["export", str(gone), "--out", str(tmp_path / "bundle")]) == 1
    assert capsys.readouterr().err == "wyner: error: enough\n"
    assert found["nats"] == {"i_xy_z": 1.5}
    x, y = found["images"]
    assert len(x) == len(y) == 32
    np.testing.assert_array_equal(x, digits.by_class(200).by_class(32).images)
    np.testing.assert_array_equal(y, digits.take(300).by_class(200).by_class(32).images)


def test_an_earlier_run_without_images_or_data_is_exported_with_a_warning(
    gone, tmp_path, monkeypatch, capsys
):
    found = {}
    monkeypatch.setattr(
        "wyner_export.write_bundle",
        lambda model, path, **given: found.update(given) or pytest.fail("enough"),
    )
    with pytest.raises(pytest.fail.Exception, match="enough"):
        main(["export", str(gone), "--out", str(tmp_path / "bundle")])
    assert (found["images"], found["nats"]) == (None, None)
    said = capsys.readouterr().err
    assert "will not say how much the latents hold: source should be one of" in said
    assert "compared on generated images: source should be one of" in said


def test_generating_takes_its_images_from_the_run_folder(gone, tmp_path):
    digits = data.load("digits").test
    runs.save_examples(gone, digits, digits)
    out = tmp_path / "a.npz"
    words = ["generate", str(gone), "--from", "x", "--count", "12", "--samples", "1"]
    assert main([*words, "--out", str(out), "--quiet"]) == 0
    with np.load(out) as arrays:
        np.testing.assert_array_equal(arrays["x"], digits.by_class(200).by_class(12).images)
