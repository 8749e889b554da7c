import time

import keras
import numpy as np
import pytest

import wyner_keras as wk
from wyner_keras import budget
from wyner_keras.budget import TimeLimit, budgeted, parse_budget
from wyner_keras.schedules import Ramp, Schedule


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5min", 300), ("2h", 7200), ("1.5h", 5400), (12, 12), ("0.5", 0.5), (2.5, 2.5)],
)
def test_times_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize("text", ["soon", "", "5 days", "-3", "0", 0, "1e999", True, None, "5m in"])
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"`budget` should be a time above 0.* Received: budget="):
        parse_budget(text)


@pytest.fixture
def clock(monkeypatch):
    """A clock that a test moves."""

    class Clock:
        now = 100.0

    monkeypatch.setattr(time, "monotonic", lambda: Clock.now)
    return Clock


class Passing(keras.callbacks.Callback):
    """Every epoch takes so long, and the first one more."""

    def __init__(self, clock, seconds, first=0.0):
        super().__init__()
        self.clock, self.seconds, self.first = clock, seconds, first

    def on_epoch_end(self, epoch, logs=None):
        self.clock.now += self.seconds + (0 if epoch else self.first)


def fit(*callbacks, epochs=50):
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.1), "mse")
    x = np.zeros((4, 1))
    history = model.fit(x, x, epochs=epochs, callbacks=list(callbacks), verbose=0).history
    return len(history["loss"]), float(model.optimizer.learning_rate)


@pytest.mark.parametrize(
    ("seconds", "first", "limit", "expected"),
    [(1.0, 0.0, 10.5, 10), (1.0, 4.0, 10.5, 6), (3.0, 0.0, 2.0, 1), (0.01, 0.0, 60.0, 50)],
)
def test_a_fit_ends_in_time_after_whole_epochs_and_at_least_one(
    clock, seconds, first, limit, expected
):
    ramp = Schedule(learning_rate=Ramp(start=0.1, end=0.001))
    epochs, rate = fit(ramp, Passing(clock, seconds, first), TimeLimit(100 + limit))
    assert epochs == expected
    # The ramp came to its end all the same.
    assert epochs == 1 or rate == pytest.approx(0.001)


@pytest.fixture(scope="module")
def pairs():
    rng = np.random.default_rng(0)
    return wk.Pairs(rng.random((400, 8, 8, 1)), rng.normal(size=(400, 6)))


@pytest.fixture(scope="module")
def recipe(pairs):
    return wk.recipes.default(pairs.facts())


def epochs_of(recipe):
    codecs = [codec.epochs for codec in recipe.codecs.values() if codec]
    return [*codecs, *(stage.epochs for stage in recipe.stages)]


def test_a_recipe_never_gets_longer_and_keeps_an_epoch_of_each_part(pairs, recipe):
    assert budgeted(recipe, pairs, 1e6)[0] == recipe
    least = budgeted(recipe, pairs, 0.001)[0]
    assert set(epochs_of(least)) == {1}
    half = budgeted(recipe, pairs, 60.0)[0]
    assert all(
        1 <= some <= most for some, most in zip(epochs_of(half), epochs_of(recipe), strict=True)
    )


def test_each_stage_has_its_share_of_the_time(pairs, recipe, clock, monkeypatch):
    costs = {"codec": (0.0, 0.0, 1), "alignment": (1.0, 1.0, 9), "joint": (5.0, 5.0, 50)}
    monkeypatch.setattr(budget, "_costs", lambda *_: dict(costs))
    scaled, _, limits = budgeted(recipe, pairs, "20s")
    assert scaled.stage("joint").epochs < recipe.stage("joint").epochs
    joint = limits["joint"].deadline
    assert 100 < limits["alignment"].deadline < 110 < joint == pytest.approx(120)
    # What was done before counts.
    _, _, limits = budgeted(recipe, pairs, 20, {"codec": 0.0, "alignment": 15.0})
    assert list(limits) == ["joint"]
    assert limits["joint"].deadline == pytest.approx(105)


def test_one_epoch_that_takes_too_long_is_said(pairs, recipe, caplog):
    _, trained_on, _ = budgeted(recipe, pairs, 0.5)
    assert "more than the" in caplog.text
    assert trained_on is pairs  # so few that fewer would teach nothing


def test_where_no_epoch_fits_a_share_of_the_pairs_is_trained_on(recipe, clock, monkeypatch):
    rng = np.random.default_rng(0)
    singles = rng.random((6_000, 8, 8, 1))
    many = wk.Pairs(rng.random((10_000, 8, 8, 1)), rng.normal(size=(10_000, 6)), extra_x=singles)
    costs = {"codec": (10.0, 400.0, 1), "joint": (10.0, 600.0, 5)}
    monkeypatch.setattr(budget, "_costs", lambda *_: dict(costs))
    scaled, some, _ = budgeted(recipe, many, "520s")
    assert len(some) == 5_000
    assert [len(each) for each in some.singles] == [3_000, 0]
    assert len(some.x) == 8_000
    assert scaled.stage("joint").epochs == 1
    # The rows still belong together.
    every_x, every_y = many.arrays()
    partner = {row.tobytes(): other for row, other in zip(every_x, every_y, strict=True)}
    x, y = some.arrays()
    expected = np.stack([partner[row.tobytes()] for row in x])
    np.testing.assert_array_equal(y, expected)


def test_the_estimate_leaves_the_seeds_of_keras_alone(pairs, recipe):
    keras.utils.set_random_seed(3)
    expected = keras.ops.convert_to_numpy(keras.random.normal((3,)))
    keras.utils.set_random_seed(3)
    budgeted(recipe, pairs, 10.0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.random.normal((3,))), expected)
