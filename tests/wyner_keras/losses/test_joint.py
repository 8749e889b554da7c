import itertools
import math

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, logsumexp

import wyner_keras as wk
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Joint, Refinement, Widening
from wyner_keras.losses.joint import legible

VARIANTS = {
    "categorical z": {},
    "gaussian z": {"z": DiagonalGaussian(dim=3)},
    "several variables of z": {"z": Categorical(n=2, k=3)},
    "kinds and quantities of z": {"z": wk.Product(Categorical(n=1, k=3), DiagonalGaussian(dim=2))},
    "categorical v": {"v": Categorical(n=2, k=2), "flow_steps": 0},
    "no u": {"u": False, "flow_steps": 0},
    "no local latents": {"u": False, "v": False, "flow_steps": 0},
    "not residual": {"residual": False},
    "features read": {"readers": ("features", "features")},
}


def terms(oracle, loss, model, rows, still, *, refines):
    z_latent, temperature = model.z, still.temperature
    h = [oracle.features(side, each) for side, each in zip(model.sides, rows, strict=True)]
    experts = [
        oracle.mlp(side.expert_network, each) for side, each in zip(model.sides, h, strict=True)
    ]
    q_z = oracle.product(z_latent, *experts)
    z = oracle.sample(z_latent, q_z, still.noises[z_latent.size, "relaxed"], temperature)
    half, found = len(z) // 2, {}
    for side, own in zip(model.sides, h, strict=True):
        code = None
        if side.local is not None:
            q_u = oracle.posterior(side, own, z)
            noise = still.noises[side.local.size, "relaxed"]
            code = oracle.sample(side.local, q_u, noise, temperature)
            if not refines:
                found[f"kl_{side.local_name}"] = oracle.kl(side.local, q_u)
        if loss.concept_weight:
            other_z = oracle.prior_sample(z_latent, still.noises[z_latent.size, "prior"])
            other = None
            if side.local is not None:
                # Half of the priors', half of the posteriors' samples.
                fresh = oracle.prior_sample(side.local, still.noises[side.local.size, "prior"])
                kept, kept_z = (np.float32(each[half // 2 : half]) for each in (code, z))
                if refines and side.flow is not None:
                    kept = np.asarray(side.flow.inverse(kept, kept_z))
                other = np.concatenate([fresh[: half // 2], kept])
                if refines and side.flow is not None:
                    other = np.asarray(side.flow(np.float32(other), np.float32(other_z)))
            mixed = oracle.decode(side, other, other_z)
            if refines:
                made = np.asarray(side.codec.decode(np.float32(mixed)))
                parameters = oracle.read(side, z_latent, made, mixed)
            else:
                parameters = oracle.product(z_latent, oracle.mlp(side.expert_network, mixed))
            # Of kinds beside quantities the kinds alone, which come first.
            kinds = getattr(z_latent, "kinds", z_latent)
            told = parameters[:, : kinds.parameter_size], other_z[:, : kinds.size]
            found[f"concept_{side.name}"] = -oracle.log_prob(kinds, *told)
        error = np.square(own - oracle.decode(side, code, z)).sum(axis=1)
        found[f"reconstruction_{side.name}"] = error / still.two_epsilon_squared
    return found


@pytest.mark.parametrize("variant", VARIANTS)
@pytest.mark.parametrize("loss", [Joint(concept_weight=0.7), Refinement(concept_weight=0.7)])
def test_the_terms_and_the_loss_are_those_of_numpy(variant, loss, make_model, oracle, check):
    refines = isinstance(loss, Refinement)
    stage = wk.Stage(make_model(**VARIANTS[variant]), loss)
    found, means = check(stage, lambda *given: terms(oracle, loss, *given, refines=refines))
    weighted = sum((0.7 if "concept" in name else 1) * value for name, value in means.items())
    assert found == pytest.approx(weighted, rel=1e-3)


def test_without_its_weight_no_concept_is_read(make_model, oracle, check):
    loss = Joint(concept_weight=0.0)
    found, means = check(
        wk.Stage(make_model(), loss), lambda *given: terms(oracle, loss, *given, refines=False)
    )
    assert set(means) == {"kl_u", "kl_v", "reconstruction_x", "reconstruction_y"}
    assert found == pytest.approx(sum(means.values()), rel=1e-3)


@pytest.mark.parametrize("variant", ["gaussian z", "categorical z"])
def test_what_z_tells_of_one_side_alone_is_that_of_numpy(variant, make_model, oracle, check):
    loss = Widening(private_weight=0.6)
    model = make_model(**VARIANTS[variant])

    def expected(model, rows, still):
        experts = [
            oracle.mlp(side.expert_network, oracle.features(side, each))
            for side, each in zip(model.sides, rows, strict=True)
        ]
        joint = oracle.product(model.z, *experts)
        private = {
            f"private_{side.name}": oracle.kl(model.z, joint, oracle.product(model.z, other))
            for side, other in zip(model.sides, experts[::-1], strict=True)
        }
        found = terms(oracle, loss, model, rows, still, refines=False)
        return found | private | {"kl_z": oracle.kl(model.z, joint)}

    found, means = check(wk.Stage(model, loss), expected)
    weighted = sum((0.6 if "private" in name else 1) * value for name, value in means.items())
    assert found == pytest.approx(weighted, rel=1e-3)


def test_experts_are_trained_where_z_is_a_quantity_read_off_features(make_model, pairs, weights):
    loss, model = Widening(), make_model(z=DiagonalGaussian(dim=2))
    assert loss.adapted(make_model(), pairs) is None
    assert loss.adapted(make_model(**VARIANTS["kinds and quantities of z"]), pairs) is None
    assert loss.adapted(model, pairs) is loss
    for kind, changes in ((Joint(concept_weight=0.0), False), (loss, True)):
        experts = [side.expert_network for side in model.sides]
        before = weights(*experts)
        stage = wk.Stage(model, kind)
        stage.compile(keras.optimizers.Adam(1e-2), run_eagerly=True)
        stage.fit(pairs, batch_size=12, verbose=0)
        assert (weights(*experts) != before) == changes


@pytest.mark.slow
def test_the_price_of_what_one_side_tells_alone_keeps_it_out_of_z(make_model, pairs):
    """The more it weighs, the less of it is there, and the more that both sides tell stays."""

    def trained(weight):
        none = {"u": False, "v": False, "flow_steps": 0}
        model = make_model(z=DiagonalGaussian(dim=2), **none, dropout=0.0, noise=0.0)
        stage = wk.Stage(model, Widening(private_weight=weight))
        stage.two_epsilon_squared.assign(0.05)
        stage.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
        # An epoch of 60 steps: each epoch begins by making its pipeline.
        stage.fit(pairs.select(np.tile(np.arange(24), 60)), batch_size=24, verbose=0)
        stage.run_eagerly = True  # an evaluation is one step
        found = stage.evaluate(pairs, batch_size=24, verbose=0, return_dict=True)
        return found["private_x"] + found["private_y"]

    assert trained(3.0) < 0.8 * trained(0.03)


def test_noise_blurs_what_is_read_while_training_alone(make_model, pairs, still):
    batch, model = dict(zip("xy", pairs.arrays(), strict=True)), make_model(dropout=0.0, noise=0.0)

    def concept(noise, training):
        loss = Joint(concept_noise=noise)
        return np.asarray(loss(model, batch, still, training)["concept_y"])

    np.testing.assert_array_equal(concept(0.0, True), concept(0.5, False))
    once, twice = (concept(noise, True) - concept(0.0, True) for noise in (1e-3, 2e-3))
    assert np.abs(once).max() > 1e-5
    np.testing.assert_allclose(twice, 2 * once, rtol=0.2, atol=1e-5)


@pytest.mark.parametrize("count", [1, 3])
def test_small_batches_have_finite_terms(count, make_model, pairs):
    batch = [rows[:count] for rows in pairs.arrays()]
    for loss in (Joint(), Refinement()):
        assert np.isfinite(wk.Stage(make_model(), loss).loss_and_terms(batch, training=True)[0])


def test_terms_are_unreduced(make_model, pairs):
    for loss in (Joint(), Refinement()):
        found = wk.Stage(make_model(), loss).terms(pairs.arrays(), training=False)
        assert {name: len(term) for name, term in found.items() if "concept" not in name} == {
            name: 24 for name in loss.weights(make_model()) if "concept" not in name
        }
        assert len(found["concept_x"]) == 12


def test_the_bound_of_a_discrete_model_is_its_enumeration(make_model, pairs, oracle):
    """KL and reconstruction terms, with the constant D(q(z|x,y) ‖ p(z)), are a bound on log p."""
    model = make_model(
        z=Categorical(n=1, k=2), u=Categorical(n=1, k=3), v=Categorical(n=1, k=2), flow_steps=0
    )
    stage = wk.Stage(model, Joint(concept_weight=0.0))
    stage.temperature.assign(1e-4)
    stage.two_epsilon_squared.assign(40.0)
    rows = [each[:1] for each in pairs.arrays()]
    h = [oracle.features(side, each) for side, each in zip(model.sides, rows, strict=True)]
    experts = [
        oracle.mlp(side.expert_network, each) for side, each in zip(model.sides, h, strict=True)
    ]
    log_q_z = log_softmax(sum(experts)[0])
    log_joint, log_q = [], []
    for i, *places in itertools.product(range(2), range(3), range(2)):
        z = np.eye(2)[[i]]
        log_joint.append(-math.log(12))
        log_q.append(log_q_z[i])
        for side, own, place in zip(model.sides, h, places, strict=True):
            code = np.eye(side.local.k)[[place]]
            log_joint[-1] -= np.square(own - oracle.decode(side, code, z)).sum() / 40
            log_q[-1] += log_softmax(oracle.posterior(side, own, z))[0, place]
    log_joint, log_q = np.array(log_joint), np.array(log_q)
    bound, evidence = (np.exp(log_q) * (log_joint - log_q)).sum(), logsumexp(log_joint)
    assert bound < evidence - 0.1
    count = 20_000
    found = stage.terms([np.repeat(each, count, axis=0) for each in rows], training=False)
    estimates = -sum(np.asarray(term, float) for term in found.values())
    named = {
        f"{side.name}_features": np.float32(own) for side, own in zip(model.sides, h, strict=True)
    }
    estimates -= float(model.joint_z(named).kl()[0])
    error = estimates.std() / math.sqrt(count)
    assert 0 < error < 0.02
    assert estimates.mean() == pytest.approx(bound, abs=4 * error)


def test_concepts_are_asked_for_where_both_sides_tell_them(make_model, pairs):
    """Else the joint stage goes without, and there is nothing to refine."""
    model = make_model()
    for side, scale in zip(model.sides, (1.0, 0.0), strict=True):
        # z is told by x alone; of y it is unknown.
        output = side.expert_network.output_layer
        output.bias.assign(0 * output.bias)
        output.kernel.assign(scale * output.kernel)
    assert legible(model, pairs) == pytest.approx(0, abs=1e-5)
    assert Refinement().adapted(model, pairs) is None
    assert Joint().adapted(model, pairs) == Joint(concept_weight=0.0)
    # One value for all pairs is no concept.
    for side in model.sides:
        side.expert_network.output_layer.bias.assign([0.0, 100.0, 0.0])
    assert legible(model, pairs) == pytest.approx(0, abs=1e-3)
    assert legible(make_model(z=DiagonalGaussian(dim=2)), pairs) == 0


def test_the_refinement_reads_concepts_without_dropout(make_model, pairs, still):
    batch, model = dict(zip("xy", pairs.arrays(), strict=True)), make_model(dropout=0.5, noise=1.0)
    model.side("x").reader_network.dropout_layers[0].rate = 0.5
    trains, rests = (Refinement()(model, batch, still, training) for training in (True, False))
    for name, value in rests.items():
        np.testing.assert_array_equal(trains[name], value)


def test_decoders_learn_to_show_the_concept_that_readers_read(make_model, pairs):
    model = make_model(u=False, v=False, flow_steps=0, dropout=0.0)
    for side in model.sides:
        # Untrained, they would hardly tell features apart.
        side.reader_network.output_layer.kernel.assign(
            20.0 * side.reader_network.output_layer.kernel.numpy()
        )
    stage = wk.Stage(model, Refinement(concept_weight=300.0))
    stage.compile(keras.optimizers.Adam(5e-2), run_eagerly=True)
    history = stage.fit(pairs, batch_size=24, epochs=30, verbose=0).history
    for side in "xy":
        concept = history[f"concept_{side}"]
        assert np.mean(concept[-5:]) < 0.7 * np.mean(concept[:5])
