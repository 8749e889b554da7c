"""Callbacks see each stage, and what looks at a training changes nothing in it."""

import logging

import keras
import numpy as np
import pytest
import tensorflow as tf

import wyner_keras as wk

pytestmark = pytest.mark.usefixtures("eagerly")


@pytest.fixture(scope="module")
def parts():
    rng = np.random.default_rng(0)
    label = np.arange(60) % 3
    x, y = (3 * rng.normal(size=(3, 4))[label] + rng.normal(size=(60, 4)) for _ in "xy")
    return wk.Pairs(x, y).split(seed=0)


def recipe(*losses, epochs=2):
    side = wk.SideSettings(
        local=wk.DiagonalGaussian(dim=2), hidden=(8,), reader="features", flow_steps=0
    )
    return wk.Recipe(
        z=wk.Categorical(n=1, k=3),
        sides={"x": side, "y": side},
        codecs={"x": None, "y": None},
        stages=tuple(
            wk.StageSettings(name=name, loss=loss, epochs=epochs, batch_size=48)
            for name, loss in losses
        ),
    )


ONE = (("joint", wk.losses.Joint()),)
TWO = (*ONE, ("again", wk.losses.Joint()))


@pytest.fixture(scope="module")
def alone(parts):
    return train(parts[0])


def train(pairs, chosen=None, **settings):
    return wk.train(pairs, chosen or recipe(*ONE), verbose=0, **settings)


class Seen(keras.callbacks.Callback):
    def __init__(self):
        super().__init__()
        self.logs = []

    def on_epoch_end(self, epoch, logs=None):
        self.logs.append(dict(logs))


def test_what_looks_changes_nothing(alone, parts, tmp_path):
    seen = Seen()
    look = wk.callbacks.HeldOut(parts[1], count=10)
    watched = train(
        parts[0], callbacks=[look, seen], validation=parts[1], folder=tmp_path / "checkpoints"
    )
    for one, other in zip(alone.model.get_weights(), watched.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)
    history = watched.history["joint"]
    assert history["loss"] == alone.history["joint"]["loss"]
    for name in ("val_loss", "held_out_found_first_y", "held_out_nats_z", "held_out_nats_u"):
        assert history[name] == [logs[name] for logs in seen.logs]
        assert len(history[name]) == 2


def test_held_out_pairs_do_not_choose_z(parts):
    """The alignment that finds z on the pairs that it is trained on does so still."""
    chosen = recipe(("alignment", wk.losses.Alignment(dimensions=4)), epochs=1)
    alone, watched = (train(parts[0], chosen, **of) for of in ({}, {"validation": parts[1]}))
    assert "val_loss" in watched.history["alignment"]
    assert alone.found == watched.found
    for one, other in zip(alone.model.get_weights(), watched.model.get_weights(), strict=True):
        np.testing.assert_array_equal(one, other)


def test_figures_are_those_of_evaluation(alone, parts):
    look, model = wk.callbacks.HeldOut(parts[1]), alone.model
    found = look.figures(model)
    ranked = model.rank_y(look.x, model.gallery_y(look.y), k=1).rows[:, 0]
    assert found["held_out_found_first_y"] == pytest.approx(np.mean(ranked == range(12)), abs=0.2)
    assert 0 < found["held_out_nats_z"] <= np.log(3)


def test_a_function_makes_callbacks_by_stage(parts):
    made = {}

    def watched(stage):
        stop = keras.callbacks.EarlyStopping("val_loss", patience=0, min_delta=1e9)
        made[stage] = [Seen(), stop]
        return made[stage] if stage == "joint" else made[stage][:1]

    trained = train(parts[0], recipe(*TWO, epochs=3), callbacks=watched, validation=parts[1])
    assert [*made] == ["joint", "again"]
    assert len(trained.history["joint"]["loss"]) == 2  # stopped: no epoch gains so much
    assert len(trained.history["again"]["loss"]) == 3


def test_tensorboard_has_curves_and_samples(parts, tmp_path):
    look = wk.callbacks.HeldOut(parts[1], tmp_path / "logs", every=2, count=6)
    train(parts[0], callbacks=[look])
    (file,) = (tmp_path / "logs").iterdir()
    found = [
        (event.step, value.tag)
        for event in tf.compat.v1.train.summary_iterator(str(file))
        for value in event.summary.value
    ]
    assert (2, "held_out_nats_z") in found
    assert (2, "samples of y given x") in found
    assert {step for step, _ in found} == {2}


def test_without_tensorboard_that_is_said(parts, monkeypatch):
    monkeypatch.setattr("importlib.util.find_spec", lambda name: None)
    with pytest.raises(ModuleNotFoundError, match="pip install tensorboard"):
        wk.callbacks.HeldOut(parts[1], "logs")


def test_arguments_are_checked(parts):
    with pytest.raises(ValueError, match="`validation` should be Pairs"):
        train(parts[0], validation=parts[1].arrays())
    with pytest.raises(ValueError, match="`pairs` should be Pairs"):
        wk.callbacks.HeldOut(parts[1].arrays())
    with pytest.raises(ValueError, match="`every` should be"):
        wk.callbacks.HeldOut(parts[1], every=0)


def test_time_left_is_said(monkeypatch, caplog):
    clock = iter([0.0, 30.0, 40.0, 50.0, 60.0])
    monkeypatch.setattr("time.perf_counter", lambda: next(clock))
    callback = wk.callbacks.TimeLeft("joint", 2, 5)
    callback.set_params({"epochs": 9})
    with caplog.at_level(logging.INFO, "wyner_keras"):
        for epoch in range(3):
            callback.on_epoch_end(epoch)
    # The first epoch, of 30 s, compiled.
    assert [each.message for each in caplog.records] == [
        "joint, stage 2 of 5: epoch 2 of 9, about 1 min 10 s left in it",
        "joint, stage 2 of 5: epoch 3 of 9, about 1 min 0 s left in it",
    ]
