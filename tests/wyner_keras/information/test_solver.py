import math

import numpy as np
import pytest
from hypothesis import example, given, settings
from hypothesis import strategies as st

from wyner_keras import information
from wyner_keras.information import wyner_common_information


def binary(a0):
    return np.array([[1 - a0, a0], [a0, 1 - a0]]) / 2


def erasure(p):
    return np.array([[1 - p, p, 0], [0, p, 1 - p]]) / 2


@st.composite
def joints(draw, most=3):
    """Small joint distributions; empty cells, rows and columns included."""
    shape = draw(st.integers(2, most)), draw(st.integers(2, most))
    cells = st.integers(0, 9)
    counts = np.array([[draw(cells) for _ in range(shape[1])] for _ in range(shape[0])])
    counts[draw(st.integers(0, shape[0] - 1)), 0] += 1
    return counts / counts.sum()


@pytest.mark.parametrize("a0", [0.0, 0.01, 0.1, 0.3, 0.5])
def test_recovers_the_doubly_symmetric_binary_source(a0):
    found = wyner_common_information(binary(a0)).value
    assert found == pytest.approx(information.doubly_symmetric_binary(a0), abs=2e-5)


@pytest.mark.parametrize("p", [0.1, 0.5, 0.6, 0.9])
def test_recovers_the_binary_erasure_source(p):
    found = wyner_common_information(erasure(p)).value
    assert found == pytest.approx(information.binary_erasure(p), abs=2e-5)


def test_recovers_a_label_beside_private_bits():
    labels = np.array([0.4, 0.3, 0.2, 0.1])
    p = np.kron(np.diag(labels), np.full((2, 3), 1 / 6))
    found = wyner_common_information(p)
    assert found.value == pytest.approx(information.deterministic_label(labels), abs=2e-5)


def test_approaches_the_gaussian_as_the_grid_is_refined():
    """Quantised Gaussians have less common information, and the more values the closer."""
    from scipy.stats import multivariate_normal, norm

    rho, found = 0.5, []
    for count in (2, 4):
        edges = norm.ppf(np.linspace(0, 1, count + 1)).clip(-8, 8)
        points = np.stack(np.meshgrid(edges, edges, indexing="ij"), axis=-1)
        cdf = multivariate_normal(cov=[[1, rho], [rho, 1]]).cdf(points)
        p = np.diff(np.diff(cdf, axis=0), axis=1).clip(0)
        found.append(wyner_common_information(p / p.sum(), tolerance=1e-3).value)
    assert found[0] + 0.02 < found[1] < information.gaussian(rho)


@settings(max_examples=10)
@given(joints())
@example(np.array([[9, 0], [7, 7], [0, 9]]) / 32)  # the least is Z = Y, exactly
@example(np.array([[9, 7, 0], [0, 7, 9]]) / 32)  # and Z = X
def test_lies_between_its_bounds_and_is_attained_by_its_z(p):
    found = wyner_common_information(p)
    lower, upper = information.bounds(p)
    assert lower - 1e-5 <= found.value <= upper + 1e-9
    assert 0 <= found.lower_bound <= found.value
    assert found.value - found.lower_bound <= 1e-5
    assert len(found.p_z) <= p.size
    table = np.einsum("z,zx,zy->zxy", found.p_z, found.p_x_given_z, found.p_y_given_z)
    np.testing.assert_allclose(table.sum(axis=0), p, atol=1e-7)
    table = table / table.sum()
    attained = information.mutual_information(table.reshape(len(table), -1))
    assert attained == pytest.approx(found.value, abs=1e-5)


@settings(max_examples=5)
@given(joints(), st.randoms(use_true_random=False))
def test_names_and_roles_do_not_matter(p, random):
    rows, columns = list(range(p.shape[0])), list(range(p.shape[1]))
    random.shuffle(rows)
    random.shuffle(columns)
    value = wyner_common_information(p).value
    assert wyner_common_information(p[rows][:, columns].T).value == pytest.approx(value, abs=2e-5)


@settings(max_examples=5)
@given(joints(most=2), joints(most=2))
def test_independent_sources_add_up(p, q):
    parts = wyner_common_information(p).value + wyner_common_information(q).value
    together = wyner_common_information(np.kron(p, q), tolerance=1e-4).value
    assert together == pytest.approx(parts, abs=2e-4)


@pytest.mark.parametrize("shift", [0.0, 1e-3])
def test_finds_how_little_near_independence_shares(shift):
    p = np.array([[1 + shift, 2 - shift], [2 - shift, 4 + shift]]) / 9
    found = wyner_common_information(p)
    assert found.value - found.lower_bound <= 1e-5
    assert found.value == pytest.approx(0.46 * shift, abs=2e-5)


def test_splitting_a_value_by_a_coin_changes_nothing():
    p = np.array([[0.3, 0.1], [0.1, 0.5]])
    split = np.vstack([0.25 * p[:1], 0.75 * p[:1], p[1:]])
    assert wyner_common_information(split).value == pytest.approx(
        wyner_common_information(p).value, abs=2e-5
    )


@pytest.mark.parametrize("p", [[[0.4, 0.1], [0.2, 0.3]], [[0.1, 0.25], [0.6, 0.05]]])
def test_agrees_with_dit(p):
    from dit import Distribution
    from dit.multivariate import wyner_common_information as oracle

    p = np.array(p)
    names = [f"{x}{y}" for x, y in np.ndindex(p.shape)]
    expected = float(oracle(Distribution(names, p.ravel().tolist()), niter=1)) * math.log(2)
    # dit meets X − Z − Y only to a tolerance, which takes it a little below.
    assert wyner_common_information(p).value == pytest.approx(expected, abs=1e-3)


def test_a_seed_gives_one_answer():
    p = np.random.default_rng(0).dirichlet(np.ones(6)).reshape(2, 3)
    first, second = (wyner_common_information(p, seed=3) for _ in range(2))
    np.testing.assert_array_equal(first.p_x_given_z, second.p_x_given_z)


@pytest.mark.parametrize(
    ("call", "match"),
    [
        (lambda: wyner_common_information([0.5, 0.5]), "rank 2.*Received"),
        (lambda: wyner_common_information([[0.5, 0.6]]), "sum to 1.*Received"),
        (lambda: wyner_common_information(binary(0.1), tolerance=0), "positive.*Received"),
        (lambda: wyner_common_information(binary(0.1), starts=0), "`starts`.*Received"),
        (lambda: wyner_common_information(binary(0.1), starts=True), "`starts`.*Received"),
        (lambda: wyner_common_information(binary(0.1), rounds=1.5), "`rounds`.*Received"),
        (
            lambda: wyner_common_information((1 - np.eye(14)) / (14 * 13)),
            "rectangles.*Received",
        ),
    ],
)
def test_bad_arguments_are_refused(call, match):
    with pytest.raises(ValueError, match=match):
        call()
