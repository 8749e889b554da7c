import json

import numpy as np
import pytest
from bars import bars

from experiments.studies import Configuration, Experiment, Group, Size, Sweep
from wyner_keras import runs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.training import Recipe, StageSettings, WrapperSettings

TINY = Size(name="tiny", inputs=30, styles=4, concepts=4)


class RandomImages:
    """Stands for a trained model of 8x8 images."""

    def __init__(self, config):
        self.config = config

    def generate_y(self, given, *, seed, samples=None):
        shape = (len(given), 8, 8, 1) if samples is None else (len(given), samples, 8, 8, 1)
        return np.random.default_rng(seed).random(shape, dtype=np.float32)

    generate_x = generate_y

    def generate_pairs(self, n, *, seed):
        return tuple(np.random.default_rng(seed).random((2, n, 8, 8, 1), dtype=np.float32))

    def transfer_x(self, *, style, concept, seed):
        return self.generate_y(style, seed=seed, samples=len(concept))

    transfer_y = transfer_x


class Training:
    """Stands for training: counts what was trained, and may fail at one configuration."""

    def __init__(self):
        self.wrappers, self.trained = 0, []
        self.fails_at, self.error = None, KeyboardInterrupt()

    def train_wrapper(self, source, recipe, verbose):
        self.wrappers += 1
        wrapper = ConvAutoencoder((8, 8, 1), code_size=4, filters=(4, 4))
        wrapper.build()
        return wrapper, {}

    def train_kept(self, partial, source, recipe, *, mapping, wrapper, after_stage, verbose):
        assert isinstance(wrapper, ConvAutoencoder)
        history = {
            "history": {"joint": {"loss": [1.0]}},
            "seconds": {"joint": 2.0, "marginal": 0.5},
        }
        if not (partial / runs.HISTORY).exists():
            if len(self.trained) == self.fails_at:
                self.fails_at = None
                (partial / runs.CHECKPOINTS / "joint").mkdir(parents=True)
                (partial / runs.CHECKPOINTS / "joint" / "weights").write_bytes(b"kept")
                raise self.error
            self.trained.append(recipe.config.u)
            (partial / runs.MODEL).write_bytes(b"model")
            (partial / runs.HISTORY).write_text(json.dumps({**history, "shared_nats": 1.25}))
        return RandomImages(recipe.config), history


@pytest.fixture
def training(monkeypatch):
    """Training that takes no time."""
    fake = Training()
    monkeypatch.setattr("wyner_keras.training.train_wrapper", fake.train_wrapper)
    monkeypatch.setattr("wyner_keras.training.train_kept", fake.train_kept)
    return fake


def tiny_recipe(**changes):
    stage = StageSettings(epochs=1, batch_size=16, jit_compile=False)
    values = {
        "z": Categorical(n=1, k=3),
        "u": DiagonalGaussian(dim=2),
        "v": DiagonalGaussian(dim=2),
        "hidden": (8,),
        **changes,
    }
    return Recipe(
        name="tiny",
        config=WynerConfig(**values),
        pairs_per_class=16,
        wrapper=WrapperSettings(code_size=4, filters=(4, 4), epochs=1, batch_size=16),
        joint=stage,
        marginal=stage,
    )


@pytest.fixture
def tiny_sweep():
    """Three configurations, of which the second is in both groups."""
    one, two, three = (
        Configuration(name=f"u{dim}", label=f"U of {dim}", recipe=tiny_recipe(u=latent))
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
def source():
    return bars()


@pytest.fixture
def experiment(tmp_path, source):
    return Experiment(
        folder=tmp_path / "sweeps",
        source=source,
        data="bars",
        mapping={0: 1, 1: 2, 2: 0},
        size=TINY,
        seed=0,
    )
