import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.studies import Group, Sweep, check_folder, run_sweep
from experiments.studies.experiment import SETTINGS
from wyner_keras import runs
from wyner_keras.evaluation import Report
from wyner_keras.evaluation.report import Figure
from wyner_keras.files import write_json
from wyner_keras.models import TrainingDiverged


class Judging:
    """Stands for judging: counts what was judged."""

    def __init__(self):
        self.judges, self.judged = 0, 0

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


@pytest.fixture
def judging(monkeypatch):
    fake = Judging()
    monkeypatch.setattr("wyner_keras.evaluation.judge_for", fake.judge_for)
    monkeypatch.setattr("wyner_keras.evaluation.evaluate", fake.evaluate)
    monkeypatch.setattr("wyner_keras.information.measure", fake.measure)
    return fake


def test_each_configuration_is_trained_and_judged_once_with_one_wrapper(
    training, judging, tiny_sweep, experiment
):
    results = run_sweep(tiny_sweep, experiment)
    assert list(results) == ["u0", "u2", "u3"]
    assert (training.wrappers, len(training.trained), judging.judged, judging.judges) == (
        1,
        3,
        3,
        1,
    )
    assert results["u3"] == {
        "seconds": {"joint": 2.0, "marginal": 0.5},
        "figures": {"conditional_accuracy_y": 0.3},
        "nats": {"i_xy_z": 1.0, "i_x_u_upper": None},
        "shared_nats": 1.25,
    }
    for one in tiny_sweep.configurations:
        run = runs.Run.open(experiment.run_folder(one))
        assert run.recipe == one.recipe
        assert run.label_map == {0: 1, 1: 2, 2: 0}
        assert run.seed == one.recipe.config.seed
        assert not (run.folder / "checkpoints").exists()
    assert run_sweep(tiny_sweep, experiment) == results
    assert (training.wrappers, len(training.trained), judging.judged, judging.judges) == (
        1,
        3,
        3,
        1,
    )


def test_all_configurations_show_the_same_inputs(training, judging, tiny_sweep, experiment):
    run_sweep(tiny_sweep, experiment)
    images = [experiment.load_samples(one) for one in tiny_sweep.configurations]
    for each in images:
        for name in ("inputs", "styles", "concepts"):
            np.testing.assert_array_equal(each[name], images[0][name])
        assert each["samples"].shape == (3, 10, 8, 8, 1)
        assert each["results"].shape == (3, 3, 8, 8, 1)
    # Each class of x in turn, and concepts of y such that transferred x do the same.
    test = experiment.source.test
    for name, labels in (("inputs", [0, 1, 2]), ("concepts", [1, 2, 0])):
        for image, label in zip(images[0][name], labels, strict=True):
            distance = np.abs(test.images[test.labels == label] - image).max((1, 2, 3))
            assert distance.min() <= 0.5 / 255 + 1e-6


@pytest.mark.parametrize("place", [0, 1, 2])
def test_a_killed_sweep_goes_on_with_the_configuration_it_was_at(
    training, judging, tiny_sweep, experiment, place
):
    training.fails_at = place
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny_sweep, experiment)
    names = [one.name for one in tiny_sweep.configurations]
    left = {path.name for path in (experiment.folder / "runs").iterdir()}
    assert left == {*names[:place], f"{names[place]}.partial"}
    kept = experiment.folder / "runs" / f"{names[place]}.partial" / "checkpoints" / "joint"
    assert (kept / "weights").read_bytes() == b"kept"
    shutil.rmtree(kept)
    assert list(run_sweep(tiny_sweep, experiment)) == names
    assert training.trained == [one.recipe.config.u for one in tiny_sweep.configurations]
    assert training.wrappers == 1


def test_a_sweep_killed_while_judging_is_not_trained_again(
    training, judging, tiny_sweep, experiment, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.information.measure", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_sweep(tiny_sweep, experiment)
    run_sweep(tiny_sweep, experiment)
    assert len(training.trained) == 3
    assert judging.judged == 4


def test_a_sweep_killed_before_a_runs_settings_were_written_goes_on(
    training, judging, tiny_sweep, experiment
):
    (experiment.folder / "runs" / "u0.partial").mkdir(parents=True)
    write_json(experiment.folder / SETTINGS, experiment.settings)
    assert len(run_sweep(tiny_sweep, experiment)) == 3


def test_another_sweep_trains_only_what_is_not_there(training, judging, tiny_sweep, experiment):
    first, second = tiny_sweep.groups
    run_sweep(Sweep(name="a", title="A", groups=(first,)), experiment)
    run_sweep(Sweep(name="b", title="B", groups=(second,)), experiment)
    assert [latent and latent.dim for latent in training.trained] == [None, 2, 3]
    assert training.wrappers == 1


def test_a_divergence_names_its_configuration(training, judging, tiny_sweep, experiment):
    training.fails_at, training.error = 1, TrainingDiverged("The loss became nan.")
    with pytest.raises(TrainingDiverged, match=r"u2: The loss became nan\."):
        run_sweep(tiny_sweep, experiment)


def test_a_run_of_another_recipe_is_refused_before_any_work(
    training, judging, tiny_sweep, experiment
):
    run_sweep(tiny_sweep, experiment)
    path = experiment.folder / "runs" / "u3" / "settings.json"
    settings = json.loads(path.read_text())
    settings["recipe"]["pairs_per_class"] = 17
    path.write_text(json.dumps(settings))
    shutil.rmtree(experiment.folder / "runs" / "u0")
    with pytest.raises(ValueError, match=r"u3' should hold a run of u3's recipe"):
        run_sweep(tiny_sweep, experiment)
    assert len(training.trained) == 3


def test_folders_for_sweeps(tmp_path):
    settings = {"data": "digits", "size": "quick", "seed": 0}
    assert check_folder(tmp_path / "new", settings) == tmp_path / "new"
    assert list(tmp_path.iterdir()) == []
    assert check_folder(tmp_path, settings) == tmp_path
    (tmp_path / "file").write_text("")
    for bad in (tmp_path, tmp_path / "file"):
        with pytest.raises(ValueError, match=r"new folder or one that `experiments.figures` began"):
            check_folder(bad, settings)
    write_json(tmp_path / SETTINGS, settings)
    assert check_folder(str(tmp_path), settings) == tmp_path
    with pytest.raises(ValueError, match=r"`seed` should be 0, as .* was begun.*seed=1"):
        check_folder(tmp_path, {**settings, "seed": 1})
    (tmp_path / SETTINGS).write_text("[]")
    with pytest.raises(ValueError, match=r"new folder or one that `experiments.figures` began"):
        check_folder(tmp_path, settings)


class HastyJudge:
    """Reads every image as 0."""

    def read(self, images):
        return np.zeros(len(images), int), images.reshape(len(images), -1)[:, :4]


def test_a_model_that_was_trained_is_judged_and_shown(
    one_step, tiny_sweep, experiment, monkeypatch
):
    """Nothing is replaced but the judge and the length of the training."""
    monkeypatch.setattr("wyner_keras.evaluation.judge_for", lambda *_, **__: HastyJudge())
    configuration = tiny_sweep.configurations[2]
    recipe = dataclasses.replace(configuration.recipe, wrapper=None)
    configuration = dataclasses.replace(configuration, recipe=recipe)
    group = Group(title="one", configurations=(configuration,))
    results = run_sweep(Sweep(name="real", title="Real", groups=(group,)), experiment)["u3"]
    assert one_step == list(results["seconds"]) == ["joint", "marginal"]
    assert 0 <= results["figures"]["conditional_accuracy_y"] <= 1
    assert results["nats"]["i_xy_z"] <= np.log(3) + 1e-6
    assert experiment.load_samples(configuration)["samples"].shape == (3, 10, 8, 8, 1)
