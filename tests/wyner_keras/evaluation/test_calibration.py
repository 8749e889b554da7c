import numpy as np
import pytest
from scipy import stats

from wyner_keras.evaluation.calibration import calibrate, calibrated_bound, log_ratios
from wyner_keras.information.aggregated import contrastive_bounds


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def kinds_with_wrong_pairs(rng, count, wrong=0.05):
    """Scores of a model that is sure of five kinds, and I(X;Y) of pairs some of which are wrong."""
    x = rng.integers(5, size=count)
    y = np.where(rng.random(count) < wrong, rng.integers(5, size=count), x)
    same = 1 - wrong + wrong / 5
    true = np.log(5) - stats.entropy([same, *[wrong / 5] * 4])
    return np.where(x[:, None] == y, np.log(5), -26.0), true


def gaussian(rng, count, times=1.0):
    """The pmi of three correlated quantities, times too large, and I(X;Y)."""
    rho = 0.95
    x = rng.normal(size=(count, 3))
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=(count, 3))
    true = -1.5 * np.log(1 - rho**2)
    squares = rho**2 * (x[:, None] ** 2 + y**2) - 2 * rho * x[:, None] * y
    return times * (true - squares.sum(axis=-1) / (2 * (1 - rho**2))), true


@pytest.mark.parametrize("count", [100, 400])
def test_few_wrong_pairs_do_not_bring_the_bound_down(rng, count) -> None:
    found = []
    for _ in range(5):
        scores, true = kinds_with_wrong_pairs(rng, count)
        found.append(calibrated_bound(scores)[0])
    assert contrastive_bounds(scores)[0] < 0.8 < true
    assert np.mean(found) == pytest.approx(true, abs=0.1)


@pytest.mark.parametrize("times", [1, 10, 100])
def test_a_model_that_is_too_sure_tells_what_it_tells(rng, times) -> None:
    scores, true = gaussian(rng, 400, times)
    found, most, (low, high) = calibrated_bound(scores)
    assert true - 0.35 < found < true
    assert low < found < high < low + 0.4
    assert most == pytest.approx(np.log(300), abs=0.01)
    assert 0.5 * times <= calibrate(scores).temperature <= 2 * times


def test_scores_that_tell_nothing_are_worth_nothing(rng) -> None:
    """On average over many sets the bound is not above 0, whatever they are chosen by."""
    found = [calibrated_bound(30 * rng.normal(size=(60, 60)))[0] for _ in range(40)]
    assert -0.1 < np.mean(found) <= 0.01


def test_the_bound_holds_on_average_where_it_is_chosen_by_few(rng) -> None:
    scores = [kinds_with_wrong_pairs(rng, 24) for _ in range(60)]
    found = [calibrated_bound(each)[0] for each, _ in scores]
    assert np.mean(found) < scores[0][1] + 2 * np.std(found) / np.sqrt(len(found))


@pytest.mark.parametrize("count", [2, 5, 19])
def test_too_few_pairs_to_choose_by_are_judged_all_the_same(count) -> None:
    found, most, _ = calibrated_bound(np.where(np.eye(count, dtype=bool), 50.0, -50.0))
    assert most == pytest.approx(np.log(count))
    assert found == pytest.approx(np.log(0.9 * count + 0.1))


def test_scores_are_corrected_no_more_than_they_have_to_be(rng) -> None:
    scores, _ = kinds_with_wrong_pairs(rng, 400)
    assert calibrate(scores) == (1.0, 0.05)
    assert calibrate(gaussian(rng, 400)[0]) == (1.0, pytest.approx(0, abs=0.01))


def test_what_is_not_compared_does_not_count() -> None:
    scores = np.log([[3.0, 1.0, 9.0], [1.0, 1.0, 1.0]])
    masked = np.where([[True, True, False], [True, True, True]], scores, -np.inf)
    found = log_ratios(masked, 1.0)
    assert found[0, :2] == pytest.approx(np.log([1.5, 0.5]))
    assert np.exp(found).sum(axis=1) == pytest.approx([2, 3])


def test_scores_that_are_no_numbers_tell_nothing() -> None:
    found = calibrated_bound(np.full((30, 30), np.nan))
    assert np.isnan([found.nats, *found.interval]).all()


def little(rng, count, rho=0.4):
    """The pmi of one correlated quantity, and I(X;Y)."""
    x = rng.normal(size=count)
    y = rho * x + np.sqrt(1 - rho**2) * rng.normal(size=count)
    true = -0.5 * np.log(1 - rho**2)
    squares = rho**2 * (x[:, None] ** 2 + y**2) - 2 * rho * x[:, None] * y
    return true - squares / (2 * (1 - rho**2)), true


def test_the_lower_end_of_the_interval_is_seldom_above_what_there_is(rng) -> None:
    """The bound as it came out often is: it holds on average."""
    sets = [little(rng, 60) for _ in range(40)]
    found = [calibrated_bound(scores) for scores, _ in sets]
    true = sets[0][1]
    assert np.mean([each.nats > true for each in found]) > 0.2
    assert np.mean([each.interval[0] > true for each in found]) < 0.08


def test_pairs_of_one_group_widen_the_interval(rng) -> None:
    """Twenty copies of each of 12 pairs are no more than the twelve."""
    scores, _ = little(rng, 12)
    copied = np.repeat(np.repeat(scores, 20, axis=0), 20, axis=1)
    groups, order = np.repeat(np.arange(12), 20), rng.permutation(240)
    copied, groups = copied[np.ix_(order, order)], groups[order]
    (low, high), (of_low, of_high) = (
        calibrated_bound(copied, each).interval for each in (None, groups)
    )
    assert of_high - of_low > 3 * (high - low)
