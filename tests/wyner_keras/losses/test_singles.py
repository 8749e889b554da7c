"""Rows without partner in the losses: z of what one side tells, and self-training."""

import keras
import numpy as np
import pytest
from scipy.special import log_softmax, softmax

import wyner_keras as wk
from wyner_keras.data import Pairs, Subset
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Joint, Marginal, Matching, Refinement, SelfTraining, Widening
from wyner_keras.losses.matching import codes

LATENTS = [Categorical(n=1, k=3), Categorical(n=2, k=3), DiagonalGaussian(dim=3)]


@pytest.fixture
def seen(pairs):
    """12 pairs, then the rows of 12 others put beside each other in another order."""
    rng, rest = np.random.default_rng(2), pairs.index[12:]
    x, y = (
        Subset(store, rng.permutation(rest[:, column])) for column, store in enumerate(pairs.stores)
    )
    few = Pairs(*pairs.stores, pairs.index[:12], extra_x=x, extra_y=y)
    assert few.x is pairs.x
    return few.with_singles()


def batch_of(pairs):
    return {**dict(zip("xy", pairs.arrays(), strict=True)), "partners": pairs.partners}


@pytest.mark.parametrize("z", LATENTS)
def test_z_of_a_single_is_what_its_own_side_tells(make_model, seen, oracle, z):
    model = make_model(z=z)
    batch = batch_of(seen)
    e = [
        oracle.mlp(side.expert_network, oracle.features(side, batch[side.name]))
        for side in model.sides
    ]
    joint = np.concatenate(z(oracle.product(z, *e)).outputs(), axis=1)
    for own, found in zip(e, model.known_z(batch, lambda q: _flat(q)), strict=True):
        alone = np.concatenate(z(oracle.product(z, own)).outputs(), axis=1)
        expected = np.where(seen.partners[:, None], joint, alone)
        np.testing.assert_allclose(found, expected, rtol=2e-3, atol=1e-4)


def _flat(q):
    return np.concatenate(q.outputs(), axis=1)


@pytest.mark.parametrize(
    "loss", [Joint(), Joint(concept_weight=0.0), Refinement(), Marginal(distillation_weight=2.0)]
)
@pytest.mark.parametrize("z", LATENTS)
def test_a_singles_terms_do_not_see_the_row_beside_it(make_model, seen, still, loss, z):
    model, batch = make_model(z=z), batch_of(seen)
    other = {**batch, "y": np.concatenate([batch["y"][:12], batch["y"][:11:-1]])}
    before, after = (loss(model, each, still, training=False) for each in (batch, other))
    of_x = {"kl_u", "kl_z_x", "distillation_x", "reconstruction_x"} & set(before)
    assert "reconstruction_x" in of_x
    for name in of_x:
        np.testing.assert_allclose(before[name], after[name], rtol=1e-5, err_msg=name)
    assert not np.allclose(before["reconstruction_y"], after["reconstruction_y"])
    # Of partners it does.
    partners = {**batch, "partners": np.ones(24, bool)}
    if not isinstance(loss, Marginal):
        assert not np.allclose(
            loss(model, partners, still, training=False)["reconstruction_x"][12:],
            before["reconstruction_x"][12:],
        )


def test_a_pairs_terms_are_those_without_singles(make_model, seen, still):
    model, batch = make_model(), batch_of(seen)
    alone = {name: rows[:12] for name, rows in batch.items() if name != "partners"}
    for loss in (Joint(concept_weight=0.0), Marginal()):
        both, pairs = (loss(model, each, still, training=False) for each in (batch, alone))
        for name, value in pairs.items():
            np.testing.assert_allclose(both[name][:12], value, rtol=1e-4, atol=1e-5, err_msg=name)


def test_a_single_has_nothing_that_its_partner_does_not_tell(make_model, seen, still):
    model, loss = make_model(z=DiagonalGaussian(dim=2)), Widening()
    found = loss(model, batch_of(seen), still, training=False)
    for name in ("private_x", "private_y"):
        private = np.asarray(found[name])
        assert (private[:12] > 0).all()
        assert not private[12:].any()


def test_flows_learn_from_the_codes_of_singles(make_model, seen, still):
    model = make_model()
    stage = wk.Stage(model, Matching())
    stage.draw = lambda training: still
    found = stage.objective.arrays(stage, seen)
    expected = codes(model, batch_of(seen), still)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=1e-3, atol=1e-4)
    assert len(found["x_codes"]) == 24


def test_the_prior_is_fitted_to_what_every_row_tells(make_model, seen):
    model = make_model()
    model.fit_prior(seen)
    found = [part for batch in model.batches(seen) for part in model.known_z(batch, _flat)]
    share = np.concatenate(found).mean(axis=0)
    draws = model.sample_prior(np.random.default_rng(0).random((4000, 3), np.float32))
    np.testing.assert_allclose(np.mean(draws, axis=0), share, atol=0.05)


@pytest.mark.parametrize(
    "training", [Joint(), Matching(), Marginal(), Refinement(), SelfTraining()]
)
def test_stages_of_singles_train_on_all_rows(training, make_model, seen):
    few = seen.select(np.flatnonzero(seen.partners))._with(partners=None)
    assert len(training.split(few, 0)[0]) >= 24
    bare = few.validation(0.3)[1]
    assert training.split(bare, 0)[0] is bare
    assert len(wk.losses.Alignment().split(few, 0)[0]) == 12


# Self-training


@pytest.mark.parametrize("confidence", [0.3, 0.6])
def test_the_terms_are_cross_entropies_where_the_teacher_is_sure(
    make_model, seen, oracle, still, confidence
):
    model, batch = make_model(dropout=0.0, noise=0.0), batch_of(seen)
    # What a reader of data has of its own is still.
    found = SelfTraining(confidence=confidence)(model, batch, still, training=False)
    h = [oracle.features(side, batch[side.name]) for side in model.sides]
    e = [oracle.mlp(side.expert_network, own) for side, own in zip(model.sides, h, strict=True)]
    learnt = 0
    for side, own, expert in zip(model.sides, h, e, strict=True):
        reader = oracle.read(side, model.z, batch[side.name], own)
        teacher = softmax(np.where(seen.partners[:, None], sum(e), reader), axis=1)
        sure, value = teacher.max(axis=1) >= confidence, teacher.argmax(axis=1)
        learnt += sure.sum()
        for name, student in (("reader", reader), ("expert", expert)):
            told = -log_softmax(student, axis=1)[np.arange(24), value]
            np.testing.assert_allclose(
                found[f"{name}_{side.name}"], np.where(sure, told, 0), rtol=2e-3, atol=1e-4
            )
    assert 0 < learnt < 48 or confidence == 0.3


def test_pairs_are_taught_what_experts_said_before_they_learnt(make_model, seen):
    model, loss = make_model(dropout=0.0, noise=0.0), SelfTraining(confidence=0.01)
    stage = wk.Stage(model, loss)
    batch = {**batch_of(seen), **loss.arrays(stage, seen), **next(iter(model.batches(seen)))}
    expected = _mode_of_pairs(model, seen)
    assert set(expected) == {0, 1, 2}
    for side in model.sides:
        side.expert_network.output_layer.set_weights(
            [-weight for weight in side.expert_network.output_layer.get_weights()]
        )
    assert (_mode_of_pairs(model, seen) != expected).any()
    found = stage.objective(model, batch, stage.draw(False), training=False)
    for side in model.sides:
        told = log_softmax(np.asarray(side.expert(batch[f"{side.name}_features"])), axis=1)
        told = -told[np.arange(12), expected[:12]]
        np.testing.assert_allclose(found[f"expert_{side.name}"][:12], told, rtol=1e-3, atol=1e-4)


def _mode_of_pairs(model, pairs):
    modes = [model.joint_z(part).mode for part in model.batches(pairs)]
    return np.concatenate(modes).argmax(axis=1)


def test_singles_make_experts_of_few_pairs_better(make_model):
    # Three clusters of both sides, of which few pairs show little.
    rng, labels = np.random.default_rng(0), np.arange(300) % 3
    y = 4 * np.eye(3)[labels] + rng.normal(size=(300, 3))
    x = np.full((300, 4, 4, 1), 0.1)
    x[:, :, :3, 0] += 0.3 * np.eye(3)[labels][:, None]
    x += 0.5 * rng.random(x.shape)
    few = Pairs(x[:9], y[:9], extra_x=x[9:], extra_y=y[9:])
    model = make_model(readers=("features", "features"), hidden=(32,), noise=0.3, dropout=0.0)
    _teach(model, few, labels[:9])
    before = _accuracy(model, few, labels)
    stage = wk.Stage(model, SelfTraining())
    stage.compile(keras.optimizers.Adam(3e-3))
    stage.fit(few.with_singles(0.25), batch_size=64, epochs=20, verbose=0)
    after = _accuracy(model, few, labels)
    assert 1 - after < 0.5 * (1 - before)


def _teach(model, pairs, labels):
    """Experts that know the labels of the pairs, by ridge regression of their last layer."""
    for column, side in enumerate(model.sides):
        h = model.features(side, pairs.stores[column])[pairs.index[:, column]]
        hidden = np.asarray(side.expert_network.trunk(h))
        hidden = np.concatenate([hidden, np.ones((len(hidden), 1))], axis=1)
        targets = 8 * np.eye(3)[labels] - 4
        weights = np.linalg.solve(
            hidden.T @ hidden + 0.1 * np.eye(len(hidden[0])), hidden.T @ targets
        )
        side.expert_network.output_layer.set_weights([weights[:-1], weights[-1]])
        side.start_reader()


def _accuracy(model, pairs, labels):
    """Of the experts on all rows."""
    found = []
    for side, store in zip(model.sides, pairs.stores, strict=True):
        read = np.asarray(side.expert(model.features(side, store))).argmax(axis=1)
        found.append(np.mean(read == labels))
    return min(found)


def test_it_has_nothing_to_do_without_singles_or_without_concepts(make_model, seen):
    few = seen.select(np.flatnonzero(seen.partners))._with(partners=None)
    model = make_model(z=DiagonalGaussian(dim=3))
    assert SelfTraining().adapted(model, few) is None


@pytest.mark.parametrize("name", ["confidence", "share"])
def test_shares_that_are_none_are_refused(name):
    with pytest.raises(ValueError, match=f"`{name}` should be above 0 and below 1. Received: 1.5"):
        SelfTraining(**{name: 1.5})
