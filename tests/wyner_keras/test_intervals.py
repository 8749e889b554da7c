import numpy as np
import pytest
from scipy import stats

from wyner_keras.intervals import half_width, mann_whitney, mean_error, permutation_p, wilson


@pytest.mark.parametrize(("right", "count"), [(0, 10), (3, 10), (57, 100), (400, 400)])
def test_wilson_is_scipys(right: int, count: int) -> None:
    expected = stats.binomtest(right, count).proportion_ci(method="wilson")
    assert wilson(right / count, count) == pytest.approx(tuple(expected), abs=1e-6)


def test_mann_whitney_holds_the_true_share_in_95_of_100() -> None:
    rng = np.random.default_rng(0)
    for shift, first, second in ((0.0, 60, 60), (1.0, 40, 80), (2.5, 60, 60)):
        truth, held = stats.norm.cdf(shift / np.sqrt(2)), []
        for _ in range(400):
            a, b = rng.normal(size=first), rng.normal(shift, size=second)
            low, high = mann_whitney(float((a[:, None] < b).mean()), first, second)
            held.append(low <= truth <= high)
        assert np.mean(held) > 0.92, shift


def test_mann_whitney_has_a_width_at_its_ends_and_is_symmetric() -> None:
    low, high = mann_whitney(1.0, 50, 50)
    assert 0.9 < low < 0.99
    assert high == 1
    assert mann_whitney(0.0, 50, 50) == pytest.approx((0, 1 - low))


def test_p_counts_what_was_found_itself() -> None:
    assert permutation_p(np.array([9.0, *range(9)])) == 0.1
    assert permutation_p(np.zeros(20)) == 1


def test_the_interval_of_a_mean_is_scipys_and_that_of_groups_is_that_of_their_means() -> None:
    values = np.random.default_rng(0).normal(size=12)
    low, high = stats.t.interval(0.95, 11, values.mean(), stats.sem(values))
    assert half_width(values) == pytest.approx((high - low) / 2)
    groups = np.repeat(list("abcdef"), 5)
    means = np.arange(6.0) ** 2
    assert mean_error(np.repeat(means, 5), groups) == pytest.approx(stats.sem(means))
    assert half_width(np.repeat(means, 5), groups) == pytest.approx(
        stats.t.ppf(0.975, 5) * stats.sem(means)
    )
    assert np.isnan(mean_error(values, np.zeros(12)))


def test_what_rounding_alone_sets_apart_counts_as_equal() -> None:
    found = np.array([3.0, *[3.0 - 1e-7] * 4, *np.zeros(5)], np.float32)
    assert permutation_p(found) == 0.5
    assert permutation_p(np.array([np.nan, 1.0])) == 1
