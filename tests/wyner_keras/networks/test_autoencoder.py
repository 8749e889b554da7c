import keras
import numpy as np
import pytest

from wyner_keras.data import load
from wyner_keras.networks import ConvAutoencoder
from wyner_keras.networks.shear import slant


@pytest.fixture(scope="module")
def images() -> np.ndarray:
    return load("digits").train.images[:512]


@pytest.fixture(scope="module")
def trained(images) -> tuple[ConvAutoencoder, dict]:
    wrapper = ConvAutoencoder((8, 8, 1), code_size=12, filters=(8, 16), noise=0.1)
    history = wrapper.train(images, epochs=30, batch_size=64, learning_rate=1e-2, verbose=0)
    return wrapper, history


def test_training_lowers_the_error_below_half_of_the_variance(trained, images):
    wrapper, history = trained
    assert history["mse"][-1] < history["mse"][0]
    error = np.square(np.asarray(wrapper(images)) - images).mean()
    assert error < 0.5 * images.var(axis=0).mean()


def test_features_of_the_training_images_are_standardised(trained, images):
    wrapper, _ = trained
    features = np.asarray(wrapper.encode(images))
    assert features.shape == (512, wrapper.feature_size) == (512, 13)
    np.testing.assert_allclose(features[:, :12].mean(axis=0), 0, atol=0.3)
    np.testing.assert_allclose(features[:, :12].std(axis=0), 1, atol=0.3)
    assert features[:, 12].std() == pytest.approx(2, abs=1e-3)


def test_the_last_feature_is_the_slant_and_decoding_puts_it_back(trained, images):
    wrapper, _ = trained
    features = np.array(wrapper.encode(images))
    scale = float(wrapper.slant_scale)
    np.testing.assert_allclose(features[:, -1] * scale, slant(images), rtol=1e-4, atol=1e-5)
    decoded = np.asarray(slant(wrapper.decode(features)))
    assert np.corrcoef(decoded, slant(images))[0, 1] > 0.8
    features[:, -1] = 0
    assert np.abs(slant(wrapper.decode(features))).mean() < np.abs(decoded).mean()


def test_training_freezes_the_weights(trained):
    assert trained[0].trainable_variables == []


def test_reconstructions_are_images_and_deterministic(trained, images):
    wrapper, _ = trained
    reconstruction = np.asarray(wrapper(images[:7]))
    assert reconstruction.shape == (7, 8, 8, 1)
    assert reconstruction.min() >= 0
    assert reconstruction.max() <= 1
    np.testing.assert_array_equal(reconstruction, wrapper(images[:7]))


def test_without_the_slant_the_code_is_all(images):
    wrapper = ConvAutoencoder((8, 8, 1), code_size=5, filters=(2, 3), slant=False)
    wrapper.build()
    assert wrapper.feature_size == 5
    assert wrapper.encode(images[:3]).shape == (3, 5)
    assert wrapper(images[:3]).shape == (3, 8, 8, 1)


def test_a_trained_wrapper_is_saved_and_loaded_whole(trained, images, tmp_path):
    wrapper, _ = trained
    wrapper.save(tmp_path / "wrapper.keras")
    again = keras.models.load_model(tmp_path / "wrapper.keras", safe_mode=True)
    np.testing.assert_array_equal(again.encode(images), wrapper.encode(images))
    np.testing.assert_array_equal(again(images), wrapper(images))


def test_the_same_seed_trains_the_same_weights(images):
    weights = []
    for _ in range(2):
        wrapper = ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 2))
        wrapper.train(images[:64], epochs=1, batch_size=16, verbose=0)
        weights.append(b"".join(value.tobytes() for value in wrapper.get_weights()))
    assert weights[0] == weights[1]


def test_another_seed_starts_from_other_weights():
    kernels = [
        ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 2), seed=seed).encoder.get_weights()[0]
        for seed in (0, 0, 1)
    ]
    np.testing.assert_array_equal(kernels[0], kernels[1])
    assert not np.allclose(kernels[0], kernels[2])


@pytest.mark.parametrize("shape", [(8, 8), (7, 8, 1), (8, 6, 1), ()])
def test_an_image_shape_that_strides_do_not_divide_is_refused(shape):
    with pytest.raises(ValueError, match=r"divisible by 4.*Received"):
        ConvAutoencoder(shape)


@pytest.mark.parametrize(
    "bad",
    [
        np.zeros((4, 8, 4, 1), np.float32),
        np.zeros((4, 8, 8, 1), np.uint8),
        np.full((4, 8, 8, 1), 255.0, np.float32),
        np.full((4, 8, 8, 1), np.nan, np.float32),
        np.zeros((0, 8, 8, 1), np.float32),
    ],
)
def test_malformed_images_are_refused_before_training(bad):
    wrapper = ConvAutoencoder((8, 8, 1), code_size=3, filters=(2, 2))
    with pytest.raises(ValueError, match="Received"):
        wrapper.train(bad, epochs=1, verbose=0)
    assert not wrapper.built
