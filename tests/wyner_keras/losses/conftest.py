"""The losses' terms by NumPy and SciPy, from a model's weights and fixed noise."""

from types import SimpleNamespace

import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, softmax
from still_draw import StillDraw

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.product import Product


def mlp(network, *inputs):
    """A multilayer perceptron's outputs from its weights."""
    values = np.concatenate([np.asarray(part, float) for part in inputs], axis=-1)
    *hidden, kernel, bias = (np.asarray(weight, float) for weight in network.get_weights())
    for weight, offset in zip(hidden[::2], hidden[1::2], strict=True):
        values = np.maximum(values @ weight + offset, 0)
    return values @ kernel + bias


def by_part(latent, made, *values):
    """What is made of the kinds, beside what is made of the quantities; kinds come first."""
    k = latent.kinds.k
    kinds = made(latent.kinds, *(each[:, :k] for each in values))
    quantities = made(latent.quantities, *(each[:, k:] for each in values))
    return np.concatenate([kinds, quantities], axis=1)


def uniform_kinds(latent, noise):
    """Normal noise with that of the kinds made uniform."""
    return np.concatenate(
        [stats.norm.cdf(noise[:, : latent.kinds.k]), noise[:, latent.kinds.k :]], axis=1
    )


def sample(latent, parameters, noise, temperature):
    if isinstance(latent, Product):
        return by_part(
            latent,
            lambda part, *given: sample(part, *given, temperature),
            parameters,
            uniform_kinds(latent, noise),
        )
    if isinstance(latent, DiagonalGaussian):
        mean, log_variance = np.split(parameters, 2, axis=1)
        return mean + np.exp(log_variance / 2) * noise
    scores = (parameters - np.log(-np.log(noise))).reshape(-1, latent.n, latent.k)
    return softmax(scores / temperature, axis=-1).reshape(len(noise), -1)


def prior_sample(latent, noise):
    if isinstance(latent, Product):
        return by_part(latent, prior_sample, uniform_kinds(latent, noise))
    if isinstance(latent, DiagonalGaussian):
        return np.asarray(noise)
    scores = -np.log(-np.log(noise)).reshape(-1, latent.n, latent.k)
    return np.eye(latent.k)[scores.argmax(axis=-1)].reshape(len(noise), -1)


def kl(latent, parameters, other=None):
    other = np.zeros_like(parameters) if other is None else other
    if isinstance(latent, DiagonalGaussian):
        (mean, s), (other_mean, t) = (np.split(side, 2, axis=1) for side in (parameters, other))
        return 0.5 * (np.exp(s - t) + (mean - other_mean) ** 2 / np.exp(t) - 1 - s + t).sum(axis=1)
    log_q, log_p = (
        log_softmax(side.reshape(-1, latent.n, latent.k), axis=-1) for side in (parameters, other)
    )
    return (np.exp(log_q) * (log_q - log_p)).sum(axis=(1, 2))


def log_prob(latent, parameters, value):
    if isinstance(latent, DiagonalGaussian):
        mean, log_variance = np.split(parameters, 2, axis=1)
        return stats.norm.logpdf(value, mean, np.exp(log_variance / 2)).sum(axis=1)
    log_q = log_softmax(parameters.reshape(-1, latent.n, latent.k), axis=-1)
    return (log_q.reshape(value.shape) * value).sum(axis=1)


def product(latent, *experts):
    """The parameters of prior × experts."""
    if isinstance(latent, Product):
        return by_part(latent, product, *experts)
    if not isinstance(latent, DiagonalGaussian):
        return sum(experts)
    moments = [np.split(expert, 2, axis=1) for expert in experts]
    precision = 1 + sum(np.exp(-s) for _, s in moments)
    mean = sum(m * np.exp(-s) for m, s in moments) / precision
    return np.concatenate([mean, -np.log(precision)], axis=1)


def features(side, rows):
    """Of a flat codec: standardised values."""
    mean, scale = (np.asarray(weight, float) for weight in (side.codec.mean, side.codec.scale))
    return (rows.reshape(len(rows), -1) - mean) / scale


def affine(side, z):
    if side.concept is None:
        return 0.0
    kernel, bias = side.concept.get_weights()
    return z @ kernel + bias


def posterior(side, h, z):
    """The parameters of q(u|x,z)."""
    return mlp(side.posterior_network, h - affine(side, z), z)


def decode(side, code, z):
    return mlp(side.decoder_network, *([] if code is None else [code]), z) + affine(side, z)


def read(side, latent, rows, h):
    """The parameters of q(z|x), of rows where it reads data, else of their features."""
    if side.settings.reader == "data":
        outputs = np.asarray(side.reader_network(np.float32(rows)), float)
    else:
        outputs = mlp(side.reader_network, h)
    return product(latent, outputs)


@pytest.fixture
def still():
    return StillDraw()


@pytest.fixture(scope="session")
def oracle():
    return SimpleNamespace(
        sample=sample,
        prior_sample=prior_sample,
        kl=kl,
        log_prob=log_prob,
        product=product,
        mlp=mlp,
        features=features,
        posterior=posterior,
        decode=decode,
        read=read,
    )


@pytest.fixture
def check(pairs, still):
    """Checks a loss's terms against an oracle's, and gives the weighted loss of both."""

    def found(stage, expected_terms):
        batch = dict(zip("xy", pairs.arrays(), strict=True))
        terms = stage.objective(stage.model, batch, still, training=False)
        expected = expected_terms(stage.model, pairs.arrays(), still)
        assert set(terms) == set(expected)
        for name, value in expected.items():
            np.testing.assert_allclose(terms[name], value, rtol=2e-3, atol=1e-4, err_msg=name)
        stage.draw = lambda training: still
        loss, means = stage.loss_and_terms(batch, training=False)
        assert set(means) == set(expected)
        return float(loss), {name: np.mean(value) for name, value in expected.items()}

    return found
