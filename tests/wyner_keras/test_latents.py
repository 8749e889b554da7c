import math

import keras
import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import expit, log_softmax, softmax

from wyner_keras.latents import Categorical, DiagonalGaussian, Latent

COUNT = 20_000


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_hard_sample_follows_softmax_of_the_logits(rng):
    latent = Categorical(n=2, k=4)
    logits = rng.normal(size=(1, 8)).astype(np.float32)
    samples = latent.sample(np.repeat(logits, COUNT, axis=0), latent.draw_noise(rng, COUNT))
    samples = np.asarray(samples).reshape(COUNT, 2, 4)
    np.testing.assert_array_equal(samples.sum(axis=-1), 1)
    assert set(np.unique(samples)) == {0.0, 1.0}
    expected = softmax(logits.reshape(2, 4), axis=-1)
    for variable in range(2):
        observed = samples[:, variable].sum(axis=0)
        assert stats.chisquare(observed, COUNT * expected[variable]).pvalue > 0.01
    # The two variables are independent: their table is the outer product.
    table = samples[:, 0].T @ samples[:, 1]
    product = COUNT * np.outer(expected[0], expected[1])
    assert stats.chisquare(table.ravel(), product.ravel() * table.sum() / COUNT).pvalue > 0.01


@pytest.mark.parametrize("temperature", [0.3, 2.0])
def test_the_argmax_of_a_relaxed_sample_follows_softmax_at_any_temperature(rng, temperature):
    latent = Categorical(n=1, k=3)
    logits = np.array([[0.0, 1.0, -1.0]], np.float32)
    noise = latent.draw_noise(rng, COUNT)
    samples = np.asarray(latent.sample(np.repeat(logits, COUNT, axis=0), noise, temperature))
    np.testing.assert_allclose(samples.sum(axis=-1), 1, atol=1e-5)
    observed = np.bincount(samples.argmax(axis=-1), minlength=3)
    assert stats.chisquare(observed, COUNT * softmax(logits[0])).pvalue > 0.01


@pytest.mark.parametrize("temperature", [0.5, 1.0, 3.0])
def test_a_relaxed_binary_sample_has_the_concrete_distribution(rng, temperature):
    # Maddison et al. (2017), binary case: temperature * logit(sample) is logistic at the log odds.
    latent = Categorical(n=1, k=2)
    logits = np.array([[0.7, -0.4]], np.float32)
    noise = latent.draw_noise(rng, COUNT)
    samples = np.asarray(
        latent.sample(np.repeat(logits, COUNT, axis=0), noise, temperature), np.float64
    )
    scores = temperature * (np.log(samples[:, 0]) - np.log(samples[:, 1]))
    scores = scores[np.isfinite(scores)]
    assert len(scores) > COUNT - 20
    assert stats.kstest(scores, stats.logistic(loc=1.1).cdf).pvalue > 0.01
    # The Concrete density itself, integrated up to a half.
    log_alpha = 1.1
    below, _ = integrate.quad(
        lambda s: (
            temperature
            * math.exp(log_alpha)
            * s ** (-temperature - 1)
            * (1 - s) ** (-temperature - 1)
            / (math.exp(log_alpha) * s**-temperature + (1 - s) ** -temperature) ** 2
        ),
        0,
        0.5,
    )
    assert below == pytest.approx(expit(-1.1), abs=1e-6)
    assert (samples[:, 0] < 0.5).mean() == pytest.approx(below, abs=4 / math.sqrt(COUNT))


def test_a_relaxed_sample_tends_to_the_hard_one_of_the_same_noise(rng):
    latent = Categorical(n=3, k=4)
    logits = rng.normal(size=(50, 12)).astype(np.float32)
    noise = latent.draw_noise(rng, 50)
    hard = np.asarray(latent.sample(logits, noise))
    relaxed = np.asarray(latent.sample(logits, noise, 1e-3))
    assert (np.abs(hard - relaxed).max(axis=1) < 1e-3).mean() > 0.9


def test_extreme_uniform_noise_gives_finite_samples():
    latent = Categorical(n=1, k=2)
    noise = np.array([[0.0, np.nextafter(np.float32(1), np.float32(0))], [1.0, 0.0]], np.float32)
    for temperature in (None, 0.1, 1.0):
        assert np.isfinite(latent.sample(np.zeros((2, 2)), noise, temperature)).all()


def test_categorical_prior_is_uniform(rng):
    latent = Categorical(n=1, k=5)
    counts = np.asarray(latent.prior_sample(latent.draw_noise(rng, COUNT))).sum(axis=0)
    assert stats.chisquare(counts).pvalue > 0.01


def test_gaussian_samples_and_prior_follow_their_laws(rng):
    latent = DiagonalGaussian(dim=2)
    parameters = np.array([[1.0, -2.0, math.log(0.25), math.log(9.0)]], np.float32)
    noise = latent.draw_noise(rng, COUNT)
    samples = np.asarray(latent.sample(np.repeat(parameters, COUNT, axis=0), noise, 0.1))
    assert stats.kstest(samples[:, 0], stats.norm(1, 0.5).cdf).pvalue > 0.01
    assert stats.kstest(samples[:, 1], stats.norm(-2, 3).cdf).pvalue > 0.01
    prior = np.asarray(latent.prior_sample(latent.draw_noise(rng, COUNT)))
    assert stats.kstest(prior.ravel(), stats.norm.cdf).pvalue > 0.01
    assert abs(np.corrcoef(prior.T)[0, 1]) < 4 / math.sqrt(COUNT)


@pytest.mark.parametrize(
    ("latent", "law"),
    [(Categorical(n=2, k=3), stats.uniform), (DiagonalGaussian(dim=6), stats.norm)],
)
def test_noise_in_a_graph_follows_the_law_of_numpys(latent, law):
    seed = keras.random.SeedGenerator(3)
    first = np.asarray(latent.random_noise(4000, seed))
    assert first.shape == (4000, 6)
    assert stats.kstest(first.ravel(), law.cdf).pvalue > 0.01
    assert not np.array_equal(first, latent.random_noise(4000, seed))
    np.testing.assert_array_equal(first, latent.random_noise(4000, keras.random.SeedGenerator(3)))
    drawn = latent.draw_noise(np.random.default_rng(1), 4000)
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.01


@pytest.mark.parametrize("latent", [Categorical(n=2, k=3), DiagonalGaussian(dim=6)])
def test_noise_drawn_in_parts_is_the_noise_drawn_at_once(latent):
    whole = latent.draw_noise(np.random.default_rng(1), 11)
    rng = np.random.default_rng(1)
    parts = np.concatenate([latent.draw_noise(rng, count) for count in (1, 3, 7)])
    np.testing.assert_array_equal(whole, parts)


def test_the_mode_is_the_most_probable_value(rng):
    categorical = Categorical(n=2, k=3)
    logits = rng.normal(size=(5, 6)).astype(np.float32)
    mode = np.asarray(categorical.mode(logits)).reshape(5, 2, 3)
    np.testing.assert_array_equal(mode.argmax(-1), logits.reshape(5, 2, 3).argmax(-1))
    np.testing.assert_allclose(
        categorical.probabilities(logits), softmax(logits.reshape(5, 2, 3), axis=-1), rtol=1e-5
    )
    gaussian = DiagonalGaussian(dim=3)
    np.testing.assert_array_equal(gaussian.mode(logits), logits[:, :3])


def test_divergences_of_the_families_are_those_of_their_parameters(rng):
    q, p = rng.normal(size=(2, 5, 6)).astype(np.float32)
    log_q, log_p = (log_softmax(side.reshape(5, 2, 3), axis=-1) for side in (q, p))
    categorical = Categorical(n=2, k=3)
    np.testing.assert_allclose(
        categorical.kl(q), (np.exp(log_q) * (log_q + math.log(3))).sum(axis=(1, 2)), rtol=1e-4
    )
    np.testing.assert_allclose(
        categorical.kl_between(q, p), (np.exp(log_q) * (log_q - log_p)).sum(axis=(1, 2)), rtol=1e-4
    )
    gaussian = DiagonalGaussian(dim=3)
    ratio = np.exp(q[:, 3:] - p[:, 3:])
    distance = (q[:, :3] - p[:, :3]) ** 2 / np.exp(p[:, 3:])
    np.testing.assert_allclose(
        gaussian.kl_between(q, p), 0.5 * (ratio + distance - 1 - np.log(ratio)).sum(1), rtol=1e-4
    )
    np.testing.assert_allclose(
        gaussian.kl(q), gaussian.kl_between(q, np.zeros_like(q)), rtol=1e-5, atol=1e-6
    )


def test_categorical_product_of_experts_is_the_normalised_product(rng):
    latent = Categorical(n=2, k=3)
    experts = rng.normal(size=(2, 4, 6)).astype(np.float32)
    product = np.prod([softmax(e.reshape(4, 2, 3), axis=-1) for e in experts], axis=0) / 3
    product /= product.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(latent.probabilities(latent.posterior(*experts)), product, rtol=1e-4)


def test_gaussian_product_of_experts_is_the_normalised_product_on_a_grid(rng):
    latent = DiagonalGaussian(dim=2)
    experts = rng.normal(size=(2, 3, 4)).astype(np.float32)
    grid = np.linspace(-15, 15, 30_001)[:, None, None]
    density = stats.norm.pdf(grid)
    for expert in experts:
        density = density * stats.norm.pdf(grid, expert[:, :2], np.exp(expert[:, 2:] / 2))
    density /= density.sum(axis=0)
    mean = (grid * density).sum(axis=0)
    variance = ((grid - mean) ** 2 * density).sum(axis=0)
    posterior = np.asarray(latent.posterior(*experts))
    np.testing.assert_allclose(posterior[:, :2], mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(posterior[:, 2:], np.log(variance), rtol=1e-3, atol=1e-4)


def test_shared_information_of_certain_equal_experts_is_the_entropy():
    latent = Categorical(n=2, k=3)
    labels = np.stack([np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)], axis=1)
    logits = 40 * np.eye(3, dtype=np.float32)[labels].reshape(9, 6)
    assert float(latent.shared_information(logits, logits)) == pytest.approx(
        2 * math.log(3), abs=1e-4
    )
    other = 40 * np.eye(3, dtype=np.float32)[labels[:, ::-1]].reshape(9, 6)
    assert float(latent.shared_information(logits, other)) == pytest.approx(0, abs=1e-4)


def test_shared_information_of_gaussian_experts_is_that_of_their_posterior_means(rng):
    latent = DiagonalGaussian(dim=1)
    means = rng.multivariate_normal([0, 0], [[4, 2.4], [2.4, 4]], size=4000)
    expert_x, expert_y = (
        np.stack([side, np.zeros(4000)], axis=1).astype(np.float32) for side in means.T
    )
    # N(0, 1) times a factor of variance 1 halves the mean.
    halves = means / 2
    covariance = np.cov(halves.T, bias=True) + 1e-4 * np.eye(2)
    expected = -0.5 * math.log(1 - covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
    assert float(latent.shared_information(expert_x, expert_y)) == pytest.approx(expected, abs=1e-3)


def test_negative_log_likelihoods_are_scipys(rng):
    parameters = rng.normal(size=(5, 6)).astype(np.float32)
    categories = rng.integers(3, size=(5, 2))
    log_q = log_softmax(parameters.reshape(5, 2, 3), axis=-1)
    expected = -np.take_along_axis(log_q, categories[:, :, None], axis=-1).sum(axis=(1, 2))
    value = np.eye(3, dtype=np.float32)[categories].reshape(5, 6)
    np.testing.assert_allclose(
        Categorical(n=2, k=3).negative_log_likelihood(parameters, value), expected, rtol=1e-4
    )
    value = rng.normal(size=(5, 3)).astype(np.float32)
    expected = -stats.norm.logpdf(value, parameters[:, :3], np.exp(parameters[:, 3:] / 2)).sum(1)
    np.testing.assert_allclose(
        DiagonalGaussian(dim=3).negative_log_likelihood(parameters, value), expected, rtol=1e-4
    )


@pytest.mark.parametrize("latent", [Categorical(n=2, k=3), DiagonalGaussian(dim=4)])
def test_a_family_offers_the_protocol_and_comes_back_from_its_configuration(latent):
    assert isinstance(latent, Latent)
    data = keras.saving.serialize_keras_object(latent)
    assert keras.saving.deserialize_keras_object(data, safe_mode=True) == latent


@pytest.mark.parametrize(
    "settings", [{"n": 0, "k": 3}, {"n": 2, "k": 1}, {"n": 2.0, "k": 3}, {"n": True, "k": 3}]
)
def test_a_malformed_categorical_is_refused(settings):
    with pytest.raises(ValueError, match="Received"):
        Categorical(**settings)


@pytest.mark.parametrize("dim", [0, -1, 1.5, True, "2", None])
def test_a_malformed_gaussian_is_refused(dim):
    with pytest.raises(ValueError, match="Received"):
        DiagonalGaussian(dim=dim)


@pytest.mark.parametrize("latent", [Categorical(n=2, k=3), DiagonalGaussian(dim=4)])
def test_parameters_of_another_width_are_refused(latent):
    wrong = np.zeros((2, 5), np.float32)
    for call in (latent.kl, latent.mode, latent.posterior, lambda p: latent.sample(p, wrong)):
        with pytest.raises(ValueError, match=r"should have shape.*Received"):
            call(wrong)
