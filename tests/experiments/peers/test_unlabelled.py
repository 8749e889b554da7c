"""Pairs without labels: what is written, asked and shown; no peer is trained."""

import csv
import dataclasses
import json

import numpy as np
import PIL.Image
import pytest

from experiments.peers import __main__ as command
from experiments.peers import own
from experiments.peers.__main__ import main
from experiments.peers.figures import SHOWN, completed, linear, partners, pixel_errors, real_reports
from experiments.peers.grid import draw_unlabelled
from experiments.peers.pairs import unlabelled_pairs, write_unlabelled
from experiments.peers.real import asked_of, real_pairs
from experiments.peers.saved import asked, facts_of, save_images
from experiments.peers.table import write_table
from wyner_keras.data import Pairs, load
from wyner_keras.latents import Categorical
from wyner_keras.modality import Image
from wyner_serving.sides import OTHER

FACTS = {"epochs": 2, "seconds": 3.4, "parameters": 56}
SHARED = {**FACTS, "calibrated": True, "shared": "3 kinds: 1.00 nats or more"}


class Partners:
    """Answers with the real partners of held-out examples, and ranks by what is given."""

    def __init__(self, pairs, tasks=("conditional", "joint", "transfer")):
        self.tests = {side: pairs[f"test_{side}"] for side in "xy"}
        self.tasks = tasks
        self.z = Categorical(n=1, k=3)

    def partner(self, given, side, samples=None):
        known = {image.tobytes(): row for row, image in enumerate(self.tests[OTHER[side]])}
        made = self.tests[side][[known[image.tobytes()] for image in given]]
        return made if samples is None else np.repeat(made[:, None], samples, axis=1)

    def generate_y(self, x, *, seed, samples=None):
        return self.partner(x, "y", samples)

    def generate_x(self, y, *, seed, samples=None):
        return self.partner(y, "x", samples)

    def generate_pairs(self, n, *, seed):
        return self.tests["x"][:n], self.tests["y"][:n]

    def log_pmi(self, x, y):
        return -np.array([[abs(i - j) for j in range(len(y))] for i in range(len(x))])


class WholeDigit:
    """A judge of 8×8 images that knows those of the test set, by their pixels."""

    modality = Image(shape=(8, 8, 1))

    def __init__(self, source):
        self.images, self.labels = source.test.images.reshape(-1, 64), source.test.labels

    def read(self, images):
        flat = images.reshape(len(images), -1)
        near = [np.abs(self.images - row).sum(axis=1).argmin() for row in flat]
        return self.labels[near], flat[:, 16:48]


@pytest.fixture(scope="module")
def halves():
    return real_pairs("digit-halves", None)


@pytest.fixture(scope="module")
def folder(halves, tmp_path_factory):
    out = tmp_path_factory.mktemp("halves")
    write_unlabelled(out / "pairs.npz", *halves, seed=0, samples=3)
    return out


@pytest.fixture(scope="module")
def pairs(folder):
    return dict(np.load(folder / "pairs.npz"))


def colours(count, seed=0):
    """Pairs of 4×4 colour images, y the negative of x."""
    x = np.random.default_rng(seed).integers(0, 256, (count, 4, 4, 3)).astype(np.uint8)
    return Pairs(x, 255 - x)


@pytest.fixture(scope="module")
def emoji(tmp_path_factory):
    path = tmp_path_factory.mktemp("emoji") / "pairs.npz"
    how = {"samples": 2, **asked_of("emoji")}
    write_unlabelled(path, colours(60), colours(12, seed=1), **how)
    return dict(np.load(path))


def test_halves_are_the_two_of_one_digit_and_models_get_no_labels(pairs, halves):
    source, (train, held_out) = load("digits"), halves
    whole = np.concatenate([pairs["test_x"], pairs["test_y"]], axis=2)
    np.testing.assert_array_equal(whole, source.test.images)
    np.testing.assert_array_equal(held_out.x_labels, source.test.labels)
    given = unlabelled_pairs(pairs)
    assert len(given) == len(train) == len(source.train)
    assert given.x_labels is given.y_labels is given.facts().classes is None
    assert not any(name.startswith("styles") for name in pairs)
    np.testing.assert_array_equal(asked(pairs, "inputs_y"), pairs["test_x"][pairs["inputs_y"]])


def letters(folder):
    rng = np.random.default_rng(0)
    upper, lower = rng.integers(0, 256, (2, 7540, 4, 4)).astype(np.uint8)
    np.savez(folder / "letters.npz", u=upper, l=lower, y=np.tile(np.arange(26), 290))
    return upper, lower


def test_letters_are_paired_across_typefaces_of_which_a_fifth_is_held_out(tmp_path):
    upper, lower = letters(tmp_path)
    train, held_out = real_pairs("letters", tmp_path, 30)
    np.testing.assert_array_equal(train.x_labels, train.y_labels)
    np.testing.assert_array_equal(held_out.x_labels, held_out.y_labels)
    assert (len(train), len(held_out)) == (26 * 30, 26 * 58)
    held = np.isin(np.arange(290), np.random.default_rng(0).permutation(290)[:58]).repeat(26)
    for images, rows, part in ((upper, ~held, train), (upper, held, held_out)):
        np.testing.assert_array_equal(part.stores[0].take(np.arange(3))[..., 0], images[rows][:3])
    write_unlabelled(tmp_path / "pairs.npz", train, held_out, inputs=9, **asked_of("letters"))
    pairs = dict(np.load(tmp_path / "pairs.npz"))
    assert asked(pairs, "styles_y").shape == (100, 4, 4, 1)
    np.testing.assert_array_equal(pairs["test_y"][0, ..., 0], lower[held][0] / np.float32(255))
    with pytest.raises(ValueError, match=r"`folder` should hold emoji.npz. Received: .*tmp"):
        real_pairs("emoji", tmp_path)


def test_right_completions_are_read_as_real_digits_are(folder, pairs, halves):
    save_images(folder / "right.npz", Partners(pairs, ("conditional", "joint")), pairs, FACTS)
    saved, judge = dict(np.load(folder / "right.npz")), WholeDigit(load("digits"))
    figures = completed(saved, pairs, halves[1].x_labels, judge)
    for made in "xy":
        assert figures[f"completed_accuracy_{made}"] == {"model": 1.0, "beside": 1.0}
        real = figures[f"frechet_{made}"]
        assert real["model"] == pytest.approx(real["beside"], abs=0.5)
    assert "frechet_joint" in figures
    wrong = saved | {"conditional_y": saved["conditional_y"][::-1]}
    worse = completed(wrong, pairs, halves[1].x_labels, judge)
    assert worse["completed_accuracy_y"]["model"] < 0.9
    assert worse["completed_accuracy_x"]["model"] == 1
    assert worse["frechet_y"]["model"] > figures["frechet_y"]["model"]
    fewer = {name: each for name, each in saved.items() if not name.startswith("joint")}
    assert "frechet_joint" not in completed(fewer, pairs, halves[1].x_labels, judge)


def test_partners_are_found_by_scores_or_by_means(emoji, tmp_path):
    save_images(tmp_path / "w.npz", Partners(emoji, ("conditional",)), emoji, SHARED)
    saved = dict(np.load(tmp_path / "w.npz"))
    assert saved["scores"].shape == (12, 12)
    assert partners(saved, emoji)["found_first_y"] == {"model": 1.0, "beside": 1 / 12}
    means = {"mean_x": np.diag(np.arange(1.0, 13)), "mean_y": np.eye(12)}  # nearness fails
    assert partners(means, emoji)["found_first_x"]["model"] == 1
    line = np.arange(1.0, 13)[:, None]
    assert partners({"mean_x": line, "mean_y": line}, emoji)["found_first_x"]["model"] == 1
    assert partners({}, emoji) == {}
    assert linear(emoji)["found_in_5_y"]["beside"] == pytest.approx(5 / 12)
    errors = pixel_errors(saved, emoji)
    assert errors["error_y"]["model"] < 0.01 < 0.2 < errors["error_stranger_y"]["model"]


def test_the_table_says_what_a_model_cannot_do(emoji, tmp_path):
    files = {name: tmp_path / f"{name}.npz" for name in ("wyner", "multivae-cvae")}
    for (name, file), facts in zip(files.items(), (SHARED, FACTS), strict=True):
        tasks = ("conditional", "transfer") if name == "wyner" else ("conditional",)
        save_images(file, Partners(emoji, tasks), emoji, facts)
    images = {each: array for each, array in np.load(files["multivae-cvae"]).items()}
    del images["scores"]
    np.savez(files["multivae-cvae"], **images)
    reports, shown = real_reports("emoji", None, {}, files, emoji), SHOWN["emoji"]
    table = write_table(reports, tmp_path, shown.columns, beside=shown.beside, note=shown.note)
    rows = list(csv.DictReader((tmp_path / "table.csv").read_text().splitlines()))
    assert [row["model"] for row in rows] == ["W-model", "CVAE", "PCA + CCA", "chance"]
    able = [(row["transfer"], row["calibrated score"], row["x and y share"]) for row in rows]
    assert able == [("yes", "yes", "3 kinds: 1.00 nats or more"), *[("", "", "")] * 3]
    assert [row["R@1 y from x"] for row in rows][:2] == ["1.000", ""]
    assert (rows[2]["epochs"], rows[3]["R@1 y from x"]) == ("", "0.083")
    assert table.read_text().splitlines()[-1] == shown.note
    assert "PCA + CCA" in json.loads((tmp_path / "table.json").read_text())


def test_the_picture_shows_halves_as_whole_images(folder, pairs, tmp_path):
    save_images(folder / "drawn.npz", Partners(pairs, ("conditional",)), pairs, FACTS)
    widths = []
    for joined in (True, False):
        path = tmp_path / f"{joined}.png"
        draw_unlabelled({"wyner": folder / "drawn.npz"}, pairs, path, joined=joined)
        with PIL.Image.open(path) as image:
            widths.append(image.width)
    assert widths[0] > widths[1]


@pytest.mark.slow
def test_the_w_model_trains_on_unlabelled_halves_within_a_time(eager, folder, monkeypatch):
    """Of a recipe so short that the time does not matter: an epoch of codecs and of alignment."""
    arrays = dict(np.load(folder / "pairs.npz"))
    few = {"index": arrays["index"][:200], **{k: v for k, v in arrays.items() if k != "index"}}
    for name in ("inputs_x", "inputs_y", "diverse_x", "diverse_y"):
        few[name] = few[name][:5]
    np.savez(folder / "few.npz", **few)
    default = own.recipe_of

    def shortest(*given):
        recipe = default(*given).scaled(0.001)
        return dataclasses.replace(recipe, stages=recipe.stages[:1])

    monkeypatch.setattr(own, "recipe_of", shortest)
    words = ["own", "wyner", "--pairs", str(folder / "few.npz"), "--seconds", "60"]
    monkeypatch.setattr("sys.argv", [*words, "--out", str(folder / "wyner.npz")])
    own.main()
    facts = facts_of(folder / "wyner.npz")
    assert facts["epochs"] >= 1
    assert 0 < facts["seconds"] < 600
    assert isinstance(facts["calibrated"], bool)
    assert "nats or more" in facts["shared"] or "nothing" in facts["shared"]
    with np.load(folder / "wyner.npz") as saved:
        assert saved["conditional_y"].shape == (5, 8, 4, 1)
        assert "transfer_y" not in saved.files


@pytest.mark.parametrize(
    ("words", "said"),
    [
        (["--data", "emoji"], "`folder` should hold emoji.npz"),
        (["--data", "digit-halves", "--pairs-per-class", "3"], "should not be given"),
    ],
)
def test_a_call_that_cannot_work_leaves_no_folder(words, said, tmp_path, monkeypatch, capsys):
    call = ["peers", "--out", str(tmp_path / "peers"), "--peers-python", "python", *words]
    monkeypatch.setattr("sys.argv", call)
    with pytest.raises(SystemExit) as stopped:
        main()
    assert stopped.value.code == 2
    assert said in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


def test_the_command_goes_on_where_it_was(folder, pairs, halves, tmp_path, monkeypatch):
    """The images of a model are there; no model is trained."""
    out = tmp_path / "out"
    words = ["peers", "--out", str(out), "--peers-python", "python", "--data", "digit-halves"]
    monkeypatch.setattr("sys.argv", [*words, "--minutes", "1", "--models", "wyner"])
    monkeypatch.setattr(command, "judges_of", lambda *_: {"whole": WholeDigit(load("digits"))})

    class Run:
        returncode = 0

        def __init__(self, words):
            asks.append(words)
            made = dict(np.load(words[words.index("--pairs") + 1]))
            save_images(
                words[words.index("--out") + 1], Partners(made, ("conditional",)), made, FACTS
            )

    asks = []
    monkeypatch.setattr(command.subprocess, "run", Run)
    main()
    main()
    ((*_, last),) = asks
    assert last == "60.0"
    assert "--data" not in asks[0]
    assert {"table.json", "table.csv", "table.md", "grid.png"} <= {p.name for p in out.iterdir()}
    assert "| W-model | 2.0 | 3 | 56 | 1.000 | 1.000 |" in (out / "table.md").read_text()
