import numpy as np
import pytest

from wyner_keras.evaluation import within_input_diversity


@pytest.fixture
def real() -> tuple[np.ndarray, np.ndarray]:
    labels = np.repeat([2, 7], 40)
    spread = np.where(labels == 2, 0.2, 0.8)[:, None]
    return spread * np.random.default_rng(0).random((80, 30)), labels


def test_against_the_traces_of_numpy_covariances(real) -> None:
    rows, of_rows = real
    samples, labels = np.random.default_rng(1).random((3, 4, 30)), np.array([7, 2, 7])
    found = np.mean([np.trace(np.cov(one, rowvar=False)) for one in samples])
    trace = {n: np.trace(np.cov(rows[of_rows == n], rowvar=False)) for n in (2, 7)}
    expected = found / np.mean([trace[label] for label in labels])
    assert within_input_diversity(samples, labels, rows, of_rows) == pytest.approx(expected)


def test_real_examples_of_the_class_reach_1_and_copies_0(real) -> None:
    rows, of_rows = real
    samples, labels = np.stack([rows[of_rows == 2], rows[of_rows == 7]]), np.array([2, 7])
    assert within_input_diversity(samples, labels, rows, of_rows) == pytest.approx(1)
    copies = np.repeat(samples[:, :1], 5, axis=1)
    assert within_input_diversity(copies, labels, rows, of_rows) == pytest.approx(0, abs=1e-9)
