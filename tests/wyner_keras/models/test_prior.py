import keras
import numpy as np
import pytest
from scipy.special import softmax

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig

SEVERAL = {"z": Categorical(n=2, k=3), "prior": "tree"}


def same(found, expected):
    for one, other in zip(found, expected, strict=True):
        np.testing.assert_array_equal(one, other)


@pytest.fixture
def model(make_model):
    """Its posteriors are far from uniform and its variables from independent."""
    model = make_model(**SEVERAL)
    rng = np.random.default_rng(0)
    for expert in model.joint_encoders_z:
        kernel = expert.output_layer.kernel
        kernel.assign(20.0 * rng.normal(size=kernel.shape))
    return model


def aggregated(model, pairs):
    """The mean over pairs of q(z₁ | x,y) q(z₂ | x,y), by NumPy."""
    x, y = pairs.arrays()
    logits = sum(
        np.asarray(expert(model.features(images, side)), float)
        for expert, images, side in zip(model.joint_encoders_z, (x, y), "xy", strict=True)
    )
    q = softmax(logits.reshape(-1, 2, 3), axis=-1)
    return np.einsum("ba,bc->ac", q[:, 0], q[:, 1]) / len(pairs)


def test_it_becomes_the_aggregated_posterior(model, pairs):
    expected = aggregated(model, pairs)
    product = expected.sum(axis=1, keepdims=True) * expected.sum(axis=0)
    assert np.abs(expected - product).max() > 0.05
    model.fit_prior(pairs)
    noise = model.config.z.draw_noise(np.random.default_rng(1), 100_000)
    z = np.asarray(model.prior_z(noise)).reshape(-1, 2, 3)
    found = np.einsum("ba,bc->ac", z[:, 0], z[:, 1]) / len(z)
    np.testing.assert_allclose(found, expected, atol=5 * np.sqrt(0.25 / len(z)))


def test_joint_generation_draws_from_it_and_nothing_else_changes(model, make_model, pairs):
    uniform = make_model(**SEVERAL | {"prior": "uniform"})
    uniform.set_weights(model.get_weights()[: len(uniform.get_weights())])
    x, _ = pairs.arrays()
    same(model.generate_pairs(9, seed=2), uniform.generate_pairs(9, seed=2))
    model.fit_prior(pairs)
    rng = np.random.default_rng(3)
    noise_z, *noises = (
        family.draw_noise(rng, 9) for family in (model.config.z, model.config.u, model.config.v)
    )
    z = model.prior_z(noise_z)
    expected = [
        model.render(noises[0], z, "x"),
        model.render(model.config.v.prior_sample(noises[1]), z, "y"),
    ]
    same(model.joint_graph(noise_z, *noises), expected)
    np.testing.assert_array_equal(model.generate_y(x, seed=0), uniform.generate_y(x, seed=0))


def test_it_is_saved_with_the_model(model, pairs, tmp_path):
    model.fit_prior(pairs)
    model.save(tmp_path / "model.keras")
    again = keras.saving.load_model(tmp_path / "model.keras")
    assert again.config.prior == "tree"
    same(again.generate_pairs(9, seed=2), model.generate_pairs(9, seed=2))


def test_a_model_without_one_cannot_fit_it(make_model, pairs):
    with pytest.raises(ValueError, match=r"prior='tree' in its config. Received: prior='uniform'"):
        make_model().fit_prior(pairs)


def test_only_a_categorical_z_has_one():
    with pytest.raises(ValueError, match=r"`prior` 'tree' needs a Categorical Z. Received: z=Diag"):
        WynerConfig(z=DiagonalGaussian(dim=2), prior="tree")


def test_settings_with_the_uniform_prior_are_stored_as_before_there_was_another():
    assert "prior" not in WynerConfig().get_config()
    assert WynerConfig.from_config(WynerConfig(prior="tree").get_config()).prior == "tree"
