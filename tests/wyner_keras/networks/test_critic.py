import numpy as np
import pytest

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.networks.critic import GaussianCritic, NaturalHead


@pytest.fixture
def critic():
    made = GaussianCritic(3)
    made.build(None)
    for log, value in zip(made.logs, ([0.3, -1.0, 2.0], [-0.5, 0.0, 1.0]), strict=True):
        log.assign(value)
    return made


def test_it_is_the_general_gaussians_pmi_and_price(critic):
    rng = np.random.default_rng(0)
    sides = [rng.normal(size=(rows, 3)).astype(np.float32) for rows in (4, 5)]
    latent = DiagonalGaussian(dim=3)
    # A factor's mean is its natural parameter over its precision.
    experts = [
        np.concatenate([e / precision, np.tile(-np.log(precision), (len(e), 1))], axis=1)
        for e, precision in zip(sides, critic.precisions, strict=True)
    ]
    expected = latent.log_pmi(*(latent.product(expert).outputs() for expert in experts))
    np.testing.assert_allclose(critic.pmi(*sides), expected, rtol=1e-4, atol=1e-5)
    both = latent.product(experts[0], experts[1][:4]).kl()
    np.testing.assert_allclose(critic.kl(sides[0], sides[1][:4]), both, rtol=1e-4)


def test_of_gaussian_pairs_it_is_the_mutual_information():
    """X = Z + noise, Y = Z + noise, both of variance 1/s: e = s · X."""
    rng, precision = np.random.default_rng(1), 4.0
    z, *noise = rng.normal(size=(3, 4000, 1))
    e = [np.float32(precision * (z + each / np.sqrt(precision))) for each in noise]
    critic = GaussianCritic(1)
    critic.build(None)
    for log in critic.logs:
        log.assign([np.log(precision)])
    correlation = 1 / (1 + 1 / precision)
    pmi = np.asarray(critic.pmi(*e))
    assert np.diag(pmi).mean() == pytest.approx(-0.5 * np.log(1 - correlation**2), abs=0.05)
    # E exp(pmi) = 1 over strangers: it is a ratio of densities.
    assert np.exp(pmi - 50 * np.eye(4000)).mean() == pytest.approx(1, abs=0.05)


def test_a_head_standardises_over_the_batch_while_training_and_is_affine_after():
    head, rng = NaturalHead(3), np.random.default_rng(0)
    hidden = (rng.normal(size=(400, 5)) * 3 + 7).astype("float32")
    for _ in range(100):
        e = np.asarray(head(hidden, training=True))
    np.testing.assert_allclose(e.mean(axis=0), 0, atol=1e-4)
    np.testing.assert_allclose(e.std(axis=0), 1, atol=1e-2)
    kernel, bias = head.affine()
    after = np.asarray(head(hidden))
    np.testing.assert_allclose(hidden @ kernel + bias, after, atol=1e-4)
    np.testing.assert_allclose(after, e, atol=1e-2)
