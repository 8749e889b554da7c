import keras
import numpy as np
import pytest
from scipy import stats

from wyner_keras.networks.mixture_prior import MixturePrior


@pytest.fixture(scope="module")
def clusters():
    """Means of posteriors in four clusters, unequally often."""
    rng = np.random.default_rng(0)
    label = rng.choice(4, size=4000, p=[0.1, 0.2, 0.3, 0.4])
    centres = np.float32([[3, 0], [0, 3], [-3, 0], [0, -3]])
    return centres, label


@pytest.fixture(scope="module")
def prior(clusters):
    centres, label = clusters
    made = MixturePrior(2)
    made.build(None)
    means = centres[label]
    parts = (means[:1000], means[1000:])
    made.fit((part, np.full_like(part, np.log(0.25))) for part in parts)
    return made


def samples(prior, count=20_000):
    noise = np.random.default_rng(1).normal(size=(count, prior.size)).astype(np.float32)
    return np.asarray(prior(noise))


def test_it_is_the_standard_normal_until_it_is_fitted():
    made = MixturePrior(3)
    made.build(None)
    z = samples(made)
    for column in z.T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    expected = stats.norm.logpdf(z[:5]).sum(axis=1)
    np.testing.assert_allclose(made.log_prob(z[:5]), expected, rtol=1e-4)


def test_samples_are_those_of_the_mean_of_the_posteriors(prior, clusters):
    centres, label = clusters
    z = samples(prior)
    nearest = np.square(z[:, None] - centres).sum(axis=-1).argmin(axis=1)
    np.testing.assert_allclose(np.bincount(nearest) / len(z), np.bincount(label) / 4000, atol=0.02)
    for k, centre in enumerate(centres):
        rest = z[nearest == k] - centre
        np.testing.assert_allclose(rest.mean(axis=0), 0, atol=0.06)
        np.testing.assert_allclose(np.cov(rest.T), 0.25 * np.eye(2), atol=0.05)


def test_the_density_is_that_of_the_samples(prior):
    grid = np.linspace(-6, 6, 121)
    points = np.stack(np.meshgrid(grid, grid), axis=-1).reshape(-1, 2).astype(np.float32)
    density = np.exp(np.asarray(prior.log_prob(points)))
    assert density.sum() * 0.1**2 == pytest.approx(1, abs=1e-2)
    z = samples(prior)
    right = points[:, 0] > 1.5
    assert density[right].sum() * 0.1**2 == pytest.approx((z[:, 0] > 1.5).mean(), abs=0.02)


def test_as_many_components_as_held_out_rows_ask_for():
    """Forty narrow clusters: sixteen components would fill the gaps between them."""
    rng = np.random.default_rng(0)
    centres = np.stack(np.meshgrid(np.arange(8), np.arange(5)), axis=-1).reshape(-1, 2)
    means = centres[rng.integers(40, size=6000)].astype("f")
    made = MixturePrior(2)
    made.build(None)
    made.fit([(means, np.full_like(means, np.log(0.1**2)))])
    apart = np.sqrt(np.square(samples(made)[:, None] - centres).sum(axis=-1).min(axis=1))
    assert (apart < 0.3).mean() > 0.95  # of the clusters themselves .989


def test_few_rows_are_one_gaussian_and_finite():
    made = MixturePrior(8)
    made.build(None)
    rng = np.random.default_rng(0)
    made.fit([(rng.normal(size=(3, 8)).astype("f"), np.full((3, 8), -9, "f"))])
    assert made.shares.numpy().tolist()[:2] == [1.0, 0.0]
    assert np.isfinite(samples(made)).all()


def test_it_comes_back_from_its_config(prior):
    again = MixturePrior.from_config(prior.get_config())
    again.build(None)
    again.set_weights(prior.get_weights())
    np.testing.assert_array_equal(samples(again, 50), samples(prior, 50))
    assert isinstance(again, keras.layers.Layer)


def test_tables_of_fewer_components_are_read_as_they_were(prior):
    """Models had sixteen components at most."""
    again = MixturePrior(2)
    again.build(None)
    again.load_own_variables({str(k): table[:16] for k, table in enumerate(prior.get_weights())})
    assert not prior.shares.numpy()[16:].any()
    np.testing.assert_allclose(samples(again, 50), samples(prior, 50), atol=1e-6)
