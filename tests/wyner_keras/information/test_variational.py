import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from wyner_keras import Categorical, DiagonalGaussian, information
from wyner_keras.information import variational
from wyner_keras.information.sources import GaussianSource, labels_beside_bits, noisy_bits
from wyner_keras.information.variational import BaseStage, attained, base_model, trace


def untrained(source, z, seed=0):
    """A stage of a model whose weights are random, and far from zero."""
    stage = BaseStage(base_model(source, z, hidden=(6,), seed=seed))
    rng = np.random.default_rng(seed)
    for variable in stage.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return stage


def test_what_is_attained_on_a_table_is_its_definition():
    source, stage = noisy_bits(0.1), untrained(noisy_bits(0.1), Categorical(n=1, k=3))
    model, (x, y, p, _) = stage.model, source.rows(0, 0)
    q = softmax(np.asarray(model.joint_z(x, y)[0], float), axis=1)
    bits = [np.asarray(model.decode(None, np.eye(3), side)[0], float)[:, 0] for side in "xy"]
    p_x, p_y = (
        np.where(value == 1, mean, 1 - mean) for value, mean in zip((x, y), bits, strict=True)
    )
    joint = p[:, None] * q
    found = attained(stage, source)
    assert found.information == pytest.approx(information.mutual_information(joint), abs=1e-6)
    slack = (joint * np.log(joint / (p_x * p_y / 3))).sum()
    assert found.slack == pytest.approx(slack, abs=1e-5)
    # D(q(x,y) ‖ p(x,y)) is not above it.
    assert found.slack >= stats.entropy(p, (p_x * p_y / 3).sum(axis=1)) - 1e-6


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
    monkeypatch.setattr(variational, "_EVALUATED", 4000)
    found = attained(untrained(source, z, seed), source)
    assert found.kl_z >= found.information - 1e-3
    for weight in (0.0, 0.05, 0.3, 0.6, 1.0):
        least, slack = source.relaxed(weight)
        # Sampling errors on the Gaussian pair.
        assert found.slack + weight * found.information >= slack + weight * least - 0.02


def test_the_best_gaussian_z_attains_the_closed_form(monkeypatch):
    """Weights by hand: q(z|x,y) and the decoders of the Z that solves Wyner's problem."""
    rho = 0.5
    source = GaussianSource(rho)
    stage = BaseStage(base_model(source, DiagonalGaussian(dim=1), hidden=(2,)))
    gain, left = np.sqrt(rho) / (1 + rho), (1 - rho) / (1 + rho)
    encoder = stage.model.joint_encoder_z
    # ReLU passes s and −s of the sum s = x + y.
    values = [
        np.array([[1, -1], [1, -1]]),
        np.zeros(2),
        np.array([[gain, 0], [-gain, 0]]),
        np.array([0, np.log(left)]),
    ]
    for variable, value in zip(encoder.trainable_variables, values, strict=True):
        variable.assign(value)
    for decoder in (stage.model.decoder_x, stage.model.decoder_y):
        values = [
            np.array([[1, -1]]),
            np.zeros(2),
            np.array([[np.sqrt(rho), 0], [-np.sqrt(rho), 0]]),
            np.array([0, np.log(1 - rho)]),
        ]
        for variable, value in zip(decoder.trainable_variables, values, strict=True):
            variable.assign(value)
    found = attained(stage, source)
    assert found.information == pytest.approx(information.gaussian(rho), abs=0.005)
    assert found.slack == pytest.approx(0, abs=1e-4)


def test_the_summed_expectation_is_the_mean_over_samples():
    stage = untrained(noisy_bits(0.1), Categorical(n=1, k=3))
    x, y, _, _ = noisy_bits(0.1).rows(0, 0)
    parameters = stage.model.joint_z(x, y)[0]
    family, rng = stage.model.config.z, np.random.default_rng(0)
    draws = []
    for _ in range(100):
        z = family.sample(parameters, family.draw_noise(rng, len(x)))
        draws.append(np.asarray(stage.expected(x, parameters, z, "x")))
    summed = np.asarray(stage.expected(x, parameters, None, "x"))
    np.testing.assert_allclose(np.mean(draws, axis=0), summed, atol=0.3)


def test_training_finds_the_noisy_bit(monkeypatch):
    monkeypatch.setattr(variational, "_SAMPLES", 100_000)
    source = noisy_bits(0.1)
    (found,) = trace(source, Categorical(n=1, k=2), [0.02], steps=180, hidden=(32,))
    assert found.weight == pytest.approx(0.02)
    assert found.information == pytest.approx(source.common_information, rel=0.03)
    assert 0 <= found.slack < 0.005


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
        trace(noisy_bits(0.1), z, [0.1], steps=steps)


def test_from_random_weights_z_is_filled_below_one_and_empty_above():
    """Of a label a nat costs λ in Z and one outside."""
    source, z = labels_beside_bits(10), Categorical(n=1, k=10)
    (filled,) = trace(source, z, [0.5], start=0.5, steps=180)
    (empty,) = trace(source, z, [1.5], start=1.5, steps=60)
    assert filled.information == pytest.approx(source.relaxed(0.5)[0], rel=0.03)
    assert empty.information == pytest.approx(source.relaxed(1.5)[0], abs=0.02)
