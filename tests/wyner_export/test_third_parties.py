"""What the packages do not know reaches a bundle: latents, modalities, columns and networks."""

import json
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
import pytest
from keras import ops
from tiny_bundle import tiny_model

from wyner_export import verify_bundle, write_bundle
from wyner_keras.latents import DiagonalGaussian, Latent
from wyner_keras.modality import CodecSettings, Image, Modality, Vector
from wyner_keras.model import WynerModel
from wyner_keras.networks.flat_codec import FlatCodec
from wyner_keras.networks.likelihoods import LIKELIHOODS, Likelihood
from wyner_keras.side import SideSettings
from wyner_serving import Bundle, InputError
from wyner_serving.rows import check_rows


@dataclass(frozen=True, kw_only=True)
class Logistic(Latent):
    """Independent logistic variables, from uniform noise; experts average their parameters."""

    noise: ClassVar[str] = "uniform"
    range: ClassVar[tuple] = (None, None)
    output_names: ClassVar[tuple] = ("location", "log_scale")
    output_range: ClassVar[tuple] = (None, None)

    dim: int
    parameter_size = property(lambda self: 2 * self.dim)
    size = property(lambda self: self.dim)

    def __call__(self, parameters):
        return LogisticAt(*ops.split(parameters, 2, axis=-1))

    def product(self, *experts):
        return self(sum(experts) / len(experts))

    def prior_sample(self, noise):
        return quantile(noise)

    # What only training asks for is left out: an export does without.

    def describe(self):
        return {"family": "logistic", "dim": self.dim, "size": self.dim, "noise": self.noise}


def quantile(noise):
    noise = ops.clip(ops.cast(noise, "float32"), 1e-6, 1 - 1e-6)
    return ops.log(noise) - ops.log(1 - noise)


@dataclass(frozen=True)
class LogisticAt:
    location: Any
    log_scale: Any

    def sample(self, noise, temperature=None):
        return self.location + ops.exp(self.log_scale) * quantile(noise)

    def outputs(self):
        return self.location, self.log_scale


@dataclass(frozen=True, kw_only=True)
class Spins(Modality):
    """Lattices of spins of -1 and 1."""

    shape: tuple = (3, 4)

    def describe(self):
        return {"kind": "spins", "shape": list(self.shape)}

    def check(self, values, name):
        return check_rows(values, name, self.describe())

    def prepare(self, batch):
        return ops.cast(batch, "float32")

    def codec(self, settings, seed):
        return FlatCodec(self.shape, lowest=-1.0, highest=1.0)

    def reader(self, outputs, seed):
        return keras.layers.Dense(outputs)


def backbone(*layers):
    return keras.Sequential(
        [
            keras.layers.Conv2D(4, 3, strides=2, padding="same", use_bias=False),
            keras.layers.BatchNormalization(),
            keras.layers.ReLU(),
            *layers,
        ]
    )


@pytest.fixture(scope="module")
def model():
    """Lattices of spins with images; z and u are logistic, the images' networks the user's own."""
    image = Image(
        shape=(8, 8, 1),
        encoder=backbone(keras.layers.GlobalAveragePooling2D()),
        decoder=keras.Sequential(
            [
                keras.layers.Dense(64, use_bias=False),
                keras.layers.LayerNormalization(),
                keras.layers.Reshape((8, 8, 1)),
                keras.layers.Conv2D(1, 3, padding="same", activation="sigmoid"),
            ]
        ),
    )
    modalities = {"x": Spins(), "y": image}
    locals_ = {"x": Logistic(dim=2), "y": DiagonalGaussian(dim=2)}
    model = WynerModel(
        Logistic(dim=3),
        modalities,
        codecs={
            side: modality.codec(CodecSettings(code_size=3), 0)
            for side, modality in modalities.items()
        },
        settings={
            side: SideSettings(local=local, hidden=(6,), reader="features", flow_steps=0)
            for side, local in locals_.items()
        },
    )
    rng = np.random.default_rng(0)
    for weight in model.weights:
        if weight.path.endswith(("variance", "scale", "gamma")):
            weight.assign(rng.uniform(0.5, 1.5, weight.shape))
        elif weight.dtype.startswith("float"):
            weight.assign(0.7 * rng.normal(size=weight.shape) / np.sqrt(weight.shape[0]))
    return model


@pytest.fixture(scope="module")
def rows():
    rng = np.random.default_rng(1)
    spins = rng.choice([-1.0, 1.0], size=(9, 3, 4))
    return {"x": spins, "y": rng.integers(256, size=(9, 8, 8, 1)).astype(np.uint8)}


@pytest.fixture(scope="module")
def folder(model, rows, tmp_path_factory):
    folder = tmp_path_factory.mktemp("third") / "bundle"
    return write_bundle(model, folder, examples=rows)


def test_the_bundle_does_what_the_model_does(folder, model, rows):
    bundle, (x, y) = Bundle.load(folder, threads=1), rows.values()
    for task in (
        lambda engine: engine.generate_y(x, seed=2),
        lambda engine: engine.generate_x(y, seed=2, samples=3),
        lambda engine: np.concatenate(
            [each.reshape(5, -1) for each in engine.generate_pairs(5, seed=2)], axis=1
        ),
        lambda engine: engine.transfer_x(style=x[:2], concept=y, seed=2),
        lambda engine: engine.transfer_y(style=y[:2], concept=x, seed=2),
        lambda engine: np.concatenate(engine.encode_x(x, seed=2), axis=1),
        lambda engine: engine.decode_x(np.eye(3), np.ones((3, 2))),
    ):
        np.testing.assert_allclose(task(bundle), task(model), atol=2e-5)


def test_the_bundle_tells_what_they_are(folder, rows):
    manifest = verify_bundle(folder)
    assert manifest["sides"]["x"] == {"kind": "spins", "shape": [3, 4], "local": "u"}
    assert manifest["latents"]["z"] == {
        "family": "logistic", "dim": 3, "size": 3, "noise": "uniform"
    }  # fmt: skip
    names = [info["name"] for info in manifest["graphs"]["posterior_x_z"]["outputs"]]
    assert names == ["location", "log_scale"]
    card = (folder / "MODEL_CARD.md").read_text()
    assert "- x: examples, of kind spins, 3 × 4\n" in card
    assert "- z: logistic, dim 3\n" in card
    np.testing.assert_array_equal(Bundle.load(folder).samples("x"), rows["x"])
    with pytest.raises(InputError, match=r"`x` should be an array \(n, 3, 4\)"):
        Bundle.load(folder).generate_y(rows["x"][:, :2], seed=0)


class Parts(Likelihood):
    """Shares between 0 and 1, whose log-odds are normal."""

    def inputs(self, value, mean, scale, width):
        return ops.log(value) - ops.log(1.0 - value)

    def log_prob(self, value, output, mean, scale, spread):
        odds = self.inputs(value, mean, scale, 1)
        density = super().log_prob(odds, output, 0.0, 1.0, spread)
        return density - ops.log(value * (1.0 - value))

    def mode(self, output, mean, scale):
        return ops.sigmoid(output)


def test_a_kind_of_column_is_one_class(monkeypatch, tmp_path):
    monkeypatch.setitem(LIKELIHOODS, "part", Parts())
    rows = np.random.default_rng(2).uniform(0.05, 0.95, (20, 2)).astype("f")
    vector = Vector.of(rows, kinds=("part", "real"), names=("open", "length"))
    model = tiny_model(vector)
    write_bundle(model, tmp_path / "bundle", examples={"x": rows, "y": rows})
    manifest = json.loads((tmp_path / "bundle" / "manifest.json").read_text())
    assert manifest["sides"]["y"]["columns"][0] == {"name": "open", "kind": "part"}
    bundle = Bundle.load(tmp_path / "bundle", threads=1)
    made = bundle.generate_y(rows, seed=3)
    np.testing.assert_allclose(made, model.generate_y(rows, seed=3), atol=2e-5)
    assert 0 < made[:, 0].min() < made[:, 0].max() < 1
    with pytest.raises(InputError, match="in column 'open', row 0"):
        bundle.generate_y(np.array([[np.inf, 0.5]]), seed=0)
