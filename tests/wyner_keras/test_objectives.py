import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, softmax

from wyner_keras import objectives


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_kl_of_categorical_to_uniform_is_log_k_less_the_entropy(rng):
    logits = rng.normal(size=(5, 3, 4))
    entropy = stats.entropy(softmax(logits, axis=-1), axis=-1).sum(axis=-1)
    np.testing.assert_allclose(
        objectives.kl_categorical(logits), 3 * math.log(4) - entropy, rtol=1e-5
    )


def test_kl_between_categoricals_is_the_relative_entropy(rng):
    logits, prior = rng.normal(size=(2, 5, 3, 4))
    expected = stats.entropy(softmax(logits, axis=-1), softmax(prior, axis=-1), axis=-1)
    np.testing.assert_allclose(
        objectives.kl_categorical(logits, prior), expected.sum(axis=-1), rtol=1e-5
    )


def test_kl_of_a_certain_category_is_log_k():
    logits = np.array([[[1000.0, 0.0, 0.0]]], np.float32)
    np.testing.assert_allclose(objectives.kl_categorical(logits), [math.log(3)], rtol=1e-6)


def test_kl_of_gaussian_to_standard_normal(rng):
    mean, log_variance = rng.normal(size=(2, 5, 3))
    variance = np.exp(log_variance)
    expected = 0.5 * (variance + mean**2 - 1 - log_variance).sum(axis=-1)
    np.testing.assert_allclose(
        objectives.kl_diagonal_gaussian(mean, log_variance), expected, rtol=1e-5
    )


def test_kl_between_gaussians_is_the_integral_of_its_definition(rng):
    mean, log_variance, other_mean, other_log_variance = rng.normal(size=(4, 3, 2))
    grid = np.linspace(-30, 30, 60_001)[:, None, None]
    log_q = stats.norm.logpdf(grid, mean, np.exp(log_variance / 2))
    log_p = stats.norm.logpdf(grid, other_mean, np.exp(other_log_variance / 2))
    integral = (np.exp(log_q) * (log_q - log_p)).sum(axis=0) * (grid[1] - grid[0])
    kl = objectives.kl_diagonal_gaussian(mean, log_variance, other_mean, other_log_variance)
    np.testing.assert_allclose(kl, integral.sum(axis=-1), rtol=1e-4)


def test_kl_of_a_gaussian_through_an_affine_map_is_its_closed_form_on_average(rng):
    matrix, shift = np.tril(rng.normal(size=(2, 2))) + 2 * np.eye(2), rng.normal(size=2)
    mean, log_variance = rng.normal(size=(2, 2))
    inputs = mean + np.exp(log_variance / 2) * rng.normal(size=(20_000, 2))
    log_determinant = np.full(20_000, math.log(np.linalg.det(matrix)))
    kl = np.asarray(
        objectives.kl_pulled_back_gaussian(
            inputs @ matrix.T + shift, np.tile(log_variance, (20_000, 1)), log_determinant
        ),
        float,
    )
    mean, covariance = matrix @ mean + shift, matrix @ np.diag(np.exp(log_variance)) @ matrix.T
    expected = 0.5 * (np.trace(covariance) + mean @ mean - 2 - np.linalg.slogdet(covariance)[1])
    assert kl.mean() == pytest.approx(expected, abs=5 * kl.std() / math.sqrt(len(kl)))


def test_squared_error_over_two_epsilon_squared_is_the_widened_delta_in_nats(rng):
    x, reconstruction = rng.random((2, 5, 4, 3, 2))
    two_epsilon_squared = 0.3
    epsilon = math.sqrt(two_epsilon_squared / 2)
    log_density = stats.norm.logpdf(x, reconstruction, epsilon).sum(axis=(1, 2, 3))
    constant = 24 / 2 * math.log(2 * math.pi * epsilon**2)
    error = objectives.squared_error(x, reconstruction)
    assert error.shape == (5,)
    np.testing.assert_allclose(
        error / two_epsilon_squared, -log_density - constant, rtol=1e-4, atol=1e-4
    )


def test_gaussian_negative_log_likelihood_is_scipys(rng):
    x, mean, log_variance = rng.normal(size=(3, 5, 4))
    expected = -stats.norm.logpdf(x, mean, np.exp(log_variance / 2)).sum(axis=-1)
    np.testing.assert_allclose(
        objectives.gaussian_negative_log_likelihood(x, mean, log_variance), expected, rtol=1e-5
    )


def test_mutual_information_of_soft_assignments_is_that_of_their_mean_product(rng):
    p_x, p_y = softmax(rng.normal(size=(2, 50, 2, 3)) * 2, axis=-1).astype(np.float32)
    expected = 0.0
    for variable in range(2):
        joint = np.mean(
            [np.outer(a, b) for a, b in zip(p_x[:, variable], p_y[:, variable], strict=True)],
            axis=0,
        )
        product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        expected += (joint * np.log(joint / product)).sum()
    np.testing.assert_allclose(
        objectives.categorical_mutual_information(p_x, p_y), expected, rtol=1e-4
    )


def test_mutual_information_of_a_shared_label_is_its_entropy():
    labels = np.eye(5, dtype=np.float32)[np.arange(20) % 5][:, None]
    shared = float(objectives.categorical_mutual_information(labels, labels[:, :, ::-1]))
    assert shared == pytest.approx(math.log(5), abs=1e-5)


def test_mutual_information_of_independent_labels_is_zero():
    x, y = np.meshgrid(np.arange(3), np.arange(4))
    one_hot = np.eye(4, dtype=np.float32)
    information = objectives.categorical_mutual_information(
        one_hot[x.ravel()][:, None], one_hot[y.ravel()][:, None]
    )
    assert float(information) == pytest.approx(0, abs=1e-5)


def test_info_nce_is_its_definition_in_numpy(rng):
    scores = rng.normal(size=(30, 30))
    told = [
        2 * scores[i, i] - np.log(np.exp(scores[i]).mean()) - np.log(np.exp(scores[:, i]).mean())
        for i in range(30)
    ]
    np.testing.assert_allclose(objectives.info_nce(scores), np.mean(told) / 2, rtol=1e-5)


def test_info_nce_of_partners_told_for_sure_is_the_log_of_the_batch():
    assert float(objectives.info_nce(1e3 * np.eye(50))) == pytest.approx(math.log(50), abs=1e-4)


def test_info_nce_by_the_true_pmi_is_the_mutual_information(rng):
    x, noise = rng.normal(size=(2, 3000))
    y = 0.8 * x + 0.6 * noise
    pmi = (
        -0.5 * math.log(0.36) - (0.64 * x[:, None] ** 2 + 0.64 * y**2 - 1.6 * x[:, None] * y) / 0.72
    )
    assert float(objectives.info_nce(pmi)) == pytest.approx(-0.5 * math.log(0.36), abs=0.03)


def test_gaussian_mutual_information_is_half_the_log_ratio_of_determinants(rng):
    a = rng.normal(size=(500, 2))
    b = a @ rng.normal(size=(2, 3)) + rng.normal(size=(500, 3))
    covariance = np.cov(np.hstack([a, b]).T, bias=True) + 1e-4 * np.eye(5)
    expected = 0.5 * math.log(
        np.linalg.det(covariance[:2, :2])
        * np.linalg.det(covariance[2:, 2:])
        / np.linalg.det(covariance)
    )
    np.testing.assert_allclose(objectives.gaussian_mutual_information(a, b), expected, rtol=1e-3)


def test_gaussian_mutual_information_of_a_correlation_is_its_closed_form(rng):
    correlation = 0.8
    centred = rng.normal(size=(1000, 2))
    centred -= centred.mean(axis=0)
    a, noise = np.linalg.qr(centred)[0].T * math.sqrt(1000)
    b = correlation * a + math.sqrt(1 - correlation**2) * noise
    information = objectives.gaussian_mutual_information(a[:, None], b[:, None], ridge=0.0)
    assert float(information) == pytest.approx(-0.5 * math.log(1 - correlation**2), abs=1e-4)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: objectives.kl_categorical(np.zeros((2, 3))), "rank 3.*Received"),
        (
            lambda: objectives.kl_categorical(np.zeros((2, 3, 4)), np.zeros((2, 3, 5))),
            "same.*Received",
        ),
        (
            lambda: objectives.kl_diagonal_gaussian(np.zeros((2, 3)), np.zeros((2, 1))),
            "same.*Received",
        ),
        (
            lambda: objectives.kl_diagonal_gaussian(*np.zeros((2, 2, 3)), np.zeros((2, 1))),
            "same.*Received",
        ),
        (lambda: objectives.squared_error(np.zeros((2, 3)), np.zeros((2, 1))), "same.*Received"),
        (
            lambda: objectives.gaussian_negative_log_likelihood(
                np.zeros((2, 3)), np.zeros((2, 3)), np.zeros((2, 1))
            ),
            "same.*Received",
        ),
        (
            lambda: objectives.categorical_mutual_information(*np.zeros((2, 2, 3))),
            "rank 3.*Received",
        ),
        (lambda: objectives.info_nce(np.zeros((2, 3))), r"square. Received: shape=\(2, 3\)"),
        (lambda: objectives.info_nce(np.zeros(3)), "rank 2.*Received"),
    ],
)
def test_shapes_are_checked_before_arithmetic(call, match):
    with pytest.raises(ValueError, match=match):
        call()


def test_terms_of_low_precision_inputs_are_computed_in_float32(rng):
    logits = rng.normal(size=(4, 2, 3)).astype(np.float16)
    kl = objectives.kl_categorical(logits)
    assert kl.dtype == "float32"
    exact = (softmax(logits, -1) * (log_softmax(logits.astype(float), -1) + math.log(3))).sum(
        axis=(1, 2)
    )
    np.testing.assert_allclose(kl, exact, rtol=1e-2)
