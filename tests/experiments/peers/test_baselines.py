import dataclasses
from types import SimpleNamespace

import numpy as np
import pytest

from experiments.peers.baselines import epochs_of, make_baseline, train_baseline
from experiments.peers.cvae import CVAE
from experiments.peers.jvae import JVAE
from wyner_keras import recipes
from wyner_keras.data import Facts, add_one, load
from wyner_keras.modality import Image
from wyner_keras.networks import ConvCodec


@pytest.fixture(scope="module")
def mnist():
    """The recipe of MNIST's pairs, 5,000 a class."""
    image = Image(shape=(28, 28, 1), slant=True)
    facts = Facts(
        pairs=50_000, rows=(60_000,) * 2, modalities=(image,) * 2, same_store=True, classes=10
    )
    return recipes.default(facts, seed=4)


def test_baselines_have_the_recipes_networks_and_latents(mnist):
    cvae, jvae = (make_baseline(name, mnist, 65, 60) for name in ("cvae", "jvae"))
    assert isinstance(cvae, CVAE)
    assert isinstance(jvae, JVAE)
    assert (cvae.noise_size("x"), cvae.noise_size("y")) == (32, 32)
    assert jvae.noise_size("x") == 64
    for model in (cvae, jvae):
        network = model.decoders["x"]
        assert (network.hidden, network.outputs) == ((512, 512, 512), 65)
        assert model.decoders["y"].outputs == 60
        assert float(model.two_epsilon_squared) == pytest.approx(0.04)
    assert epochs_of(mnist) == sum(stage.epochs for stage in mnist.stages)


def test_an_unknown_name_is_refused(mnist):
    with pytest.raises(ValueError, match=r"`name` should be one of.*Received: name='gan'"):
        make_baseline("gan", mnist, 25, 25)


@pytest.fixture(scope="module")
def codecs():
    """Another one of each side."""
    return {
        side: ConvCodec((8, 8, 1), code_size=size, filters=(2, 3))
        for side, size in (("x", 3), ("y", 4))
    }


def trained(name, codecs):
    pairs = add_one(load("digits").train, 13)
    chosen = recipes.default(pairs.facts()).changed("joint", batch_size=64)
    sides = {side: dataclasses.replace(each, hidden=(16,)) for side, each in chosen.sides.items()}
    chosen = dataclasses.replace(chosen, sides=sides)
    return train_baseline(name, pairs, chosen, codecs=codecs, epochs=3, verbose=0)


@pytest.mark.parametrize("name", ["cvae", "jvae"])
def test_a_trained_baseline_generates_images(name, codecs):
    result = trained(name, codecs)
    assert len(result.history[name]["loss"]) == 3
    assert np.isfinite(result.history[name]["loss"]).all()
    assert result.seconds[name] > 0
    # 2ε² falls by the recipe's ramp.
    assert float(result.model.model.two_epsilon_squared) == pytest.approx(0.07)
    images = load("digits").test.images[:5]
    for generate in (result.model.generate_y, result.model.generate_x):
        first = generate(images, seed=1)
        assert first.shape == (5, 8, 8, 1)
        assert 0 <= first.min() <= first.max() <= 1
        np.testing.assert_array_equal(generate(images, seed=1), first)
        assert not np.array_equal(generate(images, seed=2), first)
        samples = generate(images, seed=1, samples=4)
        assert samples.shape == (5, 4, 8, 8, 1)
        assert (np.ptp(samples, axis=1) > 0).any()
    if name == "jvae":
        assert result.model.tasks == ("conditional", "joint")
        x, y = result.model.generate_pairs(7, seed=0)
        assert x.shape == y.shape == (7, 8, 8, 1)
        return
    assert result.model.tasks == ("conditional",)
    with pytest.raises(NotImplementedError, match=r"CVAE.*'conditional'.*Received: 'joint'"):
        result.model.generate_pairs(7, seed=0)


def test_a_loss_that_is_not_finite_is_an_error(codecs, monkeypatch):
    history = SimpleNamespace(history={"loss": [1.0, float("nan")]})
    monkeypatch.setattr(CVAE, "fit", lambda *_, **__: history)
    with pytest.raises(RuntimeError, match=r"The loss of cvae became nan in epoch 2"):
        trained("cvae", codecs)
