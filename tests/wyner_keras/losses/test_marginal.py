import math

import keras
import numpy as np
import pytest
from scipy.special import logsumexp, softmax

import wyner_keras as wk
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Marginal

VARIANTS = {
    "categorical z": {},
    "gaussian z": {"z": DiagonalGaussian(dim=3)},
    "several variables of z": {"z": Categorical(n=2, k=3)},
    "categorical v": {"v": Categorical(n=2, k=2), "flow_steps": 0},
    "no u": {"u": False, "flow_steps": 0},
    "not residual": {"residual": False},
    "features read": {"readers": ("features", "features")},
}


def terms(oracle, loss, model, rows, still):
    h = [oracle.features(side, each) for side, each in zip(model.sides, rows, strict=True)]
    joint = oracle.product(
        model.z,
        *(oracle.mlp(s.expert_network, each) for s, each in zip(model.sides, h, strict=True)),
    )
    found = {}
    for side, data, own in zip(model.sides, rows, h, strict=True):
        q_z, code = oracle.read(side, model.z, data, own), None
        noise = still.noises[model.z.size, "relaxed"]
        z = oracle.sample(model.z, q_z, noise, still.temperature)
        found[f"kl_z_{side.name}"] = oracle.kl(model.z, q_z)
        if loss.distillation_weight:
            found[f"distillation_{side.name}"] = oracle.kl(model.z, joint, q_z)
        if side.local is not None:
            q_u = oracle.posterior(side, own, z)
            noise = still.noises[side.local.size, "relaxed"]
            code = oracle.sample(side.local, q_u, noise, still.temperature)
            found[f"kl_{side.local_name}"] = oracle.kl(side.local, q_u)
        error = np.square(own - oracle.decode(side, code, z)).sum(axis=1)
        found[f"reconstruction_{side.name}"] = error / still.two_epsilon_squared
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("weight", [2.5, 0.0])
def test_the_terms_and_the_loss_are_those_of_numpy(variant, weight, make_model, oracle, check):
    loss = Marginal(distillation_weight=weight)
    stage = wk.Stage(make_model(**VARIANTS[variant]), loss)
    found, means = check(stage, lambda *given: terms(oracle, loss, *given))
    assert any("distillation" in name for name in means) == bool(weight)
    total = sum((weight if "distillation" in n else 1) * value for n, value in means.items())
    assert found == pytest.approx(total, rel=1e-3)


def test_the_bound_of_one_side_is_its_enumeration(make_model, pairs, oracle):
    model = make_model(z=Categorical(n=1, k=2), u=Categorical(n=1, k=3), v=False, flow_steps=0)
    stage, side = wk.Stage(model, Marginal()), model.side("x")
    stage.temperature.assign(1e-4)
    stage.two_epsilon_squared.assign(40.0)
    rows = [each[:1] for each in pairs.arrays()]
    own = oracle.features(side, rows[0])
    bound, log_joint = 0.0, []
    for i, q_z in enumerate(softmax(oracle.read(side, model.z, rows[0], own)[0])):
        z = np.eye(2)[[i]]
        for j, q_u in enumerate(softmax(oracle.posterior(side, own, z)[0])):
            error = np.square(own - oracle.decode(side, np.eye(3)[[j]], z)).sum() / 40
            log_joint.append(-math.log(6) - error)
            bound += q_z * q_u * (log_joint[-1] - math.log(q_z * q_u))
    assert bound < logsumexp(log_joint) - 0.1
    count = 20_000
    found = stage.terms([np.repeat(each, count, axis=0) for each in rows], training=False)
    names = ("kl_z_x", "kl_u", "reconstruction_x")
    estimates = -sum(np.asarray(found[name], float) for name in names)
    error = estimates.std() / math.sqrt(count)
    assert 0 < error < 0.02
    assert estimates.mean() == pytest.approx(bound, abs=4 * error)


def test_it_begins_with_the_prior_and_with_readers_that_know_what_experts_do(
    make_model, pairs, weights, oracle
):
    model = make_model()
    stage = wk.Stage(model, Marginal())
    of_data = weights(model.side("x").reader_network)
    stage.objective.begin(stage, pairs)
    # A reader of features starts from the expert, one of data from itself.
    side = model.side("y")
    assert weights(side.reader_network) == weights(side.expert_network)
    assert weights(model.side("x").reader_network) == of_data
    # p(z) is q(z|x,y) averaged over the pairs.
    h = [oracle.features(s, rows) for s, rows in zip(model.sides, pairs.arrays(), strict=True)]
    logits = sum(oracle.mlp(s.expert_network, each) for s, each in zip(model.sides, h, strict=True))
    expected = softmax(logits, axis=1).mean(axis=0)
    assert np.ptp(expected) > 0.05
    noise = model.z.draw_noise(np.random.default_rng(0), 50_000)
    found = np.asarray(model.sample_prior(noise)).mean(axis=0)
    np.testing.assert_allclose(found, expected, atol=5 * math.sqrt(0.25 / 50_000))
    wk.Stage(make_model(z=DiagonalGaussian(dim=2)), Marginal()).objective.begin(stage, pairs)


def test_it_brings_readers_to_what_both_sides_say(make_model, pairs):
    stage = wk.Stage(make_model(dropout=0.0, noise=0.0), Marginal())
    stage.compile(keras.optimizers.Adam(2e-2), run_eagerly=True)
    history = stage.fit(pairs, batch_size=24, epochs=10, verbose=0).history
    for side in "xy":
        assert history[f"distillation_{side}"][-1] < 0.8 * history[f"distillation_{side}"][0]
