import json
import re
import shutil

import numpy as np
import pytest
from PIL import Image

from wyner_keras import runs

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
    assert set(history["history"]) == set(history["seconds"]) == {"codec", "joint", "marginal"}
    assert len(history["history"]["joint"]["loss"]) == 1
    metrics = json.loads((folder / "metrics.json").read_text())
    expected = {"data": "digits", "quick": True, "seed": 5}
    assert metrics == {"data": expected, **values["metrics"]}
    assert 0 <= metrics["nats"]["i_xy_z"] <= metrics["nats"]["kl_z"]
    assert 0 <= metrics["figures"]["conditional_accuracy_y"]["model"] <= 1
    assert "found_first_y" in metrics["figures"]
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


@pytest.mark.parametrize(
    ("name", "kinds"),
    [("folder", ["image", "image"]), ("table", ["vector"] * 2), ("arrays", ["vector", "series"])],
)
def test_pairs_of_every_kind_are_trained_on_and_judged(given, call, tmp_path, name, kinds):
    folder = tmp_path / "run"
    code, out, err = call("train", *given[name], "--seed", 1, "--quick", "--quiet", "--out", folder)
    assert code == 0, err
    # Figures without labels, always.
    assert "ranked first" in out and "conditional fit" in out and "trained in" in out
    assert files_of(folder) == {*FILES, "metrics.json"}
    run = runs.Run.open(folder)
    model = run.load_model()
    assert [entry["kind"] for entry in model.side_entries.values()] == kinds
    train, held_out = run.pairs()
    assert len(held_out) == {"folder": 8, "table": 6, "arrays": 12}[name]
    examples = run.examples()
    assert len(examples) == len(held_out)
    assert (examples.labels["x"] is not None) == (name == "table")
    if name == "folder":
        assert examples.rows["x"].dtype == np.uint8
        assert examples.rows["y"].shape == (8, 8, 8, 3)
        assert train.facts().pairs == 32
    if name == "table":
        assert [column["kind"] for column in model.side_entries["y"]["columns"]] == [
            "real",
            "binary",
        ]
        sums = examples.rows["x"].sum(axis=1)
        np.testing.assert_allclose(examples.rows["y"][:, 0], sums, atol=2e-4)


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
    """Changes settings of the recipe's stages from here on."""

    def change(**settings):
        import wyner_keras.recipes as recipes

        default = recipes.default

        def changed(facts, **given):
            recipe = default(facts, **given)
            for name in ("joint", "marginal"):
                recipe = recipe.changed(name, **settings)
            return recipe

        monkeypatch.setattr(recipes, "default", changed)

    return change


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_good_weights(
    changed_recipe, given, refused, tmp_path
):
    from wyner_keras.schedules import Ramp

    changed_recipe(epochs=2, learning_rate=Ramp(start=1e-3, end=1e30), batch_size=5)
    words = ("train", *given["table"], "--quiet", "--out", tmp_path / "run")
    line = refused(*words, code=1)
    assert "The loss became" in line
    assert "1 good epochs" in line
    assert (tmp_path / "run.partial" / "checkpoints" / "joint.weights.h5").stat().st_size > 0
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_is_resumed(given, call, refused, tmp_path, monkeypatch):
    from wyner_keras.stage import Stage

    fit = Stage.fit

    def interrupted(self, *args, **kwargs):
        if type(self.objective).__name__ == "Marginal":
            raise KeyboardInterrupt
        return fit(self, *args, **kwargs)

    words = ("train", *given["arrays"], "--seed", 2, "--no-evaluate", "--longer", 2)
    words += ("--out", tmp_path / "run")
    with monkeypatch.context() as patch:
        patch.setattr(Stage, "fit", interrupted)
        line = refused(*words, code=130)
    assert "interrupted" in line
    assert "run.partial; `--resume` goes on from it" in line
    assert "Go on from it with `--resume`" in refused(*words)
    again = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate", "--json")
    assert "--seed should be as at the start" in refused(*again, "--seed", 3)
    assert "--x should be as at the start" in refused(*again, "--x", "other.npy")
    code, out, _ = call(*again)
    assert code == 0
    assert json.loads(out)["metrics"] is None
    run = runs.Run.open(tmp_path / "run")
    assert run.seed == 2
    assert [stage.epochs for stage in run.recipe.stages] == [2, 2]
    assert run.load_model().built
    assert files_of(tmp_path / "run") == FILES


def test_a_finished_training_is_not_repeated_by_resume(trained, call, tmp_path, monkeypatch):
    shutil.copytree(trained[0], tmp_path / "run.partial")
    monkeypatch.setattr("wyner_keras.training.train", None)
    words = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate")
    assert call(*words)[0] == 0
    model = (tmp_path / "run" / "model.keras").read_bytes()
    assert model == (trained[0] / "model.keras").read_bytes()


def test_a_budget_shortens_what_is_trained_and_kept(
    changed_recipe, given, call, tmp_path, monkeypatch
):
    import wyner_keras.budget as budget

    changed_recipe(epochs=8)
    costs = {"codec": (0.0, 0.0, 1), "joint": (1.0, 1.0, 8), "marginal": (1.0, 1.0, 8)}
    monkeypatch.setattr(budget, "_costs", lambda recipe, pairs: dict(costs))
    words = ("train", *given["table"], "--no-evaluate", "--budget", "8s", "--out", tmp_path / "run")
    assert call(*words)[0] == 0
    run = runs.Run.open(tmp_path / "run")
    epochs = [stage.epochs for stage in run.recipe.stages]
    assert 1 <= max(epochs) < 8
    history = json.loads((tmp_path / "run" / "history.json").read_text())["history"]
    ran = [len(history[name]["loss"]) for name in ("joint", "marginal")]
    assert all(1 <= each <= most for each, most in zip(ran, epochs, strict=True))
