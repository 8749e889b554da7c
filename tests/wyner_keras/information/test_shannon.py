import math

import numpy as np
import pytest
from scipy import stats

from wyner_keras import information


def test_entropy_is_scipys():
    p = np.random.default_rng(0).dirichlet(np.ones(7))
    assert information.entropy(p) == pytest.approx(stats.entropy(p), rel=1e-12)
    assert information.entropy([0.0, 1.0]) == 0.0
    assert math.copysign(1, information.entropy([1.0])) == 1


def test_entropy_of_a_joint_distribution_is_that_of_its_cells():
    p = np.random.default_rng(0).dirichlet(np.ones(6))
    assert information.entropy(p.reshape(2, 3)) == information.entropy(p)


def test_binary_entropy():
    assert information.binary_entropy(0.5) == pytest.approx(math.log(2))
    assert information.binary_entropy(0.11) == pytest.approx(stats.entropy([0.11, 0.89]))


def test_mutual_information_is_the_divergence_from_the_product():
    p = np.random.default_rng(0).dirichlet(np.ones(12)).reshape(3, 4)
    product = np.outer(p.sum(axis=1), p.sum(axis=0))
    expected = stats.entropy(p.ravel(), product.ravel())
    assert information.mutual_information(p) == pytest.approx(expected, rel=1e-9)
    assert information.mutual_information(product) == pytest.approx(0, abs=1e-12)


def test_bounds():
    p = np.array([[0.5, 0.0, 0.0], [0.0, 0.25, 0.25]])
    lower, upper = information.bounds(p)
    assert lower == pytest.approx(math.log(2))
    assert upper == pytest.approx(math.log(2))


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: information.entropy([0.5, 0.6]), "sum to 1.*Received"),
        (lambda: information.entropy([1.5, -0.5]), "sum to 1.*Received"),
        (lambda: information.entropy([float("nan")]), "sum to 1.*Received"),
        (lambda: information.entropy([]), "non-empty.*Received"),
        (lambda: information.entropy("half"), "array of probabilities.*Received"),
        (lambda: information.mutual_information([0.5, 0.5]), "rank 2.*Received"),
        (lambda: information.binary_entropy(1.1), r"in \[0, 1\].*Received"),
    ],
)
def test_what_is_no_distribution_is_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
