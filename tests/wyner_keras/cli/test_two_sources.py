"""`wyner` with a source of y's own, whose images have another shape."""

import contextlib
import io
import json
import shutil

import numpy as np
import pytest
from padded_digits import write_padded_digits

from wyner_keras import runs
from wyner_keras.cli import main


def recipe(name, like, *, data_y, local, seed):
    """A tiny recipe of the pixels, if it is asked for as two sources should ask."""
    import wyner_keras as wk
    from wyner_keras.training import Recipe, StageSettings

    assert (name, like, data_y) == ("annealed", "digits", "digits")
    stage = StageSettings(epochs=1, batch_size=64, jit_compile=False)
    config = wk.WynerConfig(
        u=wk.DiagonalGaussian(dim=2), v=wk.DiagonalGaussian(dim=3), hidden=(16,), seed=seed
    )
    return Recipe(name=name, config=config, pairs_per_class=20, joint=stage, marginal=stage)


@pytest.fixture(scope="module")
def folder(tmp_path_factory):
    """The digits again, wider and darker, as files by label."""
    return write_padded_digits(tmp_path_factory.mktemp("images") / "wide", ((0, 0), (2, 2)), 20)


@pytest.fixture(scope="module", autouse=True)
def small_recipe():
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wyner_keras.training.recipe", recipe)
        yield


@pytest.fixture(scope="module")
def trained(folder, tmp_path_factory):
    out = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", "digits", "--data-y", str(folder), "--map", "same", "--quick"]
    with contextlib.redirect_stdout(io.StringIO()):
        assert main([*words, "--quiet", "--out", str(out)]) == 0
    return out


def is_of(images, source):
    known = {image.tobytes() for image in source.test.images}
    return all(image.tobytes() in known for image in images)


def test_the_run_keeps_both_sources_and_their_figures(trained, folder):
    run = runs.Run.open(trained)
    assert (run.settings["data"], run.settings["data_y"]) == ("digits", str(folder))
    assert run.label_map == {label: label for label in range(10)}
    model = run.load_model()
    assert (model.image_shape("x"), model.image_shape("y")) == ((8, 8, 1), (8, 12, 1))
    metrics = json.loads((trained / "metrics.json").read_text())
    assert (metrics["data"], metrics["data_y"]) == ("digits", str(folder))
    target = run.target()
    assert target is not None
    assert metrics["counts"]["judge_x"] == 360
    assert metrics["counts"]["judge_y"] == len(target.test) == 40
    assert metrics["nats"]["rows"] == 360
    for name in ("conditional", "transfer", "joint"):
        assert (trained / "figures" / f"{name}.png").is_file()


def test_evaluate_finds_the_same_again(trained, folder, call):
    before = json.loads((trained / "metrics.json").read_text())
    assert call("evaluate", trained, "--quiet")[0] == 0
    after = json.loads((trained / "metrics.json").read_text())
    assert (after["data_y"], after["counts"]) == (str(folder), before["counts"])
    for name, figure in before["figures"].items():
        assert after["figures"][name] == pytest.approx(figure, abs=1e-3, nan_ok=True), name


def test_evaluate_reads_another_source_of_either_side_and_refuses_other_shapes(
    trained, folder, call
):
    for option, other, message in (
        ("--data-y", "digits", "(8, 12, 1), as y was trained with. Received: shape (8, 8, 1)"),
        ("--data", folder, "(8, 8, 1), as x was trained with. Received: shape (8, 12, 1)"),
    ):
        code, _, error = call("evaluate", trained, option, other, "--quiet")
        assert code == 2
        assert f"wyner: error: {option} should be images of shape {message}" in error


@pytest.mark.parametrize("side", ["x", "y"])
def test_inputs_and_styles_are_of_their_side(trained, tmp_path, side, call):
    run = runs.Run.open(trained)
    sources = {"x": run.source(), "y": run.target()}
    shapes = {"x": (8, 8, 1), "y": (8, 12, 1)}
    other = {"x": "y", "y": "x"}[side]
    words = ("generate", trained, "--from", side, "--count", 4, "--samples", 3)
    assert call(*words, "--out", tmp_path / "a.npz")[0] == 0
    with np.load(tmp_path / "a.npz") as arrays:
        assert is_of(arrays[side], sources[side])
        assert arrays[other].shape == (4, 3, *shapes[other])
    words = ("transfer", trained, "--side", side)
    assert call(*words, "--out", tmp_path / "b.npz")[0] == 0
    with np.load(tmp_path / "b.npz") as arrays:
        assert is_of(arrays["style"], sources[side])
        assert is_of(arrays["concept"], sources[other])
        assert arrays["result"].shape == (6, 10, *shapes[side])
    assert call(*words, "--out", tmp_path / "b.png")[0] == 0


def test_resume_goes_on_with_the_same_source_of_y_alone(trained, tmp_path, call, monkeypatch):
    shutil.copytree(trained, tmp_path / "run.partial")
    (tmp_path / "run.partial" / "metrics.json").unlink()
    monkeypatch.setattr("wyner_keras.training.kept.train", None)
    words = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate")
    code, _, error = call(*words, "--data-y", "digits")
    assert code == 2
    assert "--data-y should be as at the start of the run" in error
    drawn = []
    draw = "wyner_keras.cli.pictures.draw"
    monkeypatch.setattr(draw, lambda *given: drawn.append(given[-1].test.image_shape) or {})
    assert call(*words)[0] == 0
    assert drawn == [(8, 12, 1)]


def test_y_from_the_source_of_x_is_one_source(tmp_path, call, monkeypatch):
    asked = []

    def stop(*_, target, **__):
        asked.append(target)
        raise ValueError("stopped")

    monkeypatch.setattr(
        "wyner_keras.training.recipe",
        lambda *given, **_: recipe(*given, data_y="digits", local=None, seed=0),
    )
    monkeypatch.setattr("wyner_keras.training.train_kept", stop)
    words = ("train", "--data", "digits", "--data-y", "digits", "--out", tmp_path / "run")
    assert "stopped" in call(*words)[2]
    assert asked == [None]
