"""Figures without labels, of models whose figures are known."""

import math

import numpy as np
import pytest

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.evaluation import evaluate
from wyner_keras.evaluation.report import TITLES
from wyner_serving.tasks import Tasks

DIM, RHO = 3, 0.8
REST = math.sqrt(1 - RHO**2)


class Gaussian:
    """X and Y standard normal, each coordinate of correlation ρ."""

    def generate_y(self, x, *, seed, samples=None):
        noise = np.random.default_rng(seed).normal(size=(len(x), samples or 1, DIM))
        made = RHO * x[:, None] + REST * noise
        return made[:, 0] if samples is None else made

    generate_x = generate_y

    def generate_pairs(self, count, *, seed):
        x = np.random.default_rng(seed).normal(size=(count, DIM))
        return x, self.generate_y(x, seed=seed + 1)

    def transfer_x(self, *, style, concept, seed):
        raise AssertionError("nothing is measured on it")

    transfer_y = transfer_x


def test_figures_of_a_gaussian_pair_are_its_closed_forms() -> None:
    model = Gaussian()
    pairs = Pairs(*model.generate_pairs(1500, seed=7))
    report = evaluate(model, pairs, verbose=False)
    for side in "xy":
        # In units of E‖Y − y‖ / 2: the right samples score √(1 − ρ²), joint ones 1, shuffled
        # ones 2 − √(1 − ρ²).
        assert report[f"fit_{side}"] == pytest.approx(1 - REST / (2 - REST), abs=0.03)
        assert report[f"fit_joint_{side}"] == pytest.approx(1 - REST, abs=0.04)
        assert report.figures[f"spread_{side}"] == (pytest.approx(REST**2, abs=0.03), 1)
        for kind in ("precision", "recall"):
            for joint in ("", "joint_"):
                model_, ceiling = report.figures[f"{kind}_{joint}{side}"]
                assert model_ == pytest.approx(ceiling, abs=0.05)
    assert set(report.left_out.values()) == {
        "labels of 2 to 100 classes, in `train` too, to teach a judge",
        "labels",
        "a W-model, in Keras or as a bundle, that can rank",
        "a W-model in Keras, whose codecs and learned prior have `log_prob`",
        "a model that encodes and decodes",
        "a model that encodes",
        "the pairs that it was trained on, `train`",
    }


class Columns(Gaussian):
    """Reconstructs some columns of x, and says what kinds they are."""

    side_entries = {  # noqa: RUF012
        name: wk.Vector(
            kinds=("real", "binary", "categorical"), categories=(0, 0, 3), missing=True
        ).describe()
        for name in "xy"
    }

    def encode_x(self, x, *, seed):
        return x, None

    def decode_x(self, z, local):
        made = np.nan_to_num(z)
        made[::4, 1] = 1 - made[::4, 1]  # every fourth is wrong
        made[:, 2] = 0
        return made

    encode_y, decode_y = encode_x, decode_x


def test_columns_are_reconstructed_by_their_kind() -> None:
    rng = np.random.default_rng(0)
    x = np.stack([rng.normal(size=400), np.arange(400) % 2, np.arange(400) % 3], axis=1)
    x[:100, 0] = np.nan
    vector = wk.Vector(kinds=("real", "binary", "categorical"), categories=(0, 0, 3), missing=True)
    pairs = Pairs(x, x[::-1], x_modality=vector, y_modality=vector)
    model = Columns()
    model.tasks = ("joint",)
    report = evaluate(model, pairs, verbose=False)
    assert report.figures["reconstruction_x"] == (1, 1)
    assert report.figures["reconstruction_binary_x"] == (0.75, 0.5)
    third = pytest.approx(134 / 400)
    assert report.figures["reconstruction_categorical_y"] == (third, third)


@pytest.fixture(scope="module")
def model():
    """Untrained."""
    image, vector = wk.Image(shape=(4, 5, 1)), wk.Vector(kinds=("real",) * 3)
    return wk.WynerModel(
        wk.Categorical(n=2, k=3),
        {"x": image, "y": vector},
        codecs={"x": image.codec(None, 0), "y": vector.codec(None, 0)},
        settings={
            name: wk.SideSettings(
                local=wk.DiagonalGaussian(dim=2), hidden=(8,), reader="features", flow_steps=0
            )
            for name in "xy"
        },
    )


class Engine(Tasks):
    """A bundle: the same graphs, and nothing else of the model."""

    def __init__(self, model) -> None:
        self.model, self.batch_size = model, 16

    @property
    def side_entries(self):
        return self.model.side_entries

    @property
    def latent_entries(self):
        return self.model.latent_entries

    @property
    def identity(self):
        return self.model.identity

    @property
    def posterior_names(self):
        return self.model.posterior_names

    def run_graph(self, name, inputs):
        return self.model.run_graph(name, inputs)


def test_a_model_and_its_bundle_have_the_same_figures(model) -> None:
    rng = np.random.default_rng(0)
    pairs = Pairs(rng.random((30, 4, 5, 1)), rng.normal(size=(30, 3)))
    both = [
        evaluate(each, pairs, samples=2, styles=4, concepts=5, verbose=False)
        for each in (model, Engine(model))
    ]
    # A bundle shows no densities.
    likelihood = {name for name in TITLES if name.startswith(("log_like", "bits", "noise"))}
    assert both[0].figures.keys() - likelihood == both[1].figures.keys()
    assert likelihood <= both[0].figures.keys()
    assert likelihood <= both[1].left_out.keys()
    for name in both[0].figures:
        if name.startswith(("found", "median", "partner", "spread")):
            assert both[0].figures[name] == pytest.approx(both[1].figures[name], rel=1e-4), name
    assert both[0].figures["found_first_y"].beside == pytest.approx(1 / 30)
    assert both[0].figures["partner_nats"].beside == pytest.approx(math.log(22.5), abs=0.01)
    assert both[0].figures["reconstruction_y"] == (pytest.approx(both[1]["reconstruction_y"]), 1)
    # The codec alone gives its features back.
    assert both[0].figures["reconstruction_x"].beside == pytest.approx(1, abs=0.3)
    assert "y ranked first by x (R@1)" in both[0].table()


def test_partners_that_rounding_alone_sets_apart_are_found_by_chance() -> None:
    class Silent(Gaussian):
        tasks = ("joint",)

        def log_pmi(self, x, y):
            return np.where(np.eye(len(x)), 1e-6, 0.0)

    found = evaluate(Silent(), Pairs(*Gaussian().generate_pairs(30, seed=0)), verbose=False)
    assert found["found_first_y"] == pytest.approx(1 / 30)
    assert found["median_rank_x"] == 15.5


def test_examples_that_are_not_finite_are_refused() -> None:
    class Broken(Gaussian):
        def generate_y(self, x, *, seed, samples=None):
            return np.nan * super().generate_y(x, seed=seed, samples=samples)

    pairs = Pairs(*Gaussian().generate_pairs(30, seed=0))
    with pytest.raises(ValueError, match=r"finite examples of y. Received: NaN .*'conditional'"):
        evaluate(Broken(), pairs, verbose=False)


def test_of_more_pairs_than_there_is_room_for_a_part_is_used(monkeypatch) -> None:
    monkeypatch.setattr("wyner_keras.evaluation.held._ROOM", 4 * DIM * 100)
    pairs = Pairs(*Gaussian().generate_pairs(300, seed=0))
    report = evaluate(Gaussian(), pairs, verbose=False)
    assert report.counts["distances_x"] == 50
    assert report.counts["fit_x"] == 12  # 8 samples of each
