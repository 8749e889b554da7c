import tracemalloc

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from wyner_keras.latents import Categorical, DiagonalGaussian


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_a_kind_is_swept_value_by_value_the_commonest_first() -> None:
    q = np.repeat(np.eye(4), (1, 5, 0, 2), axis=0).astype("float32")
    (sweep,) = Categorical(n=1, k=4).sweeps([q])
    assert not sweep.quantity
    assert sweep.steps == ("value 2", "value 4", "value 1", "value 3")
    assert sweep.values.argmax(axis=1).tolist() == [1, 3, 0, 2]
    assert sweep.values.sum(axis=1).tolist() == [1] * 4
    assert sweep.shares == pytest.approx([5 / 8, 2 / 8, 1 / 8, 0])
    # A sure posterior holds the entropy of its values.
    assert sweep.nats == pytest.approx(stats.entropy([5, 2, 1]))


def test_a_posterior_that_follows_nothing_holds_nothing() -> None:
    q = np.tile([0.7, 0.2, 0.1], (9, 1))
    (sweep,) = Categorical(n=1, k=3).sweeps([q])
    assert sweep.nats == pytest.approx(0, abs=1e-12)


def test_other_variables_stay_at_their_commonest_value(rng) -> None:
    family = Categorical(n=3, k=2)
    q = softmax(np.add(rng.normal(size=(20, 3, 2)), [[0, 2], [3, 0], [0, 4]]), axis=-1)
    centre = family.centre([q.reshape(20, 6)])
    assert centre.reshape(3, 2).argmax(axis=1).tolist() == [1, 0, 1]
    found = family.sweeps([q.reshape(20, 6)])
    assert len(found) == 3
    for sweep in found:
        place = int(sweep.name.removeprefix("variable ")) - 1
        values = sweep.values.reshape(2, 3, 2)
        others = [other for other in range(3) if other != place]
        assert (values[:, others] == centre.reshape(3, 2)[others]).all()
        assert sorted(values[:, place].argmax(axis=1)) == [0, 1]
    assert [each.nats for each in found] == sorted([each.nats for each in found], reverse=True)


def test_variables_come_by_their_effect() -> None:
    effect = np.zeros((6, 5))
    effect[2], effect[3] = 3.0, -3.0  # the second variable's two values
    effect[4] = 1.0
    found = Categorical(n=3, k=2).sweeps(None, effect)
    assert [each.name for each in found] == ["variable 2", "variable 3", "variable 1"]
    assert [each.strength for each in found] == pytest.approx([36 / 37, 1 / 37, 0])
    assert found[0].shares is None


def test_a_quantity_is_swept_at_quantiles_of_its_prior() -> None:
    family = DiagonalGaussian(dim=3)
    found = family.sweeps()
    for sweep in found:
        place = int(sweep.name.removeprefix("dimension ")) - 1
        assert sweep.quantity
        assert stats.norm.cdf(sweep.values[:, place]) == pytest.approx(
            [0.02275, 0.15866, 0.5, 0.84134, 0.97725], abs=1e-4
        )
        assert np.delete(sweep.values, place, axis=1).tolist() == [[0, 0]] * 5
    assert family.centre().tolist() == [0, 0, 0]


def test_the_nats_of_a_gaussian_dimension_are_those_of_a_channel(rng) -> None:
    """Mean S of variance s seen with noise variance v: I = ½ log(1 + s/v)."""
    deviation, noise = np.array([0.1, 3.0]), np.array([0.5, 0.25])
    mean = deviation * rng.normal(size=(200_000, 2)) + [1.0, -2.0]
    log_variance = np.broadcast_to(np.log(noise), mean.shape)
    found = DiagonalGaussian(dim=2).sweeps([mean, log_variance])
    assert [each.name for each in found] == ["dimension 2", "dimension 1"]
    expected = 0.5 * np.log(1 + deviation**2 / noise)
    assert [each.nats for each in found] == pytest.approx(expected[::-1], abs=0.01)
    # The other dimension stays at its mean over data.
    assert found[0].values[:, 0] == pytest.approx(1.0, abs=0.01)


def test_directions_are_those_of_the_largest_effect(rng) -> None:
    first, second = np.linalg.qr(rng.normal(size=(4, 2)))[0].T
    effect = np.outer(first, 5 * np.eye(6)[0]) + np.outer(second, 2 * np.eye(6)[3])
    found = DiagonalGaussian(dim=4).sweeps(None, effect)
    assert len(found) == 4
    for sweep, direction in zip(found, (first, second), strict=False):
        change = sweep.values[-1] - sweep.values[0]
        # −2 to 2 deviations, upwards: both effects are positive.
        assert change @ direction == pytest.approx(4, abs=1e-5)
    assert [each.strength for each in found] == pytest.approx([25 / 29, 4 / 29, 0, 0], abs=1e-6)


def test_directions_of_many_pixels_take_no_square_of_them(rng) -> None:
    effect = np.zeros((3, 4000))
    effect[:2, :2] = [[0, 3], [-2, 0]]
    tracemalloc.start()
    found = DiagonalGaussian(dim=3).sweeps(None, effect)
    _, peak = tracemalloc.get_traced_memory()
    tracemalloc.stop()
    assert peak < 4 * 3 * effect.nbytes
    changes = [(each.values[-1] - each.values[0]).tolist() for each in found]
    assert changes[0] == pytest.approx([4, 0, 0], abs=1e-5)
    assert changes[1] == pytest.approx([0, -4, 0], abs=1e-5)
    assert [each.strength for each in found] == pytest.approx([9 / 13, 4 / 13, 0], abs=1e-6)
