import dataclasses
import json
import re
import shutil

import pytest
from PIL import Image

from wyner_keras import runs


def test_train_writes_the_whole_run(trained, tiny_recipe):
    folder, values = trained
    files = {str(path.relative_to(folder)) for path in folder.rglob("*") if path.is_file()}
    assert files == {
        "settings.json",
        "model.keras",
        "history.json",
        "metrics.json",
        "examples.npz",
        "figures/conditional.png",
        "figures/transfer.png",
        "figures/joint.png",
    }
    assert not runs.partial_folder(folder).exists()
    for name in ("conditional", "transfer", "joint"):
        assert values[name] == str(folder / "figures" / f"{name}.png")
        with Image.open(values[name]) as image:
            assert min(image.size) > 100
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
    assert run.recipe == tiny_recipe(seed=5)


def test_train_refuses_an_existing_run_before_any_work(trained, refused, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.load", None)
    words = ("train", "--data", "digits", "--out", trained[0])
    assert "should not exist yet. Received: " in refused(*words)


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
def test_train_refuses_bad_input_and_leaves_nothing(refused, tmp_path, words, message):
    line = refused("train", "--out", tmp_path / "run", "--quick", *words)
    assert re.search(message, line), line
    assert list(tmp_path.iterdir()) == []


def test_a_loss_that_is_not_finite_stops_training_and_keeps_the_last_good_weights(
    tiny_recipe, refused, tmp_path, monkeypatch
):
    from wyner_keras.training import Ramp

    def exploding(*args, **kwargs):
        recipe = tiny_recipe()
        rate = Ramp(start=1e-3, end=1e30)
        joint = dataclasses.replace(recipe.joint, epochs=2, learning_rate=rate, batch_size=100)
        return dataclasses.replace(recipe, joint=joint)

    monkeypatch.setattr("wyner_keras.training.recipe", exploding)
    words = ("train", "--data", "digits", "--quiet", "--out", tmp_path / "run")
    line = refused(*words, code=1)
    assert "The loss became" in line
    assert "1 good epochs" in line
    assert (tmp_path / "run.partial" / "checkpoints" / "joint.weights.h5").stat().st_size > 0
    assert not (tmp_path / "run").exists()


def test_an_interrupted_run_is_resumed(call, refused, tmp_path, monkeypatch):
    from wyner_keras.models import MarginalStage

    def interrupt(*args, **kwargs):
        raise KeyboardInterrupt

    words = ("train", "--data", "digits", "--seed", 2, "--no-evaluate", "--out", tmp_path / "run")
    words += ("--longer", 2)
    with monkeypatch.context() as patch:
        patch.setattr(MarginalStage, "fit", interrupt)
        line = refused(*words, code=130)
    assert "interrupted" in line
    assert "run.partial; `--resume` goes on from it" in line
    assert "Go on from it with `--resume`" in refused(*words)
    again = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate", "--json")
    assert "--seed should be as at the start" in refused(*again, "--seed", 3)
    code, out, _ = call(*again)
    assert code == 0
    assert json.loads(out)["metrics"] is None
    run = runs.Run.open(tmp_path / "run")
    assert run.seed == 2
    assert run.recipe.joint.epochs == run.recipe.marginal.epochs == 2
    assert run.load_model().built
    assert not (tmp_path / "run" / "metrics.json").exists()
    assert not (tmp_path / "run" / "checkpoints").exists()


def test_a_finished_training_is_not_repeated_by_resume(trained, call, tmp_path, monkeypatch):
    shutil.copytree(trained[0], tmp_path / "run.partial")
    monkeypatch.setattr("wyner_keras.training.kept.train", None)
    words = ("train", "--out", tmp_path / "run", "--resume", "--no-evaluate")
    assert call(*words)[0] == 0
    model = (tmp_path / "run" / "model.keras").read_bytes()
    assert model == (trained[0] / "model.keras").read_bytes()
