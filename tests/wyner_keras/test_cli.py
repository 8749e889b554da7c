import contextlib
import dataclasses
import io
import json
import re
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from PIL import Image

from wyner_keras import runs
from wyner_keras.cli import main
from wyner_keras.cli.options import label_map


def tiny(
    name: str = "annealed",
    data: str = "digits",
    *,
    data_y: str | None = None,
    local: Any = None,
    seed: int = 0,
) -> Any:
    import wyner_keras as wk
    from wyner_keras.training import Ramp, Recipe, StageSettings

    if name != "annealed":
        raise ValueError(f"`name` should be annealed. Received: name={name!r}")
    stage = StageSettings(epochs=1, batch_size=128, temperature=Ramp.constant(0.5))
    latent = wk.Categorical(n=2, k=4)
    config = wk.WynerConfig(u=latent, v=wk.DiagonalGaussian(dim=3), hidden=(16,), seed=seed)
    return Recipe(name=name, config=config, pairs_per_class=40, joint=stage, marginal=stage)


@pytest.fixture(scope="module", autouse=True)
def quick_machine(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """A tiny recipe, no compiling by XLA, a cache of its own."""
    from wyner_keras.models.stage import Stage

    compile_stage = Stage.compile

    def without_xla(self: Any, *args: Any, **kwargs: Any) -> None:
        compile_stage(self, *args, **{**kwargs, "jit_compile": False})

    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("WYNER_CACHE_DIR", str(tmp_path_factory.mktemp("cache")))
        patch.setattr(Stage, "compile", without_xla)
        patch.setattr("wyner_keras.training.recipe", tiny)
        yield


def call(capsys: pytest.CaptureFixture[str], *words: Any) -> tuple[int, str, str]:
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


def refused(capsys: pytest.CaptureFixture[str], *words: Any, code: int = 2) -> str:
    """The one line that a failing command writes."""
    found, out, err = call(capsys, *words)
    assert (found, out) == (code, "")
    assert "Traceback" not in err
    (line,) = [line for line in err.splitlines() if line.startswith("wyner: error: ")]
    return line


def size_of(path: str | Path) -> tuple[int, int]:
    with Image.open(path) as image:
        return image.size


@pytest.fixture(scope="module")
def trained(tmp_path_factory: pytest.TempPathFactory) -> tuple[Path, dict[str, Any]]:
    folder = tmp_path_factory.mktemp("runs") / "run"
    words = ["train", "--data", "digits", "--quick", "--seed", "5", "--out", str(folder), "--json"]
    with contextlib.redirect_stdout(io.StringIO()) as out:
        assert main(words) == 0
    return folder, json.loads(out.getvalue())


# Without TensorFlow


@pytest.mark.parametrize(
    "command", ["", "train", "evaluate", "generate", "transfer", "figures", "theory"]
)
def test_help_needs_neither_tensorflow_nor_keras(command: str) -> None:
    code = (
        "import sys\nfrom wyner_keras.cli import main\n"
        "try:\n    main([*sys.argv[1:], '--help'])\n"
        "finally:\n    print('LOADED', *{'tensorflow', 'keras'} & set(sys.modules))"
    )
    words = [sys.executable, "-c", code, *command.split()]
    result = subprocess.run(words, capture_output=True, text=True)
    assert result.returncode == 0, result.stderr
    help_text, loaded = result.stdout.split("LOADED")
    assert loaded.split() == []
    assert f"usage: wyner {command}" in help_text
    if command:
        assert "--seed" in help_text
        assert "--json" in help_text


def test_version(capsys: pytest.CaptureFixture[str]) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["--version"])
    assert stopped.value.code == 0
    assert capsys.readouterr().out == f"wyner {runs.version()}\n"


@pytest.mark.parametrize(
    ("text", "expected"),
    [
        ("add-one", [1, 2, 3, 4, 5, 6, 7, 8, 9, 0]),
        ("3n+2", [2, 5, 8, 1, 4, 7, 0, 3, 6, 9]),
        ("n", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("same", [0, 1, 2, 3, 4, 5, 6, 7, 8, 9]),
        ("-n", [0, 9, 8, 7, 6, 5, 4, 3, 2, 1]),
        ("0n+4", [4] * 10),
        ("n - 1", [9, 0, 1, 2, 3, 4, 5, 6, 7, 8]),
    ],
)
def test_label_maps_by_expression(text: str, expected: list[int]) -> None:
    assert list(label_map(text, range(10)).values()) == expected


def test_label_maps_by_pairs() -> None:
    assert label_map("0:1, 1:2,2:0", (0, 1, 2)) == {0: 1, 1: 2, 2: 0}
    assert label_map('{"0": 1, "1": 0}', (0, 1)) == {0: 1, 1: 0}


@pytest.mark.parametrize("text", ["", "add-two", "0:1,0:2", "0:-1", "{}", "[1]", '{"a": 1}', "1:"])
def test_other_label_maps_are_refused(text: str) -> None:
    with pytest.raises(ValueError, match=r"a label map should be add-one, .* Received: "):
        label_map(text, (0, 1))


@given(st.text(alphabet='n0123456789+-:,{}" *', max_size=12) | st.text(max_size=12))
def test_any_text_is_a_label_map_or_refused_clearly(text: str) -> None:
    try:
        mapping = label_map(text, (0, 1, 2))
    except ValueError as error:
        assert "Received: " in str(error)
    else:
        assert all(
            isinstance(label, int) and label >= 0 for pair in mapping.items() for label in pair
        )


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--seed", "-1"], "expected one argument|whole number"),
        (["--seed", "1.5"], "should be a whole number of 0 or more. Received: '1.5'"),
        (["--local", "20"], "should be NxK, such as 20x10"),
        (["--map", "sideways"], "a label map should be"),
        (["--map", "absent.json"], "No such file"),
    ],
)
def test_malformed_options_are_refused_by_the_parser(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], message: str
) -> None:
    with pytest.raises(SystemExit) as stopped:
        main(["train", "--data", "digits", "--out", str(tmp_path / "run"), *words])
    assert stopped.value.code == 2
    assert re.search(message, capsys.readouterr().err)


# Training


def test_train_writes_the_whole_run(trained: tuple[Path, dict[str, Any]]) -> None:
    folder, values = trained
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "settings.json",
        "model.keras",
        "history.json",
        "metrics.json",
        "figures/conditional.png",
        "figures/transfer.png",
        "figures/joint.png",
    }
    assert not runs.partial_folder(folder).exists()
    for name in ("conditional", "transfer", "joint"):
        assert values[name] == str(folder / "figures" / f"{name}.png")
        assert min(size_of(values[name])) > 100
    assert values["run"] == str(folder)
    history = json.loads((folder / "history.json").read_text())
    assert set(history["history"]) == set(history["seconds"]) == {"joint", "marginal"}
    assert len(history["history"]["joint"]["loss"]) == 1
    metrics = json.loads((folder / "metrics.json").read_text())
    assert metrics == {"data": "digits", **values["metrics"]}
    assert 0 <= metrics["nats"]["i_xy_z"] <= metrics["nats"]["kl_z"]
    assert 0 <= metrics["figures"]["conditional_accuracy_y"]["model"] <= 1
    run = runs.Run.open(folder)
    assert run.seed == run.recipe.config.seed == metrics["seed"] == 5
    assert run.label_map == {label: (label + 1) % 10 for label in range(10)}
    assert run.recipe == tiny(seed=5)


def test_train_refuses_an_existing_run_before_any_work(
    trained: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    monkeypatch.setattr("wyner_keras.data.load", None)
    words = ("train", "--data", "digits", "--out", trained[0])
    assert "should not exist yet. Received: " in refused(capsys, *words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "no-such-folder"], "source should be one of .* Received: 'no-such-folder'"),
        (["--data", "digits", "--data-y", "none"], "source should be one of .* Received: 'none'"),
        (["--data", "digits", "--recipe", "magic"], "Received: name='magic'"),
        (["--data", "digits", "--map", "0:1"], "should name a partner for class 1"),
        (["--data", "digits", "--resume"], "--resume should find .*run.partial"),
    ],
)
def test_train_refuses_bad_input_and_leaves_nothing(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, words: list[str], message: str
) -> None:
    line = refused(capsys, "train", "--out", tmp_path / "run", "--quick", *words)
    assert re.search(message, line), line
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_good_weights(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wyner_keras.training import Ramp

    def exploding(*args: Any, **kwargs: Any) -> Any:
        recipe = tiny()
        rate = Ramp(start=1e-3, end=1e30)
        joint = dataclasses.replace(recipe.joint, epochs=2, learning_rate=rate, batch_size=100)
        return dataclasses.replace(recipe, joint=joint)

    monkeypatch.setattr("wyner_keras.training.recipe", exploding)
    words = ("train", "--data", "digits", "--quiet", "--out", tmp_path / "run")
    line = refused(capsys, *words, code=1)
    assert "The loss became" in line
    assert "1 good epochs" in line
    assert (tmp_path / "run.partial" / "checkpoints" / "joint.weights.h5").stat().st_size > 0
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_is_resumed(
    capsys: pytest.CaptureFixture[str], tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wyner_keras.models import MarginalStage

    def interrupt(*args: Any, **kwargs: Any) -> None:
        raise KeyboardInterrupt

    words = ("train", "--data", "digits", "--seed", 2, "--no-evaluate", "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(MarginalStage, "fit", interrupt)
        line = refused(capsys, *words, code=130)
    assert "interrupted" in line
    assert "run.partial; `--resume` goes on from it" in line
    assert "Go on from it with `--resume`" in refused(capsys, *words)
    again = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate", "--json")
    assert "--seed should be as at the start" in refused(capsys, *again, "--seed", 3)
    code, out, _ = call(capsys, *again)
    assert code == 0
    assert json.loads(out)["metrics"] is None
    run = runs.Run.open(tmp_path / "run")
    assert run.seed == 2
    assert run.load_model().built
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_finished_training_is_not_repeated_by_resume(
    trained: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    shutil.copytree(trained[0], tmp_path / "run.partial")
    monkeypatch.setattr("wyner_keras.training.kept.train", None)
    words = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate")
    assert call(capsys, *words)[0] == 0
    model = (tmp_path / "run" / "model.keras").read_bytes()
    assert model == (trained[0] / "model.keras").read_bytes()


# With a trained model


def test_evaluate_finds_the_same_again(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str]
) -> None:
    folder, values = trained
    before = (folder / "metrics.json").read_text()
    (folder / "metrics.json").unlink()
    code, out, _ = call(capsys, "evaluate", folder)
    assert code == 0
    assert "conditional accuracy, y from x" in out
    found = json.loads((folder / "metrics.json").read_text())
    first, second = json.loads(before)["figures"], found["figures"]
    assert first.keys() == second.keys()
    for name, figure in first.items():
        assert second[name] == pytest.approx(figure, abs=1e-3, nan_ok=True), name
    assert values["metrics"]["counts"] == found["counts"]


def test_generate_arrays_from_the_test_digits(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("generate", trained[0], "--from", "x", "--count", 12, "--samples", 3, "--json")
    code, out, _ = call(capsys, *words, "--out", tmp_path / "a.npz", "--seed", 1)
    assert code == 0
    assert json.loads(out) == {
        "out": str(tmp_path / "a.npz"),
        "from": "x",
        "seed": 1,
        "count": 12,
        "samples": 3,
    }
    arrays = np.load(tmp_path / "a.npz")
    assert arrays["x"].shape == (12, 8, 8, 1)
    assert arrays["y"].shape == (12, 3, 8, 8, 1)
    run = runs.Run.open(trained[0])
    test = run.source().test
    labels = [test.labels[(test.images == x).all((1, 2, 3))][0] for x in arrays["x"]]
    assert labels == [*range(10), 0, 1]  # each class in turn, of the images held out
    expected = run.load_model().generate_y(arrays["x"], seed=1, samples=3)
    np.testing.assert_array_equal(arrays["y"], expected)
    assert call(capsys, *words, "--out", tmp_path / "b.npz", "--seed", 2)[0] == 0
    assert (np.load(tmp_path / "b.npz")["y"] != arrays["y"]).any()


def test_generate_from_files(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    pixels = np.random.default_rng(0).integers(0, 256, (3, 8, 8), dtype=np.uint8)
    (tmp_path / "in").mkdir()
    for place, image in enumerate(pixels):
        Image.fromarray(image).save(tmp_path / "in" / f"{place}.png")
    np.save(tmp_path / "in.npy", (pixels / 255)[..., None])
    made = []
    for name, out in (("in", "a.npz"), ("in.npy", "b.npz")):
        words = ("generate", trained[0], "--from", "y", "--input", tmp_path / name)
        assert call(capsys, *words, "--out", tmp_path / out)[0] == 0
        made.append(np.load(tmp_path / out))
    for arrays in made:
        np.testing.assert_allclose(arrays["y"][..., 0], pixels / 255, atol=1e-6)
        assert arrays["x"].shape == (3, 8, 8, 8, 1)
    np.testing.assert_allclose(made[0]["x"], made[1]["x"], atol=1e-5)


@pytest.mark.parametrize(
    "words",
    [
        ("generate", "--from", "x", "--count", 4),
        ("generate", "--from", "prior", "--count", 5),
        ("transfer", "--side", "x"),
        ("transfer", "--side", "y"),
    ],
)
def test_pictures_are_written_whole_and_never_over_another(
    trained: tuple[Path, dict[str, Any]],
    capsys: pytest.CaptureFixture[str],
    tmp_path: Path,
    words: tuple[Any, ...],
) -> None:
    words = (words[0], trained[0], *words[1:], "--out", tmp_path / "deep" / "a.png")
    assert call(capsys, *words)[0] == 0
    assert [path.name for path in (tmp_path / "deep").iterdir()] == ["a.png"]
    assert min(size_of(tmp_path / "deep" / "a.png")) > 100
    assert "should not exist yet" in refused(capsys, *words)


def test_transfer_arrays(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    out = tmp_path / "a.npz"
    words = ("transfer", trained[0], "--side", "y", "--seed", 4, "--json", "--out", out)
    code, text, _ = call(capsys, *words)
    assert code == 0
    assert json.loads(text)["styles"] == 6
    arrays = np.load(out)
    assert arrays["result"].shape == (6, 10, 8, 8, 1)
    model = runs.Run.open(trained[0]).load_model()
    expected = model.transfer_y(style=arrays["style"], concept=arrays["concept"], seed=4)
    np.testing.assert_array_equal(arrays["result"], expected)


def test_prior_pairs_as_arrays(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    words = ("generate", trained[0], "--from", "prior", "--count", 7, "--out", tmp_path / "a.npz")
    assert call(capsys, *words)[0] == 0
    assert {name: array.shape for name, array in np.load(tmp_path / "a.npz").items()} == {
        "x": (7, 8, 8, 1),
        "y": (7, 8, 8, 1),
    }


def test_bad_requests_are_one_clear_line(
    trained: tuple[Path, dict[str, Any]], capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    folder, out = trained[0], tmp_path / "a.npz"
    np.save(tmp_path / "bytes.npy", np.zeros((2, 8, 8, 1), np.uint8))
    np.save(tmp_path / "large.npy", np.zeros((2, 9, 9, 1)))
    (tmp_path / "text.npy").write_text("no array")
    (tmp_path / "text.png").write_text("no picture")
    Image.new("L", (9, 8)).save(tmp_path / "wide.png")
    for name, message in (
        ("bytes.npy", "divide integer intensities by 255"),
        ("large.npy", "should have shape (n, 8, 8, 1)"),
        ("text.npy", "should be a NumPy array"),
        ("text.png", "should be readable"),
        ("wide.png", "8 high and 9 wide"),
        ("absent.png", "should be one .npy file, or "),
    ):
        words = ("generate", folder, "--from", "x", "--out", out, "--input", tmp_path / name)
        line = refused(capsys, *words)
        assert message in line
        assert "Received: " in line
    words = ("generate", folder, "--from")
    assert "at most 360" in refused(capsys, *words, "x", "--count", 361, "--out", out)
    assert "neither" in refused(capsys, *words, "prior", "--samples", 2, "--out", out)
    assert ".npz or .png" in refused(capsys, *words, "x", "--out", tmp_path / "a.txt")
    assert "written by `wyner train`" in refused(capsys, "evaluate", tmp_path)
    assert "written by" in refused(capsys, "transfer", "no-run", "--side", "x", "--out", out)
    assert not out.exists()
