import json
import os
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras import runs
from wyner_keras.data import load
from wyner_keras.files import to_json

SETTINGS: dict[str, Any] = {
    "format": 1,
    "data": "digits",
    "label_map": {"0": 1, "1": 0},
    "seed": 3,
    "recipe": {},
}


def folder_with(path: Path, values: Any = SETTINGS, model: bool = True) -> Path:
    path.mkdir(parents=True)
    text = values if isinstance(values, str) else json.dumps(values)
    (path / "settings.json").write_text(text)
    if model:
        (path / "model.keras").write_bytes(b"not a model")
    return path


def test_importing_runs_loads_neither_tensorflow_nor_keras() -> None:
    code = "import sys, wyner_keras.runs; print(*sorted(sys.modules))"
    loaded = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True)
    assert "wyner_keras.runs" in loaded.stdout.split(), loaded.stderr
    assert not {"tensorflow", "keras"} & set(loaded.stdout.split())


def test_open_reads_the_settings(tmp_path: Path) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    assert (run.label_map, run.seed, run.settings["data"]) == ({0: 1, 1: 0}, 3, "digits")


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", "settings.json should be readable. Received: "),
        ("[1]", r"should hold a JSON object. Received: \[1\]"),
        ({**SETTINGS, "seed": "3"}, r"should hold `seed` \(int\). Received: '3'"),
        ({**SETTINGS, "data_y": 3}, "should hold a `data_y` of str, or none. Received: 3"),
        ({**SETTINGS, "format": 99}, "should have format 1. Received: format 99"),
        ({**SETTINGS, "label_map": {"a": 1}}, "should map integer labels"),
        ({name: SETTINGS[name] for name in SETTINGS if name != "data"}, "should hold `data`"),
    ],
)
def test_open_refuses_damaged_settings(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runs.Run.open(folder_with(tmp_path / "run", values))


def test_open_refuses_what_is_no_run(tmp_path: Path) -> None:
    (tmp_path / "file").touch()
    for path, found in (
        ("absent", "which does not exist"),
        ("file", "which is not a folder"),
        (".", "which has no settings.json"),
    ):
        with pytest.raises(ValueError, match=f"written by `wyner train`. Received: .*{found}"):
            runs.Run.open(tmp_path / path)
    with pytest.raises(ValueError, match=r"should hold model.keras. Received: "):
        runs.Run.open(folder_with(tmp_path / "run", model=False))


def test_open_points_at_an_unfinished_run(tmp_path: Path) -> None:
    runs.start_run(tmp_path / "run", SETTINGS)
    with pytest.raises(ValueError, match=r"has not finished: see .*run\.partial"):
        runs.Run.open(tmp_path / "run")


@settings(max_examples=200, deadline=None)
@given(
    st.recursive(
        st.none() | st.booleans() | st.integers() | st.text(max_size=5),
        lambda children: (
            st.lists(children, max_size=3)
            | st.dictionaries(st.sampled_from([*SETTINGS, "data_y", "x"]), children, max_size=6)
        ),
        max_leaves=20,
    )
    | st.dictionaries(st.sampled_from(list(SETTINGS)), st.integers() | st.just({}), min_size=4)
)
def test_any_json_as_settings_is_read_or_refused_clearly(
    tmp_path_factory: pytest.TempPathFactory, values: Any
) -> None:
    folder = folder_with(tmp_path_factory.mktemp("runs") / "run", json.dumps(values))
    try:
        assert isinstance(runs.Run.open(folder).seed, int)
    except ValueError as error:
        assert "Received: " in str(error)


def test_a_damaged_model_or_recipe_is_a_clear_error(tmp_path: Path) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"model\.keras should be a saved model. Received: "):
        run.load_model()
    with pytest.raises(ValueError, match=r"recipe in .* should be readable. Received: KeyError"):
        _ = run.recipe


def test_recipes_survive_the_settings_file(tmp_path: Path) -> None:
    from wyner_keras.training import recipe

    for name, data in (("paper", "mnist"), ("annealed", "mnist"), ("annealed", "digits")):
        chosen = recipe(name, data, seed=4)
        values = runs.settings_of(chosen, data="digits", label_map={0: 1}, seed=4)
        folder = folder_with(tmp_path / f"{name}-{data}", to_json(values))
        assert runs.Run.open(folder).recipe == chosen


def test_settings_keep_folders_by_their_whole_path_and_versions(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wyner_keras.training import recipe

    monkeypatch.chdir(tmp_path)
    values = runs.settings_of(recipe("paper"), data="mine", label_map={}, seed=0, asked=1)
    assert values["data"] == str(tmp_path / "mine")
    assert values["asked"] == 1
    assert {"python", "tensorflow", "keras", "numpy", "wyner-keras"} == set(values["versions"])


def test_where_y_comes_from_is_kept_where_it_has_a_source_of_its_own(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from wyner_keras.training import recipe

    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr("wyner_keras.data.load", lambda name: f"images of {name}")
    given = {"label_map": {0: 0}, "seed": 0}
    chosen = recipe("annealed", "digits", data_y="mnist")
    values = runs.settings_of(chosen, data="digits", data_y="mine", **given)
    run = runs.Run.open(folder_with(tmp_path / "two", to_json(values)))
    assert run.recipe == chosen
    assert run.source() == "images of digits"
    assert run.target() == f"images of {tmp_path / 'mine'}"
    assert (run.source("a"), run.target("b")) == ("images of a", "images of b")
    values = runs.settings_of(recipe("annealed", "digits"), data="digits", **given)
    assert "data_y" not in values
    one = runs.Run.open(folder_with(tmp_path / "one", to_json(values)))
    assert one.target() is None
    assert one.target("b") == "images of b"


def test_a_run_gets_its_name_when_it_is_finished(tmp_path: Path) -> None:
    out = tmp_path / "deep" / "run"
    partial = runs.start_run(out, SETTINGS)
    assert partial == tmp_path / "deep" / "run.partial"
    (partial / "checkpoints").mkdir()
    (partial / "checkpoints" / "a.weights.h5").touch()
    assert not out.exists()
    assert runs.finish_run(out) == out
    assert [path.name for path in out.iterdir()] == ["settings.json"]
    assert not partial.exists()


def test_no_run_is_overwritten(tmp_path: Path) -> None:
    out = tmp_path / "run"
    runs.start_run(out, SETTINGS)
    with pytest.raises(ValueError, match=r"an earlier run left it. Go on from it with `--resume`"):
        runs.start_run(out, SETTINGS)
    out.mkdir()  # os.rename would replace an empty folder
    with pytest.raises(ValueError, match=r"`out` should not exist yet. Received: "):
        runs.finish_run(out)
    assert (tmp_path / "run.partial" / "settings.json").exists()


def test_abandoning_keeps_only_what_was_reached(tmp_path: Path) -> None:
    empty, begun = tmp_path / "empty", tmp_path / "begun"
    for out in (empty, begun):
        (runs.start_run(out, SETTINGS) / "checkpoints").mkdir()
    weights = runs.partial_folder(begun) / "checkpoints" / "joint.weights.h5"
    weights.touch()
    assert runs.abandon_run(empty) is None
    assert not runs.partial_folder(empty).exists()
    assert runs.abandon_run(begun) == runs.partial_folder(begun)
    assert weights.exists()


def test_examples_are_kept_with_their_labels(tmp_path: Path) -> None:
    digits = load("digits").test
    run = runs.Run.open(folder_with(tmp_path / "run"))
    runs.save_examples(run.folder, digits, digits.take(7))
    x, y = run.examples("x"), run.examples("y")
    assert (len(x), len(y)) == (200, 7)
    assert np.bincount(x.labels).tolist() == [20] * 10
    test, kept = (
        {
            (image.tobytes(), int(label))
            for image, label in zip(each.images, each.labels, strict=True)
        }
        for each in (digits, x)
    )
    assert kept <= test


def test_examples_of_an_earlier_version_are_its_datas(tmp_path: Path) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    assert len(run.examples("y")) == len(load("digits").test)


def test_damaged_examples_are_refused_by_name(tmp_path: Path) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    (run.folder / "examples.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"examples\.npz should hold held-out images and labels"):
        run.examples("x")


def test_settings_say_on_what_machine_a_run_was_trained(monkeypatch: pytest.MonkeyPatch) -> None:
    """The same seed gives other weights elsewhere: rounding follows processor and threads."""
    for name in ("OMP_NUM_THREADS", "TF_NUM_INTRAOP_THREADS", "ONEDNN_MAX_CPU_ISA"):
        monkeypatch.delenv(name, raising=False)
    monkeypatch.setenv("TF_ENABLE_ONEDNN_OPTS", "0")
    script = "import json, wyner_keras.runs.machine as m; print(json.dumps(m.machine()))"
    cores = len(os.sched_getaffinity(0))
    for count in {1, cores}:
        chosen = sorted(os.sched_getaffinity(0))[:count]
        command = f"import os; os.sched_setaffinity(0, {chosen}); {script}"
        done = subprocess.run([sys.executable, "-c", command], capture_output=True, check=True)
        found = json.loads(done.stdout)
        assert found["cores"] == count
        assert found["processor"]
        assert found["environment"] == {"TF_ENABLE_ONEDNN_OPTS": "0"}
