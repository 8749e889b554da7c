import keras
import numpy as np
import pytest

from wyner_keras.data import LabelledImages
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import (
    CVAE,
    JVAE,
    CVAEConfig,
    CVAEStage,
    JointStage,
    JVAEStage,
    WynerConfig,
    WynerModel,
)
from wyner_keras.networks import ConvAutoencoder


def test_parts_have_the_widths_of_the_graph(make_model):
    model = make_model()

    def widths(part):
        kernels = [v.shape for v in part.trainable_variables if len(v.shape) == 2]
        return kernels[0][0], kernels[-1][1]

    # x has 16 pixels, y 8; z takes 3, u 2 (4 parameters), v 4.
    assert {
        name: widths(getattr(model, name))
        for name in (
            "joint_expert_x", "joint_expert_y", "joint_encoder_u", "joint_encoder_v",
            "marginal_encoder_z_x", "marginal_encoder_z_y", "marginal_encoder_u",
            "marginal_encoder_v", "decoder_x", "decoder_y",
        )
    } == {
        "joint_expert_x": (16, 3), "joint_expert_y": (8, 3),
        "joint_encoder_u": (24, 4), "joint_encoder_v": (24, 4),
        "marginal_encoder_z_x": (16, 3), "marginal_encoder_z_y": (8, 3),
        "marginal_encoder_u": (19, 4), "marginal_encoder_v": (11, 4),
        "decoder_x": (5, 16), "decoder_y": (7, 8),
    }  # fmt: skip
    assert widths(make_model(joint_local="x").joint_encoder_u) == (16, 4)
    assert widths(make_model(joint_local="xz").joint_encoder_v) == (11, 4)
    assert widths(make_model(marginal_local="x").marginal_encoder_u) == (16, 4)
    free = make_model(joint_encoder="free", alignment_weight=0.0)
    assert widths(free.joint_encoder_z) == (24, 3)
    assert widths(make_model(decoder="gaussian").decoder_y) == (7, 16)
    bare = make_model(u=None, v=None)
    assert widths(bare.decoder_x) == (3, 16)
    assert bare.marginal_encoder_u is None


def test_stages_train_disjoint_parts_that_cover_the_model(make_model):
    for model in (make_model(), make_model(u=None, v=None), make_model(residual=True)):
        joint, marginal = model.joint_parts, model.marginal_parts
        assert not {id(part) for part in joint} & {id(part) for part in marginal}
        count = sum(len(part.trainable_variables) for part in joint + marginal)
        assert count == len(model.trainable_variables)


def test_the_seed_decides_the_initial_weights_and_parts_differ(make_model, weights):
    first, again, other = make_model(seed=0), make_model(seed=0), make_model(seed=1)
    assert weights(first) == weights(again)
    assert weights(first) != weights(other)
    assert weights(first.joint_expert_x) != weights(first.marginal_encoder_z_x)
    assert weights(first.joint_encoder_u) != weights(other.joint_encoder_u)


def test_call_reconstructs_a_batch_of_pairs_at_the_modes(make_model, pairs):
    model = make_model()
    x, y = pairs.arrays()
    features = {"x": x.reshape(24, -1), "y": y.reshape(24, -1)}
    logits = np.asarray(model.joint_expert_x(features["x"])) + np.asarray(
        model.joint_expert_y(features["y"])
    )
    z = np.eye(3, dtype=np.float32)[logits.argmax(axis=1)]
    u = np.asarray(model.joint_encoder_u([features["x"], features["y"]]))[:, :2]
    v = np.asarray(model.joint_encoder_v([features["y"], features["x"]])).reshape(24, 2, 2)
    v = np.eye(2, dtype=np.float32)[v.argmax(axis=-1)].reshape(24, 4)
    reconstruction_x, reconstruction_y = model((x, y))
    np.testing.assert_allclose(
        reconstruction_x, np.asarray(model.decoder_x([u, z])).reshape(x.shape), rtol=1e-5
    )
    np.testing.assert_allclose(
        reconstruction_y, np.asarray(model.decoder_y([v, z])).reshape(y.shape), rtol=1e-5
    )


def test_a_model_with_wrappers_takes_their_shapes_and_sizes(make_model, wrappers):
    model = make_model(wrapper=wrappers)
    assert model.built
    assert (model.config.x_shape, model.config.y_shape) == ((8, 8, 1), (8, 4, 1))
    assert (model.feature_size("x"), model.feature_size("y")) == (4, 4)
    assert all(not wrapper.trainable_variables for wrapper in wrappers)
    images = np.random.default_rng(0).random((3, 8, 4, 1), np.float32)
    np.testing.assert_allclose(model.features(images, "y"), wrappers[1].encode(images), rtol=1e-6)
    features = np.zeros((3, 4), np.float32)
    np.testing.assert_array_equal(model.features(features, "x"), features)
    np.testing.assert_allclose(model.images(features, "x"), wrappers[0].decode(features))


def test_one_wrapper_serves_both_sides(make_model, make_wrapper):
    wrapper = make_wrapper((8, 8, 1))
    model = make_model(wrapper=wrapper)
    assert model.wrapper("x") is model.wrapper("y") is wrapper


def test_cached_features_are_the_wrappers_and_computed_once(make_model, wrappers, monkeypatch):
    model = make_model(wrapper=wrappers)
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    cached = model.cached_features(images, "x")
    np.testing.assert_allclose(cached, model.features(images, "x"), rtol=1e-5, atol=1e-6)
    assert model.cached_features(images, "x") is cached
    other = images.copy()
    assert model.cached_features(other, "x") is not cached


def test_models_of_one_wrapper_share_its_features(make_model, make_wrapper):
    wrapper = make_wrapper((8, 8, 1))
    images = np.random.default_rng(0).random((5, 8, 8, 1), np.float32)
    cached = make_model(wrapper=wrapper).cached_features(images, "x")
    assert make_model(wrapper=wrapper).cached_features(images, "y") is cached
    wrapper.train(images, epochs=1, verbose=0)
    again = make_model(wrapper=wrapper)
    np.testing.assert_allclose(
        again.cached_features(images, "x"), wrapper.encode(images), rtol=1e-5, atol=1e-6
    )


def test_cached_features_of_one_set_of_images_are_each_sides_own(make_model, make_wrapper):
    wrapper_x, wrapper_y = make_wrapper((8, 8, 1)), make_wrapper((8, 8, 1), seed=5)
    model = make_model(wrapper=(wrapper_x, wrapper_y))
    images = LabelledImages(np.random.default_rng(0).random((5, 8, 8, 1), np.float32), range(5))
    for side, wrapper in (("x", wrapper_x), ("y", wrapper_y)):
        np.testing.assert_allclose(
            model.cached_features(images.images, side),
            wrapper.encode(images.images),
            rtol=1e-5,
            atol=1e-6,
        )


def test_warm_start_copies_what_sees_the_same_inputs(make_model, weights):
    model = make_model(joint_local="xz", marginal_local="xz")
    model.warm_start_marginals()
    for joint, marginal in (
        (model.joint_expert_x, model.marginal_encoder_z_x),
        (model.joint_expert_y, model.marginal_encoder_z_y),
        (model.joint_encoder_u, model.marginal_encoder_u),
        (model.joint_encoder_v, model.marginal_encoder_v),
    ):
        assert weights(joint) == weights(marginal)
    other = make_model(joint_local="xy", marginal_local="xz")
    before = weights(other.marginal_encoder_u)
    other.warm_start_marginals()
    assert weights(other.marginal_encoder_u) == before
    free = make_model(joint_encoder="free", alignment_weight=0.0)
    before = weights(*free.marginal_parts)
    free.warm_start_marginals()
    assert weights(*free.marginal_parts) == before


def test_the_parameters_of_marginal_z_include_a_gaussian_prior(make_model, pairs, oracle):
    z = DiagonalGaussian(dim=2)
    model = make_model(z=z)
    features = pairs.arrays()[0].reshape(24, -1)
    expected = oracle.posterior(z, model.marginal_encoder_z_x(features))
    np.testing.assert_allclose(model.marginal_z(features, "x"), expected, rtol=1e-4, atol=1e-5)


def test_a_gaussian_decoder_bounds_its_log_variance(make_model):
    model = make_model(decoder="gaussian", u=None, v=None)
    model.decoder_x.output_layer.bias.assign(np.repeat([0.0, 100.0], 16))
    mean, log_variance = model.decode(None, np.eye(3, dtype=np.float32), "x")
    assert mean.shape == log_variance.shape == (3, 16)
    assert np.isfinite(np.exp(log_variance)).all()


def test_mismatched_wrappers_are_refused(tiny_settings, make_wrapper):
    wrapper = make_wrapper((8, 8, 1))
    with pytest.raises(ValueError, match=r"x_shape.*\(8, 8, 1\).*Received"):
        WynerModel(WynerConfig(**tiny_settings), wrapper=wrapper)
    fine = WynerConfig(**{**tiny_settings, "x_shape": None, "y_shape": (8, 4, 1)})
    with pytest.raises(ValueError, match=r"y_shape.*Received"):
        WynerModel(fine, wrapper=wrapper)
    for wrong in ((wrapper,), (wrapper, None), (None, wrapper), (wrapper,) * 3, "wrapper", 3):
        with pytest.raises(ValueError, match=r"wrapper.*Received"):
            WynerModel(WynerConfig(z=Categorical(n=1, k=2)), wrapper=wrong)


def test_a_configuration_of_another_type_is_refused():
    with pytest.raises(ValueError, match=r"WynerConfig.*Received"):
        WynerModel({"z": 3})


def test_cached_features_are_forgotten_with_their_images(make_model):
    model = make_model()
    images = np.random.default_rng(0).random((3, 4, 4, 1), dtype=np.float32)
    first = model.cached_features(images, "x")
    assert model.cached_features(images, "x") is first
    assert model.cached_features(images.copy(), "x") is not first
    assert len(model._feature_cache) == 1
    del images
    assert not model._feature_cache


def _made(kind, settings, wrapper, shapes):
    """A W-model, CVAE or JVAE, with the stage that trains it."""
    rest = {name: value for name, value in settings.items() if name not in "zuv"} | shapes
    if kind == "wyner":
        return WynerModel(WynerConfig(**settings | shapes), wrapper=wrapper), JointStage
    if kind == "cvae":
        latents = {"u": DiagonalGaussian(dim=2), "v": DiagonalGaussian(dim=2)}
        return CVAE(CVAEConfig(**latents, **rest), wrapper=wrapper), CVAEStage
    config = WynerConfig(
        z=DiagonalGaussian(dim=4), u=None, v=None, joint_encoder="free",
        common_information_weight=0.0, alignment_weight=0.0, **rest,
    )  # fmt: skip
    return JVAE(config, wrapper=wrapper), JVAEStage


@pytest.mark.parametrize("kind", ["wyner", "cvae", "jvae"])
@pytest.mark.parametrize("count", [0, 1, 2])
def test_weights_load_into_a_model_made_again_from_its_config(
    kind, count, tiny_settings, make_wrapper, tmp_path
):
    wrapper, shapes = None, {}
    if count:
        shapes = {"x_shape": None, "y_shape": None}
        wrapper = make_wrapper((8, 8, 1))
        wrapper = (wrapper, make_wrapper((8, 4, 1), seed=1)) if count == 2 else wrapper
    model, stage_type = _made(kind, tiny_settings, wrapper, shapes)
    rng = np.random.default_rng(7)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    x, y = (rng.random((3, *model.image_shape(side)), np.float32) for side in "xy")
    model.save_weights(tmp_path / "m.weights.h5")
    stage = stage_type(model)
    stage.temperature.assign(0.5)
    stage.build()
    stage.save_weights(tmp_path / "s.weights.h5")
    config, of_stage = model.get_config(), stage.get_config()
    again = []
    # Twice: a config is not used up.
    for made in (type(model).from_config(config), type(model).from_config(config)):
        made.load_weights(tmp_path / "m.weights.h5")
        again.append(made)
    cloned = keras.models.clone_model(model)
    cloned.load_weights(tmp_path / "m.weights.h5")
    for made in (stage_type.from_config(of_stage), keras.models.clone_model(stage)):
        made.load_weights(tmp_path / "s.weights.h5")
        assert float(made.temperature.numpy()) == 0.5
        again.append(made.model)
    np.testing.assert_array_equal(again[0].generate_y(x, seed=0), model.generate_y(x, seed=0))
    for made in (*again, cloned):
        for found, wanted in zip(made((x, y)), model((x, y)), strict=True):
            np.testing.assert_array_equal(found, wanted)
        assert (made.wrapper_x is made.wrapper_y) == (count < 2)
        assert not any(part.trainable_variables for part in (made.wrapper_x,) if part)


def test_a_model_without_shapes_is_cloned_without(tiny_settings):
    unknown = WynerModel(WynerConfig(**{**tiny_settings, "x_shape": None, "y_shape": None}))
    assert not keras.models.clone_model(unknown).built


def test_an_untrained_wrapper_is_refused_still(tiny_settings):
    config = WynerConfig(**{**tiny_settings, "x_shape": None, "y_shape": None})
    with pytest.raises(ValueError, match=r"trained ConvAutoencoder.*Received: wrapper=a ConvAut"):
        WynerModel(config, wrapper=ConvAutoencoder((8, 8, 1)))
