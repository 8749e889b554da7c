import math

import numpy as np
import pytest
from scipy import stats
from scipy.optimize import minimize_scalar

from wyner_keras import information


@pytest.mark.parametrize("rho", [-0.9, 0.0, 0.5, 0.9])
def test_gaussian_is_the_information_of_the_z_that_attains_it(rho):
    """X = √|ρ| Z + noise and Y = ±√|ρ| Z + noise: Gaussian algebra in place of the formula."""
    a, b = math.sqrt(abs(rho)), math.copysign(math.sqrt(abs(rho)), rho)
    covariance = np.array([[1, rho, a], [rho, 1, b], [a, b, 1]])
    left = covariance[:2, :2] - np.outer(covariance[:2, 2], covariance[:2, 2])
    np.testing.assert_allclose(left[0, 1], 0, atol=1e-12)
    attained = 0.5 * math.log(np.linalg.det(covariance[:2, :2]) / np.linalg.det(left))
    assert information.gaussian(rho) == pytest.approx(attained, abs=1e-12)
    assert information.gaussian(rho) == pytest.approx(
        0.5 * math.log((1 + abs(rho)) / (1 - abs(rho)))
    )


@pytest.mark.parametrize("weight", [0.05, 0.3, 0.6])
def test_relaxed_gaussian_minimises_slack_plus_weighted_information(weight):
    rho = 0.5

    def relaxed(slack):
        s = math.sqrt(1 - math.exp(-2 * slack))
        return 0.5 * max(0.0, math.log((1 + rho) / (1 - rho) * (1 - s) / (1 + s)))

    best = minimize_scalar(
        lambda slack: slack + weight * relaxed(slack),
        bounds=(0, 1),
        method="bounded",
        options={"xatol": 1e-10},
    )
    found, slack = information.relaxed_gaussian(rho, weight)
    assert slack == pytest.approx(best.x, abs=1e-5)
    assert found == pytest.approx(relaxed(best.x), abs=1e-5)


def test_relaxed_gaussian_ends_in_wyners_and_in_the_mutual_information():
    assert information.relaxed_gaussian(0.5, 0.0) == (information.gaussian(0.5), 0.0)
    found, slack = information.relaxed_gaussian(0.5, 2.0)
    assert found == 0.0
    assert slack == pytest.approx(-0.5 * math.log(1 - 0.25))


def test_multivariate_gaussian_of_independent_pairs_is_their_sum():
    covariance = np.eye(5)
    covariance[0, 3] = covariance[3, 0] = 0.5
    covariance[1, 4] = covariance[4, 1] = -0.9
    total = information.gaussian(0.5) + information.gaussian(0.9)
    assert information.multivariate_gaussian(covariance, split=3) == pytest.approx(total)


def test_multivariate_gaussian_does_not_change_under_invertible_maps_of_either_side():
    rng = np.random.default_rng(0)
    root = rng.normal(size=(5, 8))
    covariance = root @ root.T
    maps = np.zeros((5, 5))
    maps[:2, :2], maps[2:, 2:] = rng.normal(size=(2, 2)), rng.normal(size=(3, 3))
    assert information.multivariate_gaussian(maps @ covariance @ maps.T, split=2) == pytest.approx(
        information.multivariate_gaussian(covariance, split=2), rel=1e-6
    )


def test_canonical_correlations_are_scikit_learns():
    from sklearn.cross_decomposition import CCA

    rng = np.random.default_rng(0)
    data = rng.normal(size=(400, 5)) @ rng.normal(size=(5, 5))
    fitted = CCA(n_components=2, max_iter=5000, tol=1e-12).fit(data[:, :2], data[:, 2:])
    x, y = fitted.transform(data[:, :2], data[:, 2:])
    expected = [stats.pearsonr(x[:, i], y[:, i]).statistic for i in range(2)]
    found = information.canonical_correlations(np.cov(data.T), split=2)
    np.testing.assert_allclose(found, expected, atol=1e-4)


def test_multivariate_gaussian_is_infinite_where_x_determines_y():
    assert information.multivariate_gaussian([[1, 1], [1, 1]], split=1) == math.inf


def test_doubly_symmetric_binary_is_the_information_of_the_z_that_attains_it():
    """Z is a fair bit, X and Y its independent noisy copies."""
    a0 = 0.1
    a1 = 0.5 * (1 - math.sqrt(1 - 2 * a0))
    assert 2 * a1 * (1 - a1) == pytest.approx(a0)
    noise = np.array([1 - a1, a1])
    table = np.stack([np.outer(noise, noise), np.outer(noise[::-1], noise[::-1])]) / 2
    attained = stats.entropy([0.5, 0.5]) + stats.entropy(table.sum(axis=0).ravel())
    attained -= stats.entropy(table.ravel())
    assert information.doubly_symmetric_binary(a0) == pytest.approx(attained)
    assert information.doubly_symmetric_binary(0.0) == pytest.approx(math.log(2))
    assert information.doubly_symmetric_binary(0.5) == pytest.approx(0, abs=1e-12)


def test_doubly_symmetric_binary_in_bits_is_the_number_of_the_literature():
    assert information.doubly_symmetric_binary(0.1) / math.log(2) == pytest.approx(0.873, abs=5e-4)


def alternating_minimum(p, weight, states, rounds=20_000):
    """Least I(X;Y|Z) + λ I(X,Y;Z) over q(z|x,y), by steps that are each the best for the rest."""
    q = np.random.default_rng(0).dirichlet(np.ones(states), size=p.shape)
    for _ in range(rounds):
        joint = p[..., None] * q
        p_z = joint.sum(axis=(0, 1))
        x_z, y_z = joint.sum(axis=1) / p_z, joint.sum(axis=0) / p_z
        logits = np.log(p_z) + (np.log(x_z)[:, None] + np.log(y_z)[None]) / (1 + weight)
        q = np.exp(logits - logits.max(axis=2, keepdims=True))
        q /= q.sum(axis=2, keepdims=True)
    joint = p[..., None] * q
    found = information.mutual_information(joint.reshape(-1, states))
    slack = sum(
        joint[..., z].sum() * information.mutual_information(joint[..., z] / joint[..., z].sum())
        for z in range(states)
    )
    return found, slack


@pytest.mark.parametrize("weight", [0.1, 0.4, 0.7])
def test_relaxed_doubly_symmetric_binary_is_what_alternating_minimisation_finds(weight):
    a0 = 0.1
    p = np.array([[1 - a0, a0], [a0, 1 - a0]]) / 2
    found, slack = alternating_minimum(p, weight, states=3, rounds=3000)
    expected = information.relaxed_doubly_symmetric_binary(a0, weight)
    assert found == pytest.approx(expected[0], abs=1e-3)
    assert slack + weight * found == pytest.approx(expected[1] + weight * expected[0], abs=1e-5)


def test_relaxed_doubly_symmetric_binary_ends_in_wyners_and_in_the_mutual_information():
    found, slack = information.relaxed_doubly_symmetric_binary(0.1, 0.0)
    assert found == pytest.approx(information.doubly_symmetric_binary(0.1), abs=1e-12)
    assert slack == pytest.approx(0, abs=1e-12)
    for weight in (0.8, 3.0):
        found, slack = information.relaxed_doubly_symmetric_binary(0.1, weight)
        assert found == pytest.approx(0, abs=1e-12)
        assert slack == pytest.approx(math.log(2) - information.binary_entropy(0.1))


@pytest.mark.parametrize("a0", [1e-16, 1e-12, 0.1, 0.4999999, 0.5 - 1e-12])
@pytest.mark.parametrize("share", [0.0, 0.5, 1 - 1e-9, 1 - 1e-15, 1.0, 1.5])
def test_relaxed_doubly_symmetric_binary_is_no_less_than_nothing_near_the_ends(a0, share):
    found = information.relaxed_doubly_symmetric_binary(a0, share * (1 - 2 * a0))
    assert min(found) >= 0
    whole = information.doubly_symmetric_binary(a0)
    assert found[0] <= whole + 1e-12
    if share == 0.0:
        assert found[0] == pytest.approx(whole, abs=1e-9)


def test_relaxed_label_changes_at_one():
    p = [0.5, 0.25, 0.25]
    label = information.entropy(p)
    assert information.relaxed_label(p, 0.99) == (label, 0.0)
    assert information.relaxed_label(p, 1.01) == (0.0, label)


def test_binary_erasure_is_continuous_and_between_its_bounds():
    assert information.binary_erasure(0.5) == pytest.approx(information.binary_erasure(0.5 + 1e-9))
    for erasure in (0.2, 0.7):
        p = np.array([[1 - erasure, erasure, 0], [0, erasure, 1 - erasure]]) / 2
        lower, upper = information.bounds(p)
        assert lower <= information.binary_erasure(erasure) <= upper + 1e-12


def test_a_label_beside_gaussian_pairs_adds_to_what_they_share():
    found = information.label_beside_gaussians([0.25] * 4, [0.9, -0.5])
    assert found == pytest.approx(math.log(4) + math.atanh(0.9) + math.atanh(0.5))
    # The Gaussian part alone, by its covariance.
    covariance = np.eye(4)
    covariance[[0, 2, 1, 3], [2, 0, 3, 1]] = 0.9, 0.9, -0.5, -0.5
    alone = information.label_beside_gaussians([1.0], [0.9, -0.5])
    assert alone == pytest.approx(information.multivariate_gaussian(covariance, split=2))


def test_deterministic_label_is_its_entropy():
    assert information.deterministic_label([0.1] * 10) == pytest.approx(math.log(10))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: information.gaussian(1.0), r"`rho` should be in \(-1, 1\).*Received"),
        (lambda: information.gaussian(float("nan")), "`rho`.*Received"),
        (lambda: information.relaxed_gaussian(0.5, -1.0), "`weight`.*Received"),
        (lambda: information.relaxed_label([1.0], -1.0), "`weight`.*Received"),
        (lambda: information.relaxed_doubly_symmetric_binary(0.5, 0.1), "`a0`.*Received"),
        (lambda: information.doubly_symmetric_binary(0.6), "`a0`.*Received"),
        (lambda: information.binary_erasure(-0.1), "`erasure`.*Received"),
        (lambda: information.multivariate_gaussian([[1, 2], [2, 1]], 1), "semidefinite.*Received"),
        (lambda: information.multivariate_gaussian([[1, 0.5], [0, 1]], 1), "symmetric.*Received"),
        (lambda: information.multivariate_gaussian([[0, 0], [0, 1]], 1), "invertible.*Received"),
        (lambda: information.multivariate_gaussian(np.eye(3), 3), "`split`.*Received"),
        (lambda: information.multivariate_gaussian(np.eye(3), True), "`split`.*Received"),
        (lambda: information.multivariate_gaussian(np.zeros((2, 3)), 1), "square.*Received"),
        (lambda: information.multivariate_gaussian("no", 1), "matrix.*Received"),
        (lambda: information.deterministic_label([[0.5, 0.5]]), "rank 1.*Received"),
    ],
)
def test_bad_arguments_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
