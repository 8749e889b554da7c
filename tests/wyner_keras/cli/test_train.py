import dataclasses
import json
import os
import re
import shutil
import signal
import subprocess
import time

import numpy as np
import pytest
from PIL import Image

from wyner_keras import runs
from wyner_serving.whole import held

FILES = {
    "settings.json",
    "model.keras",
    "history.json",
    "examples.npz",
    "figures/conditional.png",
    "figures/transfer.png",
    "figures/joint.png",
}


def files_of(folder):
    return {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}


def test_train_writes_the_whole_run(trained):
    folder, values = trained
    assert files_of(folder) == {*FILES, "metrics.json"}
    assert not runs.partial_folder(folder).exists()
    for name in ("conditional", "transfer", "joint"):
        assert values[name] == str(folder / "figures" / f"{name}.png")
        with Image.open(values[name]) as image:
            assert min(image.size) > 100
    assert values["run"] == str(folder)
    history = json.loads((folder / "history.json").read_text())
    assert set(history["history"]) == set(history["seconds"]) == {"codec", "joint"}
    assert len(history["history"]["joint"]["loss"]) == 1
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = {"data": "digits", "quick": True, "seed": 5}
    assert metrics == {"data": expected, **values["metrics"]}
    assert 0 <= metrics["nats"]["i_xy_z"] <= metrics["nats"]["kl_z"]
    assert 0 <= metrics["figures"]["conditional_accuracy_y"]["model"] <= 1
    assert "found_first_y" in metrics["figures"]
    assert metrics["left_out"]["log_likelihood_y"].endswith("a run without `--quick`")
    run = runs.Run.open(folder)
    assert run.seed == run.recipe.seed == metrics["seed"] == 5
    train, held_out = run.pairs()
    assert (len(train), len(held_out)) == (640, 360)
    assert run.recipe.stage("joint").epochs == 1


@pytest.fixture(scope="module")
def given(tmp_path_factory, pair_folder):
    """Words for data of every kind."""
    root, rng = tmp_path_factory.mktemp("given"), np.random.default_rng(0)
    x = rng.normal(size=(30, 3))
    lines = ["x.a,x.b,x.c,y.sum,y.sign,label"]
    for row in x:
        values = (*row, row.sum(), int(row[0] > 0))
        lines.append(
            ",".join(f"{value:.4f}" for value in values[:4]) + f",{values[4]},{'uv'[values[4]]}"
        )
    (root / "pairs.csv").write_text("\n".join(lines))
    np.save(root / "series.npy", rng.normal(size=(30, 12, 2)))
    np.save(root / "vectors.npy", x)
    return {
        "folder": ("--pairs", pair_folder),
        "table": ("--pairs", root / "pairs.csv", "--kinds", "y.sign=binary"),
        "arrays": ("--x", root / "vectors.npy", "--y", root / "series.npy", "--held-out", 0.4),
    }


def kinds_of(run):
    return [entry["kind"] for entry in run.load_model().side_entries.values()]


def test_images_by_name_are_trained_on_and_judged_without_labels(given, call, tmp_path):
    folder = tmp_path / "run"
    code, out, error = call("train", *given["folder"], "--quiet", "--out", folder)
    assert code == 0, error
    assert "ranked first" in out and "conditional fit" in out and "trained in" in out
    assert files_of(folder) == {*FILES, "metrics.json"}
    run = runs.Run.open(folder)
    assert kinds_of(run) == ["image", "image"]
    train, held_out = run.pairs()
    examples = run.examples()
    assert (len(train), len(held_out), len(examples)) == (32, 8, 8)
    assert examples.labels == {"x": None, "y": None}
    assert examples.rows["x"].dtype == np.uint8
    assert examples.rows["y"].shape == (8, 8, 8, 3)


def test_columns_of_a_table_are_trained_on(given, call, tmp_path):
    folder = tmp_path / "run"
    words = ("train", *given["table"], "--no-evaluate", "--quiet", "--out", folder)
    code, _, error = call(*words)
    assert code == 0, error
    assert files_of(folder) == FILES
    run = runs.Run.open(folder)
    assert kinds_of(run) == ["vector", "vector"]
    columns = run.load_model().side_entries["y"]["columns"]
    assert [column["kind"] for column in columns] == ["real", "binary"]
    examples = run.examples()
    assert len(examples) == len(run.pairs()[1]) == 6
    assert set(examples.labels["x"]) == {"u", "v"}
    sums = examples.rows["x"].sum(axis=1)
    np.testing.assert_allclose(examples.rows["y"][:, 0], sums, atol=2e-4)


def test_rows_without_partner_are_trained_on_and_kept_with_the_run(given, call, tmp_path):
    np.save(tmp_path / "extra.npy", np.random.default_rng(1).normal(size=(12, 3)))
    words = ("--extra-x", tmp_path / "extra.npy", "--quick", "--no-evaluate")
    code, _, error = call("train", *given["arrays"], *words, "--out", tmp_path / "run")
    assert code == 0, error
    assert "singles: 12 of x" in error
    run = runs.Run.open(tmp_path / "run")
    train, held_out = run.pairs()
    assert (train.facts().singles, held_out.facts().singles) == ((12, 0), (0, 0))


def test_train_refuses_an_existing_run_before_any_work(trained, refused, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.load", None)
    words = ("train", "--data", "digits", "--out", trained[0])
    assert "should not exist yet. Received: " in refused(*words)


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--data", "no-such-folder"], "source should be one of .* Received: '.*no-such-folder'"),
        (["--data", "digits", "--data-y", "none"], "source should be one of .* Received: '.*none'"),
        (["--data", "digits", "--map", "0:1"], "should name a partner for class 1"),
        (["--data", "digits", "--pairs", "a"], "pairs should come from --pairs alone"),
        (["--data", "digits", "--missing"], "should be of columns"),
        (["--x", "a.npy"], "pairs should come from .* Received: --x a.npy"),
        (["--x", "a.npy", "--y", "b.npy"], "a.npy"),
        (["--pairs", "absent.csv"], "absent.csv"),
        (["--data", "digits", "--budget", "soon"], "`budget` should be a time.* Received: .*soon"),
        (["--data", "digits", "--resume"], "--resume should find .*run.partial"),
    ],
)
def test_train_refuses_bad_input_and_leaves_nothing(refused, tmp_path, words, message):
    line = refused("train", "--out", tmp_path / "run", "--quick", *words)
    assert re.search(message, line), line
    assert list(tmp_path.iterdir()) == []


def test_an_unreadable_image_is_named_and_nothing_is_begun(pair_folder, refused, tmp_path):
    shutil.copytree(pair_folder, tmp_path / "data")
    (tmp_path / "data" / "y" / "07.png").write_bytes(b"no picture")
    words = ("train", "--pairs", tmp_path / "data", "--out", tmp_path / "run")
    assert "07.png" in refused(*words)
    (tmp_path / "data" / "y" / "07.png").unlink()
    assert "without a partner: x/07.png" in refused(*words)
    assert [path.name for path in tmp_path.iterdir()] == ["data"]


@pytest.fixture
def changed_recipe(monkeypatch):
    """Changes settings of the recipe's stage from here on, and adds another one."""

    def change(also=None, **settings):
        import wyner_keras.recipes as recipes

        default = recipes.default

        def changed(facts, **given):
            recipe = default(facts, **given).changed("joint", **settings)
            more = () if also is None else (dataclasses.replace(recipe.stages[0], **also),)
            return dataclasses.replace(recipe, stages=(*recipe.stages, *more))

        monkeypatch.setattr(recipes, "default", changed)

    return change


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_good_weights(
    changed_recipe, given, refused, tmp_path
):
    from wyner_keras.schedules import Ramp

    changed_recipe(epochs=2, learning_rate=Ramp(start=1e-3, end=1e30), batch_size=5)
    words = ("train", *given["arrays"], "--quiet", "--out", tmp_path / "run")
    line = refused(*words, code=1)
    assert "The loss became" in line
    assert "1 good epochs" in line
    assert (tmp_path / "run.partial" / "checkpoints" / "joint.weights.h5").stat().st_size > 0
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_is_resumed(changed_recipe, given, call, refused, tmp_path, monkeypatch):
    from wyner_keras.losses import Marginal
    from wyner_keras.stage import Stage

    changed_recipe({"name": "marginal", "loss": Marginal()})
    fit = Stage.fit

    def interrupted(self, *args, **kwargs):
        if type(self.objective).__name__ == "Marginal":
            raise KeyboardInterrupt
        return fit(self, *args, **kwargs)

    words = ("train", *given["arrays"], "--seed", 2, "--longer", 2, "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "fit", interrupted)
        line = refused(*words, code=130)
    assert "interrupted" in line
    assert "run.partial; `--resume` goes on from it" in line
    assert "Go on from it with `--resume`" in refused(*words)
    again = ("train", "--out", tmp_path / "run", "--resume", "--json")
    assert "--seed should be as at the start" in refused(*again, "--seed", 3)
    assert "--x should be as at the start" in refused(*again, "--x", "other.npy")
    place, name = os.path.split(given["arrays"][1])
    code, out, _ = call(*again, "--seed", 2, "--x", os.path.join(place, ".", name))
    assert code == 0
    assert json.loads(out)["metrics"]["figures"]
    run = runs.Run.open(tmp_path / "run")
    assert run.seed == 2
    assert [stage.epochs for stage in run.recipe.stages] == [2, 2]
    assert kinds_of(run) == ["vector", "series"]
    assert len(run.examples()) == len(run.pairs()[1]) == 12
    assert files_of(tmp_path / "run") == {*FILES, "metrics.json"}


def test_a_finished_training_is_not_repeated_by_resume(trained, call, tmp_path, monkeypatch):
    shutil.copytree(trained[0], tmp_path / "run.partial")
    monkeypatch.setattr("wyner_keras.training.train", None)
    words = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate", "--json")
    code, out, _ = call(*words)
    assert code == 0
    assert json.loads(out)["metrics"] is None
    model = (tmp_path / "run" / "model.keras").read_bytes()
    assert model == (trained[0] / "model.keras").read_bytes()


def test_a_budget_shortens_what_is_trained_and_kept(
    changed_recipe, given, call, tmp_path, monkeypatch
):
    from wyner_keras import budget

    changed_recipe(epochs=8)
    monkeypatch.setattr(budget.Budget, "_codecs", lambda *_: budget._Cost(0.0, 0.0, 0))
    monkeypatch.setattr(budget.Budget, "_stage", lambda *_: budget._Cost(100.0, 2400.0, 24))
    words = (
        "train",
        *given["arrays"],
        "--no-evaluate",
        "--budget",
        "400s",
    )  # a busy machine is slow
    assert call(*words, "--out", tmp_path / "run")[0] == 0
    run = runs.Run.open(tmp_path / "run")
    epochs = run.recipe.stage("joint").epochs
    assert 1 < epochs < 8
    history = json.loads((tmp_path / "run" / "history.json").read_text())["history"]
    assert 1 <= len(history["joint"]["loss"]) <= epochs


@pytest.fixture
def disk(tmp_path):
    """A small disk, and what changes its options; of those who may mount one."""
    place = tmp_path / "disk"
    place.mkdir()
    made = ["mount", "-t", "tmpfs", "-o", "size=256k", "tmpfs", place]
    try:
        subprocess.run(made, check=True, capture_output=True)
    except (OSError, subprocess.CalledProcessError):
        pytest.skip("no disk can be mounted here")

    def remount(options):
        words = ["mount", "-o", f"remount,{options}", place]
        subprocess.run(words, check=True, capture_output=True)

    yield place, remount
    subprocess.run(["umount", "-l", place], check=True)


def test_a_full_and_a_read_only_disk_are_told_and_the_run_goes_on_when_there_is_room(
    disk, changed_recipe, given, call, refused, tmp_path
):
    from wyner_keras.losses import Marginal

    place, remount = disk
    changed_recipe({"name": "marginal", "loss": Marginal()}, epochs=3)
    words = ("train", *given["arrays"], "--no-evaluate", "--quiet", "--out", place / "run")
    remount("ro")
    line = refused(*words, code=1)
    assert re.search(r"run\.partial should be written. Received: Read-only file system$", line)
    remount("rw")
    filler = place / "filler"
    filler.write_bytes(bytes(200_000))
    line = refused(*words, code=1)
    assert re.search(r"\w+ should be written. Received: No space left on device$", line), line
    filler.unlink()
    remount("size=64m")
    begun = (place / "run.partial").exists()
    again = ("--resume", "--out", place / "run", "--no-evaluate") if begun else words[1:]
    assert call("train", *again)[0] == 0
    assert files_of(place / "run") == FILES


def test_a_folder_that_vanishes_ends_the_run_and_does_not_come_back(
    given, refused, tmp_path, monkeypatch
):
    from wyner_keras.cli import outputs
    from wyner_keras.stage import Stage

    words = ("train", *given["arrays"], "--quiet", "--out", tmp_path / "run")
    partial = tmp_path / "run.partial"

    def vanishing(function):
        def vanish(*args, **kwargs):
            shutil.rmtree(partial)
            return function(*args, **kwargs)

        return vanish

    for owner, name in ((Stage, "fit"), (outputs, "draw")):
        with monkeypatch.context() as patch:
            patch.setattr(owner, name, vanishing(getattr(owner, name)))
            assert "run.partial" in refused(*words, "--no-evaluate", code=1)
        assert not (tmp_path / "run").exists()
        assert not partial.exists()


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 143), (signal.SIGINT, 130)])
def test_a_signal_ends_the_run_by_a_line_and_keeps_what_was_reached(
    number, code, given, call, refused, tmp_path, monkeypatch
):
    from wyner_keras.stage import Stage

    def ended(*_, **__):
        os.kill(os.getpid(), number)
        time.sleep(10)

    words = ("train", *given["arrays"], "--no-evaluate", "--quiet", "--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "fit", ended)
        line = refused(*words, code=code)
    said = {143: "ended by SIGTERM", 130: "interrupted"}[code]
    assert f"{said}. What was reached is kept in {tmp_path / 'run.partial'}; `--resume`" in line
    assert signal.getsignal(signal.SIGTERM) is signal.SIG_DFL
    assert call("train", "--resume", "--no-evaluate", "--out", tmp_path / "run")[0] == 0


def test_a_run_that_another_process_trains_is_refused(given, call, refused, tmp_path, monkeypatch):
    from wyner_keras import training

    out = tmp_path / "run"
    words = ("train", *given["arrays"], "--no-evaluate", "--quiet", "--out", out)
    second = []
    train = training.train

    def meanwhile(*args, **kwargs):
        # Of another process, as it seems: the lock is the descriptor's.
        second.append(refused("train", "--resume", "--out", out, code=1))
        second.append(refused(*words))
        return train(*args, **kwargs)

    monkeypatch.setattr("wyner_keras.training.train", meanwhile)
    assert call(*words)[0] == 0
    assert "run.partial should be written by one process at a time" in second[0]
    assert "an earlier run left it, or another process trains it" in second[1]
    with held(out):
        assert files_of(out) == FILES
