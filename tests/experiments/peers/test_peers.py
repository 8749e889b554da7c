"""Saved arrays to a table and a picture, with arrays made up here; no peer is trained."""

import csv
import json
import types

import numpy as np
import PIL.Image
import pytest
from sklearn.neighbors import KNeighborsClassifier

from experiments.peers import own
from experiments.peers.__main__ import main
from experiments.peers.baselines import BASELINES, Baseline, epochs_of, make_baseline
from experiments.peers.grid import comparison_grid, draw_grid
from experiments.peers.own import epochs_trained, epochs_within, with_epochs
from experiments.peers.pairs import held_out_pairs, recipe_of, training_pairs, write_pairs
from experiments.peers.saved import SavedImages, facts_of, save_images
from experiments.peers.table import judged, write_table
from wyner_keras.data import ImageSource, LabelledImages, add_one, load
from wyner_keras.evaluation import evaluate
from wyner_keras.modality import Image
from wyner_keras.networks import ConvCodec


class NearestDigit:
    """A judge that needs no training: the label of the nearest training digit."""

    modality = Image(shape=(8, 8, 1))

    def __init__(self, source):
        flat = source.train.images.reshape(len(source.train), -1)
        self.classifier = KNeighborsClassifier(1).fit(flat, source.train.labels)

    def read(self, images):
        flat = images.reshape(len(images), -1)
        return self.classifier.predict(flat), flat[:, 16:48]


class RealDigits:
    """Answers with training digits of the right class, of 8 bits a pixel."""

    def __init__(self, source, tasks=("conditional", "joint", "transfer")):
        self.train, self.tasks = source.train, tasks
        self.images = np.rint(255 * source.train.images).astype(np.float32) / 255
        self.known = {
            image.tobytes(): int(label)
            for image, label in zip(source.test.images, source.test.labels, strict=True)
        }

    def draw(self, images, step, seed, samples=None):
        rng = np.random.default_rng(seed)
        rows = [
            rng.choice(self.train.of_class((self.known[image.tobytes()] + step) % 10), samples or 1)
            for image in images
        ]
        made = self.images[np.array(rows)]
        return made if samples else made[:, 0]

    def generate_y(self, x, *, seed, samples=None):
        return self.draw(x, 1, seed, samples)

    def generate_x(self, y, *, seed, samples=None):
        return self.draw(y, -1, seed, samples)

    def generate_pairs(self, n, *, seed):
        return tuple(self.images[self.train.of_class(label)[:n]] for label in (3, 4))

    def transfer_x(self, style, concept, *, seed):
        return np.stack([self.draw(concept, -1, seed + i) for i in range(len(style))])

    def transfer_y(self, style, concept, *, seed):
        return np.stack([self.draw(concept, 1, seed + i) for i in range(len(style))])


@pytest.fixture(scope="module")
def source():
    return load("digits")


@pytest.fixture(scope="module")
def folder(source, tmp_path_factory):
    out = tmp_path_factory.mktemp("peers")
    write_pairs(out / "pairs.npz", source, 5, inputs=40, samples=3, styles=4, concepts=6)
    return out


@pytest.fixture(scope="module")
def pairs(folder):
    return dict(np.load(folder / "pairs.npz"))


@pytest.fixture(scope="module")
def held_out(source, pairs):
    return held_out_pairs(source, pairs)


@pytest.fixture(scope="module")
def judges(source):
    return dict.fromkeys("xy", NearestDigit(source))


FACTS = {"epochs": 2, "seconds": 3.4, "parameters": 56}


def test_the_file_holds_the_pairs_and_what_is_asked(pairs, source):
    labels = source.train.labels[pairs["index"]]
    np.testing.assert_array_equal((labels[:, 0] + 1) % 10, labels[:, 1])
    assert len(labels) == 50
    np.testing.assert_array_equal(pairs["test"], source.test.images)
    assert pairs["inputs_y"].shape == pairs["inputs_x"].shape == (40,)
    assert (pairs["styles_x"].shape, pairs["concepts_x"].shape) == ((4,), (6,))
    assert json.loads(str(pairs["settings"]))["hidden"] == [256, 256, 256]


def test_saved_images_are_judged_as_their_model_is(folder, source, pairs, held_out, judges):
    save_images(folder / "wyner.npz", RealDigits(source), pairs, FACTS)
    settings = json.loads(str(pairs["settings"]))["evaluate"]
    model = evaluate(RealDigits(source), held_out, judges=judges, verbose=False, **settings)
    saved = judged(folder / "wyner.npz", pairs, held_out, judges)
    assert saved["figures"] == model.to_dict()["figures"]
    assert saved["counts"] == model.counts
    assert saved["figures"]["conditional_accuracy_y"]["model"] == 1
    assert saved["facts"] == {**FACTS, "tasks": ["conditional", "joint", "transfer"]}


def test_a_kept_report_is_made_again_only_for_newer_images(folder, source, pairs, held_out, judges):
    file = folder / "again.npz"
    save_images(file, RealDigits(source, ("conditional",)), pairs, FACTS)
    report = judged(file, pairs, held_out, judges)
    assert judged(file, pairs, held_out, {}) == report
    save_images(file, RealDigits(source, ("conditional",)), pairs, {**FACTS, "epochs": 9})
    assert judged(file, pairs, held_out, judges)["facts"]["epochs"] == 9


@pytest.mark.parametrize("name", BASELINES)
def test_baselines_are_asked_for_what_they_can_do(name, folder, settings, pairs, held_out, judges):
    codec = ConvCodec((8, 8, 1), code_size=3, filters=(2, 3))
    file = folder / f"{name}.npz"
    model = make_baseline(name, settings, codec.feature_size, codec.feature_size)
    save_images(file, Baseline(model, dict.fromkeys("xy", codec)), pairs, FACTS)
    figures = judged(file, pairs, held_out, judges)["figures"]
    assert "conditional_accuracy_y" in figures
    assert ("joint_coherence" in figures) == (name == "jvae")
    assert "style_accuracy_x" not in figures


def test_table_and_picture(folder, source, pairs, held_out, judges, tmp_path):
    files = {"wyner": folder / "wyner.npz", "multivae-cvae": folder / "cvae.npz"}
    save_images(files["wyner"], RealDigits(source), pairs, FACTS)
    save_images(files["multivae-cvae"], RealDigits(source, ("conditional",)), pairs, FACTS)
    reports = {name: judged(file, pairs, held_out, judges) for name, file in files.items()}
    markdown = write_table(reports, tmp_path).read_text()
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == ["W-model", "CVAE", "real digits"]
    assert rows[0]["accuracy y"] == rows[1]["accuracy y"] == "1.000"
    assert rows[0]["coherence"] == "1.000"
    assert (rows[1]["coherence"], rows[1]["slant x"]) == ("", "")
    assert rows[0]["epochs"] == "2.0"
    assert float(rows[2]["accuracy y"]) > 0.9
    assert len(markdown.splitlines()) == 5
    assert "| CVAE | 2.0 | 3 | 56 | 1.000 |" in markdown
    stored = json.loads((tmp_path / "table.json").read_text())
    assert stored["wyner"]["figures"]["recall_x"] == reports["wyner"]["figures"]["recall_x"]
    with PIL.Image.open(draw_grid(files, pairs, source.test.labels, tmp_path / "grid.png")) as grid:
        assert grid.width > 15 * 56


def test_a_table_has_a_gap_where_a_figure_is_missing(tmp_path):
    known, broken = {"model": 0.5, "beside": 0.75}, {"model": None, "beside": None}
    figures = {"wyner": {"diversity_y": known, "frechet_y": broken}, "cvae": {"recall_y": known}}
    reports = {name: {"facts": FACTS, "figures": each} for name, each in figures.items()}
    write_table(reports, tmp_path)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["diversity y"] for row in rows] == ["0.500", "", "0.750"]
    assert [row["recall y"] for row in rows] == ["", "0.500", "0.750"]
    assert [row["FD y"] for row in rows] == ["", "", ""]


def test_other_images_than_those_asked_for_are_refused(folder, pairs, source):
    save_images(folder / "model.npz", RealDigits(source), pairs, FACTS)
    saved = SavedImages.load(folder / "model.npz", pairs)
    assert facts_of(folder / "model.npz")["parameters"] == 56
    x = source.test.images[pairs["inputs_y"]]
    assert saved.generate_y(x, seed=0).shape == (40, 8, 8, 1)
    with pytest.raises(ValueError, match=r"`x` should be the images .*Received: others"):
        saved.generate_y(x[::-1], seed=0)
    with pytest.raises(ValueError, match=r"`samples` should be 3. Received: 5"):
        saved.generate_y(source.test.images[pairs["diverse_y"]], seed=0, samples=5)
    with pytest.raises(ValueError, match=r"`n` should be 40. Received: 3"):
        saved.generate_pairs(3, seed=0)


def test_pairs_of_bytes_are_asked_for_as_the_evaluator_does(source, judges, tmp_path):
    """MNIST's are bytes; not all its images are in held-out pairs."""
    sets = (source.train, source.test)
    as_bytes = [
        LabelledImages(np.rint(255 * each.images).astype(np.uint8), each.labels) for each in sets
    ]
    whole = ImageSource("bytes", *as_bytes)
    write_pairs(tmp_path / "pairs.npz", whole, 5, inputs=12, samples=2, styles=3, concepts=2)
    pairs = dict(np.load(tmp_path / "pairs.npz"))
    assert pairs["test"].dtype == np.float32
    assert len(np.unique(pairs["held_out"][:, 1])) < len(source.test)
    units = ImageSource("units", *(LabelledImages(each.unit(), each.labels) for each in as_bytes))
    save_images(tmp_path / "model.npz", RealDigits(units), pairs, FACTS)
    report = judged(tmp_path / "model.npz", pairs, held_out_pairs(whole, pairs), judges)
    assert report["figures"]["conditional_accuracy_x"]["model"] == 1
    assert len(training_pairs(whole, pairs)) == 50


@pytest.fixture(scope="module")
def settings(source):
    return recipe_of(add_one(source.train, 5), 0)


def test_epochs_are_shared_among_the_stages(settings):
    chosen = recipe_of(add_one(load("digits").train, 1000), 0)
    for epochs in (108, 40):
        assert epochs_of(with_epochs(chosen, epochs)) == pytest.approx(epochs, abs=2)
    assert with_epochs(chosen, epochs_of(chosen)) == chosen
    assert {stage.epochs for stage in with_epochs(chosen, 1).stages} == {1}
    # Few pairs: an epoch of the recipe is several passes.
    assert epochs_of(settings) > sum(stage.epochs for stage in settings.stages)
    assert with_epochs(settings, epochs_of(settings)) == settings
    for epochs in (10, 40):
        assert epochs_of(with_epochs(settings, epochs)) == pytest.approx(epochs, abs=5)
    assert epochs_of(with_epochs(settings, 1)) == len(settings.stages)
    assert with_epochs(settings, 40).codecs == settings.codecs


class Seconds:
    """In place of training: 2 s to compile and 0.5 s an epoch, in every stage."""

    def __call__(self, name, pairs, settings, codecs, epochs):
        stages = {stage.name: stage.epochs for stage in settings.stages}
        stages = stages if name == "wyner" else {name: epochs}
        return types.SimpleNamespace(seconds={k: 2 + 0.5 * v for k, v in stages.items()})


@pytest.mark.parametrize("name", ["wyner", "cvae"])
def test_as_many_epochs_are_trained_as_fit_into_the_time(name, settings, monkeypatch):
    monkeypatch.setattr(own, "fit", Seconds())
    monkeypatch.setattr(own, "codecs_for", lambda *_: ({}, 0.0))
    stages = [stage.epochs for stage in settings.stages] if name == "wyner" else None
    needed = 0.5 * (sum(stages) if stages else epochs_of(settings))
    fixed = 2 * (len(stages) if stages else 1)
    for share in (1.0, 0.5):
        found = epochs_within(share * needed + fixed, name, None, settings, None)
        assert found == pytest.approx(share * epochs_of(settings))
    assert epochs_within(1, name, None, settings, None) == 0


def test_passes_over_the_pairs_are_counted(settings):
    history = {stage.name: {"loss": [1.0] * stage.epochs} for stage in settings.stages}
    trained = types.SimpleNamespace(history={"codec": {}, **history})
    assert epochs_trained(trained, settings) == epochs_of(settings)
    trained = types.SimpleNamespace(history={"cvae": {"loss": [1.0] * 7}, "flow": {}})
    assert epochs_trained(trained, settings) == 7


def test_a_budget_of_time_is_the_same_processors(tmp_path, monkeypatch, capsys):
    words = ["--out", str(tmp_path / "peers"), "--peers-python", "python", "--minutes", "8"]
    monkeypatch.setattr("sys.argv", ["peers", *words, "--peers-device", "cuda"])
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert "should be cpu with --minutes" in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_picture_has_inputs_above_their_samples_and_a_row_for_each_model(tmp_path):
    rng = np.random.default_rng(0)
    inputs = rng.random((2, 8, 8, 3))
    rows = {name: rng.random((2, 3, 8, 8, 3)) for name in ("one", "other")}
    with PIL.Image.open(comparison_grid(inputs, rows, tmp_path / "grid.png")) as image:
        picture = np.asarray(image.convert("RGB"))

    def place(image):
        """Left and top of an image that the picture shows once, magnified 7 times."""
        tile = np.rint(255 * image).astype("uint8").repeat(7, 0).repeat(7, 1)
        corners = np.argwhere((picture == tile[0, 0]).all(-1))
        ((y, x),) = [
            (y, x) for y, x in corners if np.array_equal(picture[y : y + 56, x : x + 56], tile)
        ]
        return int(x), int(y)

    for column in range(2):
        left, top = place(inputs[column])
        places = {name: [place(image) for image in rows[name][column]] for name in rows}
        for across in places.values():
            assert across == sorted(across)
            assert across[1][0] == left
            assert len({y for _, y in across}) == 1
        assert top < places["one"][0][1] < places["other"][0][1]
