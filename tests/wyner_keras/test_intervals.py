import numpy as np
import pytest
from scipy import stats

from wyner_keras.intervals import mann_whitney, permutation_p, wilson


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
