import keras
import numpy as np
import pytest

from wyner_keras.networks import MLP


def build(network: MLP, *widths: int) -> MLP:
    network.build([(None, width) for width in widths or (3, 2)])
    return network


@pytest.fixture
def inputs() -> list[np.ndarray]:
    rng = np.random.default_rng(0)
    return [rng.normal(size=(5, width)).astype(np.float32) for width in (3, 2)]


def forward(network: MLP, inputs: list[np.ndarray]) -> np.ndarray:
    values = np.concatenate(inputs, axis=-1)
    weights = network.get_weights()
    for kernel, bias in zip(weights[0:-2:2], weights[1:-2:2], strict=True):
        values = np.maximum(values @ kernel + bias, 0)
    return values @ weights[-2] + weights[-1]


def test_outputs_are_those_of_the_matrices(inputs):
    network = build(MLP(4, hidden=(7, 6)))
    for variable in network.trainable_variables:
        variable.assign(np.random.default_rng(1).normal(size=variable.shape))
    np.testing.assert_allclose(network(inputs), forward(network, inputs), rtol=1e-4, atol=1e-5)
    assert [tuple(v.shape) for v in network.trainable_variables[::2]] == [(5, 7), (7, 6), (6, 4)]


def test_a_bounded_output_is_the_sigmoid_of_the_linear_one(inputs):
    linear, bounded = build(MLP(4, (7,))), build(MLP(4, (7,), output_activation="sigmoid"))
    np.testing.assert_allclose(
        bounded(inputs), 1 / (1 + np.exp(-np.asarray(linear(inputs)))), rtol=1e-5
    )


def test_the_seed_decides_the_weights_and_no_two_layers_share_theirs():
    weights = []
    for seed in (0, 0, 1):
        network = build(MLP(6, (6, 6), seed=seed), 6)
        weights.append(network.get_weights())
    for first, again, other in zip(*weights, strict=True):
        np.testing.assert_array_equal(first, again)
        if first.ndim == 2:
            assert not np.allclose(first, other)
    assert not np.allclose(weights[0][0], weights[0][2])
    assert not np.allclose(weights[0][2], weights[0][4])


@pytest.mark.parametrize("settings", [{"dropout": 0.5}, {"noise": 1.0}])
def test_dropout_and_noise_act_while_training_only(inputs, settings):
    network = build(MLP(4, (32,), **settings))
    still = np.asarray(network(inputs))
    np.testing.assert_array_equal(still, network(inputs, training=False))
    first = np.asarray(network(inputs, training=True))
    assert not np.allclose(first, still)
    assert not np.allclose(first, network(inputs, training=True))
    # The weights are those of a network without: the noise has no effect on them.
    np.testing.assert_allclose(still, build(MLP(4, (32,)))(inputs), rtol=1e-6)


def test_noise_on_the_inputs_has_the_deviation_asked_for():
    network = build(MLP(2, (), noise=0.5), 2)
    network.output_layer.kernel.assign(np.eye(2))
    outputs = np.asarray(network(np.zeros((20_000, 2), np.float32), training=True))
    assert outputs.std() == pytest.approx(0.5, rel=0.03)


def test_a_network_comes_back_from_its_configuration(inputs):
    network = build(MLP(4, [8, 8], "tanh", "sigmoid", dropout=0.1, noise=0.2, skip=True, seed=3))
    config = keras.saving.serialize_keras_object(network)
    again = keras.saving.deserialize_keras_object(config, safe_mode=True)
    assert again.get_config() == network.get_config()
    np.testing.assert_allclose(again(inputs), network(inputs), rtol=1e-6)


def test_the_trunk_is_the_last_hidden_layer(inputs):
    network = build(MLP(4, (7, 6)))
    expected = np.asarray(network(inputs))
    trunk = np.asarray(network.trunk(inputs))
    assert trunk.shape == (5, 6)
    assert (trunk >= 0).all()
    np.testing.assert_allclose(network.output_layer(trunk), expected, rtol=1e-5)
    assert network.compute_output_shape([(None, 3), (None, 2)]) == (None, 4)


def test_the_output_layer_reads_inputs_that_skip_the_hidden_layers_without_noise(inputs):
    network = build(MLP(4, (7,), dropout=0.9, noise=1.0, skip=True))
    whole = np.concatenate(inputs, axis=-1)
    np.testing.assert_array_equal(network.trunk(inputs, training=True)[:, 7:], whole)
    kernel = np.random.default_rng(1).normal(size=(7 + 5, 4))
    kernel[:7] = 0.0
    network.output_layer.kernel.assign(kernel)
    np.testing.assert_allclose(network(inputs, training=True), whole @ kernel[7:], rtol=1e-5)


def test_mixed_precision_computes_in_half_and_keeps_weights_in_float32(inputs):
    network = build(MLP(4, (7,), dtype="mixed_bfloat16"))
    assert network(inputs).dtype == "bfloat16"
    assert {variable.dtype for variable in network.trainable_variables} == {"float32"}


def test_one_input_may_come_without_a_list(inputs):
    network = MLP(4, (7,))
    network.build((None, 3))
    np.testing.assert_array_equal(network(inputs[0]), network(inputs[:1]))
    assert network.compute_output_shape((None, 3)) == (None, 4)


def test_a_first_call_builds_for_the_widths_of_all_inputs(inputs):
    network = MLP(10, hidden=(32,))
    assert network(inputs).shape == (5, 10)
    assert tuple(network.trainable_variables[0].shape) == (5, 32)
