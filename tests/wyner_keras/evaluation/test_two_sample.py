import numpy as np
import pytest
from scipy import stats

from wyner_keras.data import Pairs
from wyner_keras.evaluation import evaluate, two_sample_test
from wyner_keras.evaluation.two_sample import folds, shifted

RHO = 0.9


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


@pytest.mark.parametrize("shift", [0.5, 1.0, 2.0])
def test_two_gaussians_are_told_apart_as_well_as_can_be(rng, shift: float) -> None:
    real, generated = rng.normal(size=(2, 2, 1500, 3))
    generated += shift / np.sqrt(6)  # in all six coordinates, `shift` in all
    best = stats.norm.cdf(shift / 2)  # Bayes' classifier
    found = two_sample_test(list(real), list(generated))
    assert best - 0.03 < found.accuracy < best + 0.02
    assert found.interval[0] < best
    assert found.examples == 3000


def test_widths_alone_are_told_apart(rng) -> None:
    real, generated = rng.normal(size=(2, 2000, 1))
    # N(0, 1) against N(0, 4): |x| below the point where the densities cross is the former's.
    cross = np.sqrt(2 * np.log(2) / (1 - 1 / 4))
    best = (1 + (2 * stats.norm.cdf(cross) - 1) - (2 * stats.norm.cdf(cross / 2) - 1)) / 2
    assert two_sample_test([real], [2 * generated]).accuracy == pytest.approx(best, abs=0.03)


def test_a_column_of_small_units_is_seen_beside_one_of_large_units(rng) -> None:
    real, generated = rng.normal(size=(2, 200, 2)) * [1e-6, 1e4]
    generated[:, 0] += 1e-5
    assert two_sample_test([real], [generated]).accuracy > 0.99


def test_a_wrong_pairing_is_seen_though_each_side_is_right(rng) -> None:
    x, other = rng.normal(size=(2, 1000, 4))
    y = RHO * x + np.sqrt(1 - RHO**2) * rng.normal(size=x.shape)
    assert two_sample_test([x, y], [other, shifted(y)]).accuracy > 0.8
    assert two_sample_test([x], [other]).interval[0] < 0.5


def test_of_one_distribution_the_interval_holds_a_half(rng) -> None:
    held = []
    for seed, size in enumerate([1, 3, 6] * 40):
        x, y, other_x, other_y = rng.normal(size=(4, 50, size))
        found = two_sample_test([x, y], [x if seed % 2 else other_x, other_y], seed=seed)
        held.append(found.interval[0] <= 0.5 <= found.interval[1])
    assert np.mean(held) > 0.95 - 3 * np.sqrt(0.05 * 0.95 / len(held))


def test_shifted_rows_stay_in_their_fold_and_leave_their_place() -> None:
    moved = shifted(np.arange(23))
    assert sorted(moved) == list(range(23))
    assert (folds(23)[moved] == folds(23)).all()
    assert (moved != np.arange(23)).all()


def test_bad_arguments_are_refused(rng) -> None:
    rows = rng.normal(size=(30, 2))
    for real, generated, message in (
        ([rows], [rows[:20]], r"`real` and `generated` should be vectors .*Received: .*\(30, 2\)"),
        ([rows[:6]], [rows[:6]], "10 rows or more"),
        ([rows], [rows * np.nan], "should be finite"),
        ([rows], [rows[:, 0]], "equally many"),
    ):
        with pytest.raises(ValueError, match=message):
            two_sample_test(real, generated)


class Gaussian:
    """X and Y standard normal; made in any of three ways."""

    def __init__(self, right: float = RHO, blur: float = 1.0) -> None:
        self.right, self.blur = right, blur

    def generate_y(self, x, *, seed, samples=None):
        noise = np.random.default_rng(seed).normal(size=(len(x), samples or 1, 3))
        made = self.blur * (self.right * x[:, None] + np.sqrt(1 - self.right**2) * noise)
        return made[:, 0] if samples is None else made

    generate_x = generate_y

    def generate_pairs(self, count, *, seed):
        x = np.random.default_rng(seed).normal(size=(count, 3))
        return x, self.generate_y(x, seed=seed + 1)


Gaussian.tasks = ("conditional", "joint")  # type: ignore[attr-defined]


def test_figures_of_a_right_model_of_a_deaf_one_and_of_a_dull_one() -> None:
    pairs = Pairs(*Gaussian().generate_pairs(700, seed=7))
    right, deaf, dull = (
        evaluate(model, pairs, samples=2, verbose=False)
        for model in (Gaussian(), Gaussian(right=0.0), Gaussian(blur=0.4))
    )
    names = ("two_sample_joint", "two_sample_y", "two_sample_x")
    for name in names:
        low, high = right.intervals[name]
        assert low <= 0.5 <= high
        assert low < right[name] < high
        assert deaf.intervals[name][0] > 0.7
        assert dull.intervals[name][0] > 0.7
        assert right.figures[name].beside == 0.5
    # Sides of different z are told from real pairs, as shuffled real sides are.
    assert right["two_sample_shuffled"] > 0.75
    assert right.figures["two_sample_shuffled"].beside == pytest.approx(
        right["two_sample_shuffled"], abs=0.06
    )
    assert "perfect; 95 %: 0." in right.table()
    listed = right.to_dict()["figures"]["two_sample_y"]
    assert (listed["low"], listed["high"]) == right.intervals["two_sample_y"]


def test_inputs_that_are_not_asked_for_are_not_compared() -> None:
    pairs = Pairs(*Gaussian().generate_pairs(100, seed=7))
    report = evaluate(Gaussian(), pairs, samples=2, inputs=30, verbose=False)
    assert report.counts["two_sample_y"] == report.counts["two_sample_joint"] == 60
    report = evaluate(Gaussian(), pairs, samples=2, inputs=15, verbose=False)
    assert report.left_out["two_sample_y"].startswith("20 held-out pairs or more")
