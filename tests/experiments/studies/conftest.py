from types import SimpleNamespace

import numpy as np
import pytest
from bars import bars

from experiments.studies import Configuration, Experiment, Group, Size, Sweep
from wyner_keras import runs, training
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Joint, Marginal
from wyner_keras.recipe import Recipe, StageSettings
from wyner_keras.schedules import Ramp
from wyner_keras.side import SideSettings

TINY = Size(name="tiny", pairs_per_class=16, inputs=30, styles=4, concepts=4)


class RandomImages:
    """Stands for a trained model of 8x8 images."""

    def __init__(self, local=None):
        self.local = local

    def generate_y(self, given, *, seed, samples=None):
        shape = (len(given), 8, 8, 1) if samples is None else (len(given), samples, 8, 8, 1)
        return np.random.default_rng(seed).random(shape, dtype=np.float32)

    generate_x = generate_y

    def generate_pairs(self, n, *, seed):
        return tuple(np.random.default_rng(seed).random((2, n, 8, 8, 1), dtype=np.float32))

    def transfer_x(self, *, style, concept, seed):
        return self.generate_y(style, seed=seed, samples=len(concept))

    transfer_y = transfer_x

    def save(self, path):
        path.write_bytes(b"model")


class Training:
    """Stands for training: counts what was trained, and may fail at one configuration."""

    def __init__(self):
        self.codecs, self.trained = 0, []
        self.fails_at, self.error = None, KeyboardInterrupt()
        self.train_codecs_really = training.train_codecs

    def train_codecs(self, pairs, recipe, verbose):
        self.codecs += 1
        return self.train_codecs_really(pairs, recipe, verbose=verbose)

    def train(self, pairs, recipe, *, folder, codecs, verbose):
        assert codecs["x"] is codecs["y"]
        if len(self.trained) == self.fails_at:
            self.fails_at = None
            folder.mkdir(parents=True)
            (folder / "weights").write_bytes(b"kept")
            raise self.error
        self.trained.append(recipe.sides["x"].local)
        return SimpleNamespace(
            model=RandomImages(recipe.sides["x"].local),
            history={"joint": {"loss": [1.0]}},
            seconds={"joint": 2.0, "marginal": 0.5},
            shared_nats=1.25,
        )


@pytest.fixture
def fake_training(monkeypatch):
    """Training that takes no time."""
    fake = Training()
    monkeypatch.setattr(training, "train_codecs", fake.train_codecs)
    monkeypatch.setattr(training, "train", fake.train)
    monkeypatch.setattr(runs, "load_model", lambda path: RandomImages())
    return fake


def tiny_recipe(local, **changes):
    side = SideSettings(local=local, hidden=(8,), reader="features", flow_steps=0)
    joint = StageSettings(
        name="joint",
        loss=Joint(),
        epochs=1,
        batch_size=48,
        two_epsilon_squared=Ramp.constant(0.2),
    )
    marginal = StageSettings(name="marginal", loss=Marginal(), epochs=1, passes=2, batch_size=96)
    return Recipe(
        z=Categorical(n=1, k=3),
        sides={"x": side, "y": side},
        codecs={"x": None, "y": None},
        stages=(joint, marginal),
        learned_prior=False,
        **changes,
    )


@pytest.fixture
def tiny_sweep():
    """Three configurations, of which the second is in both groups."""
    one, two, three = (
        Configuration(owner="tiny", label=f"U of {dim}", recipe=tiny_recipe(latent))
        for dim, latent in (
            (0, None),
            (2, DiagonalGaussian(dim=2)),
            (3, DiagonalGaussian(dim=3)),
        )
    )
    return Sweep(
        name="tiny",
        title="Tiny",
        groups=(
            Group(title="first", configurations=(one, two)),
            Group(title="second", configurations=(two, three)),
        ),
    )


@pytest.fixture
def names():
    """Of the configurations, in their order."""
    return ["tiny-z1x3-unone", "tiny-z1x3-u2", "tiny-z1x3-u3"]


@pytest.fixture
def experiment(tmp_path):
    return Experiment(folder=tmp_path / "sweeps", source=bars(), data="bars", size=TINY, seed=0)
