import keras
import numpy as np
from scipy.special import logsumexp

from experiments.peers.jvae import JVAE


def make(**settings):
    values = {"size_z": 3, "hidden": (16,), "two_epsilon_squared": 0.3}
    return JVAE(5, 3, **{**values, **settings})


def split(parameters):
    return np.split(np.asarray(parameters, float), 2, axis=1)


def gaussian_kl(q, mean=0.0, t=0.0):
    """D(q ‖ p) of diagonal Gaussians, p of this mean and log variance."""
    own, s = split(q)
    return 0.5 * (np.exp(s - t) + (own - mean) ** 2 / np.exp(t) - 1 - s + t).sum(axis=1)


def test_the_terms_are_those_of_jmvae_kl_in_numpy(features, shift_weights, monkeypatch):
    model = shift_weights(make(distillation_weight=0.4))
    noise = np.random.default_rng(0).normal(size=(24, 3)).astype(np.float32)
    monkeypatch.setattr(model, "normal", lambda rows, size: noise)
    x, y = features
    terms = {name: np.asarray(term) for name, term in model.terms(x, y).items()}
    joint = model.joint_encoder([x, y])
    np.testing.assert_allclose(terms.pop("kl_z"), gaussian_kl(joint), rtol=1e-4)
    mean, log_variance = split(joint)
    z = np.float32(mean + np.exp(log_variance / 2) * noise)
    for side, own in (("x", x), ("y", y)):
        # N(0, I) times the expert: precisions add.
        factor_mean, s = split(model.experts[side](own))
        variance = 1 / (1 + np.exp(-s))
        product = factor_mean * np.exp(-s) * variance
        distillation = 0.4 * gaussian_kl(joint, product, np.log(variance))
        np.testing.assert_allclose(terms.pop(f"distillation_{side}"), distillation, rtol=1e-3)
        error = np.square(np.asarray(model.decoders[side](z), float) - own).sum(axis=1) / 0.3
        np.testing.assert_allclose(terms.pop(f"reconstruction_{side}"), error, rtol=1e-4)
    assert not terms


def test_the_bound_is_below_the_evidence(features, shift_weights):
    """With Z of one dimension, log p(x,y) is an integral over a grid."""
    model = shift_weights(make(size_z=1))
    x, y = (side[:1] for side in features)
    grid = np.linspace(-8, 8, 4001)
    decoded = model.joint(np.float32(grid)[:, None])
    error = sum(
        np.square(np.asarray(output, float) - own).sum(axis=1) / 0.3
        for output, own in zip(decoded, (x, y), strict=True)
    )
    log_prior = -0.5 * grid**2 - 0.5 * np.log(2 * np.pi) + np.log(grid[1] - grid[0])
    terms = model.terms(*(np.repeat(side, 20_000, axis=0) for side in (x, y)))
    names = ("kl_z", "reconstruction_x", "reconstruction_y")
    bound = -np.mean(sum(np.asarray(terms[name], float) for name in names))
    assert bound < logsumexp(log_prior - error)


def test_all_randomness_of_generation_goes_through_z(features, shift_weights):
    model = shift_weights(make())
    x, _ = features
    noise = np.random.default_rng(4).normal(size=(24, 3)).astype(np.float32)
    mean, log_variance = split(model.marginal(x, "x"))
    z = np.float32(mean + np.exp(log_variance / 2) * noise)
    np.testing.assert_allclose(
        model.conditional(x, "y", noise), model.decoders["y"](z), rtol=1e-4, atol=1e-5
    )
    for output, side in zip(model.joint(noise), "xy", strict=True):
        np.testing.assert_array_equal(output, model.decoders[side](noise))


def test_all_networks_are_trained_and_the_seed_decides_how(features):
    trained = []
    for seed in (0, 0, 1):
        model = make(seed=seed)
        before = [np.asarray(variable) for variable in model.trainable_variables]
        model.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
        losses = model.fit(*features, epochs=3, shuffle=False, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        after = [np.asarray(variable) for variable in model.trainable_variables]
        assert len(after) == 5 * 4
        assert not any(np.array_equal(*each) for each in zip(before, after, strict=True))
        trained.append(b"".join(weight.tobytes() for weight in after))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]
