import numpy as np
import pytest
from scipy import stats
from scipy.special import expit, softmax

from experiments.theory import base_model
from experiments.theory.base_model import BaseModel, measure_point, trade_off_curve
from experiments.theory.sources import GaussianSource, labels_beside_bits, noisy_bits
from wyner_keras import Categorical, DiagonalGaussian, information


def untrained(source, z, seed=0):
    """A model whose weights are random, and far from zero."""
    model = BaseModel(source, z, hidden=(6,), seed=seed)
    rng = np.random.default_rng(seed)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def test_what_is_measured_on_a_table_is_its_definition():
    source, model = noisy_bits(0.1), untrained(noisy_bits(0.1), Categorical(n=1, k=3))
    x, y, p, _ = source.rows(0, 0)
    q = softmax(np.asarray(model.encoder([x, y]), float), axis=1)
    bits = [
        expit(np.asarray(decoder(np.eye(3)), float))[:, 0]
        for decoder in (model.decoder_x, model.decoder_y)
    ]
    p_x, p_y = (
        np.where(value == 1, mean, 1 - mean) for value, mean in zip((x, y), bits, strict=True)
    )
    joint = p[:, None] * q
    point = measure_point(model, source)
    assert point.information == pytest.approx(information.mutual_information(joint), abs=1e-6)
    slack = (joint * np.log(joint / (p_x * p_y / 3))).sum()
    assert point.slack == pytest.approx(slack, abs=1e-5)
    # D(q(x,y) ‖ p(x,y)) is not above it.
    assert point.slack >= stats.entropy(p, (p_x * p_y / 3).sum(axis=1)) - 1e-6


@pytest.mark.parametrize(
    ("source", "z"),
    [
        (noisy_bits(0.1), Categorical(n=1, k=3)),
        (labels_beside_bits(3), Categorical(n=1, k=4)),
        (GaussianSource(0.5), DiagonalGaussian(dim=1)),
        (GaussianSource(0.5), Categorical(n=1, k=3)),
    ],
)
@pytest.mark.parametrize("seed", [0, 1])
def test_no_model_lies_under_the_theorys_line(source, z, seed, monkeypatch):
    monkeypatch.setattr(base_model, "_EVALUATED", 4000)
    point = measure_point(untrained(source, z, seed), source)
    assert point.kl_z >= point.information - 1e-3
    for weight in (0.0, 0.05, 0.3, 0.6, 1.0):
        least, slack = source.relaxed(weight)
        # Sampling errors on the Gaussian pair.
        assert point.slack + weight * point.information >= slack + weight * least - 0.02


def test_the_best_gaussian_z_attains_the_closed_form():
    """Weights by hand: q(z|x,y) and the decoders of the Z that solves Wyner's problem."""
    rho = 0.5
    source = GaussianSource(rho)
    model = BaseModel(source, DiagonalGaussian(dim=1), hidden=(2,))
    gain, left = np.sqrt(rho) / (1 + rho), (1 - rho) / (1 + rho)
    # ReLU passes s and −s of the sum s = x + y.
    values = [
        np.array([[1, -1], [1, -1]]),
        np.zeros(2),
        np.array([[gain, 0], [-gain, 0]]),
        np.array([0, np.log(left)]),
    ]
    for variable, value in zip(model.encoder.trainable_variables, values, strict=True):
        variable.assign(value)
    for decoder in (model.decoder_x, model.decoder_y):
        values = [
            np.array([[1, -1]]),
            np.zeros(2),
            np.array([[np.sqrt(rho), 0], [-np.sqrt(rho), 0]]),
            np.array([0, np.log(1 - rho)]),
        ]
        for variable, value in zip(decoder.trainable_variables, values, strict=True):
            variable.assign(value)
    point = measure_point(model, source)
    assert point.information == pytest.approx(information.gaussian(rho), abs=0.005)
    assert point.slack == pytest.approx(0, abs=1e-4)


@pytest.mark.parametrize(
    ("source", "z"),
    [
        (labels_beside_bits(3), Categorical(n=1, k=4)),
        (GaussianSource(0.5), DiagonalGaussian(dim=1)),
        (GaussianSource(0.5), Categorical(n=1, k=3)),
    ],
)
def test_the_mean_loss_is_what_is_measured(source, z):
    """Loss − H(X,Y) = slack + λ E D(q(z|x,y) ‖ p(z)), whatever the weights."""
    model = untrained(source, z)
    model.common_information_weight.assign(0.3)
    x, y, weights, log_q = source.rows(40_000, 1_000_000)
    loss = weights @ np.asarray(sum(model.terms(x, y).values()), float)
    point = measure_point(model, source)
    assert loss + weights @ log_q == pytest.approx(point.slack + 0.3 * point.kl_z, rel=0.02)


def test_training_finds_the_noisy_bit(monkeypatch):
    monkeypatch.setattr(base_model, "_SAMPLES", 100_000)
    source = noisy_bits(0.1)
    (point,) = trade_off_curve(source, Categorical(n=1, k=2), [0.02], steps=180, hidden=(32,))
    assert point.weight == pytest.approx(0.02)
    assert point.information == pytest.approx(source.common_information, rel=0.03)
    assert 0 <= point.slack < 0.005


@pytest.mark.parametrize(
    ("z", "steps", "match"),
    [
        (Categorical(n=2, k=2), 60, "`z`.*Received"),
        (DiagonalGaussian(dim=2), 60, "`z`.*Received"),
        (Categorical(n=1, k=2), 59, "`steps`.*Received"),
    ],
)
def test_bad_settings_are_refused(z, steps, match):
    with pytest.raises(ValueError, match=match):
        trade_off_curve(noisy_bits(0.1), z, [0.1], steps=steps)


@pytest.mark.slow
def test_from_random_weights_z_is_filled_below_one_and_empty_above(monkeypatch):
    """Of a label, a nat costs λ in Z and 1 outside."""
    monkeypatch.setattr(base_model, "_BATCH", 500)
    monkeypatch.setattr(base_model, "_SAMPLES", 50_000)
    source, z = labels_beside_bits(4), Categorical(n=1, k=4)
    for weight, steps in ((0.5, 180), (1.5, 60)):
        (point,) = trade_off_curve(source, z, [weight], start=weight, steps=steps)
        assert point.information == pytest.approx(source.relaxed(weight)[0], abs=0.03)
