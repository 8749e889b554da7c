import json

import numpy as np
import pytest

import wyner_keras as wk
from experiments import singles
from wyner_keras.data import LabelledImages


@pytest.fixture
def images():
    rng = np.random.default_rng(0)
    return LabelledImages(rng.random((120, 8, 8, 1), np.float32), np.arange(120) % 10)


def test_few_pairs_stay_and_the_rows_of_the_others_are_singles(images):
    pairs = wk.data.add_one(images, seed=0)
    few = singles.few_pairs(images, pairs, 0.1, seed=1)
    assert len(few) == 12
    assert (few.y_labels == (few.x_labels + 1) % 10).all()
    assert len(few.x) == len(images)  # nothing is held twice
    both = np.stack(few.singles, axis=1)
    for column in (0, 1):
        shown = np.concatenate([few.index[:, column], both[:, column]])
        assert sorted(shown) == sorted(pairs.index[:, column])
    # Not beside their partners.
    labels = images.labels[both]
    assert (labels[:, 1] == (labels[:, 0] + 1) % 10).mean() < 0.3
    assert singles.few_pairs(images, pairs, 0.1, alone=True).facts().singles == (0, 0)
    assert len(singles.few_pairs(images, pairs, 1.0)) == 120


class Engine:
    """Gives partners of the right label, of x alone."""

    def __init__(self, images):
        self.images = images

    def posteriors(self, rows, side):
        """Another number for each label, wrong of a third of y."""
        label = np.round(rows[:, 0, 0, 0] * 10).astype(int) - (side == "y")
        if side == "y":
            label[::3] += 1
        return (np.eye(10, dtype=np.float32)[(3 * label) % 10],)

    def generate_y(self, x, seed):
        return self._next(x, 1)

    def generate_x(self, y, seed):
        return self._next(y, 2)

    def _next(self, given, step):
        """An image whose first pixel is the label that many on."""
        label = np.round(given[:, 0, 0, 0] * 10).astype(int)
        made = given.copy()
        made[:, 0, 0, 0] = ((label + step) % 10) / 10
        return made


class Judge:
    """Reads the first pixel."""

    def accuracy(self, examples, labels):
        return float(np.mean(np.round(examples[:, 0, 0, 0] * 10) == labels))


def test_the_command_measures_each_share_and_writes(images, monkeypatch, tmp_path, call):
    rows = np.array(images.images)
    rows[:, 0, 0, 0] = images.labels / 10
    digits = LabelledImages(rows, images.labels)
    splits = type("Splits", (), {"train": digits, "test": digits})
    seen = []

    def train(pairs, recipe, **settings):
        seen.append((len(pairs), [stage.name for stage in recipe.stages]))
        return wk.Trained(Engine(digits), pairs, recipe, seconds={"all": 1.0})

    monkeypatch.setattr(wk, "train", train)
    monkeypatch.setattr(wk.data, "load", lambda name: splits)
    monkeypatch.setattr(
        "wyner_keras.evaluation.judges_for", lambda pairs, **_: {"x": Judge(), "y": Judge()}
    )
    words = ("--data", "digits", "--share", 50, 10, "--skip", "flow", "refinement", "--quiet")
    code, out, err = call(singles.main, *words, "--out", tmp_path / "a.json")
    assert code == 0, err
    stages = ["alignment", "self_training", "joint", "marginal"]
    assert seen == [(60, stages), (12, stages)]
    found = json.loads((tmp_path / "a.json").read_text())
    assert list(found) == ["50 %", "10 %"]
    assert found["10 %"]["singles"] == 108
    assert (found["10 %"]["conditional_y"], found["10 %"]["conditional_x"]) == (1, 0)
    assert (found["10 %"]["read_x"], found["10 %"]["read_y"]) == pytest.approx((1, 2 / 3), abs=0.01)
    assert "conditional_y" in out
