"""Tiny pairs, models and a NumPy oracle, so that a test takes a second."""

from collections.abc import Callable, Iterable
from types import SimpleNamespace
from typing import Any

import keras
import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, softmax

from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig, WynerModel
from wyner_keras.networks import ConvAutoencoder

# Widths 3, 2 and 4 tell the noise of z, u and v apart.
Z, U, V = Categorical(n=1, k=3), DiagonalGaussian(dim=2), Categorical(n=2, k=2)


def random_images(seed: int, count: int, *shape: int) -> LabelledImages:
    rng = np.random.default_rng(seed)
    labels = np.arange(count) % 3
    images = 0.6 * rng.random((count, *shape)) + 0.2 * labels[:, None, None, None]
    return LabelledImages(images.astype(np.float32), labels)


def random_pairs(x_shape: tuple[int, ...], y_shape: tuple[int, ...]) -> Pairs:
    x, y = random_images(1, 24, *x_shape), random_images(2, 18, *y_shape)
    index = np.stack([np.arange(24), (np.arange(24) * 3 + 1) % 18], axis=1)
    return Pairs(x, y, index)


@pytest.fixture(scope="session")
def pairs() -> Pairs:
    """24 pairs of 4x4 and 4x2 images."""
    return random_pairs((4, 4, 1), (4, 2, 1))


@pytest.fixture(scope="session")
def wrapped_pairs() -> Pairs:
    """24 pairs of 8x8 and 8x4 images, as `wrappers` take them."""
    return random_pairs((8, 8, 1), (8, 4, 1))


@pytest.fixture(scope="session")
def make_wrapper() -> Callable[..., ConvAutoencoder]:
    """An untrained wrapper whose standardisation is not the identity."""

    def make(image_shape: tuple[int, ...], seed: int = 0, **settings: Any) -> ConvAutoencoder:
        wrapper = ConvAutoencoder(
            image_shape, **{"code_size": 3, "filters": (2, 3), "seed": seed, **settings}
        )
        wrapper.build()
        wrapper.slant_scale.assign(0.4)
        wrapper.standardise.moving_mean.assign([0.1, -0.1, 0.2])
        wrapper.standardise.moving_variance.assign([0.05, 0.1, 0.2])
        return wrapper

    return make


@pytest.fixture
def wrappers(make_wrapper) -> tuple[ConvAutoencoder, ConvAutoencoder]:
    return make_wrapper((8, 8, 1)), make_wrapper((8, 4, 1), seed=1)


@pytest.fixture(scope="session")
def tiny_settings() -> dict[str, Any]:
    return {"z": Z, "u": U, "v": V, "hidden": (16,), "x_shape": (4, 4, 1), "y_shape": (4, 2, 1)}


@pytest.fixture(scope="session")
def make_model(tiny_settings) -> Callable[..., WynerModel]:
    """A model of 4x4 and 4x2 images, or of the wrapper's; settings override the tiny ones."""

    def make(wrapper: Any = None, **overrides: Any) -> WynerModel:
        values = dict(tiny_settings)
        if wrapper is not None:
            values.update(x_shape=None, y_shape=None)
        return WynerModel(WynerConfig(**{**values, **overrides}), wrapper=wrapper)

    return make


@pytest.fixture(scope="session")
def weights() -> Callable[[Iterable[keras.layers.Layer]], bytes]:
    """All the weights of some layers, as bytes."""

    def read(*layers: keras.layers.Layer) -> bytes:
        return b"".join(value.tobytes() for layer in layers for value in layer.get_weights())

    return read


@pytest.fixture
def still_noise(monkeypatch) -> dict[int, np.ndarray]:
    """Training noise replaced by one fixed array a latent, by the latent's width."""
    rng = np.random.default_rng(5)
    noises: dict[int, np.ndarray] = {}
    for family in (Categorical, DiagonalGaussian):

        def noise(self: Any, count: Any, seed: Any) -> np.ndarray:
            return noises.setdefault(self.size, self.draw_noise(rng, int(count)))[: int(count)]

        monkeypatch.setattr(family, "random_noise", noise)
    return noises


def oracle_sample(latent: Any, parameters: Any, noise: Any, temperature: float) -> np.ndarray:
    parameters, noise = np.asarray(parameters, float), np.asarray(noise, float)
    if isinstance(latent, DiagonalGaussian):
        mean, log_variance = np.split(parameters, 2, axis=1)
        return mean + np.exp(log_variance / 2) * noise
    scores = (parameters - np.log(-np.log(noise))).reshape(-1, latent.n, latent.k)
    return softmax(scores / temperature, axis=-1).reshape(len(noise), -1)


def oracle_kl(latent: Any, parameters: Any, other: Any = None) -> np.ndarray:
    parameters = np.asarray(parameters, float)
    other = np.zeros_like(parameters) if other is None else np.asarray(other, float)
    if isinstance(latent, DiagonalGaussian):
        (mean, s), (other_mean, t) = (np.split(side, 2, axis=1) for side in (parameters, other))
        return 0.5 * (np.exp(s - t) + (mean - other_mean) ** 2 / np.exp(t) - 1 - s + t).sum(axis=1)
    log_q, log_p = (
        log_softmax(side.reshape(-1, latent.n, latent.k), axis=-1) for side in (parameters, other)
    )
    return (np.exp(log_q) * (log_q - log_p)).sum(axis=(1, 2))


def oracle_prior_sample(latent: Any, noise: Any) -> np.ndarray:
    if isinstance(latent, DiagonalGaussian):
        return np.asarray(noise)
    scores = -np.log(-np.log(noise)).reshape(-1, latent.n, latent.k)
    return np.eye(latent.k)[scores.argmax(axis=-1)].reshape(len(noise), -1)


def oracle_negative_log_likelihood(latent: Any, parameters: Any, value: Any) -> np.ndarray:
    if isinstance(latent, DiagonalGaussian):
        mean, log_variance = np.split(np.asarray(parameters, float), 2, axis=1)
        return -stats.norm.logpdf(value, mean, np.exp(log_variance / 2)).sum(axis=1)
    log_q = log_softmax(np.asarray(parameters, float).reshape(-1, latent.n, latent.k), axis=-1)
    return -(log_q.reshape(value.shape) * value).sum(axis=1)


def oracle_posterior(latent: Any, *experts: Any) -> np.ndarray:
    experts = [np.asarray(expert, float) for expert in experts]
    if isinstance(latent, Categorical):
        return sum(experts)
    moments = [np.split(expert, 2, axis=1) for expert in experts]
    precision = 1 + sum(np.exp(-s) for _, s in moments)
    mean = sum(m * np.exp(-s) for m, s in moments) / precision
    return np.concatenate([mean, -np.log(precision)], axis=1)


def oracle_reconstruction(
    model: WynerModel, target: Any, local: Any, z: Any, side: str, two_epsilon_squared: float
) -> np.ndarray:
    network = model.decoder_x if side == "x" else model.decoder_y
    inputs = [np.float32(part) for part in (local, z) if part is not None]
    output = np.asarray(network(inputs), float)
    if model.config.residual:
        output = output + np.asarray(model.concept(side)(np.float32(z)), float)
    wrapper = model.wrapper_x if side == "x" else model.wrapper_y
    if model.config.distance == "pixels" and wrapper is not None:
        output = np.asarray(wrapper.decode(np.float32(output)), float)
    elif wrapper is not None:
        target = wrapper.encode(target)
    target = np.asarray(target, float).reshape(len(target), -1)
    if model.config.decoder == "gaussian":
        mean, log_variance = np.split(output, 2, axis=1)
        return -stats.norm.logpdf(target, mean, np.exp(log_variance / 2)).sum(axis=1)
    return np.square(target - output.reshape(target.shape)).sum(axis=1) / two_epsilon_squared


def check_terms(
    stage: Any, pairs: Any, oracle_terms: Callable[[], dict[str, Any]]
) -> tuple[Any, dict[str, Any]]:
    """Loss and the oracle's terms, asked for after the noise was drawn, if these agree."""
    loss, means = stage.loss_and_terms(*pairs.arrays(), training=False)
    expected = oracle_terms()
    assert set(means) == set(expected) == set(stage.term_names)
    for name, value in expected.items():
        np.testing.assert_allclose(means[name], value, rtol=2e-3, atol=1e-5, err_msg=name)
    return loss, expected


def oracle_rest(model: WynerModel, features: Any, z: Any, side: str) -> np.ndarray:
    if not model.config.residual:
        return np.asarray(features)
    kernel, bias = model.concept(side).get_weights()
    return np.asarray(features) - np.float32(z) @ kernel - bias


def randomise_concepts(model: WynerModel) -> None:
    """Affine maps of z start at zero: give them values, so that they show."""
    rng = np.random.default_rng(11)
    for layer in (model.concept_x, model.concept_y):
        if layer is not None:
            for variable in layer.trainable_variables:
                variable.assign(0.5 * rng.normal(size=variable.shape))


@pytest.fixture(scope="session")
def oracle() -> SimpleNamespace:
    """The paper's terms in NumPy and SciPy, from network outputs and noise."""
    return SimpleNamespace(
        check_terms=check_terms,
        sample=oracle_sample,
        prior_sample=oracle_prior_sample,
        negative_log_likelihood=oracle_negative_log_likelihood,
        kl=oracle_kl,
        posterior=oracle_posterior,
        reconstruction=oracle_reconstruction,
        rest=oracle_rest,
        randomise_concepts=randomise_concepts,
    )
