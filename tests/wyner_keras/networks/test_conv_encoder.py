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


@pytest.mark.parametrize("shape", [(5, 4, 2), (1, 7, 1), (9, 2)])
def test_it_is_convolutions_pooling_and_two_dense_layers(shape):
    """Of a series, over time; an axis of one place is left as it is."""
    given = np.random.default_rng(0).random((3, *shape)).astype("f")
    layer = ConvEncoder(6, filters=(3, 4), hidden=5, seed=2)
    found = layer(given)
    hidden = given.astype(float) if len(shape) == 3 else given[:, :, None].astype(float)
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
    np.testing.assert_array_equal(still(given, training=True), still(given))
    # A series is not shifted.
    still = ConvEncoder(4, dropout=0.0)
    np.testing.assert_array_equal(still(given[..., 0], training=True), still(given[..., 0]))


def test_seeds_and_a_round_trip(tmp_path):
    given = images(2, 8, 8, 1)
    first, again, other = (ConvEncoder(3, seed=seed) for seed in (4, 4, 5))
    np.testing.assert_array_equal(first(given), again(given))
    assert np.abs(first(given) - other(given)).max() > 1e-3
    inputs = keras.Input((8, 8, 1))
    keras.Model(inputs, first(inputs)).save(tmp_path / "model.keras")
    loaded = keras.models.load_model(tmp_path / "model.keras")
    np.testing.assert_array_equal(loaded(given), first(given))


@pytest.mark.parametrize("shape", [(1, 1), (2, 2), (3, 3), (1, 5), (5, 1)])
def test_small_images_are_read_too(shape):
    layer = ConvEncoder(2)
    found = layer(images(3, *shape, 1), training=True)
    assert found.shape == (3, 2)
    assert np.isfinite(found).all()
