from types import SimpleNamespace

import keras
import numpy as np
import pytest

from wyner_keras.training import (
    CapacitySchedule,
    LearningRateSchedule,
    NoiseScaleSchedule,
    Ramp,
    TemperatureSchedule,
)


def test_a_ramp_is_geometric_between_its_ends_and_flat_outside_them():
    ramp = Ramp(start=8.0, end=2.0, begin=0.25, finish=0.75)
    assert [ramp(at) for at in (0.0, 0.25, 0.75, 1.0)] == [8.0, 8.0, 2.0, 2.0]
    assert ramp(0.5) == pytest.approx(4.0)


@pytest.mark.parametrize(
    "values",
    [
        {"start": 0.0, "end": 1.0},
        {"start": 1.0, "end": -1.0},
        {"start": 1.0, "end": float("nan")},
        {"start": 1.0, "end": 1.0, "begin": 0.5, "finish": 0.5},
        {"start": 1.0, "end": 1.0, "finish": 1.5},
    ],
)
def test_a_ramp_refuses_what_it_cannot_follow(values):
    with pytest.raises(ValueError, match="Received"):
        Ramp(**values)


@pytest.mark.parametrize(
    ("schedule", "name"),
    [
        (TemperatureSchedule, "temperature"),
        (CapacitySchedule, "local_weight"),
        (NoiseScaleSchedule, "two_epsilon_squared"),
    ],
)
def test_a_schedule_assigns_its_variable_by_epoch(schedule, name):
    variable = keras.Variable(0.0)
    callback = schedule(Ramp(start=1.0, end=0.01))
    callback.set_model(SimpleNamespace(**{name: variable}))
    callback.set_params({"epochs": 3})
    seen = []
    for epoch in range(3):
        callback.on_epoch_begin(epoch)
        seen.append(float(variable))
    np.testing.assert_allclose(seen, [1.0, 0.1, 0.01], rtol=1e-6)


def test_the_learning_rate_of_the_optimizer_follows_its_ramp():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(7.0), "mse", jit_compile=False)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.optimizer.learning_rate))
    )
    ramp = LearningRateSchedule(Ramp(start=1e-2, end=1e-4))
    model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=3, verbose=0, callbacks=[ramp, watch])
    np.testing.assert_allclose(seen, [1e-2, 1e-3, 1e-4], rtol=1e-5)


def test_a_schedule_on_a_stage_without_its_variable_is_an_error():
    callback = CapacitySchedule(Ramp.constant(1.0))
    callback.set_model(SimpleNamespace())
    callback.set_params({"epochs": 1})
    with pytest.raises(ValueError, match=r"local_weight.*Received: SimpleNamespace"):
        callback.on_epoch_begin(0)
