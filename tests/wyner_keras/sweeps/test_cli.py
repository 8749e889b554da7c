import json
import re

import pytest

from wyner_keras import runs, sweeps
from wyner_keras.cli import main


def call(capsys, *words):
    code = main([str(word) for word in words])
    captured = capsys.readouterr()
    return code, captured.out, captured.err


@pytest.mark.parametrize(
    ("words", "message"),
    [
        ([], "one of the arguments --figure --study is required"),
        (["--figure", "6"], "invalid choice: '6'"),
        (["--figure", "4", "--study", "lambda"], "not allowed with argument"),
        (["--study", "epsilon"], "invalid choice: 'epsilon'"),
        (["--figure", "4", "--recipe", "magic"], "invalid choice: 'magic'"),
    ],
)
def test_malformed_options_are_refused_by_the_parser(capsys, words, message):
    with pytest.raises(SystemExit) as stopped:
        main(["figures", *words])
    assert stopped.value.code == 2
    assert message in capsys.readouterr().err


def test_a_folder_of_something_else_is_refused_before_any_work(capsys, tmp_path, monkeypatch):
    monkeypatch.setattr("wyner_keras.data.load", None)
    (tmp_path / "mine.txt").write_text("mine")
    code, out, err = call(capsys, "figures", "--figure", 4, "--out", tmp_path)
    assert (code, out) == (2, "")
    assert "`out` should be a new folder or one that `wyner figures` began" in err
    assert [path.name for path in tmp_path.iterdir()] == ["mine.txt"]
    runs.write_json(tmp_path / "sweeps.json", {"data": "mnist", "size": "full", "seed": 0})
    code, _, err = call(capsys, "figures", "--figure", 4, "--out", tmp_path, "--quick")
    assert code == 2
    assert re.search(r"`data` should be 'mnist', as .* was begun", err)


def test_unknown_data_are_refused_and_leave_nothing(capsys, tmp_path):
    words = ("figures", "--figure", 5, "--out", tmp_path / "new", "--data", "no-such-folder")
    code, _, err = call(capsys, *words)
    assert code == 2
    assert "source should be one of" in err
    assert list(tmp_path.iterdir()) == []


@pytest.fixture
def carried_out(monkeypatch):
    """Asked sweeps; the work is replaced by what it would leave."""
    asked = []

    def carry_out(sweep, workshop):
        asked.append((sweep, workshop))
        workshop.folder.mkdir(parents=True, exist_ok=True)
        return {
            one.name: {
                "seconds": {"joint": 1.0},
                "figures": {"conditional_accuracy_y": 0.5, "diversity_y": 0.5},
                "nats": {"i_xy_z": 1.0},
            }
            for one in sweep.configurations
        }

    monkeypatch.setattr(sweeps, "carry_out", carry_out)
    return asked


def test_the_study_of_lambda_by_command(capsys, tmp_path, carried_out):
    out = tmp_path / "study"
    words = ("figures", "--study", "lambda", "--quick", "--seed", 3, "--out", out, "--json")
    code, text, _ = call(capsys, *words, "--quiet")
    assert code == 0
    ((sweep, workshop),) = carried_out
    assert workshop.settings == {"data": "digits", "size": "quick", "seed": 3}
    assert workshop.mapping == {label: (label + 1) % 10 for label in range(10)}
    assert all(one.recipe.config.seed == 3 for one in sweep.configurations)
    values = json.loads(text)
    assert len(values["rows"]) == 14
    for name, file in (("picture", "png"), ("table", "csv"), ("json", "json")):
        assert values[name] == str(out / f"lambda.{file}")
        assert (out / f"lambda.{file}").stat().st_size > 100


def test_an_interrupted_command_says_how_to_go_on(capsys, tmp_path, monkeypatch):
    def interrupt(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr(sweeps, "carry_out", interrupt)
    words = ("figures", "--figure", 4, "--quick", "--recipe", "paper", "--out", tmp_path / "a")
    code, _, err = call(capsys, *words)
    assert code == 130
    assert "the same command goes on from it" in err
