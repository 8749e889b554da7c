import json
from types import MappingProxyType

import numpy as np
import pytest

import wyner_keras as wk
from experiments import mispairs


class Engine:
    """Reads the label off the brightest pixel."""

    batch_size = 100
    latent_entries = MappingProxyType({"z": wk.Categorical(n=1, k=4).describe()})

    def posteriors(self, values, side):
        return self.run_graph(f"posterior_{side}_z", {side: values})

    def run_graph(self, name, inputs):
        (images,) = inputs.values()
        kinds = np.asarray(images).reshape(len(images), -1).argmax(axis=1) % 4
        return [(0.9 * np.eye(4)[kinds] + 0.025).astype(np.float32)]


@pytest.fixture
def pairs():
    rng = np.random.default_rng(0)
    labels = np.arange(120) % 4
    images = 0.1 * rng.random((120, 2, 2, 1))
    images.reshape(120, 4)[np.arange(120), labels] = 1
    labelled = wk.data.LabelledImages(images, labels)
    return wk.data.same_label(labelled, labelled, 60)


def test_planted_pairs_are_wrong_and_the_others_as_they_were(pairs):
    planted, wrong = mispairs.plant(pairs, 0.1, seed=1)
    assert wrong.sum() == 24
    assert planted.x_labels is None
    labels = np.arange(120) % 4
    fits = labels[planted.index[:, 0]] == labels[planted.index[:, 1]]
    assert (fits == ~wrong).all()
    # Partners change places: each is used as often as before.
    assert sorted(planted.index[:, 1]) == sorted(pairs.index[:, 1])
    assert (mispairs.plant(pairs, 0.1, seed=1)[0].index == planted.index).all()


def test_of_one_label_no_wrong_pair_can_be_made(pairs):
    one = pairs.select(np.flatnonzero(pairs.x_labels == 0))
    with pytest.raises(ValueError, match="other labels"):
        mispairs.plant(one, 0.2)


def test_without_labels_no_row_keeps_its_partner(pairs):
    bare = wk.Pairs(*pairs.stores, np.stack([np.arange(120)] * 2, axis=1))
    planted, wrong = mispairs.plant(bare, 0.25)
    assert wrong.sum() == 30
    assert ((planted.index[:, 0] == planted.index[:, 1]) == ~wrong).all()


def test_wrong_pairs_are_ranked(pairs):
    planted, wrong = mispairs.plant(pairs, 0.1)
    found = mispairs.ranked(Engine(), planted, wrong)
    assert found["area"] == 1
    assert found["wrong_among_first"] == 1
    assert found["against"] == pytest.approx(0.1)


def test_the_command_trains_on_what_it_planted_and_writes(monkeypatch, tmp_path, call):
    rng = np.random.default_rng(0)
    file = tmp_path / "letters.npz"
    letters = {name: rng.integers(0, 256, (7540, 2, 2), np.uint8) for name in "ul"}
    np.savez(file, **letters, y=np.tile(np.arange(26), 290))
    seen = []

    def train(pairs, **settings):
        seen.append((pairs, settings))
        return wk.Trained(Engine(), pairs, None, seconds={"all": 1.0})

    monkeypatch.setattr(wk, "train", train)
    words = (
        "--letters",
        file,
        "--pairs",
        200,
        "--out",
        tmp_path / "a.json",
        "--seed",
        3,
        "--quiet",
    )
    code, out, err = call(mispairs.main, *words)
    assert code == 0, err
    found = json.loads((tmp_path / "a.json").read_text())
    assert (found["pairs"], found["wrong"], found["seed"]) == (200, 10, 3)
    assert "area" in out
    ((pairs, settings),) = seen
    assert len(pairs) == 200
    assert pairs.x_labels is None
    # Held-out faces are not trained on.
    assert len(pairs.x) == (290 - 58) * 26
    assert settings["seed"] == 3
    assert call(mispairs.main, *words)[0] == 2  # the file is there by now
