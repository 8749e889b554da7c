import math

import keras
import numpy as np
import pytest

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import MarginalStage

VARIANTS = {
    "u given x, z": {},
    "u given x": {"marginal_local": "x"},
    "free joint encoder": {"joint_encoder": "free", "alignment_weight": 0.0},
    "gaussian z": {"z": DiagonalGaussian(dim=3)},
    "categorical u": {"u": Categorical(n=1, k=2), "v": DiagonalGaussian(dim=4)},
    "no local latents": {"u": None, "v": None},
    "base model": {"u": None, "v": None, "decoder": "gaussian"},
    "pixels": {"distance": "pixels"},
    "residual": {"residual": True},
    "q(z|x) of images": {"marginal_encoder": "images"},
}


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
    terms = {}
    for side, name, latent in (("x", "u", config.u), ("y", "v", config.v)):
        given = images if config.marginal_encoder == "images" else features
        q = oracle.posterior(config.z, getattr(model, f"marginal_encoder_z_{side}")(given[side]))
        z = oracle.sample(config.z, q, noises[config.z.size], temperature).astype(np.float32)
        terms[f"kl_z_{side}"] = oracle.kl(config.z, q).mean()
        terms[f"distillation_{side}"] = oracle.kl(config.z, joint, q).mean()
        local, terms[f"kl_{name}"] = None, 0.0
        if latent is not None:
            network = getattr(model, f"marginal_encoder_{name}")
            own = oracle.rest(model, features[side], z, side)
            q_local = network([own, *([z] if config.marginal_local == "xz" else [])])
            local = oracle.sample(latent, q_local, noises[latent.size], temperature)
            terms[f"kl_{name}"] = oracle.kl(latent, q_local).mean()
        terms[f"reconstruction_{side}"] = oracle.reconstruction(
            model, images[side], local, z, side, two_epsilon_squared
        ).mean()
    return terms


@pytest.mark.parametrize("variant", VARIANTS)
def test_the_loss_is_the_papers_in_numpy(variant, make_model, pairs, oracle, still_noise):
    # lambda and gamma belong to the joint stage: they must not show here.
    model = make_model(**{"common_information_weight": 9.0} | VARIANTS[variant])
    oracle.randomise_concepts(model)
    stage = MarginalStage(model, distillation_weight=2.5)
    stage.temperature.assign(0.6)
    stage.two_epsilon_squared.assign(0.05)
    loss, expected = oracle.check_terms(
        stage, pairs, lambda: numpy_terms(model, oracle, still_noise, pairs, 0.6, 0.05)
    )
    total = sum(
        value * (2.5 if name.startswith("distillation") else 1) for name, value in expected.items()
    )
    np.testing.assert_allclose(loss, total, rtol=1e-3)


@pytest.mark.parametrize("distance", ["features", "pixels"])
def test_the_loss_through_a_wrapper_is_the_papers_in_numpy(
    distance, make_model, wrappers, wrapped_pairs, oracle, still_noise
):
    model = make_model(wrapper=wrappers, distance=distance, two_epsilon_squared=0.3)
    oracle.check_terms(
        MarginalStage(model),
        wrapped_pairs,
        lambda: numpy_terms(model, oracle, still_noise, wrapped_pairs, 1.0, 0.3),
    )


def test_the_papers_loss_has_no_distillation(make_model, pairs, still_noise):
    stage = MarginalStage(make_model())
    loss, means = stage.loss_and_terms(*pairs.arrays(), training=False)
    paper = sum(float(v) for name, v in means.items() if not name.startswith("distillation"))
    assert float(loss) == pytest.approx(paper, rel=1e-5)
    assert float(means["distillation_x"]) > 0


def test_the_marginal_bound_of_a_discrete_model_is_its_enumeration(make_model):
    model = make_model(
        z=Categorical(n=1, k=2), u=Categorical(n=1, k=3), v=None, two_epsilon_squared=0.5
    )
    rng = np.random.default_rng(8)
    for variable in model.trainable_variables:
        variable.assign(0.5 * rng.normal(size=variable.shape))
    x, y = rng.random((1, 4, 4, 1), np.float32), rng.random((1, 4, 2, 1), np.float32)
    features = x.reshape(1, -1)

    def probabilities(logits):
        values = np.exp(np.asarray(logits, float)[0])
        return values / values.sum()

    elbo, evidence = 0.0, 0.0
    for i, q_z in enumerate(probabilities(model.marginal_encoder_z_x(features))):
        z = np.eye(2, dtype=np.float32)[[i]]
        for j, q_u in enumerate(probabilities(model.marginal_encoder_u([features, z]))):
            u = np.eye(3, dtype=np.float32)[[j]]
            error = np.square(features - np.asarray(model.decoder_x([u, z]), float)).sum() / 0.5
            elbo += q_z * q_u * (-math.log(6) - error - math.log(q_z * q_u))
            evidence += math.exp(-error) / 6
    stage = MarginalStage(model)
    stage.temperature.assign(1e-4)
    count = 40_000
    terms = stage.terms(np.repeat(x, count, axis=0), np.repeat(y, count, axis=0), training=False)
    names = ("kl_z_x", "kl_u", "reconstruction_x")
    estimates = -sum(np.asarray(terms[name], float) for name in names)
    error = estimates.std() / math.sqrt(count)
    assert estimates.mean() == pytest.approx(elbo, abs=4 * error)
    assert elbo < math.log(evidence)


@pytest.mark.parametrize("variant", ["residual", "free joint encoder", "no local latents"])
def test_decoders_and_joint_encoders_stay_bit_identical(variant, make_model, pairs, weights):
    model = make_model(encoder_dropout=0.1, encoder_noise=0.1, **VARIANTS[variant])
    joints = weights(*model.joint_parts)
    assert model.decoder_x in model.joint_parts
    assert model.decoder_y in model.joint_parts
    marginals = [weights(part) for part in model.marginal_parts]
    stage = MarginalStage(model, distillation_weight=1.0)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*model.joint_parts) == joints
    after = [weights(part) for part in model.marginal_parts]
    assert len(after) == (2 if variant == "no local latents" else 4)
    assert all(old != new for old, new in zip(marginals, after, strict=True))


def test_the_wrapper_stays_bit_identical(make_model, wrappers, wrapped_pairs, weights):
    model = make_model(wrapper=wrappers, distance="pixels")
    before = weights(*wrappers, *model.joint_parts)
    marginals = weights(*model.marginal_parts)
    stage = MarginalStage(model)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(wrapped_pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*wrappers, *model.joint_parts) == before
    assert weights(*model.marginal_parts) != marginals


def test_weight_decay_of_the_optimizer_does_not_reach_the_decoders(make_model, pairs, weights):
    model = make_model()
    before = weights(*model.joint_parts)
    stage = MarginalStage(model)
    stage.compile(optimizer=keras.optimizers.AdamW(0.1, weight_decay=0.5), run_eagerly=True)
    stage.fit(pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*model.joint_parts) == before


@pytest.mark.parametrize("weight", [-1.0, float("nan")])
def test_a_negative_distillation_weight_is_refused(weight, make_model):
    with pytest.raises(ValueError, match=r"distillation_weight.*Received"):
        MarginalStage(make_model(), distillation_weight=weight)


def test_the_weight_is_in_the_configuration(make_model):
    stage = MarginalStage(make_model(), distillation_weight=0.5)
    again = MarginalStage.from_config(stage.get_config())
    assert again.distillation_weight == 0.5
    assert again.model.config == stage.model.config
