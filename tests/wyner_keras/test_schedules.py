import keras
import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from wyner_keras.schedules import Ramp, Schedule


def test_a_ramp_is_geometric_between_its_ends_and_flat_outside_them():
    ramp = Ramp(start=8.0, end=2.0, begin=0.25, finish=0.75)
    assert [ramp(at) for at in (0.0, 0.25, 0.75, 1.0)] == [8.0, 8.0, 2.0, 2.0]
    assert ramp(0.5) == pytest.approx(4.0)
    assert Ramp.constant(3.0)(0.7) == 3.0


POSITIVE = st.floats(1e-6, 1e6)
SHARE = st.floats(0, 1)


@given(start=POSITIVE, end=POSITIVE, first=SHARE, second=SHARE)
def test_a_ramp_stays_between_its_ends_and_never_turns_back(start, end, first, second):
    ramp, (early, late) = Ramp(start=start, end=end), sorted((first, second))
    before, after = ramp(early), ramp(late)
    assert min(start, end) * (1 - 1e-9) <= min(before, after)
    assert max(before, after) <= max(start, end) * (1 + 1e-9)
    assert (after - before) * (end - start) >= -1e-6 * start * end
    assert Ramp(**ramp.to_dict()) == ramp


@pytest.mark.parametrize(
    "values",
    [
        {"start": 0.0, "end": 1.0},
        {"start": 1.0, "end": -1.0},
        {"start": 1.0, "end": float("nan")},
        {"start": "1", "end": 1.0},
        {"start": 1.0, "end": 1.0, "begin": 0.5, "finish": 0.5},
        {"start": 1.0, "end": 1.0, "finish": 1.5},
    ],
)
def test_a_ramp_refuses_what_it_cannot_follow(values):
    with pytest.raises(ValueError, match="Received"):
        Ramp(**values)


def test_the_optimizers_learning_rate_follows_its_ramp():
    model = keras.Sequential([keras.Input((1,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(7.0), "mse", run_eagerly=True)
    seen = []
    watch = keras.callbacks.LambdaCallback(
        on_epoch_end=lambda epoch, logs: seen.append(float(model.optimizer.learning_rate))
    )
    ramp = Schedule(learning_rate=Ramp(start=1e-2, end=1e-4), temperature=None)
    model.fit(np.ones((2, 1)), np.ones((2, 1)), epochs=3, verbose=0, callbacks=[ramp, watch])
    np.testing.assert_allclose(seen, [1e-2, 1e-3, 1e-4], rtol=1e-5)


def test_a_ramp_of_something_else_is_refused():
    with pytest.raises(ValueError, match=r"ramps should be of learning_rate.*Received: \['weight'"):
        Schedule(weight=Ramp.constant(1.0))
