import keras
import numpy as np
from scipy.special import logsumexp

from experiments.peers.cvae import CVAE


def make(**settings):
    values = {"size_u": 2, "size_v": 4, "hidden": (16,), "two_epsilon_squared": 0.3}
    return CVAE(5, 3, **{**values, **settings})


def split(parameters):
    return np.split(np.asarray(parameters, float), 2, axis=1)


def gaussian_kl(q, p):
    """D(q ‖ p) of diagonal Gaussians, given means and log variances side by side."""
    (mean, s), (other, t) = split(q), split(p)
    return 0.5 * (np.exp(s - t) + (mean - other) ** 2 / np.exp(t) - 1 - s + t).sum(axis=1)


def sample(parameters, noise):
    mean, log_variance = split(parameters)
    return np.float32(mean + np.exp(log_variance / 2) * noise)


def test_the_terms_are_the_conditional_bound_in_numpy(features, shift_weights, monkeypatch):
    model = shift_weights(make())
    rng = np.random.default_rng(0)
    noise = {size: rng.normal(size=(24, size)).astype(np.float32) for size in (2, 4)}
    monkeypatch.setattr(model, "normal", lambda rows, size: noise[size])
    x, y = features
    terms = {name: np.asarray(term) for name, term in model.terms(x, y).items()}
    assert set(terms) == {"kl_x", "kl_y", "reconstruction_x", "reconstruction_y"}
    for side, own, other, size in (("x", x, y, 2), ("y", y, x, 4)):
        q, p = model.encoders[side]([own, other]), model.priors[side](other)
        np.testing.assert_allclose(terms[f"kl_{side}"], gaussian_kl(q, p), rtol=1e-4)
        output = np.asarray(model.decoders[side]([sample(q, noise[size]), other]), float)
        error = np.square(output - own).sum(axis=1) / 0.3
        np.testing.assert_allclose(terms[f"reconstruction_{side}"], error, rtol=1e-4)


def test_the_bound_is_below_the_conditional_evidence(features, shift_weights):
    """With V of one dimension, log p(y|x) is an integral over a grid."""
    model = shift_weights(make(size_v=1))
    x, y = (side[:1] for side in features)
    mean, log_variance = (part[0, 0] for part in split(model.priors["y"](x)))
    grid = np.linspace(-8, 8, 4001)
    v = np.float32(mean + np.exp(log_variance / 2) * grid)[:, None]
    outputs = np.asarray(model.decoders["y"]([v, np.repeat(x, len(v), axis=0)]), float)
    error = np.square(outputs - y).sum(axis=1) / 0.3
    log_prior = -0.5 * grid**2 - 0.5 * np.log(2 * np.pi) + np.log(grid[1] - grid[0])
    evidence = logsumexp(log_prior - error)
    many = [np.repeat(side, 20_000, axis=0) for side in (x, y)]
    terms = model.terms(*many)
    bound = -np.mean(np.asarray(terms["kl_y"]) + np.asarray(terms["reconstruction_y"]))
    assert bound < evidence


def test_generation_samples_the_conditional_prior(features, shift_weights):
    model = shift_weights(make())
    x, y = features
    for side, other in (("x", y), ("y", x)):
        noise = np.random.default_rng(4).normal(size=(24, model.noise_size(side)))
        code = sample(model.priors[side](other), noise)
        np.testing.assert_allclose(
            model.conditional(other, side, np.float32(noise)),
            model.decoders[side]([code, other]),
            rtol=1e-4,
            atol=1e-5,
        )


def test_all_networks_are_trained_and_the_seed_decides_how(features):
    trained = []
    for seed in (0, 0, 1):
        model = make(seed=seed)
        before = [np.asarray(variable) for variable in model.trainable_variables]
        model.compile(optimizer=keras.optimizers.Adam(0.01), run_eagerly=True)
        losses = model.fit(*features, epochs=3, shuffle=False, verbose=0).history["loss"]
        assert losses[-1] < losses[0]
        after = [np.asarray(variable) for variable in model.trainable_variables]
        assert len(after) == 6 * 4
        assert not any(np.array_equal(*each) for each in zip(before, after, strict=True))
        trained.append(b"".join(weight.tobytes() for weight in after))
    assert trained[0] == trained[1]
    assert trained[0] != trained[2]
