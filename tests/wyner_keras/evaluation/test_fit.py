import math

import numpy as np
import pytest
from scipy import stats

from wyner_keras.evaluation import energy_score
from wyner_keras.evaluation.fit import explained


def test_energy_score_of_a_gaussian_is_gneitings_closed_form() -> None:
    rng = np.random.default_rng(0)
    truth, deviation = np.array([-1.0, 0.0, 2.5]), 0.7
    samples = deviation * rng.normal(size=(3, 20_000, 1))[:, :1000]
    z = truth / deviation
    expected = deviation * (
        z * (2 * stats.norm.cdf(z) - 1) + 2 * stats.norm.pdf(z) - 1 / math.sqrt(math.pi)
    )
    assert energy_score(samples, truth[:, None]) == pytest.approx(expected, abs=0.06)


def test_energy_score_does_not_depend_on_the_number_of_samples_and_is_proper() -> None:
    """E‖y − y'‖ of a Gaussian in d dimensions is 2 Γ((d + 1) / 2) / Γ(d / 2)."""
    rng = np.random.default_rng(1)
    dim, rows = 5, 4000
    truth = rng.normal(size=(rows, dim))
    expected = math.gamma((dim + 1) / 2) / math.gamma(dim / 2)  # half of it
    scores = {}
    for count in (2, 8):
        for spread in (0.5, 1.0, 2.0):
            samples = spread * rng.normal(size=(rows, count, dim))
            scores[count, spread] = energy_score(samples, truth).mean()
        assert scores[count, 1.0] == pytest.approx(expected, abs=0.04)
        assert scores[count, 1.0] < min(scores[count, 0.5], scores[count, 2.0])


def test_share_of_variance_explained() -> None:
    real = np.random.default_rng(2).normal(3, [1, 2], size=(100, 2))
    assert explained(real, real) == 1
    assert explained(real, np.broadcast_to(real.mean(axis=0), real.shape)) == pytest.approx(0)
    half = real.copy()
    half[:, 1] = real[:, 1].mean()
    share = real[:, 0].var() / real.var(axis=0).sum()
    assert explained(real, half) == pytest.approx(share)
