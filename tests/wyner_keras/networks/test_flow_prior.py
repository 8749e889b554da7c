import keras
import numpy as np
import pytest
from scipy import integrate, stats

from wyner_keras.networks.flow_prior import FlowPrior


@pytest.fixture
def moved():
    """A prior of one dimension whose velocity is some, not learnt."""
    prior = FlowPrior(1, steps=12, hidden=(8,))
    prior.build(None)
    rng = np.random.default_rng(0)
    for variable in prior.trainable_variables:
        variable.assign(0.4 * rng.normal(size=variable.shape))
    return prior


def test_fitted_it_is_the_gaussian_of_the_aggregated_posterior():
    rng = np.random.default_rng(0)
    means = rng.normal(size=(4000, 3)) @ rng.normal(size=(3, 3)) + [1.0, 2.0, 3.0]
    logs = np.log(rng.uniform(0.1, 0.5, (4000, 3)))
    prior = FlowPrior(3, hidden=(8,))
    prior.build(None)
    prior.fit([(means[:1000], logs[:1000]), (means[1000:], logs[1000:])])
    expected = np.cov(means, rowvar=False) + np.diag(np.exp(logs).mean(axis=0))
    normal = stats.multivariate_normal(means.mean(axis=0), expected)
    at = rng.normal(size=(20, 3))
    np.testing.assert_allclose(prior.log_prob(at), normal.logpdf(at), atol=2e-3)
    z = np.asarray(prior(rng.normal(size=(50_000, 3)).astype("f")))
    np.testing.assert_allclose(z.mean(axis=0), normal.mean, atol=0.1)
    np.testing.assert_allclose(np.cov(z, rowvar=False), expected, atol=0.25)


def test_its_density_is_that_of_its_samples(moved):
    noise = np.random.default_rng(1).normal(size=(4000, 1)).astype("f")
    drawn = np.asarray(moved(noise))[:, 0]
    places = np.linspace(drawn.min() - 1, drawn.max() + 1, 201)
    density = np.exp(moved.log_prob(places[:, None]))
    assert integrate.trapezoid(density, places) == pytest.approx(1, abs=0.02)
    below = integrate.cumulative_trapezoid(density, places, initial=0)
    assert stats.ks_1samp(drawn, lambda at: np.interp(at, places, below)).statistic < 0.03
    assert stats.kstest(drawn, "norm").statistic > 0.05


def test_calibrated_its_samples_have_the_moments_that_it_was_fitted_to(moved):
    rng = np.random.default_rng(2)
    means = 5.0 + 2.0 * rng.normal(size=(1000, 1))
    moved.fit([(means, np.full((1000, 1), np.log(0.3)))])
    moved.calibrate(seed=0)
    z = np.asarray(moved(rng.normal(size=(20_000, 1)).astype("f")))
    assert z.mean() == pytest.approx(means.mean(), abs=0.06)
    assert z.var() == pytest.approx(means.var(ddof=1) + 0.3, rel=0.05)


def test_it_is_saved_whole(moved, tmp_path):
    moved.fit([(np.arange(9.0)[:, None], np.zeros((9, 1)))])
    keras.Sequential([keras.Input((1,)), moved]).save(tmp_path / "prior.keras")
    (again,) = keras.models.load_model(tmp_path / "prior.keras").layers
    at = np.linspace(-2, 9, 7)[:, None]
    np.testing.assert_allclose(again.log_prob(at), moved.log_prob(at), rtol=1e-6)
