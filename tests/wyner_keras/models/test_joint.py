import itertools
import math

import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp, softmax

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import JointStage

VARIANTS = {
    "product": {},
    "free": {"joint_encoder": "free", "alignment_weight": 0.0},
    "u given x, z": {"joint_local": "xz"},
    "u given x": {"joint_local": "x"},
    "gaussian z": {"z": DiagonalGaussian(dim=3)},
    "categorical u": {"u": Categorical(n=1, k=2), "v": DiagonalGaussian(dim=4)},
    "no local latents": {"u": None, "v": None},
    "base model": {"u": None, "v": None, "decoder": "gaussian"},
    "gaussian decoder and local latents": {"decoder": "gaussian"},
    "pixels": {"distance": "pixels"},
    "concept": {"concept_weight": 2.0},
    "concept, no local latents": {"concept_weight": 2.0, "u": None, "v": None},
    "concept, gaussian z": {"concept_weight": 2.0, "z": DiagonalGaussian(dim=3)},
    "residual": {"residual": True, "joint_local": "xz"},
    "residual, u given x, y": {"residual": True},
}


ELBO = ("kl_z", "kl_u", "kl_v", "reconstruction_x", "reconstruction_y")


def numpy_terms(model, oracle, noises, pairs, temperature, two_epsilon_squared):
    """The joint stage's terms, from the model's own network outputs."""
    config = model.config
    images = dict(zip("xy", pairs.arrays(), strict=True))
    features = {side: np.asarray(model.features(images[side], side)) for side in "xy"}
    if config.joint_encoder == "free":
        q, experts = np.asarray(model.joint_encoder_z([features["x"], features["y"]])), None
    else:
        experts = [
            np.asarray(model.joint_expert_x(features["x"])),
            np.asarray(model.joint_expert_y(features["y"])),
        ]
        q = oracle.posterior(config.z, *experts)
    z = oracle.sample(config.z, q, noises[config.z.size], temperature).astype(np.float32)
    terms = {"kl_z": oracle.kl(config.z, q).mean()}
    for side, other, name, latent in (("x", "y", "u", config.u), ("y", "x", "v", config.v)):
        local, terms[f"kl_{name}"] = None, 0.0
        if latent is not None:
            network = getattr(model, f"joint_encoder_{name}")
            given = {"xy": [features[other]], "xz": [z], "x": []}[config.joint_local]
            own = oracle.rest(model, features[side], z, side)
            q_local = np.asarray(network([own, *given]))
            local = oracle.sample(latent, q_local, noises[latent.size], temperature)
            terms[f"kl_{name}"] = oracle.kl(latent, q_local).mean()
        terms[f"concept_{side}"] = 0.0
        if config.concept_weight:
            # Half a batch of concepts, half of them with locals of the prior.
            new_z = oracle.prior_sample(config.z, noises[config.z.size][:12])
            inputs = [new_z]
            if latent is not None:
                prior = oracle.prior_sample(latent, noises[latent.size][:12])
                inputs = [np.concatenate([prior[:6], local[6:12]]), new_z]
            decoder, expert = (
                (model.decoder_x, model.joint_expert_x)
                if side == "x"
                else (model.decoder_y, model.joint_expert_y)
            )
            read = expert(np.asarray(decoder([np.float32(part) for part in inputs])))
            terms[f"concept_{side}"] = oracle.negative_log_likelihood(
                config.z, oracle.posterior(config.z, read), new_z
            ).mean()
        terms[f"reconstruction_{side}"] = oracle.reconstruction(
            model, images[side], local, z, side, two_epsilon_squared
        ).mean()
    terms["alignment"] = 0.0
    if isinstance(config.z, Categorical) and experts:
        p_x, p_y = (softmax(expert.reshape(-1, 1, 3), axis=-1)[:, 0] for expert in experts)
        joint = p_x.T @ p_y / len(p_x)
        product = np.outer(joint.sum(axis=1), joint.sum(axis=0))
        terms["alignment"] = (joint * np.log(joint / product)).sum()
    elif experts:
        means = np.hstack([oracle.posterior(config.z, expert)[:, :3] for expert in experts])
        covariance = np.cov(means.T, bias=True) + 1e-4 * np.eye(6)
        terms["alignment"] = 0.5 * math.log(
            np.linalg.det(covariance[:3, :3])
            * np.linalg.det(covariance[3:, 3:])
            / np.linalg.det(covariance)
        )
    return terms


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_the_papers_in_numpy(variant, make_model, pairs, oracle, still_noise):
    model = make_model(
        **{"common_information_weight": 0.7, "alignment_weight": 3.0} | VARIANTS[variant]
    )
    oracle.randomise_concepts(model)
    stage = JointStage(model)
    stage.temperature.assign(0.6)
    stage.local_weight.assign(4.0)
    stage.two_epsilon_squared.assign(0.05)
    loss, expected = oracle.check_terms(
        stage, pairs, lambda: numpy_terms(model, oracle, still_noise, pairs, 0.6, 0.05)
    )
    weights = {"kl_z": 1.7, "kl_u": 4.0, "kl_v": 4.0, "reconstruction_x": 1.0}
    weights |= {"reconstruction_y": 1.0, "alignment": -model.config.alignment_weight}
    weights |= dict.fromkeys(("concept_x", "concept_y"), model.config.concept_weight)
    total = sum(weights[name] * value for name, value in expected.items())
    np.testing.assert_allclose(loss, total, rtol=1e-3)


@pytest.mark.parametrize("distance", ["features", "pixels"])
def test_the_loss_through_a_wrapper_is_the_papers_in_numpy(
    distance, make_model, wrappers, wrapped_pairs, oracle, still_noise
):
    model = make_model(wrapper=wrappers, distance=distance, two_epsilon_squared=0.3)
    oracle.check_terms(
        JointStage(model),
        wrapped_pairs,
        lambda: numpy_terms(model, oracle, still_noise, wrapped_pairs, 1.0, 0.3),
    )


def test_terms_are_unreduced(make_model, pairs):
    terms = JointStage(make_model()).terms(*pairs.arrays(), training=False)
    assert {name: tuple(term.shape) for name, term in terms.items()} == {
        "kl_z": (24,), "kl_u": (24,), "kl_v": (24,), "reconstruction_x": (24,),
        "reconstruction_y": (24,), "alignment": (),
        "concept_x": (24,), "concept_y": (24,),
    }  # fmt: skip


def discrete_model(make_model, **settings):
    """A model of 12 configurations (z, u, v), with weights large enough to tell them apart."""
    model = make_model(
        z=Categorical(n=1, k=2), u=Categorical(n=1, k=3), v=Categorical(n=1, k=2),
        joint_local="xz", two_epsilon_squared=0.5, x_shape=(2, 1, 1), y_shape=(1, 2, 1),
        hidden=(8,), **settings,
    )  # fmt: skip
    rng = np.random.default_rng(8)
    for variable in model.trainable_variables:
        variable.assign(rng.normal(size=variable.shape))
    return model


def enumerate_elbo(model, x, y, q_z, local_q):
    """Exact ELBO, log evidence and D(q | p(z,u,v|x,y)) by the 12 configurations, nats."""
    features = {"x": x.reshape(1, -1), "y": y.reshape(1, -1)}
    log_q_z = log_softmax(np.asarray(q_z(features), float))[0]
    log_joint, log_q = [], []
    for i, j, m in itertools.product(range(2), range(3), range(2)):
        z = np.eye(2, dtype=np.float32)[[i]]
        log_likelihood = 0.0
        log_posterior = log_q_z[i]
        for side, k, index in (("x", 3, j), ("y", 2, m)):
            local = np.eye(k, dtype=np.float32)[[index]]
            decoder = model.decoder_x if side == "x" else model.decoder_y
            error = np.square(features[side] - np.asarray(decoder([local, z]), float)).sum()
            log_likelihood -= error / 0.5
            log_posterior += log_softmax(np.asarray(local_q(features, z, side), float))[0, index]
        log_joint.append(-math.log(12) + log_likelihood)
        log_q.append(log_posterior)
    log_joint, log_q = np.array(log_joint), np.array(log_q)
    evidence = logsumexp(log_joint)
    elbo = (np.exp(log_q) * (log_joint - log_q)).sum()
    gap = (np.exp(log_q) * (log_q - log_joint + evidence)).sum()
    return elbo, evidence, gap


def test_the_elbo_of_a_discrete_model_is_its_enumeration(make_model):
    model = discrete_model(make_model)
    stage = JointStage(model)
    stage.temperature.assign(1e-4)
    rng = np.random.default_rng(0)
    x, y = rng.random((1, 2, 1, 1), np.float32), rng.random((1, 1, 2, 1), np.float32)
    elbo, evidence, gap = enumerate_elbo(
        model, x, y,
        q_z=lambda f: np.asarray(model.joint_expert_x(f["x"]))
        + np.asarray(model.joint_expert_y(f["y"])),
        local_q=lambda f, z, side: (
            model.joint_encoder_u if side == "x" else model.joint_encoder_v
        )([f[side], z]),
    )  # fmt: skip
    assert elbo == pytest.approx(evidence - gap, abs=1e-6)
    assert gap > 0.1
    count = 40_000
    terms = stage.terms(np.repeat(x, count, axis=0), np.repeat(y, count, axis=0), training=False)
    estimates = -sum(np.asarray(terms[name], float) for name in ELBO)
    error = estimates.std() / math.sqrt(count)
    assert 0 < error < 0.02
    assert estimates.mean() == pytest.approx(elbo, abs=4 * error)
    assert estimates.mean() < evidence


def test_the_base_models_elbo_is_its_enumeration(make_model):
    model = make_model(u=None, v=None, decoder="gaussian")
    stage = JointStage(model)
    stage.temperature.assign(1e-4)
    rng = np.random.default_rng(0)
    x, y = rng.random((1, 4, 4, 1), np.float32), rng.random((1, 4, 2, 1), np.float32)
    q = softmax(
        np.asarray(model.joint_expert_x(x.reshape(1, -1)), float)
        + np.asarray(model.joint_expert_y(y.reshape(1, -1)), float)
    )[0]
    log_joint = np.full(3, -math.log(3))
    for category in range(3):
        z = np.eye(3, dtype=np.float32)[[category]]
        for side, image, size in (("x", x, 16), ("y", y, 8)):
            output = np.asarray((model.decoder_x if side == "x" else model.decoder_y)(z), float)[0]
            mean, variance = output[:size], np.exp(output[size:])
            log_joint[category] -= (
                0.5
                * (np.square(image.ravel() - mean) / variance + np.log(2 * np.pi * variance)).sum()
            )
    elbo = (q * (log_joint - np.log(q))).sum()
    count = 20_000
    terms = stage.terms(np.repeat(x, count, axis=0), np.repeat(y, count, axis=0), training=False)
    estimates = -sum(np.asarray(terms[name], float) for name in ELBO)
    error = estimates.std() / math.sqrt(count)
    assert estimates.mean() == pytest.approx(elbo, abs=4 * error)
    assert elbo <= logsumexp(log_joint)
