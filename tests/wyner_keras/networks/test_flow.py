import keras
import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.networks import CouplingFlow


def made(size: int = 5, seed: int = 0, scale: float = 0.5) -> CouplingFlow:
    """A flow whose weights are no longer those that make it the identity."""
    flow = CouplingFlow(size, couplings=3, hidden=(8,), seed=seed)
    flow.build((None, 3))
    rng = np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign(scale * rng.normal(size=variable.shape))
    return flow


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(7, 5)).astype("f"), np.eye(3, dtype="f")[rng.integers(0, 3, 7)]


def test_it_is_the_identity_before_training(batch):
    flow = CouplingFlow(5, couplings=4)
    flow.build((None, 3))
    np.testing.assert_array_equal(flow(*batch), batch[0])
    values, log_determinant = flow.inverse(*batch)
    np.testing.assert_array_equal(values, batch[0])
    np.testing.assert_array_equal(log_determinant, np.zeros(7))


@pytest.mark.parametrize("size", [2, 5, 6])
def test_the_inverse_undoes_it(size):
    rng = np.random.default_rng(2)
    values, condition = rng.normal(size=(9, size)).astype("f"), rng.normal(size=(9, 3)).astype("f")
    flow = made(size)
    images = flow(values, condition)
    assert np.abs(images - values).max() > 0.5
    np.testing.assert_allclose(flow.inverse(images, condition)[0], values, atol=2e-4)


def test_the_determinant_is_that_of_the_jacobian(batch):
    flow, images = made(), tf.constant(batch[0])
    with tf.GradientTape() as tape:
        tape.watch(images)
        values, log_determinant = flow.inverse(images, batch[1])
    jacobian = tape.batch_jacobian(values, images).numpy()
    expected = np.log(np.abs(np.linalg.det(jacobian)))
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(log_determinant, expected, atol=1e-4)


def test_every_coordinate_depends_on_the_condition_and_on_others(batch):
    flow, values = made(), tf.constant(batch[0])
    assert (np.abs(flow(values, batch[1]) - flow(values, 1 - batch[1])) > 1e-3).all()
    with tf.GradientTape() as tape:
        tape.watch(values)
        images = flow(values, batch[1])
    jacobian = np.abs(tape.batch_jacobian(images, values).numpy()).max(axis=0)
    assert ((jacobian > 1e-6).sum(axis=1) > 1).all()


def test_the_seed_decides_and_the_config_restores(batch):
    flow = made(seed=3)
    again = CouplingFlow.from_config(flow.get_config())
    again.build((None, 3))
    again.set_weights(flow.get_weights())
    np.testing.assert_array_equal(again(*batch), flow(*batch))
    other = CouplingFlow.from_config({**flow.get_config(), "seed": 4})
    other.build((None, 3))
    other.set_weights(flow.get_weights())
    assert not np.allclose(other(*batch), flow(*batch))


def test_it_learns_a_bent_density():
    """Samples on a bow, (a, a² − 1 + b/4): the fitted flow's entropy is theirs."""
    rng = np.random.default_rng(0)
    a, b = rng.normal(size=(2, 4000)).astype("f")
    samples, condition = np.stack([a, a**2 - 1 + b / 4], axis=1), np.zeros((4000, 1), "f")
    flow = CouplingFlow(2, couplings=4, hidden=(32,))
    flow.build((None, 1))
    optimizer = keras.optimizers.Adam(5e-3)

    @tf.function
    def step() -> tf.Tensor:
        with tf.GradientTape() as tape:
            values, log_determinant = flow.inverse(samples, condition)
            loss = tf.reduce_mean(0.5 * tf.reduce_sum(values**2, axis=1) - log_determinant)
        optimizer.apply(tape.gradient(loss, flow.trainable_variables), flow.trainable_variables)
        return loss

    losses = [float(step()) for _ in range(300)]
    # −E log p − log 2π: two standard normals, the second narrowed to a quarter.
    assert losses[-1] == pytest.approx(1 - np.log(4), abs=0.1)
    assert losses[0] > losses[-1] + 0.5
