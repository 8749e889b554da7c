import shutil

import numpy as np
import pytest
import tiny_bundle

import wyner_export
import wyner_keras as wk
from wyner_keras.evaluation.report import Figure, Report


class Judge:
    """Stands in for minutes of evaluation: figures that depend on the seed alone."""

    def __init__(self):
        self.coherence, self.asked = 0.5, []

    def evaluate(self, model, held_out, *, train, seed, verbose):
        self.asked.append((len(held_out), seed))
        return Report(
            figures={
                "joint_coherence": Figure(self.coherence + 0.01 * seed, 1.0),
                "two_sample_joint": Figure(0.6, 0.5),
                "frechet_y": Figure(float("nan"), 1.0),
            },
            counts={"pairs": len(held_out)},
            seed=seed,
            left_out={"found_first_y": "more pairs"},
            intervals={"two_sample_joint": (0.5, 0.7)},
        )

    def measure(self, model, held_out, *, seed):
        return {"i_xy_z": 1.0, "i_x_z": 0.5, "i_y_z": 0.25, "rows": 7.0}


@pytest.fixture
def card():
    """What is said of the tiny model."""
    return wk.presets.Card(
        about="Noise, and other noise.",
        licence="Apache-2.0",
        data="random numbers of ours",
        data_licence="CC0-1.0",
        commands=["wyner train --pairs noise --out run"],
        source={"pairs": "/home/somebody/noise"},
    )


@pytest.fixture
def judge(monkeypatch):
    judge = Judge()
    monkeypatch.setattr("wyner_keras.presets.judging.evaluate", judge.evaluate)
    monkeypatch.setattr("wyner_keras.presets.judging.measure", judge.measure)
    return judge


@pytest.fixture(scope="session")
def held_out(tiny):
    return wk.Pairs(*tiny_bundle.tiny_rows(tiny).values())


@pytest.fixture
def write(judge, card, tiny, bundle, held_out, monkeypatch, tmp_path):
    """Writes presets of the tiny model, whose bundle is the one that tests share."""

    def write_bundle(model, path, **said):
        shutil.copytree(bundle, path)

    monkeypatch.setattr(wyner_export, "write_bundle", write_bundle)

    def write(name="tiny", **settings):
        settings = {"held_out": held_out, "repeats": 3, "verbose": False, **settings}
        return wk.presets.write(tiny, tmp_path / name, card, **settings)

    return write


@pytest.fixture
def same(tiny, tiny_images):
    """Whether a model or a bundle gives what the tiny model does."""

    def check(model):
        expected = tiny.generate_y(tiny_images[0], seed=3)
        np.testing.assert_allclose(model.generate_y(tiny_images[0], seed=3), expected, atol=1e-5)

    return check
