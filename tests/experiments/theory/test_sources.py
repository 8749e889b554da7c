import math

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from experiments.theory.sources import (
    DiscreteSource,
    GaussianSource,
    labels_beside_bits,
    noisy_bits,
)
from wyner_keras import information


@pytest.mark.parametrize("source", [noisy_bits(0.1), labels_beside_bits(4)])
def test_what_is_drawn_has_the_tables_frequencies(source):
    x, y = source.draw(20_000, seed=0)
    cells_x, cells_y, p, log_p = source.rows(0, seed=0)
    np.testing.assert_allclose(log_p, np.log(p))
    for row_x, row_y, expected in zip(cells_x, cells_y, p, strict=True):
        found = np.mean((x == row_x).all(axis=1) & (y == row_y).all(axis=1))
        assert found == pytest.approx(expected, abs=0.02)
    assert p.sum() == pytest.approx(1)


@pytest.mark.parametrize("source", [noisy_bits(0.1), labels_beside_bits(4)])
def test_closed_form_of_a_discrete_source_is_the_solvers(source):
    solved = information.wyner_common_information(source.p_xy).value
    assert source.common_information == pytest.approx(solved, abs=2e-5)
    assert source.mutual_information <= source.common_information + 1e-9 <= source.entropy + 2e-9


def test_labels_go_with_the_next_one():
    x, y = labels_beside_bits(4).draw(100, seed=0)
    np.testing.assert_array_equal((x[:, :4].argmax(axis=1) + 1) % 4, y[:, :4].argmax(axis=1))


def test_given_the_label_all_bits_are_independent():
    """The product of bits is then the whole likelihood: the slack of Z = label is 0."""
    x, y, p, _ = labels_beside_bits(4).rows(0, seed=0)
    chosen = x[:, 0] == 1
    bits, weights = np.concatenate([x, y], axis=1)[chosen], p[chosen] / p[chosen].sum()
    mean = weights @ bits
    product = np.prod(np.where(bits == 1, mean, 1 - mean), axis=1)
    np.testing.assert_allclose(product, weights)


def test_gaussian_density_and_samples_are_scipys():
    source = GaussianSource(0.6)
    x, y, weights, log_q = source.rows(50_000, seed=1)
    expected = multivariate_normal(cov=[[1, 0.6], [0.6, 1]]).logpdf(np.hstack([x, y]))
    np.testing.assert_allclose(log_q, expected, rtol=1e-4, atol=1e-4)
    assert weights.sum() == pytest.approx(1)
    np.testing.assert_allclose(np.cov(np.hstack([x, y]).T), [[1, 0.6], [0.6, 1]], atol=0.02)
    assert source.mutual_information == pytest.approx(-0.5 * math.log(1 - 0.36))
    assert source.common_information == information.gaussian(0.6)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: GaussianSource(1.0), "`rho`.*Received"),
        (
            lambda: DiscreteSource(
                "a", "A", np.eye(2) / 2, np.eye(2), np.ones((3, 1)), lambda weight: (0.0, 0.0)
            ),
            "`bits_y`.*Received",
        ),
        (
            lambda: DiscreteSource(
                "a", "A", np.eye(2), np.eye(2), np.eye(2), lambda weight: (0.0, 0.0)
            ),
            "sum to 1.*Received",
        ),
    ],
)
def test_bad_sources_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()


@pytest.mark.parametrize("name", ["p_xy", "bits_x", "bits_y"])
def test_masks_and_imaginary_parts_are_refused(name):
    values = {"p_xy": np.eye(2) / 2, "bits_x": np.eye(2), "bits_y": np.eye(2)}
    for wrong in (np.ma.masked_array(values[name], mask=np.eye(2)), values[name] + 0.25j):
        with pytest.raises(ValueError, match=r"should .*Received: .*(masked|complex)"):
            DiscreteSource("a", "A", **{**values, name: wrong}, trade_off=lambda _: (0.0, 0.0))
