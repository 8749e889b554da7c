import keras
import numpy as np
import pytest
from scipy.signal import correlate

from wyner_keras.networks import ConvEncoder


def images(count=3, height=5, width=4, channels=2):
    return np.random.default_rng(0).random((count, height, width, channels)).astype("float32")


def pooled(values):
    """Largest of each 2x2 block; blocks at the edge may be smaller."""
    height, width, channels = values.shape
    rows, columns = -(-height // 2), -(-width // 2)
    padded = np.full((2 * rows, 2 * columns, channels), -np.inf)
    padded[:height, :width] = values
    return padded.reshape(rows, 2, columns, 2, channels).max((1, 3))


def test_it_is_convolutions_pooling_and_two_dense_layers():
    layer, given = ConvEncoder(6, filters=(3, 4), hidden=5, seed=2), images()
    found = layer(given)
    hidden = given.astype(float)
    for part in layer.convolutions:
        kernel, bias = (np.asarray(weight, float) for weight in part.get_weights())
        hidden = np.stack(
            [
                pooled(
                    np.stack(
                        [
                            np.maximum(
                                sum(
                                    correlate(image[..., i], kernel[..., i, o], mode="same")
                                    for i in range(image.shape[-1])
                                )
                                + bias[o],
                                0,
                            )
                            for o in range(len(bias))
                        ],
                        axis=-1,
                    )
                )
                for image in hidden
            ]
        )
    hidden = hidden.reshape(len(given), -1)
    kernel, bias = layer.hidden_layer.get_weights()
    hidden = np.maximum(hidden @ kernel + bias, 0)
    kernel, bias = layer.output_layer.get_weights()
    np.testing.assert_allclose(found, hidden @ kernel + bias, atol=1e-5)
    assert layer.compute_output_shape(given.shape) == found.shape == (3, 6)


def test_augmentation_and_dropout_act_in_training_only():
    layer, given = ConvEncoder(4, dropout=0.5), images(8, 12, 12, 1)
    np.testing.assert_array_equal(layer(given), layer(given))
    assert np.abs(layer(given, training=True) - layer(given)).max() > 1e-3
    still = ConvEncoder(4, dropout=0.0, shift=0.0)
    still.build(given.shape)
    still.augmentation.shear = 0.0
    np.testing.assert_allclose(still(given, training=True), still(given), atol=1e-6)


def test_seeds_and_a_round_trip(tmp_path):
    given = images(2, 8, 8, 1)
    first, again, other = (ConvEncoder(3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first(given), again(given))
    assert np.abs(first(given) - other(given)).max() > 1e-3
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, first(inputs)).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(given), first(given))
    settings = {"outputs": 7, "filters": [2], "hidden": 9, "dropout": 0.1, "shift": 0.2, "seed": 3}
    config = ConvEncoder(**settings).get_config()
    assert {name: config[name] for name in settings} == settings


@pytest.mark.parametrize("size", [1, 2, 3])
def test_small_images_are_read_too(size):
    assert ConvEncoder(2)(images(1, size, size, 1)).shape == (1, 2)
