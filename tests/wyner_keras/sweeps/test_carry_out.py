import importlib
import json
import shutil

import numpy as np
import pytest

from wyner_keras import runs
from wyner_keras.evaluation import Report
from wyner_keras.evaluation.report import Figure
from wyner_keras.files import write_json
from wyner_keras.models import MarginalStage, TrainingDiverged, WynerModel
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.sweeps import Sweep, carry_out, check_folder
from wyner_keras.training.train import Trained

# Packages offer functions under their modules' names.
module = importlib.import_module("wyner_keras.sweeps.carry_out")
train_module = importlib.import_module("wyner_keras.training.train")


class Work:
    """Stands for training and judging: counts what was done, and may fail at one place."""

    def __init__(self, models):
        self.models = models
        self.wrappers, self.trained, self.judged, self.judges = 0, [], 0, 0
        self.fails_at, self.error = None, KeyboardInterrupt()

    def train_wrapper(self, source, recipe, verbose):
        self.wrappers += 1
        wrapper = ConvAutoencoder((8, 8, 1), code_size=4, filters=(4, 4))
        wrapper.build()
        return wrapper, {}

    def train(self, source, recipe, *, mapping, target, wrapper, folder, after_stage, verbose):
        assert target is None
        if len(self.trained) == self.fails_at:
            self.fails_at = None
            (folder / "joint").mkdir(parents=True)
            (folder / "joint" / "weights").write_bytes(b"kept")
            raise self.error
        self.trained.append(recipe.config.u)
        assert isinstance(wrapper, ConvAutoencoder)
        model = self.models.get(recipe.config)
        if model is None:
            model = self.models[recipe.config] = WynerModel(recipe.config, wrapper=wrapper)
        return Trained(
            model, None, {"joint": {"loss": [1.0]}}, {"joint": 2.0, "marginal": 0.5}, 1.25
        )

    def judge_for(self, source, verbose):
        self.judges += 1
        return "judge"

    def evaluate(self, model, source, *, label_map, judge, inputs, seed, **sizes):
        assert judge == "judge"
        assert inputs == 30
        self.judged += 1
        value = 0.0 if model.config.u is None else model.config.u.dim / 10
        figures = {"conditional_accuracy_y": Figure(value, 1.0)}
        return Report(figures=figures, counts={}, seed=seed)

    def measure(self, model, pairs, *, rows, seed):
        assert rows == 30
        assert (pairs.y_labels == (pairs.x_labels + 1) % 3).all()
        return {"i_xy_z": 1.0, "i_x_u_upper": float("nan")}


@pytest.fixture(scope="module")
def models():
    """What `Work` made, by configuration: a model's generation is traced once for all tests."""
    return {}


@pytest.fixture
def work(models, monkeypatch):
    found = Work(models)
    monkeypatch.setattr("wyner_keras.training.kept.train", found.train)
    monkeypatch.setattr("wyner_keras.training.train_wrapper", found.train_wrapper)
    monkeypatch.setattr("wyner_keras.evaluation.judge_for", found.judge_for)
    monkeypatch.setattr("wyner_keras.evaluation.evaluate", found.evaluate)
    monkeypatch.setattr("wyner_keras.information.measure", found.measure)
    return found


def test_each_configuration_is_trained_and_judged_once_with_one_wrapper(work, tiny_sweep, workshop):
    found = carry_out(tiny_sweep, workshop)
    assert list(found) == ["u0", "u2", "u3"]
    assert (work.wrappers, len(work.trained), work.judged, work.judges) == (1, 3, 3, 1)
    assert found["u3"] == {
        "seconds": {"joint": 2.0, "marginal": 0.5},
        "figures": {"conditional_accuracy_y": 0.3},
        "nats": {"i_xy_z": 1.0, "i_x_u_upper": None},
        "shared_nats": 1.25,
    }
    for one in tiny_sweep.configurations:
        run = runs.Run.open(workshop.run_folder(one))
        assert run.recipe == one.recipe
        assert run.label_map == {0: 1, 1: 2, 2: 0}
        assert run.seed == one.recipe.config.seed
        assert not (run.folder / "checkpoints").exists()
    assert carry_out(tiny_sweep, workshop) == found
    assert (work.wrappers, len(work.trained), work.judged, work.judges) == (1, 3, 3, 1)


def test_all_configurations_show_the_same_inputs(work, tiny_sweep, workshop):
    carry_out(tiny_sweep, workshop)
    images = [module.shown(workshop, one) for one in tiny_sweep.configurations]
    for found in images:
        for name in ("inputs", "styles", "concepts"):
            np.testing.assert_array_equal(found[name], images[0][name])
        assert found["samples"].shape == (3, 10, 8, 8, 1)
        assert found["results"].shape == (3, 3, 8, 8, 1)
    # Each class of x in turn, and concepts of y such that transferred x do the same.
    test = workshop.source.test
    for name, labels in (("inputs", [0, 1, 2]), ("concepts", [1, 2, 0])):
        for image, label in zip(images[0][name], labels, strict=True):
            distance = np.abs(test.images[test.labels == label] - image).max((1, 2, 3))
            assert distance.min() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_killed_sweep_goes_on_with_the_configuration_it_was_at(work, tiny_sweep, workshop, place):
    work.fails_at = place
    with pytest.raises(KeyboardInterrupt):
        carry_out(tiny_sweep, workshop)
    names = [one.name for one in tiny_sweep.configurations]
    left = {path.name for path in (workshop.folder / "runs").iterdir()}
    assert left == {*names[:place], f"{names[place]}.partial"}
    kept = workshop.folder / "runs" / f"{names[place]}.partial" / "checkpoints" / "joint"
    assert (kept / "weights").read_bytes() == b"kept"
    shutil.rmtree(kept)
    assert list(carry_out(tiny_sweep, workshop)) == names
    assert work.trained == [one.recipe.config.u for one in tiny_sweep.configurations]
    assert work.wrappers == 1


def test_a_sweep_killed_while_judging_is_not_trained_again(work, tiny_sweep, workshop, monkeypatch):
    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.information.measure", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            carry_out(tiny_sweep, workshop)
    carry_out(tiny_sweep, workshop)
    assert len(work.trained) == 3
    assert work.judged == 4


def test_a_sweep_killed_before_a_runs_settings_were_written_goes_on(work, tiny_sweep, workshop):
    (workshop.folder / "runs" / "u0.partial").mkdir(parents=True)
    write_json(workshop.folder / module.SETTINGS, workshop.settings)
    assert len(carry_out(tiny_sweep, workshop)) == 3


def test_another_sweep_trains_only_what_is_not_there(work, tiny_sweep, workshop):
    first, second = tiny_sweep.bands
    carry_out(Sweep(name="a", title="A", bands=(first,)), workshop)
    carry_out(Sweep(name="b", title="B", bands=(second,)), workshop)
    assert [latent and latent.dim for latent in work.trained] == [None, 2, 3]
    assert work.wrappers == 1


def test_a_divergence_names_its_configuration(work, tiny_sweep, workshop):
    work.fails_at, work.error = 1, TrainingDiverged("The loss became nan.")
    with pytest.raises(TrainingDiverged, match=r"u2: The loss became nan\."):
        carry_out(tiny_sweep, workshop)


def test_a_run_of_another_recipe_is_refused_before_any_work(
    work, tiny_sweep, workshop, monkeypatch
):
    carry_out(tiny_sweep, workshop)
    path = workshop.folder / "runs" / "u3" / "settings.json"
    settings = json.loads(path.read_text())
    settings["recipe"]["pairs_per_class"] = 17
    path.write_text(json.dumps(settings))
    shutil.rmtree(workshop.folder / "runs" / "u0")
    with pytest.raises(ValueError, match=r"u3' should hold a run of u3's recipe"):
        carry_out(tiny_sweep, workshop)
    assert len(work.trained) == 3


def test_folders_for_sweeps(tmp_path):
    settings = {"data": "digits", "size": "quick", "seed": 0}
    assert check_folder(tmp_path / "new", settings) == tmp_path / "new"
    assert list(tmp_path.iterdir()) == []
    assert check_folder(tmp_path, settings) == tmp_path
    (tmp_path / "file").write_text("")
    for bad in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match="new folder or one that `wyner figures` began"):
            check_folder(bad, settings)
    write_json(tmp_path / module.SETTINGS, settings)
    assert check_folder(str(tmp_path), settings) == tmp_path
    with pytest.raises(ValueError, match=r"`seed` should be 0, as .* was begun.*seed=1"):
        check_folder(tmp_path, {**settings, "seed": 1})
    (tmp_path / module.SETTINGS).write_text("[]")
    with pytest.raises(ValueError, match="new folder or one that `wyner figures` began"):
        check_folder(tmp_path, settings)


def test_real_training_resumes_by_stage_and_is_judged(tiny_sweep, workshop, monkeypatch):
    """Nothing replaced but the judge, who is hasty."""
    (only,) = tiny_sweep.bands[1].configurations[1:]
    sweep = Sweep(
        name="real",
        title="Real",
        bands=(type(tiny_sweep.bands[0])(title="one", configurations=(only,)),),
    )
    judge_for, fit, fitted = module.evaluation.judge_for, train_module._fit, []
    monkeypatch.setattr(
        "wyner_keras.evaluation.judge_for", lambda *_, **__: judge_for(workshop.source, epochs=1)
    )

    def counted(stage, pairs, settings, name, folder, verbose):
        fitted.append(name)
        return fit(stage, pairs, settings, name, folder, verbose)

    monkeypatch.setattr(train_module, "_fit", counted)
    with monkeypatch.context() as patch:
        patch.setattr(MarginalStage, "fit", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            carry_out(sweep, workshop)
    found = carry_out(sweep, workshop)["u3"]
    assert fitted == ["joint", "marginal", "marginal"]
    assert 0 <= found["figures"]["conditional_accuracy_y"] <= 1
    assert found["nats"]["i_xy_z"] <= np.log(3) + 1e-6
    assert set(found["seconds"]) == {"joint", "marginal"}
