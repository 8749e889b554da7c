import keras
import numpy as np
import pytest

from wyner_keras.networks.pair_encoder import PairEncoder


@pytest.mark.parametrize("shape", [(9, 7, 3), (1, 64, 1), (70, 50, 3), (20, 2)])
def test_it_reads_images_and_series_of_any_size(shape):
    network = PairEncoder(5, filters=(8, 16), hidden=12)
    data = np.random.default_rng(0).random((4, *shape), dtype=np.float32)
    outputs = np.asarray(network(data))
    assert outputs.shape == (4, 5)
    hidden = np.asarray(network.trunk(data))
    kernel, bias = network.output_layer.get_weights()
    np.testing.assert_allclose(hidden @ kernel + bias, outputs, rtol=1e-4, atol=1e-5)
    trained = {id(w) for layer in network.hidden_layers for w in layer.trainable_weights}
    assert trained | {id(w) for w in network.output_layer.weights} == {
        id(w) for w in network.trainable_weights
    }


def test_a_seed_gives_one_network():
    data = np.random.default_rng(0).random((2, 8, 8, 1), dtype=np.float32)
    first, same, other = (np.asarray(PairEncoder(3, seed=seed)(data)) for seed in (1, 1, 2))
    np.testing.assert_array_equal(first, same)
    assert np.abs(first - other).max() > 1e-3


def test_directions_are_saved_and_their_length_does_not_depend_on_contrast(tmp_path):
    rng = np.random.default_rng(0)
    data = rng.random((4, 8, 8, 1), dtype=np.float32)
    network = PairEncoder(5, filters=(8,), hidden=12, directions=6)
    model = keras.Sequential([keras.Input((8, 8, 1)), network])
    lines = network.linear_layer
    lines.kernel.assign(rng.normal(size=(64, 6)))
    expected = data.reshape(4, 64) @ lines.kernel.numpy()
    np.testing.assert_allclose(network.trunk(data)[:, 12:], expected, rtol=1e-4, atol=1e-5)
    lines.power.assign(1.0)
    expected /= np.linalg.norm(expected, axis=1, keepdims=True)
    np.testing.assert_allclose(network.trunk(data)[:, 12:], expected, rtol=1e-4, atol=1e-5)
    np.testing.assert_allclose(network.trunk(0.1 * data)[:, 12:], expected, rtol=1e-4, atol=1e-5)
    model.save(tmp_path / "network.keras")
    again = keras.models.load_model(tmp_path / "network.keras")
    np.testing.assert_array_equal(again(data), model(data))
