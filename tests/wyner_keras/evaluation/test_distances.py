import tracemalloc

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy import linalg

from wyner_keras.evaluation import frechet_distance, precision_recall


def cloud(mean: np.ndarray, covariance: np.ndarray, count: int, seed: int) -> np.ndarray:
    """Points whose sample mean and sample covariance are exactly those asked for."""
    raw = np.random.default_rng(seed).normal(size=(count, len(mean)))
    raw -= raw.mean(0)
    white = raw @ linalg.inv(linalg.cholesky(np.cov(raw, rowvar=False)))
    return white @ linalg.cholesky(covariance) + mean


def test_frechet_distance_is_the_closed_form_for_diagonal_covariances() -> None:
    first, second = np.array([4.0, 1.0, 0.25]), np.array([1.0, 9.0, 0.25])
    mean = np.array([1.0, -2.0, 0.5])
    found = frechet_distance(
        cloud(np.zeros(3), np.diag(first), 50, 0), cloud(mean, np.diag(second), 80, 1)
    )
    expected = (mean**2).sum() + ((np.sqrt(first) - np.sqrt(second)) ** 2).sum()
    assert found == pytest.approx(expected, rel=1e-9)


def test_frechet_distance_is_the_closed_form_for_full_covariances() -> None:
    generator = np.random.default_rng(2)
    factors = generator.normal(size=(2, 5, 5))
    first, second = (factor @ factor.T + 0.1 * np.eye(5) for factor in factors)
    mean = generator.normal(size=5)
    found = frechet_distance(cloud(np.zeros(5), first, 60, 3), cloud(mean, second, 60, 4))
    root = linalg.sqrtm(first @ second).real
    expected = mean @ mean + np.trace(first + second - 2 * root)
    assert found == pytest.approx(expected, rel=1e-7)


def test_frechet_distance_of_few_rows_of_many_pixels_takes_no_square_of_them() -> None:
    rng = np.random.default_rng(0)
    few = [rng.normal(size=(9, 3)) @ rng.normal(size=(3, 6)) for _ in range(2)]
    wide = [np.pad(rows, ((0, 0), (0, 3994))) for rows in few]
    tracemalloc.start()
    found = frechet_distance(*wide)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    # Columns of 0 add nothing.
    assert found == pytest.approx(frechet_distance(*few), rel=1e-6)
    assert peak < 16 * wide[0].nbytes


def test_frechet_distance_stands_singular_covariances() -> None:
    points = np.random.default_rng(0).normal(size=(40, 6))
    points[:, 3:] = 0
    assert frechet_distance(points, points) == pytest.approx(0, abs=1e-9)
    assert frechet_distance(points, points + np.array([0, 0, 0, 0, 0, 3])) == pytest.approx(9)


def brute_force(points: np.ndarray, centres: np.ndarray, k: int) -> float:
    between = np.linalg.norm(centres[:, None] - centres[None], axis=-1)
    radius = np.sort(between, axis=1)[:, k]  # place 0 is the centre itself
    distance = np.linalg.norm(points[:, None] - centres[None], axis=-1)
    return float((distance <= radius).any(1).mean())


@settings(max_examples=25, deadline=None)
@given(st.integers(0, 2**32 - 1), st.integers(1, 5), st.floats(0.2, 3), st.floats(0, 3))
def test_precision_recall_is_that_of_brute_force(
    seed: int, k: int, scale: float, shift: float
) -> None:
    generator = np.random.default_rng(seed)
    real = generator.normal(size=(60, 4))
    generated = scale * generator.normal(size=(45, 4)) + shift
    found = precision_recall(real, generated, k=k)
    assert found[0] == pytest.approx(brute_force(generated, real, k))
    assert found[1] == pytest.approx(brute_force(real, generated, k))


def test_precision_recall_at_its_limits() -> None:
    real = np.random.default_rng(0).normal(size=(50, 8))
    assert precision_recall(real, real) == (1, 1)
    assert precision_recall(real, real + 1000) == (0, 0)
    collapsed = np.repeat(real[:1], 50, axis=0)
    precision, recall = precision_recall(real, collapsed)
    assert precision == 1
    assert recall == pytest.approx(1 / 50)


@pytest.mark.parametrize(("unit", "offset"), [(1e-9, 0), (1e-9, 1), (1e9, 0), (1, 1e8)])
def test_precision_recall_is_free_of_units_and_offset(unit: float, offset: float) -> None:
    generator = np.random.default_rng(0)
    real, generated = generator.normal(size=(60, 4)), 0.7 * generator.normal(size=(60, 4))
    expected = precision_recall(real, generated)
    assert 0.1 < expected[1] < expected[0] < 1
    moved = precision_recall(unit * real + offset, unit * generated + offset)
    assert moved == pytest.approx(expected, abs=1e-12)
    assert precision_recall(real * unit + offset, real * unit + offset) == (1, 1)
