import os
import subprocess
import sys

import keras
import numpy as np
import pytest

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import CVAE, CVAEConfig, CVAEStage, WynerConfig

U, V = DiagonalGaussian(dim=2), Categorical(n=2, k=2)
SETTINGS = {"u": U, "v": V, "hidden": (16,), "x_shape": (4, 4, 1), "y_shape": (4, 2, 1)}

RELOAD = """
import sys
import keras, numpy as np
import wyner_keras
model = keras.models.load_model(sys.argv[1] + "/model.keras", safe_mode=True)
given = np.load(sys.argv[1] + "/given.npz")
np.savez(sys.argv[1] + "/again.npz", y=model.generate_y(given["x"], seed=3),
         x=model.generate_x(given["y"], seed=3))
stage = keras.models.load_model(sys.argv[1] + "/stage.keras", safe_mode=True)
assert type(stage).__name__ == "CVAEStage"
"""


def make(wrapper=None, **settings) -> CVAE:
    values = {**SETTINGS, **settings}
    if wrapper is not None:
        values.update(x_shape=None, y_shape=None)
    return CVAE(CVAEConfig(**values), wrapper=wrapper)


def eager(model) -> CVAEStage:
    stage = CVAEStage(model)
    stage.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
    return stage


def numpy_terms(model, oracle, noises, pairs, temperature, two_epsilon_squared):
    images = dict(zip("xy", pairs.arrays(), strict=True))
    features = {side: np.asarray(model.features(images[side], side)) for side in "xy"}
    terms = {}
    for side, other, name, latent in (
        ("x", "y", "u", model.config.u),
        ("y", "x", "v", model.config.v),
    ):
        own, given = features[side], features[other]
        q = getattr(model, f"recognition_{name}")([own, given])
        p = getattr(model, f"prior_{name}")(given)
        terms[f"kl_{name}"] = oracle.kl(latent, q, p).mean()
        code = oracle.sample(latent, q, noises[latent.size], temperature)
        decoder = model.decoder_x if side == "x" else model.decoder_y
        output, target = np.asarray(decoder([np.float32(code), given])), own
        if model.config.distance == "pixels" and model.wrapper(side) is not None:
            output, target = np.asarray(model.wrapper(side).decode(output)), images[side]
        error = np.square(output.astype(float) - target).reshape(len(target), -1).sum(axis=1)
        terms[f"reconstruction_{side}"] = error.mean() / two_epsilon_squared
    return terms


@pytest.mark.parametrize(
    "latents", [{}, {"u": Categorical(n=1, k=3), "v": DiagonalGaussian(dim=4)}]
)
def test_the_loss_is_the_conditional_bound_in_numpy(latents, pairs, oracle, still_noise):
    model = make(**latents)
    stage = CVAEStage(model)
    stage.temperature.assign(0.6)
    stage.two_epsilon_squared.assign(0.05)
    loss, expected = oracle.check_terms(
        stage, pairs, lambda: numpy_terms(model, oracle, still_noise, pairs, 0.6, 0.05)
    )
    np.testing.assert_allclose(loss, sum(expected.values()), rtol=1e-3)


@pytest.mark.parametrize("distance", ["features", "pixels"])
def test_the_loss_through_a_wrapper(distance, wrappers, wrapped_pairs, oracle, still_noise):
    model = make(wrapper=wrappers, distance=distance, two_epsilon_squared=0.3)
    oracle.check_terms(
        CVAEStage(model),
        wrapped_pairs,
        lambda: numpy_terms(model, oracle, still_noise, wrapped_pairs, 1.0, 0.3),
    )


def test_the_bound_of_a_discrete_model_is_below_its_conditional_evidence(pairs):
    """With v of two values, log Σ_v p(v|x) p(y|v,x) can be enumerated."""
    model = make(v=Categorical(n=1, k=2), two_epsilon_squared=0.5)
    rng = np.random.default_rng(8)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    x, y = (side[:1] for side in pairs.arrays())
    given, own = x.reshape(1, -1), y.reshape(1, -1)

    def probabilities(logits):
        values = np.exp(np.asarray(logits, float)[0])
        return values / values.sum()

    q, p = probabilities(model.recognition_v([own, given])), probabilities(model.prior_v(given))
    errors = [
        np.square(own - np.asarray(model.decoder_y([v, given]), float)).sum() / 0.5
        for v in np.eye(2, dtype=np.float32)[:, None]
    ]
    elbo = sum(q[i] * (np.log(p[i]) - errors[i] - np.log(q[i])) for i in (0, 1))
    evidence = sum(p[i] * np.exp(-errors[i]) for i in (0, 1))
    stage = CVAEStage(model)
    stage.temperature.assign(1e-4)
    count = 20_000
    terms = stage.terms(np.repeat(x, count, axis=0), np.repeat(y, count, axis=0), training=False)
    estimates = -sum(np.asarray(terms[name], float) for name in ("kl_v", "reconstruction_y"))
    assert estimates.mean() == pytest.approx(elbo, abs=4 * estimates.std() / np.sqrt(count))
    assert elbo < np.log(evidence)


def test_generation_samples_the_conditional_prior(pairs):
    model = make()
    for variable in model.trainable_variables:
        variable.assign(3 * np.asarray(variable))
    x, y = (side[:6] for side in pairs.arrays())
    u_stream, v_stream = (
        np.random.default_rng(child) for child in np.random.SeedSequence(4).spawn(3)[1:]
    )
    features_x, features_y = x.reshape(6, -1), y.reshape(6, -1)
    noise = v_stream.random((6, 4), np.float32)
    scores = np.asarray(model.prior_v(features_x)) - np.log(-np.log(noise))
    v = np.eye(2, dtype=np.float32)[scores.reshape(6, 2, 2).argmax(axis=-1)].reshape(6, 4)
    expected = np.asarray(model.decoder_y([v, features_x])).reshape(y.shape)
    np.testing.assert_allclose(model.generate_y(x, seed=4), expected, rtol=1e-4, atol=1e-6)
    mean, log_variance = np.split(np.asarray(model.prior_u(features_y)), 2, axis=1)
    u = mean + np.exp(log_variance / 2) * u_stream.standard_normal((6, 2), np.float32)
    expected = np.asarray(model.decoder_x([u, features_y])).reshape(x.shape)
    np.testing.assert_allclose(model.generate_x(y, seed=4), expected, rtol=1e-4, atol=1e-6)
    samples = model.generate_y(x, seed=0, samples=5)
    assert samples.shape == (6, 5, 4, 2, 1)
    assert (np.ptp(samples, axis=1) > 0).any()


def test_the_directions_share_nothing(pairs, weights):
    model = make()
    parts = {id(part) for part in model.parts}
    assert len(parts) == 6
    assert sum(len(part.trainable_variables) for part in model.parts) == len(
        model.trainable_variables
    )
    before = [weights(part) for part in model.parts]
    eager(model).fit(pairs, batch_size=12, verbose=0)
    assert all(old != weights(part) for old, part in zip(before, model.parts, strict=True))


def test_training_lowers_the_loss_and_the_seed_decides_it(pairs, weights):
    trained = []
    for seed in (0, 0, 1):
        model = make(seed=seed)
        losses = eager(model).fit(pairs, batch_size=12, epochs=8, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        trained.append(weights(model))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]


def test_wrapped_pairs_train_on_cached_features(wrappers, wrapped_pairs):
    model = make(wrapper=wrappers)
    history = eager(model).fit(wrapped_pairs, batch_size=12, epochs=1, verbose=0).history
    assert np.isfinite(history["loss"]).all()
    assert model.generate_x(wrapped_pairs.arrays()[1][:2], seed=0).shape == (2, 8, 8, 1)


def test_call_reconstructs_at_the_modes(pairs):
    model = make()
    x, y = pairs.arrays()
    features_x, features_y = x.reshape(24, -1), y.reshape(24, -1)
    u = np.asarray(model.recognition_u([features_x, features_y]))[:, :2]
    expected = np.asarray(model.decoder_x([u, features_y])).reshape(x.shape)
    np.testing.assert_allclose(model((x, y))[0], expected, rtol=1e-5)
    assert model((x, y))[1].shape == y.shape


def test_a_task_it_has_not_is_refused(pairs):
    model = make()
    x, y = pairs.arrays()
    with pytest.raises(NotImplementedError, match=r"CVAE.*'conditional'.*Received: 'joint'"):
        model.generate_pairs(3, seed=0)
    with pytest.raises(NotImplementedError, match="Received: 'transfer'"):
        model.transfer_x(style=x, concept=y, seed=0)
    with pytest.raises(NotImplementedError, match="Received: 'transfer'"):
        model.transfer_y(style=y, concept=x, seed=0)


@pytest.mark.parametrize("settings", [{"u": None}, {"v": None}, {"v": 3}, {"hidden": ()}])
def test_bad_settings_are_refused(settings):
    with pytest.raises(ValueError, match=r"should be.*Received"):
        CVAEConfig(**settings)


def test_another_models_settings_or_model_are_refused(make_model):
    with pytest.raises(ValueError, match=r"CVAEConfig.*Received"):
        CVAE(WynerConfig())
    with pytest.raises(ValueError, match=r"should be a CVAE.*Received"):
        CVAEStage(make_model())


def test_model_and_stage_come_back_in_a_fresh_process(wrappers, wrapped_pairs, tmp_path):
    model = make(wrapper=wrappers)
    x, y = (side[:4] for side in wrapped_pairs.arrays())
    stage = eager(model)
    stage.fit(wrapped_pairs, batch_size=12, verbose=0)
    model.save(tmp_path / "model.keras")
    stage.save(tmp_path / "stage.keras")
    np.savez(tmp_path / "given.npz", x=x, y=y)
    environment = {**os.environ, "CUDA_VISIBLE_DEVICES": "-1"}
    subprocess.run([sys.executable, "-c", RELOAD, str(tmp_path)], check=True, env=environment)
    again = np.load(tmp_path / "again.npz")
    np.testing.assert_allclose(again["y"], model.generate_y(x, seed=3), rtol=1e-5, atol=1e-6)
    np.testing.assert_allclose(again["x"], model.generate_x(y, seed=3), rtol=1e-5, atol=1e-6)
