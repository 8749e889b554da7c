import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import numpy as np
import pytest
from file_steps import killed_at
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras import Pairs, data, recipes, runs
from wyner_keras.files import to_json

SETTINGS: dict[str, Any] = {"format": 2, "data": {"data": "digits"}, "seed": 3, "recipe": {}}


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


@pytest.mark.parametrize(
    ("values", "message"),
    [
        ("{", "settings.json should be readable. Received: "),
        ("[" * 10_000, "settings.json should be readable. Received: "),
        ('{"a":' * 10_000 + "1" + "}" * 10_000, "settings.json should be readable. Received: "),
        ("{}", "should hold a JSON object with a `format`. Received: "),
        ("[1]", r"should hold a JSON object with a `format`. Received: \[1\]"),
        ({**SETTINGS, "format": True}, "should hold a JSON object with a `format`"),
        ({**SETTINGS, "seed": "3"}, r"should hold `seed` \(int\). Received: '3'"),
        ({**SETTINGS, "seed": True}, r"should hold `seed` \(int\). Received: True"),
        ({**SETTINGS, "format": 99}, "should have format 2. Received: format 99"),
        ({**SETTINGS, "data": {}}, "pairs should come from .* Received: none of these"),
        ({**SETTINGS, "data": {"pairs": 3}}, "`pairs` should be a text. Received: 3"),
        ({**SETTINGS, "data": {"where": "a"}}, "`data` should say where the pairs come from"),
        ({name: SETTINGS[name] for name in SETTINGS if name != "data"}, "should hold `data`"),
    ],
)
def test_open_refuses_damaged_settings(tmp_path: Path, values: Any, message: str) -> None:
    with pytest.raises(ValueError, match=message):
        runs.Run.open(folder_with(tmp_path / "run", values))


def test_a_run_of_format_1_is_to_be_trained_anew(tmp_path: Path) -> None:
    values = {
        "format": 1,
        "data": "digits",
        "label_map": {"0": 1},
        "seed": 3,
        "asked": {"data": "digits", "data_y": None, "map": "3n+2"},
        "recipe": {},
    }
    message = (
        r"format 2: the model of an earlier one cannot be built any more; train anew, by `wyner "
        r"train --data digits --map 3n\+2 --out NEW`. Received: format 1"
    )
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
            | st.dictionaries(st.sampled_from([*SETTINGS, "pairs", "x"]), children, max_size=6)
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


def test_a_damaged_model_recipe_or_set_of_examples_is_a_clear_error(tmp_path: Path) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    with pytest.raises(ValueError, match=r"model\.keras should be a saved model. Received: "):
        run.load_model()
    with pytest.raises(ValueError, match=r"recipe in .* should be readable. Received: KeyError"):
        _ = run.recipe
    (run.folder / "examples.npz").write_bytes(b"PK")
    with pytest.raises(ValueError, match=r"examples\.npz should hold held-out pairs. Received: "):
        run.examples()


@pytest.fixture(scope="module")
def pairs() -> Pairs:
    rng = np.random.default_rng(0)
    labels = np.repeat(["a", "b", "c"], (5, 20, 275))
    x = rng.integers(0, 256, (300, 4, 4, 1), np.uint8)
    return Pairs(x, rng.normal(size=(300, 3)), x_labels=labels)


def test_settings_bring_recipe_and_data_back(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: Pairs
) -> None:
    monkeypatch.chdir(tmp_path)
    np.save("x.npy", pairs.arrays()[0])
    np.save("y.npy", pairs.arrays()[1])
    chosen = recipes.default(pairs.facts(), seed=4).scaled(0.5)
    source = runs.Source(x="x.npy", y="y.npy", held_out=0.25, kinds={"y": "real"})
    values = runs.settings_of(chosen, source, asked=1)
    assert values["data"]["x"] == str(tmp_path / "x.npy")
    assert values["asked"] == 1
    assert {"python", "tensorflow", "keras", "numpy", "wyner-keras"} == set(values["versions"])
    run = runs.Run.open(folder_with(tmp_path / "run", to_json(values)))
    assert run.recipe == chosen
    assert run.seed == 4
    monkeypatch.chdir("/")
    train, held_out = run.pairs()
    assert (len(train), len(held_out)) == (225, 75)
    (tmp_path / "y.npy").unlink()
    with pytest.raises(ValueError, match=r"The data of .*run should be as they were. .*y\.npy"):
        run.pairs()


@pytest.mark.parametrize("change", ["fewer", "another", "order"])
def test_data_that_changed_are_refused(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, pairs: Pairs, change: str
) -> None:
    """What is held out of them now may have been trained on."""
    monkeypatch.chdir(tmp_path)
    x, y = pairs.arrays()
    np.save("x.npy", x)
    np.save("y.npy", y)
    source = runs.Source(x="x.npy", y="y.npy")
    seen = runs.seen(*source.load())
    values = runs.settings_of(recipes.default(pairs.facts()), source, **seen)
    run = runs.Run.open(folder_with(tmp_path / "run", to_json(values)))
    assert [len(part) for part in run.pairs()] == [240, 60]
    rows = {"fewer": np.arange(299), "another": np.arange(300), "order": np.arange(300)[::-1]}
    y = np.where(np.arange(300)[:, None] == 0, y + 1, y) if change == "another" else y
    np.save("x.npy", x[rows[change]])
    np.save("y.npy", y[rows[change]])
    found = r"(\d+) pairs in `.*`. Received: " + ("" if change == "fewer" else r"\1 pairs of other")
    with pytest.raises(ValueError, match=f"as they were when it was started, {found}"):
        run.pairs()


def test_labelled_images_make_as_many_pairs_of_a_class_as_it_has_images_within_bounds(
    monkeypatch: pytest.MonkeyPatch,
) -> None:
    rng = np.random.default_rng(0)

    def images(*counts: int) -> data.LabelledImages:
        labels = np.repeat(np.arange(len(counts)), counts)
        return data.LabelledImages(rng.random((len(labels), 2, 2, 1)), labels)

    sources = {
        "x": data.ImageSource("x", images(30, 1200, 6000), images(3, 4, 5)),
        "y": data.ImageSource("y", images(10, 20), images(2, 2)),
    }
    monkeypatch.setattr("wyner_keras.data.load", lambda name, **_: sources[Path(name).name])
    train, held_out = runs.Source(data="x").load()
    assert np.bincount(np.asarray(train.x_labels)).tolist() == [1000, 1200, 5000]
    np.testing.assert_array_equal(train.y_labels, (np.asarray(train.x_labels) + 1) % 3)
    assert train.x is train.y
    assert held_out.x is held_out.y
    assert len(held_out) == 12
    # Few, of two sources; held-out images without a partner are left out.
    train, held_out = runs.Source(data="x", data_y="y", map="0:1,1:0,2:1", quick=True).load()
    assert np.bincount(np.asarray(train.x_labels)).tolist() == [64, 64, 64]
    assert len(train.y) == 30
    sources["y"] = data.ImageSource("y", images(10, 20), images(2))
    _, held_out = runs.Source(data="x", data_y="y", map="0:1,1:0,2:1").load()
    assert set(np.asarray(held_out.x_labels).tolist()) == {1}
    with pytest.raises(ValueError, match=r"should have partners by the label map. Received: "):
        sources["y"] = data.ImageSource("y", images(10, 20), images(2).select([0]))
        runs.Source(data="x", data_y="y", map="0:1,1:1,2:1").load()


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
    with pytest.raises(
        ValueError, match=r"an earlier run left it, .* Go on from it with `--resume`"
    ):
        runs.start_run(out, SETTINGS)
    out.mkdir()  # os.rename would replace an empty folder
    with pytest.raises(ValueError, match=r"`out` should not exist yet. Received: "):
        runs.finish_run(out)
    assert (tmp_path / "run.partial" / "settings.json").exists()


def test_a_kill_at_any_step_leaves_a_run_that_can_be_begun_or_gone_on_with(tmp_path: Path) -> None:
    step, killed = 0, True
    while killed:
        out = tmp_path / str(step) / "run"
        killed = killed_at(step, tmp_path, lambda out=out: runs.start_run(out, SETTINGS))
        partial = runs.partial_folder(out)
        if partial.exists():
            assert runs.read_settings(partial) == SETTINGS
        else:
            assert runs.start_run(out, SETTINGS) == partial
        (partial / "checkpoints").mkdir()
        step += 1
    assert step > 5
    # And as it is finished.
    step, killed = 0, True
    while killed:
        out = tmp_path / "finished" / str(step)
        partial = runs.start_run(out, SETTINGS)
        for name in ("checkpoints", ".model.keras.writing-abcd1234"):
            (partial / name).mkdir()
        (partial / "checkpoints" / "a.npz").touch()
        killed = killed_at(step, tmp_path, lambda out=out: runs.finish_run(out))
        assert killed != out.exists()
        if killed:
            runs.finish_run(out)
        assert [path.name for path in out.iterdir()] == ["settings.json"]
        assert not partial.exists()
        step += 1
    assert step > 3


def test_a_folder_that_was_made_anew_meanwhile_is_no_run(tmp_path: Path) -> None:
    partial = runs.start_run(tmp_path / "run", SETTINGS)
    shutil.rmtree(partial)
    (partial / "figures").mkdir(parents=True)
    with pytest.raises(
        FileNotFoundError, match=r"run\.partial should hold settings\.json to the end"
    ):
        runs.finish_run(tmp_path / "run")
    assert not (tmp_path / "run").exists()


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


def test_examples_are_kept_in_pairs_with_their_labels_and_as_they_are_stored(
    tmp_path: Path, pairs: Pairs
) -> None:
    run = runs.Run.open(folder_with(tmp_path / "run"))
    runs.save_examples(run.folder, pairs)
    kept = run.examples()
    assert len(kept) == 200
    assert kept.rows["x"].dtype == np.uint8
    labels = np.asarray(kept.labels["x"])
    assert [int((labels == name).sum()) for name in "abc"] == [5, 20, 175]
    assert kept.labels["y"] is None
    rows = {x.tobytes(): y for x, y in zip(pairs.x.array, pairs.y.array, strict=True)}
    for x, y in zip(kept.rows["x"], kept.rows["y"], strict=True):
        np.testing.assert_array_equal(rows[x.tobytes()], y)
    assert labels[kept.positions("x", None, seed=1)].tolist() == ["a", "b", "c"]
    assert labels[kept.positions("x", 5, seed=1)].tolist() == ["a", "b", "c", "a", "b"]
    assert len(kept.positions("y", None, seed=1)) == 10


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


@pytest.mark.parametrize(
    "text",
    [
        "{",
        "[" * 10_000,
        "[]",
        '{"nats": 3}',
        '{"nats": {"a": []}}',
        '{"figures": {"a": {}}}',
        "NaN",
    ],
)
def test_damaged_metrics_are_refused(tmp_path: Path, text: str) -> None:
    folder = folder_with(tmp_path / "run")
    assert runs.Run.open(folder).metrics() is None
    (folder / "metrics.json").write_text(text)
    with pytest.raises(ValueError, match=r"metrics.json should hold figures; write it anew"):
        runs.Run.open(folder).metrics()


@pytest.mark.parametrize("text", ["{", "3", "{}", '{"seconds": [1]}', '{"seconds": {"a": "b"}}'])
def test_a_damaged_history_is_refused(tmp_path: Path, text: str) -> None:
    (tmp_path / "history.json").write_text(text)
    with pytest.raises(ValueError, match=r"history.json should"):
        runs.read_history(tmp_path)


@pytest.mark.parametrize("name", ["examples.npz", "model.keras", "metrics.json", "settings.json"])
def test_a_fifo_in_a_run_folder_is_not_waited_for(tmp_path: Path, name: str) -> None:
    folder = folder_with(tmp_path / "run")
    (folder / name).unlink(missing_ok=True)
    os.mkfifo(folder / name)
    read = {
        "examples.npz": lambda: runs.Run.open(folder).examples(),
        "model.keras": lambda: runs.load_model(folder / "model.keras"),
        "metrics.json": lambda: runs.Run.open(folder).metrics(),
        "settings.json": lambda: runs.Run.open(folder),
    }
    with pytest.raises(ValueError, match="Received"):
        read[name]()
