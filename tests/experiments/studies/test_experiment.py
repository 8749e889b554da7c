import dataclasses
import json
import shutil

import numpy as np
import pytest

from experiments.studies import Group, Sweep, check_folder, run_sweep
from experiments.studies.experiment import SETTINGS
from wyner_keras import TrainingDiverged, runs
from wyner_keras.evaluation import Figure, Report
from wyner_keras.files import write_json
from wyner_serving.whole import held


class Judging:
    """Stands for judging: counts what was judged."""

    def __init__(self):
        self.judges, self.judged = 0, 0

    def judges_for(self, pairs, verbose):
        self.judges += 1
        return {"x": "judge"}

    def evaluate(self, model, pairs, *, judges, inputs, seed, **sizes):
        assert judges == {"x": "judge"}
        assert inputs == 30
        self.judged += 1
        value = 0.0 if model.local is None else model.local.dim / 10
        figures = {"conditional_accuracy_y": Figure(value, 1.0)}
        return Report(figures=figures, counts={}, seed=seed)

    def measure(self, model, pairs, *, rows, seed):
        assert rows == 30
        assert (pairs.y_labels == (pairs.x_labels + 1) % 3).all()
        return {"i_xy_z": 1.0, "i_x_u_upper": float("nan")}


@pytest.fixture
def judging(monkeypatch):
    fake = Judging()
    monkeypatch.setattr("wyner_keras.evaluation.judges_for", fake.judges_for)
    monkeypatch.setattr("wyner_keras.evaluation.evaluate", fake.evaluate)
    monkeypatch.setattr("wyner_keras.information.measure", fake.measure)
    return fake


def test_each_configuration_is_trained_and_judged_once_with_one_codec(
    fake_training, judging, tiny_sweep, names, experiment
):
    def counts():
        trained = len(fake_training.trained)
        return fake_training.codecs, trained, judging.judged, judging.judges

    results = run_sweep(tiny_sweep, experiment)
    assert list(results) == names
    assert counts() == (1, 3, 3, 1)
    assert results[names[2]] == {
        "seconds": {"joint": 2.0, "marginal": 0.5},
        "figures": {"conditional_accuracy_y": 0.3},
        "nats": {"i_xy_z": 1.0, "i_x_u_upper": None},
        "shared_nats": 1.25,
    }
    for one in tiny_sweep.configurations:
        run = runs.Run.open(experiment.run_folder(one))
        assert run.recipe == one.recipe
        assert (run.source.map, run.seed) == ("add-one", one.recipe.seed)
        assert len(run.examples().rows["x"]) == 60
        assert not (run.folder / "checkpoints").exists()
    assert run_sweep(tiny_sweep, experiment) == results
    assert counts() == (1, 3, 3, 1)


def test_all_configurations_show_the_same_inputs(fake_training, judging, tiny_sweep, experiment):
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


@pytest.mark.parametrize("place", [0, 2])
def test_a_killed_sweep_goes_on_with_the_configuration_it_was_at(
    fake_training, judging, tiny_sweep, names, experiment, place
):
    fake_training.fails_at = place
    with pytest.raises(KeyboardInterrupt):
        run_sweep(tiny_sweep, experiment)
    left = {path.name for path in (experiment.folder / "runs").iterdir()}
    assert left == {*names[:place], f"{names[place]}.partial"}
    kept = experiment.folder / "runs" / f"{names[place]}.partial" / "checkpoints"
    assert (kept / "weights").read_bytes() == b"kept"
    shutil.rmtree(kept)
    assert list(run_sweep(tiny_sweep, experiment)) == names
    assert fake_training.trained == [
        one.recipe.sides["x"].local for one in tiny_sweep.configurations
    ]
    assert fake_training.codecs == 1


def test_a_sweep_killed_while_judging_is_not_trained_again(
    fake_training, judging, tiny_sweep, experiment, monkeypatch
):
    with monkeypatch.context() as patch:
        patch.setattr("wyner_keras.information.measure", lambda *_, **__: 1 / 0)
        with pytest.raises(ZeroDivisionError):
            run_sweep(tiny_sweep, experiment)
    run_sweep(tiny_sweep, experiment)
    assert len(fake_training.trained) == 3
    assert judging.judged == 4


def test_a_sweep_killed_before_a_runs_settings_were_written_goes_on(
    fake_training, judging, tiny_sweep, names, experiment
):
    (experiment.folder / "runs" / f"{names[0]}.partial").mkdir(parents=True)
    write_json(experiment.folder / SETTINGS, experiment.settings)
    assert len(run_sweep(tiny_sweep, experiment)) == 3


def test_a_sweep_killed_as_it_began_begins_anew(fake_training, judging, tiny_sweep, experiment):
    left = experiment.folder / f".{SETTINGS}.writing-abcd1234"
    left.mkdir(parents=True)
    assert len(run_sweep(tiny_sweep, experiment)) == 3
    assert not left.exists()


def test_a_folder_has_one_sweep_at_a_time(fake_training, judging, tiny_sweep, experiment):
    experiment.folder.mkdir()
    with held(experiment.folder), pytest.raises(BlockingIOError, match="one process at a time"):
        run_sweep(tiny_sweep, experiment)
    assert not any(experiment.folder.iterdir())
    assert len(run_sweep(tiny_sweep, experiment)) == 3


def test_another_sweep_trains_only_what_is_not_there(
    fake_training, judging, tiny_sweep, experiment
):
    first, second = tiny_sweep.groups
    run_sweep(Sweep(name="a", title="A", groups=(first,)), experiment)
    run_sweep(Sweep(name="b", title="B", groups=(second,)), experiment)
    assert [latent and latent.dim for latent in fake_training.trained] == [None, 2, 3]
    assert fake_training.codecs == 1


def test_a_divergence_names_its_configuration(fake_training, judging, tiny_sweep, experiment):
    fake_training.fails_at, fake_training.error = 1, TrainingDiverged("The loss became nan.")
    with pytest.raises(TrainingDiverged, match=r"u2: The loss became nan\."):
        run_sweep(tiny_sweep, experiment)


def test_a_run_of_another_recipe_is_refused_before_any_work(
    fake_training, judging, tiny_sweep, names, experiment
):
    run_sweep(tiny_sweep, experiment)
    path = experiment.folder / "runs" / names[2] / "settings.json"
    settings = json.loads(path.read_text())
    settings["recipe"]["seed"] = 17
    path.write_text(json.dumps(settings))
    shutil.rmtree(experiment.folder / "runs" / names[0])
    with pytest.raises(ValueError, match=r"u3' should hold a run of tiny-z1x3-u3's recipe"):
        run_sweep(tiny_sweep, experiment)
    assert len(fake_training.trained) == 3


def test_pairs_are_of_one_store_whatever_seed_and_slant(experiment):
    pairs = [experiment.pairs(0), experiment.pairs(1), experiment.pairs(0, slant=False)]
    assert [len(each) for each in pairs] == [48] * 3
    assert len({id(store) for each in pairs for store in each.stores}) == 1
    assert (pairs[0].index != pairs[1].index).any()
    assert (pairs[0].index == pairs[2].index).all()
    assert [modality.slant for modality in pairs[2].modalities] == [False, False]
    assert (pairs[2].x_labels == pairs[0].x_labels).all()


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


def test_a_model_is_trained_judged_and_shown(eager, tiny_sweep, names, experiment, monkeypatch):
    """Nothing is replaced but the judges, of whom there are none."""
    monkeypatch.setattr("wyner_keras.evaluation.judges_for", lambda *_, **__: {})
    experiment = dataclasses.replace(
        experiment, size=dataclasses.replace(experiment.size, inputs=12)
    )
    group = Group(title="one", configurations=tiny_sweep.configurations[2:])
    results = run_sweep(Sweep(name="real", title="Real", groups=(group,)), experiment)[names[2]]
    assert list(results["seconds"]) == ["codec", "joint", "marginal"]
    assert results["figures"]["diversity_y"] >= 0
    assert results["nats"]["i_xy_z"] <= np.log(3) + 1e-6
    samples = experiment.load_samples(tiny_sweep.configurations[2])["samples"]
    assert samples.shape == (3, 10, 8, 8, 1)
