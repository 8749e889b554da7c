import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import JVAE, JVAEStage, WynerConfig

ABSENT = {"u": None, "v": None, "common_information_weight": 0.0, "alignment_weight": 0.0}

VARIANTS = {
    "gaussian z": {"z": DiagonalGaussian(dim=3), "joint_encoder": "free"},
    "categorical z": {"z": Categorical(n=2, k=3), "joint_encoder": "free"},
    "product of experts": {"z": DiagonalGaussian(dim=3)},
    "stochastic decoder": {"z": DiagonalGaussian(dim=3), "decoder": "gaussian"},
    "residual": {"z": DiagonalGaussian(dim=3), "residual": True},
    "q(z|x) of images": {"z": DiagonalGaussian(dim=3), "marginal_encoder": "images"},
}

RELOAD = """
import sys
import keras, numpy as np
import wyner_keras
model = keras.models.load_model(sys.argv[1] + "/model.keras", safe_mode=True)
given = np.load(sys.argv[1] + "/given.npz")
np.savez(sys.argv[1] + "/again.npz", y=model.generate_y(given["x"], seed=3),
         pairs=model.generate_pairs(4, seed=3)[0])
stage = keras.models.load_model(sys.argv[1] + "/stage.keras", safe_mode=True)
assert stage.distillation_weight == 0.3
"""


@pytest.fixture(scope="session")
def make(tiny_settings):
    def make_jvae(wrapper=None, **settings) -> JVAE:
        values = {**tiny_settings, **ABSENT, "z": DiagonalGaussian(dim=3), **settings}
        if wrapper is not None:
            values.update(x_shape=None, y_shape=None)
        return JVAE(WynerConfig(**values), wrapper=wrapper)

    return make_jvae


def eager(model, **settings) -> JVAEStage:
    stage = JVAEStage(model, **settings)
    stage.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    return stage


def numpy_terms(model, oracle, noises, pairs, temperature, two_epsilon_squared):
    config = model.config
    images = dict(zip("xy", pairs.arrays(), strict=True))
    features = {side: np.asarray(model.features(images[side], side)) for side in "xy"}
    if config.joint_encoder == "free":
        joint = model.joint_encoder_z([features["x"], features["y"]])
    else:
        joint = oracle.posterior(
            config.z, model.joint_expert_x(features["x"]), model.joint_expert_y(features["y"])
        )
    z = oracle.sample(config.z, joint, noises[config.z.size], temperature).astype(np.float32)
    terms = {"kl_z": oracle.kl(config.z, joint).mean()}
    given = images if config.marginal_encoder == "images" else features
    for side in "xy":
        q = oracle.posterior(config.z, getattr(model, f"marginal_encoder_z_{side}")(given[side]))
        terms[f"distillation_{side}"] = oracle.kl(config.z, joint, q).mean()
        terms[f"reconstruction_{side}"] = oracle.reconstruction(
            model, images[side], None, z, side, two_epsilon_squared
        ).mean()
    return terms


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_that_of_jmvae_kl_in_numpy(variant, make, pairs, oracle, still_noise):
    model = make(**VARIANTS[variant])
    oracle.randomise_concepts(model)
    stage = JVAEStage(model, distillation_weight=0.4)
    stage.temperature.assign(0.6)
    stage.two_epsilon_squared.assign(0.05)
    loss, expected = oracle.check_terms(
        stage, pairs, lambda: numpy_terms(model, oracle, still_noise, pairs, 0.6, 0.05)
    )
    total = sum(
        value * (0.4 if name.startswith("distillation") else 1) for name, value in expected.items()
    )
    np.testing.assert_allclose(loss, total, rtol=1e-3)


@pytest.mark.parametrize("distance", ["features", "pixels"])
def test_the_loss_through_a_wrapper(distance, make, wrappers, wrapped_pairs, oracle, still_noise):
    model = make(wrapper=wrappers, distance=distance, two_epsilon_squared=0.3)
    oracle.check_terms(
        JVAEStage(model),
        wrapped_pairs,
        lambda: numpy_terms(model, oracle, still_noise, wrapped_pairs, 1.0, 0.3),
    )


def test_all_parts_are_trained_and_the_seed_decides_how(make, pairs, weights):
    trained = []
    for seed in (0, 0, 1):
        model = make(seed=seed, joint_encoder="free")
        stage = eager(model)
        parts = list(stage.parts)
        before = [weights(part) for part in parts]
        losses = stage.fit(pairs, batch_size=12, epochs=8, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        assert len(parts) == 5
        assert all(old != weights(part) for old, part in zip(before, parts, strict=True))
        assert len(stage.trainable_variables) == len(model.trainable_variables)
        trained.append(weights(model))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]


def test_all_randomness_of_generation_goes_through_z(make, pairs, oracle):
    model = make(joint_encoder="free")
    x = pairs.arrays()[0][:6]
    stream = np.random.default_rng(np.random.SeedSequence(4).spawn(3)[0])
    noise = stream.standard_normal((6, 3), np.float32)
    q = oracle.posterior(model.config.z, model.marginal_encoder_z_x(x.reshape(6, -1)))
    z = np.float32(oracle.sample(model.config.z, q, noise, 1.0))
    expected = np.asarray(model.decoder_y(z)).reshape(6, 4, 2, 1)
    np.testing.assert_allclose(model.generate_y(x, seed=4), expected, rtol=1e-4, atol=1e-6)
    for made, decoder in zip(
        model.generate_pairs(6, seed=4), (model.decoder_x, model.decoder_y), strict=True
    ):
        expected = np.asarray(decoder(noise)).reshape(made.shape)
        np.testing.assert_allclose(made, expected, rtol=1e-4, atol=1e-6)


def test_style_transfer_is_refused(make, pairs):
    x, y = pairs.arrays()
    with pytest.raises(NotImplementedError, match=r"JVAE.*'joint'.*Received: 'transfer'"):
        make().transfer_x(style=x, concept=y, seed=0)
    with pytest.raises(NotImplementedError, match="Received: 'transfer'"):
        make().transfer_y(style=y, concept=x, seed=0)


@pytest.mark.parametrize(
    "settings",
    [
        {"u": DiagonalGaussian(dim=2)},
        {"v": DiagonalGaussian(dim=2)},
        {"common_information_weight": 0.5},
        {"alignment_weight": 1.0},
        {"concept_weight": 1.0},
    ],
)
def test_what_belongs_to_the_w_model_is_refused(settings, make):
    with pytest.raises(ValueError, match=rf"`{next(iter(settings))}` should be.*JVAE.*Received"):
        make(**settings)


@pytest.mark.parametrize("weight", [0.0, -1.0, float("nan")])
def test_a_weight_that_trains_no_marginal_encoder_is_refused(weight, make):
    with pytest.raises(ValueError, match=r"distillation_weight.*Received"):
        JVAEStage(make(), distillation_weight=weight)


def test_another_model_is_refused(make_model):
    with pytest.raises(ValueError, match=r"should be a JVAE.*Received"):
        JVAEStage(make_model())


def test_model_and_stage_come_back_in_a_fresh_process(make, wrappers, wrapped_pairs, tmp_path):
    model = make(wrapper=wrappers)
    stage = eager(model, distillation_weight=0.3)
    stage.fit(wrapped_pairs, batch_size=12, verbose=0)
    x = wrapped_pairs.arrays()[0][:4]
    model.save(tmp_path / "model.keras")
    stage.save(tmp_path / "stage.keras")
    np.savez(tmp_path / "given.npz", x=x)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True, env=environment)
    again = np.load(tmp_path / "again.npz")
    np.testing.assert_allclose(again["y"], model.generate_y(x, seed=3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(
        again["pairs"], model.generate_pairs(4, seed=3)[0], rtol=1e-5, atol=1e-6
    )
