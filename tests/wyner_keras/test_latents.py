"""Latent families by closed forms, SciPy and frequencies, and a third family of a user's own."""

import dataclasses
import json
import math
from typing import ClassVar

import keras
import numpy as np
import pytest
import tensorflow as tf
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra import numpy as arrays
from keras import ops
from scipy import integrate, stats
from scipy.special import expit, log_softmax, logsumexp, softmax

import wyner_keras as wk
from wyner_keras.families import latent_of
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.sweeps import Sweep
from wyner_serving.noise import draw_noise

COUNT = 20_000
FAMILIES = [Categorical(n=2, k=3), DiagonalGaussian(dim=3)]


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def repeated(parameters):
    return np.repeat(np.float32(parameters)[None], COUNT, axis=0)


def test_an_exact_sample_follows_softmax_of_the_logits(rng):
    latent = Categorical(n=2, k=4)
    logits = rng.normal(size=8)
    samples = np.asarray(latent(repeated(logits)).sample(latent.draw_noise(rng, COUNT)))
    samples = samples.reshape(COUNT, 2, 4)
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
    logits = np.array([0.0, 1.0, -1.0])
    noise = latent.draw_noise(rng, COUNT)
    samples = np.asarray(latent(repeated(logits)).sample(noise, temperature))
    np.testing.assert_allclose(samples.sum(axis=-1), 1, atol=1e-5)
    observed = np.bincount(samples.argmax(axis=-1), minlength=3)
    assert stats.chisquare(observed, COUNT * softmax(logits)).pvalue > 0.01


@pytest.mark.parametrize("temperature", [0.5, 3.0])
def test_a_relaxed_binary_sample_has_the_concrete_distribution(rng, temperature):
    # Maddison et al. (2017), binary case: temperature * logit(sample) is logistic at the log odds.
    latent, log_odds = Categorical(n=1, k=2), 1.1
    noise = latent.draw_noise(rng, COUNT)
    samples = np.asarray(latent(repeated([0.7, -0.4])).sample(noise, temperature), np.float64)
    scores = temperature * (np.log(samples[:, 0]) - np.log(samples[:, 1]))
    scores = scores[np.isfinite(scores)]
    assert len(scores) > COUNT - 20
    assert stats.kstest(scores, stats.logistic(loc=log_odds).cdf).pvalue > 0.01
    # The Concrete density itself, integrated up to a half.
    below, _ = integrate.quad(
        lambda s: (
            temperature
            * math.exp(log_odds)
            * (s * (1 - s)) ** (-temperature - 1)
            / (math.exp(log_odds) * s**-temperature + (1 - s) ** -temperature) ** 2
        ),
        0,
        0.5,
    )
    assert below == pytest.approx(expit(-log_odds), abs=1e-6)
    assert (samples[:, 0] < 0.5).mean() == pytest.approx(below, abs=4 / math.sqrt(COUNT))


def test_a_relaxed_sample_tends_to_the_exact_one_of_the_same_noise(rng):
    latent = Categorical(n=3, k=4)
    q = latent(rng.normal(size=(50, 12)).astype(np.float32))
    noise = latent.draw_noise(rng, 50)
    exact, relaxed = np.asarray(q.sample(noise)), np.asarray(q.sample(noise, 1e-3))
    assert (np.abs(exact - relaxed).max(axis=1) < 1e-3).mean() > 0.9


def test_extreme_uniform_noise_gives_finite_samples():
    latent = Categorical(n=1, k=2)
    noise = np.array([[0.0, np.nextafter(np.float32(1), np.float32(0))], [1.0, 0.0]], np.float32)
    for temperature in (None, 0.1, 1.0):
        assert np.isfinite(latent(np.zeros((2, 2))).sample(noise, temperature)).all()


def test_gaussian_samples_and_both_priors_follow_their_laws(rng):
    latent = DiagonalGaussian(dim=2)
    q = latent(repeated([1.0, -2.0, math.log(0.25), math.log(9.0)]))
    samples = np.asarray(q.sample(latent.draw_noise(rng, COUNT), 0.1))
    assert stats.kstest(samples[:, 0], stats.norm(1, 0.5).cdf).pvalue > 0.01
    assert stats.kstest(samples[:, 1], stats.norm(-2, 3).cdf).pvalue > 0.01
    prior = np.asarray(latent.prior_sample(latent.draw_noise(rng, COUNT)))
    assert stats.kstest(prior.ravel(), stats.norm.cdf).pvalue > 0.01
    assert abs(np.corrcoef(prior.T)[0, 1]) < 4 / math.sqrt(COUNT)
    latent = Categorical(n=1, k=5)
    counts = np.asarray(latent.prior_sample(latent.draw_noise(rng, COUNT))).sum(axis=0)
    assert stats.chisquare(counts).pvalue > 0.01


@pytest.mark.parametrize("latent", FAMILIES)
def test_noise_in_a_graph_follows_the_law_of_numpys(latent):
    law = {"uniform": stats.uniform, "normal": stats.norm}[latent.noise]
    seed = keras.random.SeedGenerator(3)
    first = np.asarray(latent.random_noise(4000, seed))
    assert first.shape == (4000, latent.size)
    assert stats.kstest(first.ravel(), law.cdf).pvalue > 0.01
    assert not np.array_equal(first, latent.random_noise(4000, seed))
    np.testing.assert_array_equal(first, latent.random_noise(4000, keras.random.SeedGenerator(3)))
    drawn = latent.draw_noise(np.random.default_rng(1), 4000)
    assert drawn.dtype == np.float32
    assert stats.kstest(drawn.ravel(), law.cdf).pvalue > 0.01
    # What is drawn in parts is what is drawn at once.
    rng = np.random.default_rng(1)
    parts = [latent.draw_noise(rng, count) for count in (1, 3, 3996)]
    np.testing.assert_array_equal(np.concatenate(parts), drawn)


# Processors may take numbers too small to be normal for 0.
NUMBERS = st.floats(-4, 4, width=32, allow_subnormal=False)
PARAMETERS = arrays.arrays(np.float32, (4, 6), elements=NUMBERS)


@given(parameters=PARAMETERS)
@pytest.mark.parametrize("latent", FAMILIES)
def test_the_mode_is_the_most_probable_value(latent, parameters):
    q = latent(parameters)
    mode = np.asarray(q.mode)
    if latent.values() is None:
        np.testing.assert_array_equal(mode, parameters[:, :3])
        others = mode + np.float32([1e-2, 0, 0])
    else:
        logits = parameters.reshape(4, 2, 3)
        np.testing.assert_array_equal(mode.reshape(4, 2, 3).argmax(-1), logits.argmax(-1))
        others = latent.values()[[5] * 4]
    assert (np.asarray(q.log_prob(mode)) >= np.asarray(q.log_prob(others))).all()


@given(q=PARAMETERS, p=PARAMETERS)
def test_divergences_are_those_of_the_definition(q, p):
    log_q, log_p = (log_softmax(side.reshape(4, 2, 3).astype(float), axis=-1) for side in (q, p))
    categorical = Categorical(n=2, k=3)
    expected = (np.exp(log_q) * (log_q - log_p)).sum(axis=(1, 2))
    np.testing.assert_allclose(categorical(q).kl(categorical(p)), expected, rtol=1e-3, atol=1e-5)
    entropy = (np.exp(log_q) * log_q).sum(axis=(1, 2))
    np.testing.assert_allclose(categorical(q).kl(), entropy + 2 * math.log(3), rtol=1e-3, atol=1e-5)
    gaussian = DiagonalGaussian(dim=3)
    (mean, s), (other, t) = (np.split(side.astype(float), 2, axis=1) for side in (q, p))
    expected = 0.5 * (np.exp(s - t) + (mean - other) ** 2 / np.exp(t) - 1 - s + t).sum(1)
    np.testing.assert_allclose(gaussian(q).kl(gaussian(p)), expected, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(
        gaussian(q).kl(), gaussian(q).kl(gaussian(np.zeros_like(q))), rtol=1e-4, atol=1e-5
    )


@pytest.mark.parametrize("latent", FAMILIES)
def test_a_divergence_is_the_mean_of_log_q_over_p(latent, rng):
    """By samples, so that sample, log_prob and kl belong to one distribution."""
    first, second = rng.normal(size=(2, 6))
    q, p = latent(repeated(first)), latent(repeated(second))
    samples = q.sample(latent.draw_noise(rng, COUNT))
    ratios = np.asarray(q.log_prob(samples) - p.log_prob(samples), float)
    error = 5 * ratios.std() / math.sqrt(COUNT)
    assert ratios.mean() == pytest.approx(float(q.kl(p)[0]), abs=error)


def test_log_probabilities_are_scipys(rng):
    parameters = rng.normal(size=(5, 6)).astype(np.float32)
    categories = rng.integers(3, size=(5, 2))
    log_q = log_softmax(parameters.reshape(5, 2, 3), axis=-1)
    expected = np.take_along_axis(log_q, categories[:, :, None], axis=-1).sum(axis=(1, 2))
    value = np.eye(3, dtype=np.float32)[categories].reshape(5, 6)
    np.testing.assert_allclose(
        Categorical(n=2, k=3)(parameters).log_prob(value), expected, rtol=1e-4
    )
    value = rng.normal(size=(5, 3)).astype(np.float32)
    expected = stats.norm.logpdf(value, parameters[:, :3], np.exp(parameters[:, 3:] / 2)).sum(1)
    np.testing.assert_allclose(
        DiagonalGaussian(dim=3)(parameters).log_prob(value), expected, rtol=1e-4
    )


def test_a_categorical_product_of_experts_is_the_normalised_product(rng):
    latent = Categorical(n=2, k=3)
    experts = rng.normal(size=(2, 4, 6)).astype(np.float32)
    product = np.prod([softmax(e.reshape(4, 2, 3), axis=-1) for e in experts], axis=0) / 3
    product /= product.sum(axis=-1, keepdims=True)
    np.testing.assert_allclose(latent.product(*experts).probabilities, product, rtol=1e-4)


def test_a_gaussian_product_of_experts_is_the_normalised_product_on_a_grid(rng):
    latent = DiagonalGaussian(dim=2)
    experts = rng.normal(size=(2, 3, 4)).astype(np.float32)
    grid = np.linspace(-15, 15, 30_001)[:, None, None]
    density = stats.norm.pdf(grid)
    for expert in experts:
        density = density * stats.norm.pdf(grid, expert[:, :2], np.exp(expert[:, 2:] / 2))
    density /= density.sum(axis=0)
    mean = (grid * density).sum(axis=0)
    variance = ((grid - mean) ** 2 * density).sum(axis=0)
    posterior = latent.product(*experts)
    np.testing.assert_allclose(posterior.mean, mean, rtol=1e-3, atol=1e-4)
    np.testing.assert_allclose(posterior.log_variance, np.log(variance), rtol=1e-3, atol=1e-4)


@pytest.mark.parametrize("latent", FAMILIES)
def test_no_expert_leaves_the_prior_and_their_order_does_not_matter(latent, rng):
    first, second = rng.normal(size=(2, 4, 6)).astype(np.float32)
    for one, other in zip(
        latent.product(first, second).outputs(),
        latent.product(second, first).outputs(),
        strict=True,
    ):
        np.testing.assert_allclose(one, other, rtol=1e-5, atol=1e-6)
    # An expert that says nothing: equal logits, or a variance without bound.
    nothing = np.zeros((4, 6), np.float32)
    nothing[:, 3:] = 0.0 if latent.values() is not None else 60.0
    np.testing.assert_allclose(latent.product(nothing).kl(), 0, atol=1e-5)


def test_shared_information_of_certain_equal_experts_is_the_entropy():
    latent = Categorical(n=2, k=3)
    labels = np.stack([np.repeat(np.arange(3), 3), np.tile(np.arange(3), 3)], axis=1)
    logits = 40 * np.eye(3, dtype=np.float32)[labels].reshape(9, 6)
    shared = latent.shared_information(logits, logits)
    assert float(shared) == pytest.approx(2 * math.log(3), abs=1e-4)
    other = 40 * np.eye(3, dtype=np.float32)[labels[:, ::-1]].reshape(9, 6)
    assert float(latent.shared_information(logits, other)) == pytest.approx(0, abs=1e-4)


def test_shared_information_of_gaussian_experts_is_that_of_their_posterior_means(rng):
    latent = DiagonalGaussian(dim=1)
    means = rng.multivariate_normal([0, 0], [[4, 2.4], [2.4, 4]], size=4000)
    expert_x, expert_y = (
        np.stack([side, np.zeros(4000)], axis=1).astype(np.float32) for side in means.T
    )
    # N(0, 1) times a factor of variance 1 halves the mean.
    covariance = np.cov(means.T / 2, bias=True) + 1e-4 * np.eye(2)
    expected = -0.5 * math.log(1 - covariance[0, 1] ** 2 / (covariance[0, 0] * covariance[1, 1]))
    assert float(latent.shared_information(expert_x, expert_y)) == pytest.approx(expected, abs=1e-3)


def test_pointwise_information_is_the_log_of_the_integral(rng):
    """Of every x with every y, by enumeration and on a grid."""
    latent = Categorical(n=2, k=3)
    q_x, q_y = (latent(rng.normal(size=(rows, 6))) for rows in (4, 5))
    found = np.asarray(latent.log_pmi(q_x.outputs(), q_y.outputs()))
    values = latent.values()
    logs = [
        np.stack([np.asarray(q.log_prob(np.tile(value, (rows, 1)))) for value in values])
        for q, rows in ((q_x, 4), (q_y, 5))
    ]
    expected = logsumexp(logs[0][:, :, None] + logs[1][:, None, :], axis=0) + math.log(9)
    np.testing.assert_allclose(found, expected, rtol=1e-4, atol=1e-5)
    latent = DiagonalGaussian(dim=1)
    # Narrower than the prior, as posteriors are: else the integral has no bound.
    experts = [rng.normal(size=(rows, 2)).astype(np.float32) for rows in (3, 2)]
    q_x, q_y = map(latent.product, experts)
    grid = np.linspace(-12, 12, 20_001)
    density = [
        stats.norm.pdf(grid[:, None], np.asarray(q.mean)[:, 0], np.exp(q.log_variance[:, 0] / 2))
        for q in (q_x, q_y)
    ]
    integrand = (
        density[0][:, :, None] * density[1][:, None, :] / stats.norm.pdf(grid)[:, None, None]
    )
    expected = np.log(integrand.sum(axis=0) * (grid[1] - grid[0]))
    found = latent.log_pmi(q_x.outputs(), q_y.outputs())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_pointwise_information_has_the_gradient_of_its_closed_form(rng):
    """A critic is trained by it; dimensions that tell nothing, too, have one that is finite."""
    factor = np.exp(rng.normal(0, 2, (2, 5, 3))).astype(np.float32)
    factor[:, 0, 0] = 0
    outputs = [
        tf.Variable(each.astype(np.float32))
        for side in factor
        for each in (side / (1 + side) * rng.normal(size=side.shape), -np.log1p(side))
    ]

    def symmetric(x, y):
        (m, a), (w, b) = ([tf.cast(each, tf.float64) for each in side] for side in (x, y))
        m, s, t = m[:, None], tf.exp(a)[:, None], tf.exp(b)
        v = s + t - s * t
        return tf.reduce_sum((t * m**2 + s * w**2 - (m - w) ** 2) / v - tf.math.log(v), -1) / 2

    gradients = []
    for score in (DiagonalGaussian(dim=3).log_pmi, symmetric):
        with tf.GradientTape() as tape:
            total = tf.reduce_sum(score(outputs[:2], outputs[2:]))
        gradients.append(tape.gradient(total, outputs))
    for place, (found, expected) in enumerate(zip(*gradients, strict=True)):
        assert np.isfinite(found).all()
        found, expected = np.array(found), np.array(expected)
        if place == 1:  # where x is as wide as the prior, its width is held fixed
            expected[0, 0] = found[0, 0]
        np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def test_all_values_of_a_latent_are_listed_where_they_can_be():
    values = Categorical(n=2, k=3).values()
    assert values.shape == (9, 6)
    assert len(np.unique(values, axis=0)) == 9
    np.testing.assert_array_equal(values.reshape(9, 2, 3).sum(axis=-1), 1)
    assert Categorical(n=20, k=10).values() is None
    assert DiagonalGaussian(dim=1).values() is None


@pytest.mark.parametrize("latent", FAMILIES)
def test_a_family_offers_the_protocol_and_comes_back_from_what_is_said_of_it(latent):
    assert isinstance(latent, Latent)
    data = keras.saving.serialize_keras_object(latent)
    assert keras.saving.deserialize_keras_object(data, safe_mode=True) == latent
    entry = latent.describe()
    assert latent_of(entry) == latent
    assert (entry["noise"], entry["size"]) == (latent.noise, latent.size)
    outputs = latent(np.zeros((2, latent.parameter_size))).outputs()
    assert len(outputs) == len(latent.output_names)
    assert {tuple(output.shape) for output in outputs} == {(2, latent.size)}


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


def test_sizes_of_numpy_are_those_of_python():
    for latent, plain in (
        (DiagonalGaussian(dim=np.int64(6)), DiagonalGaussian(dim=6)),
        (Categorical(n=np.int32(2), k=np.int64(3)), Categorical(n=2, k=3)),
    ):
        assert json.dumps(latent.get_config()) == json.dumps(plain.get_config())


@pytest.mark.parametrize("latent", FAMILIES)
@pytest.mark.parametrize("shape", [(2, 5), (6,), (2, 2, 3)])
def test_parameters_of_another_width_are_refused(latent, shape):
    wrong = np.zeros(shape, np.float32)
    for call in (latent, latent.product):
        with pytest.raises(ValueError, match=r"should have shape \(batch, 6\).*Received"):
            call(wrong)


# A user's own family: independent bits.


@dataclasses.dataclass(frozen=True)
class Bits:
    """Independent Bernoulli variables of logits `(batch, size)`."""

    logits: object

    @property
    def mode(self):
        return ops.cast(self.logits > 0, "float32")

    def sample(self, noise, temperature=None):
        noise = ops.clip(noise, 1e-7, 1 - 1e-7)
        scores = self.logits + ops.log(noise) - ops.log(1 - noise)
        if temperature is None:
            return ops.cast(scores > 0, "float32")
        return ops.sigmoid(scores / temperature)

    def log_prob(self, value):
        terms = value * self.logits - ops.softplus(self.logits)
        return ops.sum(terms, axis=-1)

    def kl(self, other=None):
        logits = 0.0 * self.logits if other is None else other.logits
        chance = ops.sigmoid(self.logits)
        terms = chance * (self.logits - logits) - ops.softplus(self.logits) + ops.softplus(logits)
        return ops.sum(terms, axis=-1)

    def outputs(self):
        return (ops.sigmoid(self.logits),)


@keras.saving.register_keras_serializable(package="test_latents")
@dataclasses.dataclass(frozen=True, kw_only=True)
class Bernoulli:
    """`size` fair bits."""

    size: int
    noise: ClassVar[str] = "uniform"
    range: ClassVar[tuple] = (0.0, 1.0)
    output_names: ClassVar[tuple] = ("probabilities",)
    output_range: ClassVar[tuple] = (0.0, 1.0)

    @property
    def parameter_size(self):
        return self.size

    def __call__(self, parameters):
        return Bits(ops.cast(parameters, "float32"))

    def product(self, *experts):
        return self(sum(experts))

    def prior_sample(self, noise):
        return ops.cast(noise > 0.5, "float32")

    def random_noise(self, count, seed):
        return keras.random.uniform((count, self.size), seed=seed)

    def draw_noise(self, rng, count):
        return draw_noise(rng, self.noise, (count, self.size))

    def shared_information(self, expert_x, expert_y):
        return ops.zeros(())

    def log_pmi(self, posteriors_x, posteriors_y):
        (p,), (q,) = posteriors_x, posteriors_y
        agreement = ops.einsum("xn,yn->xyn", p, q) + ops.einsum("xn,yn->xyn", 1 - p, 1 - q)
        return ops.sum(ops.log(2 * agreement), axis=-1)

    def values(self):
        return np.indices((2,) * self.size).reshape(self.size, -1).T.astype(np.float32)

    def prior_layer(self):
        return None

    def centre(self, posteriors=None):
        return np.zeros(self.size, np.float32)

    def sweeps(self, posteriors=None, effect=None):
        return tuple(
            Sweep(f"bit {place}", False, ("0", "1"), np.outer((0, 1), np.eye(self.size)[place]))
            for place in range(self.size)
        )

    def describe(self):
        return {"family": "bernoulli", "size": self.size, "noise": self.noise}

    def get_config(self):
        return {"size": self.size}

    @classmethod
    def from_config(cls, config):
        return cls(**config)


def test_a_third_family_is_common_and_local_latent_of_a_model(tmp_path):
    """From a step of every stage that takes it to samples, and through a file."""
    assert isinstance(Bernoulli(size=3), Latent)
    vector = wk.Vector(kinds=("real",) * 3)
    side = wk.SideSettings(hidden=(8,), reader="features", local=Bernoulli(size=2), flow_steps=0)
    gaussian = dataclasses.replace(side, local=DiagonalGaussian(dim=2), flow_steps=1)
    model = wk.WynerModel(
        Bernoulli(size=3),
        {"x": vector, "y": vector},
        codecs={name: vector.codec(None, 0) for name in "xy"},
        settings={"x": side, "y": gaussian},
    )
    rng = np.random.default_rng(0)
    pairs = wk.Pairs(*rng.normal(size=(2, 16, 3)))
    for loss in (wk.losses.Joint(), wk.losses.Marginal(), wk.losses.Refinement()):
        stage = wk.Stage(model, loss)
        stage.compile(optimizer="adam", run_eagerly=True)
        before = [np.array(variable) for variable in stage.trainable_variables]
        history = stage.fit(pairs, batch_size=8, verbose=0).history
        assert np.isfinite(list(history.values())).all()
        after = stage.trainable_variables
        assert all(np.any(old != new) for old, new in zip(before, after, strict=True))
    with pytest.raises(ValueError, match=r"Alignment needs .*Received: z=Bernoulli"):
        wk.Stage(model, wk.losses.Alignment())
    x = pairs.arrays()[0]
    encoded = model.encode_x(x, seed=0)
    assert set(np.unique(encoded.z)) == set(np.unique(encoded.local)) == {0, 1}
    assert (encoded.z.shape, encoded.local.shape) == ((16, 3), (16, 2))
    # Of no form that bundles know: by its own log_pmi.
    ranked = model.rank(x, pairs.arrays()[1], k=16)
    p, q = (
        model.posteriors(rows, side)[0] for side, rows in zip("xy", pairs.arrays(), strict=True)
    )
    scores = np.asarray(Bernoulli(size=3).log_pmi([p], [q]))
    np.testing.assert_allclose(
        ranked.nats, np.take_along_axis(scores, ranked.rows, axis=1), rtol=1e-4, atol=1e-5
    )
    np.testing.assert_allclose(ranked.nats, -np.sort(-scores, axis=1), rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert again.z == Bernoulli(size=3)
    assert again.identity == model.identity
    np.testing.assert_array_equal(again.generate_y(x, seed=1), model.generate_y(x, seed=1))
    # Trained on, it is another model to a gallery.
    weight = again.side("y").reader_weights[0]
    weight.assign(weight + 1e-3)
    assert again.identity != model.identity


def test_the_third_familys_closed_forms():
    """That the test above tests a model, not a mistake of its own."""
    latent, rng = Bernoulli(size=3), np.random.default_rng(0)
    q, p = (latent(rng.normal(size=(1, 3))) for _ in range(2))
    log_q, log_p = (
        np.array([float(each.log_prob(value[None])[0]) for value in latent.values()])
        for each in (q, p)
    )
    assert logsumexp(log_q) == pytest.approx(0, abs=1e-6)
    assert float(q.kl(p)[0]) == pytest.approx((np.exp(log_q) * (log_q - log_p)).sum(), abs=1e-6)
