import keras
import numpy as np
import pytest

from wyner_keras.divergence import KeepLastGood, TrainingDiverged


def diverging(path, *, after, epochs=4):
    """A fit whose steps become too large after some epochs; weights at the end of each."""
    model = keras.Sequential([keras.Input((2,)), keras.layers.Dense(1)])
    model.compile(keras.optimizers.SGD(0.01), "mse", run_eagerly=True)
    seen = [model.get_weights()]

    def rate(epoch, logs):
        model.optimizer.learning_rate = 1e30 if epoch >= after else 0.01

    spy = keras.callbacks.LambdaCallback(
        on_epoch_begin=rate, on_epoch_end=lambda epoch, logs: seen.append(model.get_weights())
    )
    x = np.random.default_rng(0).normal(size=(8, 2))
    fit = {"batch_size": 2, "epochs": epochs, "callbacks": [spy, KeepLastGood(path)], "verbose": 0}
    return model, seen, lambda: model.fit(x, x[:, :1], **fit)


@pytest.mark.parametrize("good", [0, 2])
def test_the_weights_of_the_last_good_epoch_come_back(good, tmp_path):
    path = tmp_path / "good.weights.h5"
    model, seen, fit = diverging(path, after=good)
    with pytest.raises(
        TrainingDiverged, match=rf"became (nan|inf) in epoch {good + 1}, batch"
    ) as e:
        fit()
    assert (str(path) in str(e.value)) == path.exists() == bool(good)
    for found, wanted in zip(model.get_weights(), seen[good], strict=True):
        np.testing.assert_array_equal(found, wanted)
    if good:
        again, *_ = diverging(None, after=9)
        again.load_weights(path)
        for found, wanted in zip(again.get_weights(), seen[good], strict=True):
            np.testing.assert_array_equal(found, wanted)
    assert not list(tmp_path.glob(".*"))


def test_nothing_happens_to_a_fit_that_stays_finite():
    model, seen, fit = diverging(None, after=9)
    assert len(fit().history["loss"]) == 4
    for found, wanted in zip(model.get_weights(), seen[-1], strict=True):
        np.testing.assert_array_equal(found, wanted)
