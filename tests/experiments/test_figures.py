import json
import re

import pytest

from experiments import studies
from experiments.figures import main
from experiments.studies import report
from wyner_keras.files import write_json


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of the arguments --figure --study is required"),
        (["--figure", "6"], "invalid choice: '6'"),
        (["--figure", "4", "--study", "lambda"], "not allowed with argument"),
        (["--study", "epsilon"], "invalid choice: 'epsilon'"),
        (["--figure", "4", "--recipe", "magic"], "invalid choice: 'magic'"),
        (["--study", "seeds", "--short", "--quick"], "not allowed with argument"),
    ],
)
def test_malformed_options_are_refused_by_the_parser(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(words)
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_any_work(call, tmp_path, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.load", None)
    (tmp_path / "mine.txt").write_text("mine")
    code, out, err = call(main, "--figure", 4, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "`out` should be a new folder or one that `experiments.figures` began" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    write_json(tmp_path / "sweeps.json", {"data": "mnist", "size": "full", "seed": 0})
    code, _, err = call(main, "--figure", 4, "--out", tmp_path, "--quick")
    assert code == 2
    assert re.search(r"`data` should be 'mnist', as .* was begun", err)


def test_unknown_data_are_refused_and_leave_nothing(call, tmp_path):
    words = ("--figure", 5, "--out", tmp_path / "new", "--data", "no-such-folder")
    code, _, err = call(main, *words)
    assert code == 2
    assert "source should be one of" in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def swept(monkeypatch):
    """The sweeps that were asked for; training and judging leave the same results for all."""
    asked = []

    def run_sweep(sweep, experiment):
        asked.append((sweep, experiment))
        experiment.folder.mkdir(parents=True, exist_ok=True)
        return {
            one.name: {
                "seconds": {"joint": 1.0},
                "figures": {"conditional_accuracy_y": 0.5, "diversity_y": 0.5},
                "nats": {"i_xy_z": 1.0},
                "shared_nats": 2.0 + one.recipe.seed,
            }
            for one in sweep.configurations
        }

    monkeypatch.setattr(studies, "run_sweep", run_sweep)
    return asked


def test_the_study_of_lambda_by_command(call, tmp_path, swept):
    out = tmp_path / "study"
    words = ("--study", "lambda", "--quick", "--seed", 3, "--out", out, "--json")
    code, text, _ = call(main, *words, "--quiet")
    assert code == 0
    ((sweep, experiment),) = swept
    assert experiment.settings == {"data": "digits", "size": "quick", "seed": 3}
    assert experiment.mapping == {label: (label + 1) % 10 for label in range(10)}
    assert all(one.recipe.seed == 3 for one in sweep.configurations)
    values = json.loads(text)
    assert len(values["rows"]) == 14
    for name, file in (("picture", "png"), ("table", "csv"), ("json", "json")):
        assert values[name] == str(out / f"lambda.{file}")
        assert (out / f"lambda.{file}").stat().st_size > 100


def test_the_ablation_by_command(call, tmp_path, swept):
    out = tmp_path / "study"
    words = ("--study", "ablation", "--data", "digits", "--seed", 3, "--out", out)
    code, text, _ = call(main, *words, "--json", "--quiet")
    assert code == 0
    ((sweep, experiment),) = swept
    assert experiment.settings == {"data": "digits", "size": "whole", "seed": 3}
    assert {one.recipe.seed for one in sweep.configurations} == {3, 4, 5}
    values = json.loads(text)
    assert len(values["rows"]) == 10 * 3
    summary = json.loads((out / "ablation-summary.json").read_text())
    assert [row["group"] for row in summary] == [group.title for group in sweep.groups]
    for row in summary:
        assert (row["runs"], row["shared_nats_mean"], row["shared_nats_sd"]) == (3, 6.0, 1.0)
        assert (row["shared_nats_min"], row["shared_nats_max"]) == (5.0, 7.0)
    files = {"picture": "ablation.png", "table": "ablation.csv", "json": "ablation.json"}
    files |= {f"summary_{name}": f"ablation-summary.{name}" for name in ("json",)}
    files |= {"summary_table": "ablation-summary.csv"}
    for name, file in files.items():
        assert values[name] == str(out / file)
        assert (out / file).stat().st_size > 100
    assert {path.name for path in out.iterdir()} == set(files.values())


def test_a_short_ablation_has_the_figures_size(call, tmp_path, swept, monkeypatch):
    monkeypatch.chdir(tmp_path)
    words = ("--study", "ablation", "--data", "digits", "--short", "--quiet")
    assert call(main, *words)[0] == 0
    ((sweep, experiment),) = swept
    assert experiment.settings == {"data": "digits", "size": "full", "seed": 0}
    assert str(experiment.folder) == "runs/studies-short"
    most = studies.FULL.epochs
    joint = [one.recipe.stage("joint") for one in sweep.configurations]
    assert {stage.epochs * stage.passes for stage in joint} == {most["joint"]}


def test_what_is_short_already_is_not_made_shorter(call, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.load", None)
    code, _, err = call(main, "--figure", 4, "--short")
    assert code == 2
    assert "`--short` should come with `--study seeds` or `--study ablation`" in err


def test_the_study_of_seeds_prints_mean_and_spread(call, tmp_path, swept, monkeypatch):
    monkeypatch.setattr(report.panels, "draw", lambda *_: None)
    monkeypatch.setattr(studies.Experiment, "load_samples", lambda *_: {})
    code, text, _ = call(main, "--study", "seeds", "--quick", "--out", tmp_path / "a", "--quiet")
    assert code == 0
    words = [line.split() for line in text.splitlines()]
    assert [line[2] for line in words[2:7]] == ["2.000", "3.000", "4.000", "5.000", "6.000"]
    assert words[7][:2] == ["mean", "4.000"]
    assert words[8][:3] == ["standard", "deviation", "1.581"]


def test_an_interrupted_command_says_how_to_go_on(call, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(studies, "run_sweep", interrupt)
    words = ("--figure", 4, "--quick", "--recipe", "paper", "--out", tmp_path / "a")
    code, _, err = call(main, *words)
    assert code == 130
    assert "the same command goes on from it" in err
