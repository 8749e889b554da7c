"""What a model and its stages are called with: pairs, or a line that says what to call instead."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.data import Pairs
from wyner_keras.latents import DiagonalGaussian
from wyner_keras.models import CVAE, CVAEConfig, JointStage, WynerConfig, WynerModel


@pytest.fixture(scope="module")
def model(make_model):
    return make_model()


@pytest.fixture(scope="module")
def cvae(tiny_settings):
    settings = {name: value for name, value in tiny_settings.items() if name not in "zuv"}
    return CVAE(CVAEConfig(u=DiagonalGaussian(dim=2), v=DiagonalGaussian(dim=2), **settings))


def test_predict_reconstructs_pairs_however_they_are_given(model, pairs):
    x, y = pairs.arrays()
    expected = [np.asarray(side) for side in model((x, y))]
    stage = JointStage(model)
    for found in (
        model.predict((x, y), verbose=0),
        model.predict([x, y], batch_size=7, verbose=0),
        model.predict((tf.constant(x), tf.constant(y)), verbose=0),
        model.predict(pairs, verbose=0),
        model.predict(pairs.dataset(7, shuffle=False), verbose=0),
        stage.predict(pairs, verbose=0),
        stage.predict((x, y), verbose=0),
        model.predict_on_batch((x, y)),
        stage.predict_on_batch((x, y)),
        stage((x, y)),
    ):
        assert isinstance(found, tuple)
        for side, wanted in zip(found, expected, strict=True):
            assert isinstance(side, np.ndarray) or found is stage or tf.is_tensor(side)
            np.testing.assert_allclose(side, wanted, rtol=1e-5, atol=1e-6)
    assert all(isinstance(side, np.ndarray) for side in model.predict(pairs, verbose=0))


def test_a_cvae_reconstructs_pairs_too(cvae, pairs):
    for side, wanted in zip(cvae.predict(pairs, verbose=0), cvae(pairs.arrays()), strict=True):
        np.testing.assert_allclose(side, wanted, rtol=1e-5, atol=1e-6)


def test_a_model_without_shapes_takes_those_of_the_pairs(tiny_settings, pairs):
    unknown = {**tiny_settings, "x_shape": None, "y_shape": None}
    for data in (pairs, pairs.arrays(), pairs.dataset(8)):
        model = WynerModel(WynerConfig(**unknown))
        x, y = model.predict(data, verbose=0)
        assert (x.shape, y.shape) == ((24, 4, 4, 1), (24, 4, 2, 1))


def test_features_of_wrapped_images_are_reconstructed_as_the_images(
    make_model, wrappers, wrapped_pairs
):
    model = make_model(wrapper=wrappers)
    x, y = wrapped_pairs.arrays()
    features = model.features(x, "x"), model.features(y, "y")
    for found, wanted in zip(model(features), model((x, y)), strict=True):
        np.testing.assert_allclose(found, wanted, rtol=1e-5, atol=1e-6)


X, Y = np.full((3, 4, 4, 1), 0.123, np.float32), np.full((3, 4, 2, 1), 0.123, np.float32)
WRONG = {
    "x alone": (X, r"generate_y\(x, seed=0\)\. Received: an array \(3, 4, 4, 1\) float32$"),
    "y alone": (Y, r"generate_x\(y, seed=0\)\. Received: an array \(3, 4, 2, 1\) float32$"),
    "a tensor": (tf.constant(X), r"generate_y.* Received: a tensor \(3, 4, 4, 1\) float32$"),
    "two images": (X[:2], r"generate_y.* Received: an array \(2, 4, 4, 1\) float32$"),
    "swapped": ((Y, X), r"x should have .*x first\. Received: an array \(3, 4, 2, 1\) float32$"),
    "rank": ((X[..., 0], Y), r"x should .*channel axis.* Received: an array \(3, 4, 4\) float32$"),
    "dtype": ((X, Y.astype("uint8")), r"y should .*by 255\. Received: .* \(3, 4, 2, 1\) uint8$"),
    "lengths": ((X, Y[:2]), r"same length\. Received: a tuple of 2: an array \(3, .*float32$"),
    "three": ((X, Y, Y), r"a pair \(x, y\)\. Received: a tuple of 3: an array .*float32$"),
    "empty": ((X[:0], Y[:0]), r"x should have .* Received: an array \(0, 4, 4, 1\) float32$"),
    "lists": ([[0.1, 0.2]], r"a pair \(x, y\)\. Received: a list of 1: \[0\.1, 0\.2\]$"),
    "a dictionary": ({"x": X, "y": Y}, r"a pair.*Received: a dict of 2: x: an array .*float32$"),
    "none": (None, r"a pair \(x, y\)\. Received: None$"),
    "half": ((X, None), r"a pair \(x, y\)\. Received: a tuple of 2: an array .*float32, None$"),
    "text": ("images", r"a pair \(x, y\)\. Received: 'images'$"),
}  # fmt: skip


@pytest.mark.parametrize("kind", WRONG)
def test_anything_else_is_refused_in_one_line(kind, model, cvae):
    given, message = WRONG[kind]
    stage = JointStage(model)
    for call in (model, stage, cvae, model.predict, stage.predict, model.predict_on_batch):
        with pytest.raises(ValueError, match=message) as caught:
            call(given)
        assert "\n" not in str(caught.value)
        assert "0.123" not in str(caught.value)


def test_a_pair_in_two_arguments_is_told_apart(model):
    stage = JointStage(model)
    for call in (model, stage):
        with pytest.raises(ValueError, match=r"one tuple: model\(\(x, y\)\)\. Received: a tuple"):
            call(X, Y)
    for call in (model.predict, stage.predict):
        with pytest.raises(ValueError, match=r"predict\(\(x, y\)\)\. Received: batch_size=an ar"):
            call(X, Y)
    with pytest.raises(ValueError, match="no argument"):
        model()


def test_pairs_are_for_predict_and_of_its_shapes(model, pairs):
    with pytest.raises(ValueError, match=r"call predict\(pairs\)\. Received: 24 Pairs"):
        model(pairs)
    swapped = Pairs(pairs.y, pairs.x, pairs.index[:, ::-1])
    with pytest.raises(ValueError, match=r"x should have shape \(n, 4, 4, 1\).* Received"):
        model.predict(swapped)
    lone = tf.data.Dataset.from_tensor_slices(X).batch(4)
    with pytest.raises(ValueError, match=r"batches \(x, y\)\. Received: a dataset of a tensor"):
        model.predict(lone)


@pytest.mark.parametrize("method", ["fit", "evaluate", "train_on_batch", "test_on_batch"])
def test_a_model_is_trained_by_its_stages(method, model, cvae, pairs):
    for each in (model, cvae):
        for given in ((X, Y), (pairs,), ()):
            with pytest.raises(ValueError, match=rf"stages.* Received: {method} of") as caught:
                getattr(each, method)(*given, epochs=2)
            assert "\n" not in str(caught.value)
            assert "0.123" not in str(caught.value)
    assert not model.compiled


def test_stages_are_compiled_not_models(model):
    with pytest.raises(ValueError, match=r"compile one of them\. Received: compile of 'adam'$"):
        model.compile(optimizer="adam")


MALFORMED = {
    "none": ((None,), r"x should be .*Received: x=None"),
    "a tuple": (((X, Y),), r"x should be .*Received: x=a tuple of 2: an array \(3, 4, 4, 1\)"),
    "lists": (([0.1], [0.2]), r"x should be .*Received: x=\[0\.1\], y=\[0\.2\]"),
    "a dictionary": (({"x": X},), r"x should be .*Received: x=a dict of 1: x: an array"),
    "swapped": ((Y, X), r"x should have shape \(n, 4, 4, 1\)"),
    "rank of tensors": ((tf.constant(X[..., 0]), tf.constant(Y)), r"x should have shape"),
    "lone dataset": (
        (tf.data.Dataset.from_tensor_slices(X).batch(2),),
        r"batches \(x, y\)\. Received: a dataset of a tensor",
    ),
    "swapped dataset": (
        (tf.data.Dataset.from_tensor_slices((Y, X)).batch(2),),
        r"x should have shape .*Received: a tensor \(None, 4, 2, 1\) float32",
    ),
}


@pytest.mark.parametrize("kind", MALFORMED)
def test_a_stage_says_what_data_it_trains_on(kind, make_model):
    given, message = MALFORMED[kind]
    stage = JointStage(make_model())
    stage.compile(optimizer="adam", run_eagerly=True)
    for call in (stage.fit, stage.evaluate, stage.train_on_batch, stage.test_on_batch):
        with pytest.raises(ValueError, match=message) as caught:
            call(*given)
        assert "\n" not in str(caught.value)
        assert "0.123" not in str(caught.value)
    assert int(stage.optimizer.iterations) == 0


def test_labels_beside_pairs_and_odd_validation_are_refused(make_model, pairs):
    stage = JointStage(make_model())
    stage.compile(optimizer="adam", run_eagerly=True)
    for call in (stage.fit, stage.evaluate):
        with pytest.raises(ValueError, match=r"y should be None beside `Pairs`. Received: y=an ar"):
            call(pairs, Y)
        with pytest.raises(ValueError, match=r"y should be None beside a dataset"):
            call(pairs.dataset(4), Y)
    for wrong in ((X,), {"x": X}, X, "data"):
        with pytest.raises(ValueError, match="Received"):
            stage.fit(pairs, validation_data=wrong, verbose=0)
    assert int(stage.optimizer.iterations) == 0


def test_errors_of_what_a_model_is_made_of_hold_no_array(make_model):
    for wrong, message in (
        ({"seed": X}, r"`seed` .*Received: seed=an array \(3, 4, 4, 1\) float32$"),
        ({"u": X}, r"`u` .*Received: u=an array \(3, 4, 4, 1\) float32$"),
        ({"hidden": X}, r"`hidden` .*Received: hidden=an array"),
    ):
        with pytest.raises(ValueError, match=message):
            make_model(**wrong)
    with pytest.raises(ValueError, match=r"Received: config=an array \(3, 4, 4, 1\) float32$"):
        WynerModel(X)
    with pytest.raises(ValueError, match=r"Received: wrapper=an array \(3, 4, 4, 1\) float32$"):
        make_model(wrapper=X)
    with pytest.raises(ValueError, match=r"Received: wrapper=a Sequential$"):
        make_model(wrapper=keras.Sequential())
    with pytest.raises(ValueError, match=r"Received: model=24 Pairs|Received: model=an array"):
        JointStage(X)
