import dataclasses
import re
import time

import keras
import numpy as np
import pytest

import wyner_keras as wk
from wyner_keras import budget
from wyner_keras.budget import Budget, TimeLimit, parse_budget
from wyner_keras.schedules import Ramp, Schedule


@pytest.mark.parametrize(
    ("text", "seconds"),
    [("90s", 90), ("5min", 300), ("2h", 7200), ("1.5h", 5400), (12, 12), (0.5, 0.5), (2.5, 2.5)],
)
def test_times_are_read(text, seconds):
    assert parse_budget(text) == seconds


@pytest.mark.parametrize(
    "text",
    ["soon", "", "5 days", "-3", "0s", 0, "1e999", True, None, "5m in", "5", "0.5", 10**400],
)
def test_what_is_no_time_is_refused(text):
    with pytest.raises(ValueError, match=r"`budget` .* time above 0 with its unit.*: budget="):
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


@pytest.fixture(scope="module")
def model(recipe, pairs):
    """An untrained model of the recipe, which a budget only looks at."""
    return model_of(recipe, pairs)


def epochs_of(recipe):
    codecs = [codec.epochs for codec in recipe.codecs.values() if codec]
    return [*codecs, *(stage.epochs for stage in recipe.stages)]


def epochs_within(seconds, recipe, pairs, model):
    """Of the codecs, and of each stage where it begins before any time has passed."""
    within = Budget(recipe, pairs, seconds)
    stages = [within.begun(stage, model, first=True)[0] for stage in recipe.stages]
    return epochs_of(dataclasses.replace(within.recipe, stages=tuple(stages)))


def model_of(recipe, pairs):
    modalities = dict(zip(pairs.names, pairs.modalities, strict=True))
    codecs = {name: each.codec(recipe.codecs[name], 0) for name, each in modalities.items()}
    return wk.WynerModel(recipe.z, modalities, codecs=codecs, settings=recipe.sides)


def test_a_recipe_never_gets_longer_and_keeps_an_epoch_of_each_part(pairs, recipe, model):
    assert epochs_within(1e6, recipe, pairs, model) == epochs_of(recipe)
    assert set(epochs_within(0.001, recipe, pairs, model)) == {1}
    half = epochs_within(60.0, recipe, pairs, model)
    assert all(1 <= some <= most for some, most in zip(half, epochs_of(recipe), strict=True))


def test_of_many_large_examples_without_labels_every_stage_has_its_time(monkeypatch, clock):
    monkeypatch.setattr("wyner_keras.execution.multiplies_tiles", lambda: True)
    rng = np.random.default_rng(0)
    pairs = wk.Pairs(*rng.normal(size=(2, 2100, 257)))
    recipe = wk.recipes.default(pairs.facts())
    assert "reading" in [stage.name for stage in recipe.stages]
    within, model = Budget(recipe, pairs, 1e6), model_of(recipe, pairs)
    for stage in recipe.stages:
        same, _ = within.begun(stage, model, first=True)
        assert same.epochs == stage.epochs


def test_a_codec_takes_its_time_unless_it_is_the_other_sides(monkeypatch, caplog):
    monkeypatch.setattr(budget, "_rate", lambda: 1e6)
    x = np.random.default_rng(0).random((400, 8, 8, 1))
    apart = wk.Pairs(x, x.copy())
    same = wk.Pairs(apart.x, apart.x)
    alike = wk.recipes.default(same.facts())
    longer = dataclasses.replace(alike.codecs["y"], epochs=3 * alike.codecs["y"].epochs)
    unlike = dataclasses.replace(alike, codecs=alike.codecs | {"y": longer})

    def whole(recipe, pairs):
        caplog.clear()
        with caplog.at_level("INFO", "wyner_keras.budget"):
            Budget(recipe, pairs, 1e6)
        (seconds,) = re.findall(r"whole recipe takes about (\d+) s", caplog.text)
        return int(seconds)

    assert whole(alike, same) < whole(alike, apart)
    assert whole(unlike, same) == whole(unlike, apart)


@pytest.fixture
def costs(monkeypatch):
    """Seconds by part, which a test fills: before its passes, of all of them, and their number."""
    given = {}
    none = (0.0, 0.0, 0)
    monkeypatch.setattr(Budget, "_codecs", lambda *_: budget._Cost(*given.get("codec", none)))
    monkeypatch.setattr(
        Budget, "_stage", lambda self, stage, *_: budget._Cost(*given.get(stage.name, none))
    )
    return given


def test_time_is_shared_by_roots_and_a_short_part_is_whole(pairs, recipe, model, clock, costs):
    # By roots 10, 20 and 2 of (100, 400, 4) share what is left beside the third's 4 and setups.
    costs |= {"alignment": (1, 100, 1000), "flow": (2, 400, 1000), "joint": (3, 4, 1000)}
    within = Budget(recipe, pairs, "250s")
    shortened, limit = within.begun(recipe.stage("alignment"), model, first=True)
    assert limit.deadline == pytest.approx(100 + 1 + (250 - 6 - 4) / 3, abs=0.01)
    assert shortened.epochs == recipe.stage("alignment").epochs  # a faster machine may need them
    # What a stage leaves of its share goes to later ones.
    clock.now += 20
    joint, _ = within.begun(recipe.stage("joint"), model, first=True)
    assert joint == recipe.stage("joint")
    _, limit = within.begun(recipe.stage("flow"), model, first=True)
    assert limit.deadline == pytest.approx(350)
    # What a stage does after its steps takes time too.
    costs["flow"] = (17, 400, 1000, 15)
    _, limit = within.begun(recipe.stage("flow"), model, first=True)
    assert limit.deadline == pytest.approx(335)


def test_a_stage_that_will_have_nothing_to_do_leaves_its_time(pairs, recipe, model, clock, costs):
    costs |= {"flow": (0, 400, 1000), "refinement": (0, 400, 1000)}
    told = recipe.changed("alignment", loss=wk.losses.Alignment(find=False))
    # z of random experts stands for no concept; one that is to be found is not expected to.
    for chosen, first, deadline in ((told, True, 200), (told, False, 300), (recipe, True, 300)):
        within = Budget(chosen, pairs, "200s")
        _, limit = within.begun(recipe.stage("flow"), model, first=first)
        assert limit.deadline == pytest.approx(deadline)


def test_what_was_done_before_counts(pairs, recipe, model, clock, costs):
    costs |= {"codec": (0, 50, 10), "joint": (0, 50, 1000)}
    within = Budget(recipe, pairs, 20, {"codec": 0.0, "alignment": 15.0})
    assert within.recipe.codecs == recipe.codecs
    _, limit = within.begun(recipe.stage("joint"), model, first=False)
    assert limit.deadline == pytest.approx(105)


def test_codecs_given_take_no_time_of_the_budget(pairs, recipe, model, clock, costs, monkeypatch):
    costs |= {"codec": (0, 1000, 10), "alignment": (0, 10, 10)}
    deadlines = []
    monkeypatch.setattr(budget.TimeLimit, "__init__", lambda _, end: deadlines.append(end) or 1 / 0)
    codecs = {side.name: side.codec for side in model.sides}
    with pytest.raises(ZeroDivisionError):
        wk.train(pairs, recipe, codecs=codecs, budget=10, verbose=0)
    assert deadlines == [pytest.approx(110)]


def test_one_epoch_that_takes_too_long_is_said(pairs, recipe, caplog):
    within = Budget(recipe, pairs, 0.5)
    assert "more than the" in caplog.text
    assert within.pairs is pairs  # so few that fewer would teach nothing


def test_where_no_epoch_fits_a_share_of_the_pairs_is_trained_on(recipe, clock, costs):
    rng = np.random.default_rng(0)
    singles = rng.random((6_000, 8, 8, 1))
    many = wk.Pairs(rng.random((10_000, 8, 8, 1)), rng.normal(size=(10_000, 6)), extra_x=singles)
    costs |= {"codec": (10, 400, 1), "joint": (10, 3_000, 5)}
    within = Budget(recipe, many, "520s")
    some = within.pairs
    assert len(some) == 5_000
    assert [len(each) for each in some.singles] == [3_000, 0]
    assert len(some.x) == 8_000
    assert within.begun(recipe.stage("joint"), None, first=True)[0].epochs == 1
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
    Budget(recipe, pairs, 10.0)
    np.testing.assert_array_equal(keras.ops.convert_to_numpy(keras.random.normal((3,))), expected)
