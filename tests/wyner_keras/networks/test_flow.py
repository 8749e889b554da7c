import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.integrate import solve_ivp

from wyner_keras.networks import ContinuousFlow
from wyner_keras.networks.affine import Affine


def made(size: int = 5, seed: int = 0, steps: int = 1, leading: int = 2) -> ContinuousFlow:
    """A flow whose weights are no longer those that make it the identity."""
    flow = ContinuousFlow(size, steps=steps, hidden=(8, 7), leading=leading, seed=seed)
    flow.build((None, 3))
    rng = np.random.default_rng(seed)
    for variable in flow.trainable_variables:
        variable.assign(0.3 * rng.normal(size=variable.shape))
    matrices = np.tril(rng.normal(size=(3, size, size))) + 3 * np.eye(size)
    flow.assign_affine(
        Affine(rng.normal(size=(3, size)), matrices, np.zeros(size), np.zeros((size, size)))
    )
    return flow


@pytest.fixture
def batch() -> tuple[np.ndarray, np.ndarray]:
    rng = np.random.default_rng(1)
    return rng.normal(size=(7, 5)).astype("f"), np.eye(3, dtype="f")[rng.integers(0, 3, 7)]


def velocity_by_numpy(velocity, points, time, context):
    """The velocity of one row, from the layer's weights."""
    phases = np.pi * time * np.arange(1, 5)
    context = np.concatenate([context, [time], np.cos(phases), np.sin(phases)])
    hidden = np.concatenate([points, context])
    for layer, modulation in zip(velocity.hidden_layers, velocity.modulations, strict=True):
        kernel, bias = (np.asarray(weight, float) for weight in layer.get_weights())
        gain, offset = np.split(context @ np.asarray(modulation.kernel, float), 2)
        hidden = (hidden @ kernel + bias) * (1 + gain) + offset
        hidden = hidden / (1 + np.exp(-hidden))
    kernel, bias = (np.asarray(weight, float) for weight in velocity.output_layer.get_weights())
    return hidden @ kernel + bias


def end_by_scipy(velocity, start, context):
    """Where one row's path ends."""
    solution = solve_ivp(
        lambda t, y: np.pi / 2 * velocity_by_numpy(velocity, y, t, context),
        (0, 1),
        start.astype(float),
        rtol=1e-6,
        atol=1e-6,
    )
    assert np.abs(solution.y[:, -1] - start).max() > 0.03
    return solution.y[:, -1]


def test_it_is_the_identity_before_training(batch):
    flow = ContinuousFlow(5, hidden=(8,))
    flow.build((None, 3))
    np.testing.assert_array_equal(flow(*batch), batch[0])
    np.testing.assert_array_equal(flow.inverse(*batch), batch[0])


def test_it_solves_its_equation_and_maps_the_end(batch):
    flow, (values, condition) = made(steps=48), [part[:3] for part in batch]
    images = np.asarray(flow(values, condition))
    assert np.abs(images - values).max() > 0.5
    for value, given, image in zip(values, condition, images, strict=True):
        # The first two by themselves, the others as these have ended.
        first = end_by_scipy(flow.velocities[0], value[:2], given)
        rest = end_by_scipy(flow.velocities[1], value[2:], np.concatenate([given, first]))
        matrix = np.asarray(flow.scale[0], float).reshape(3, 5, 5)[given.argmax()]
        shift = np.asarray(flow.shift[0], float)[given.argmax()]
        expected = matrix @ np.concatenate([first, rest]) + shift
        np.testing.assert_allclose(image, expected, atol=2e-3)


def test_one_step_takes_the_velocity_of_half_way_where_it_begins(batch):
    flow, (values, condition) = made(leading=0, steps=1), batch
    ends = np.asarray(flow.standardised(flow(values, condition), condition))
    for value, given, end in zip(values, condition, ends, strict=True):
        slope = velocity_by_numpy(flow.velocities[0], value, 0.5, given)
        np.testing.assert_allclose(end, value + np.pi / 2 * slope, atol=1e-4)


def test_a_step_is_led_to_its_middle_by_the_one_before(batch):
    flow, (values, condition) = made(leading=0, steps=2), batch
    ends = np.asarray(flow.standardised(flow(values, condition), condition))
    for value, given, end in zip(values, condition, ends, strict=True):
        first = velocity_by_numpy(flow.velocities[0], value, 0.25, given)
        half = value + np.pi / 4 * first
        second = velocity_by_numpy(flow.velocities[0], half + np.pi / 8 * first, 0.75, given)
        np.testing.assert_allclose(end, half + np.pi / 4 * second, atol=1e-4)


def test_it_is_learnt_at_the_times_of_its_steps():
    shares = np.arange(6, dtype="f") / 6
    assert np.unique(made(steps=1).times(shares)).tolist() == [0.5]
    values, counts = np.unique(made(steps=2).times(shares), return_counts=True)
    assert values.tolist() == [0.25, 0.75] and counts.tolist() == [3, 3]


def test_without_leading_coordinates_all_are_alike(batch):
    flow, (values, condition) = made(steps=16, leading=0), [part[:3] for part in batch]
    assert len(flow.velocities) == 1
    ends = np.asarray(flow.standardised(flow(values, condition), condition))
    for value, given, end in zip(values, condition, ends, strict=True):
        np.testing.assert_allclose(end, end_by_scipy(flow.velocities[0], value, given), atol=5e-3)


def test_leading_coordinates_end_where_the_others_have_no_say(batch):
    flow, (values, condition) = made(), batch
    other = np.concatenate([values[:, :2], values[:, 2:] + 1], axis=1)
    ends, moved = (
        np.asarray(flow.standardised(flow(given, condition), condition))
        for given in (values, other)
    )
    np.testing.assert_allclose(ends[:, :2], moved[:, :2], atol=1e-5)
    assert np.abs(ends[:, 2:] - moved[:, 2:]).min() > 0.01


@pytest.mark.parametrize("size", [1, 2, 6])
def test_the_inverse_undoes_it(size):
    rng = np.random.default_rng(2)
    values = rng.normal(size=(9, size)).astype("f")
    condition = np.eye(3, dtype="f")[rng.integers(0, 3, 9)]
    flow = made(size, steps=48)
    images = flow(values, condition)
    assert np.abs(images - values).max() > 0.5
    np.testing.assert_allclose(flow.inverse(images, condition), values, atol=5e-4)


def test_the_determinant_is_that_of_the_jacobian(batch):
    flow, images = made(), tf.constant(batch[0])
    with tf.GradientTape() as tape:
        tape.watch(images)
        values = flow.inverse(images, batch[1])
    jacobian = tape.batch_jacobian(values, images).numpy().astype(float)
    expected = np.log(np.abs(np.linalg.det(jacobian)))
    assert np.ptp(expected) > 0.5
    np.testing.assert_allclose(flow.log_determinant(*batch), expected, atol=1e-4)


def test_the_determinant_is_that_of_finite_differences(batch):
    flow, (images, condition), step = made(), batch, 1e-2
    jacobian = np.empty((7, 5, 5))
    for place, tangent in enumerate(step * np.eye(5, dtype="f")):
        ahead, behind = (
            np.asarray(flow.inverse(images + sign * tangent, condition), float) for sign in (1, -1)
        )
        jacobian[:, :, place] = (ahead - behind) / (2 * step)
    expected = np.log(np.abs(np.linalg.det(jacobian)))
    np.testing.assert_allclose(flow.log_determinant(images, condition), expected, atol=0.02)


def test_an_affine_map_of_any_condition_is_undone_where_its_matrix_is_one():
    rng = np.random.default_rng(3)
    flow = ContinuousFlow(4, hidden=(8,))
    flow.build((None, 2))
    matrix, shifts = rng.normal(size=(4, 4)), rng.normal(size=(2, 4))
    flow.assign_affine(Affine(shifts, np.zeros((2, 4, 4)), np.ones(4), matrix))
    values, condition = rng.normal(size=(6, 4)).astype("f"), rng.normal(size=(6, 2)).astype("f")
    images = flow(values, condition)
    np.testing.assert_allclose(images, values @ matrix.T + condition @ shifts + 1, atol=1e-5)
    np.testing.assert_allclose(flow.inverse(images, condition), values, atol=1e-4)


def test_the_matching_error_is_the_distance_from_the_paths_velocity_in_units_of_images(batch):
    flow, (images, condition) = made(), batch
    rng = np.random.default_rng(4)
    starts, time = rng.normal(size=(7, 5)).astype("f"), rng.random((7, 1)).astype("f")
    errors = flow.matching_error(starts, images, condition, time)
    for error, u, image, t, given in zip(
        errors, starts, images, time[:, 0], condition, strict=True
    ):
        matrix = np.asarray(flow.scale[0], float).reshape(3, 5, 5)[given.argmax()]
        w = np.linalg.solve(matrix, image - np.asarray(flow.shift[0], float)[given.argmax()])
        angle = t * np.pi / 2
        y = np.cos(angle) * u + np.sin(angle) * w
        found = np.concatenate(
            [
                velocity_by_numpy(flow.velocities[0], y[:2], t, given),
                # Taught by where the first two do end.
                velocity_by_numpy(flow.velocities[1], y[2:], t, np.concatenate([given, w[:2]])),
            ]
        )
        missed = np.square(found - np.cos(angle) * w + np.sin(angle) * u)
        expected = missed @ np.square(matrix).sum(axis=0)
        np.testing.assert_allclose(error, expected, rtol=1e-3)


def test_every_coordinate_depends_on_the_condition_and_on_others(batch):
    flow, values = made(), tf.constant(batch[0])
    other = np.roll(batch[1], 1, axis=1)
    assert (np.abs(flow(values, batch[1]) - flow(values, other)) > 1e-3).all()
    with tf.GradientTape() as tape:
        tape.watch(values)
        images = flow(values, batch[1])
    jacobian = np.abs(tape.batch_jacobian(images, values).numpy()).max(axis=0)
    assert ((jacobian > 1e-6).sum(axis=1) > 1).all()


def test_the_seed_decides_and_the_config_restores(batch):
    flow = made(seed=3)
    again = ContinuousFlow.from_config(flow.get_config())
    again.build((None, 3))
    again.set_weights(flow.get_weights())
    np.testing.assert_array_equal(again(*batch), flow(*batch))
    first, second, third = (ContinuousFlow(5, hidden=(8,), seed=seed) for seed in (3, 3, 4))
    for one in (first, second, third):
        one.build((None, 3))
    same = [
        np.array_equal(*pair)
        for pair in zip(first.get_weights(), second.get_weights(), strict=True)
    ]
    assert all(same)
    assert not np.array_equal(
        *(one.velocities[1].hidden_layers[0].kernel for one in (first, third))
    )


def bow(a, b):
    """(a, a² − 1 + b/4), which no affine map makes of a Gaussian."""
    return tf.stack([a, a**2 - 1 + b / 4], axis=1)


@pytest.mark.slow
def test_it_learns_a_bent_density():
    flow, condition = ContinuousFlow(2, steps=12, hidden=(32, 32)), np.zeros((500, 1), "f")
    flow.build((None, 1))
    optimizer = keras.optimizers.Adam(1e-2)

    @tf.function
    def step() -> None:
        starts, time = tf.random.normal((500, 2)), tf.random.uniform((500, 1))
        images = bow(tf.random.normal((500,)), tf.random.normal((500,)))
        with tf.GradientTape() as tape:
            loss = tf.reduce_mean(flow.matching_error(starts, images, condition, time))
        optimizer.apply(tape.gradient(loss, flow.trainable_variables), flow.trainable_variables)

    tf.random.set_seed(0)
    for _ in range(1000):
        step()
    rng, condition = np.random.default_rng(0), np.zeros((4000, 1), "f")
    first, second = np.asarray(flow(rng.normal(size=(4000, 2)).astype("f"), condition)).T
    assert np.mean(second) == pytest.approx(0, abs=0.1)
    assert np.mean(np.minimum(first**2, 4) * second) == pytest.approx(1.48, abs=0.25)
    # A quarter where the density is right; an affine map of a Gaussian would leave 1.4.
    assert np.std(second - first**2 + 1) < 0.45
    # And backwards: what the samples are images of is standard normal.
    values = flow.inverse(bow(*rng.normal(size=(2, 4000)).astype("f")), condition)
    np.testing.assert_allclose(np.cov(np.asarray(values).T), np.eye(2), atol=0.15)
