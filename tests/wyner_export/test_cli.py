"""`wyner export`: a run folder becomes a bundle, and a bundle is checked."""

import json

import numpy as np
import pytest

import wyner_export
from wyner_keras import runs
from wyner_keras.cli import main
from wyner_keras.files import write_arrays, write_json
from wyner_serving import Bundle

LABELS = np.arange(40) % 4


@pytest.fixture(scope="module")
def run(least, tmp_path_factory):
    """A run folder of the least model, its data gone; forty held-out pairs of four classes."""
    folder = tmp_path_factory.mktemp("runs") / "run"
    folder.mkdir()
    least.save(folder / runs.MODEL)
    source = runs.Source(data="digits", map="n+1")
    settings = {"format": 2, "data": source.to_dict(), "seed": 0, "recipe": {}}
    write_json(folder / runs.SETTINGS, settings)
    rng = np.random.default_rng(0)
    x, y = rng.normal(size=(40, 2)), rng.normal(size=(40, 3))
    labels = {"x_labels": LABELS, "y_labels": (LABELS + 1) % 4}
    write_arrays(folder / runs.EXAMPLES, x=x, y=y, **labels)
    return folder


@pytest.fixture(scope="module")
def exported(run, tmp_path_factory):
    out = tmp_path_factory.mktemp("exported") / "bundle"
    assert main(["export", str(run), "--out", str(out), "--quiet"]) == 0
    return out


def test_a_run_becomes_a_bundle_that_does_what_the_run_does(run, exported, tmp_path):
    manifest = Bundle.load(exported).manifest
    assert manifest["pairing"]["label_map"] == {"0": 1, "1": 2, "2": 3, "3": 0}
    assert manifest["name"] == "run"
    # Not evaluated, so measured by the export.
    assert manifest["metrics"] is None
    assert 0 <= manifest["nats"]["i_xy_z"] <= manifest["nats"]["kl_z"]
    given = tmp_path / "given.npy"
    np.save(given, np.random.default_rng(0).normal(size=(4, 2)).astype(np.float32))
    made = {}
    for folder in (run, exported):
        out = tmp_path / f"{folder.name}.npz"
        options = ["--from", "x", "--input", str(given), "--samples", "3", "--seed", "5"]
        assert main(["generate", str(folder), *options, "--out", str(out)]) == 0
        with np.load(out) as arrays:
            made[folder.name] = arrays["y"]
    assert made["run"].shape == (4, 3, 3)
    np.testing.assert_allclose(made["bundle"], made["run"], atol=1e-5)


def test_a_bundle_is_verified_and_json_tells_what_was_found(exported, capsys):
    assert main(["export", "--verify", str(exported), "--json"]) == 0
    values = json.loads(capsys.readouterr().out)
    assert values["bundle"] == str(exported)
    assert "transfer_x" in values["graphs"]


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


def test_what_is_wrong_is_said_in_one_line(run, exported, tmp_path, capsys):
    assert main(["export", str(run), "--out", str(exported)]) == 2
    assert main(["export", "--verify", str(tmp_path)]) == 2
    errors = capsys.readouterr().err.strip().splitlines()
    assert len(errors) == 2
    assert "manifest.json" in errors[1]


def test_an_export_takes_all_from_the_run_folder(run, tmp_path, monkeypatch, capsys):
    """Examples of every class, figures and nats, and says what kept a bundle from being written."""
    found = {}

    def write(model, path, **given):
        found.update(given)
        raise wyner_export.ExportError("enough")

    monkeypatch.setattr("wyner_export.write_bundle", write)
    figures = {"joint_coherence": {"model": 0.5, "beside": 1.0}}
    metrics = {"figures": figures, "nats": {"i_xy_z": 1.5}}
    (run / runs.METRICS).write_text(json.dumps(metrics))
    try:
        assert main(["export", str(run), "--out", str(tmp_path / "bundle")]) == 1
    finally:
        (run / runs.METRICS).unlink()
    assert capsys.readouterr().err == "wyner: error: enough\n"
    assert (found["metrics"], found["nats"]) == ({"figures": figures}, {"i_xy_z": 1.5})
    x, y = found["examples"].values()
    assert len(x) == len(y) == 32
    with np.load(run / runs.EXAMPLES) as arrays:
        classes = [int(LABELS[np.flatnonzero((arrays["x"] == row).all(axis=1))[0]]) for row in x]
    assert np.bincount(classes).tolist() == [8] * 4


def test_a_key_is_made_and_signs(run, exported, tmp_path, monkeypatch, capsys):
    pytest.importorskip("cryptography")
    key, found = tmp_path / "KEY", {}
    assert main(["export", "--new-key", str(key), "--json"]) == 0
    assert json.loads(capsys.readouterr().out) == {"secret": str(key), "public": f"{key}.pub"}

    def write(model, path, **given):
        found.update(given)
        raise wyner_export.ExportError("enough")

    monkeypatch.setattr("wyner_export.write_bundle", write)
    words = ["export", str(run), "--out", str(tmp_path / "bundle"), "--sign"]
    assert main([*words, str(key)]) == 1 and found["secret_key"] == str(key)
    assert main([*words, f"{key}.pub"]) == 2
    assert main(["export", "--verify", str(exported), "--key", f"{key}.pub"]) == 2
    _, *errors = capsys.readouterr().err.strip().splitlines()
    assert "KEY should be a secret key" in errors[0]
    assert "should be signed. Received: no manifest.json.minisig" in errors[-1]


@pytest.mark.parametrize("words", [["--new-key", "a", "--key", "b"], ["run", "--key", "b"]])
def test_keys_go_with_what_they_are_for(words, capsys):
    assert main(["export", *words]) == 2
    assert "--verify BUNDLE, with --key PUBLIC or without" in capsys.readouterr().err
