import math

import keras
import numpy as np
import pytest
import tensorflow as tf
from scipy.special import logsumexp

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Alignment, Joint, Refinement
from wyner_keras.losses.choices import nats_told
from wyner_keras.losses.finding import words
from wyner_keras.losses.joint import legible
from wyner_keras.modality import Vector
from wyner_keras.product import Product


@pytest.fixture(scope="module")
def labels():
    return np.repeat(np.arange(3), [120, 100, 80])


@pytest.fixture(scope="module")
def labelled(labels):
    """Pairs of three patterns of x and three of y, with noise that the sides do not share."""
    rng = np.random.default_rng(0)
    patterns = rng.random((3, 4, 4, 1)), 6 * rng.normal(size=(3, 3))
    x, y = (
        pattern[labels] + scale * rng.normal(size=(300, *pattern.shape[1:]))
        for pattern, scale in zip(patterns, (0.05, 0.6), strict=True)
    )
    return Pairs(x.clip(0, 1), y)


def found(make_model, pairs, epochs=30, seed=0, **settings):
    """A stage that has looked for what the pairs share."""
    model = make_model(z=Categorical(n=1, k=7), hidden=(32,), dropout=0.0, noise=0.0, seed=seed)
    stage = wk.Stage(model, Alignment(**{"dimensions": 6, "find": True} | settings))
    # Of few steps tracing takes most of the time.
    few = epochs * len(pairs) <= 30 * 128
    stage.compile(keras.optimizers.Adam(1e-2), jit_compile=False, run_eagerly=few)
    trained, validation = stage.objective.split(pairs, seed=seed)
    history = stage.fit(
        trained, batch_size=128, epochs=epochs, validation_data=validation, verbose=0
    ).history
    return stage, history


@pytest.fixture(scope="module")
def aligned(make_model, labelled):
    return found(make_model, labelled)


def features(model, pairs):
    return {
        side.name: side.encode(rows) for side, rows in zip(model.sides, pairs.arrays(), strict=True)
    }


def natural(side, head, h):
    kernel, bias = side.expert_network.hidden_layers[0].get_weights()
    made = np.maximum(h @ kernel + bias, 0) @ head.dense.kernel.numpy()
    gamma, beta, mean, variance = head.norm.get_weights()
    return (made - mean) / np.sqrt(variance + 1e-3) * gamma + beta


# Scale, shift, mean and variance of each dimension.
NORM = [[1, 2, 0.5, 1], [0, 0.1, -0.3, 1], [0.2, 0, -1, 0], [1, 3, 0.1, 2]]


def test_the_terms_are_those_of_a_gaussian_z_in_numpy(make_model, pairs, oracle):
    model = make_model()
    stage = wk.Stage(model, Alignment(dimensions=4, price=0.3))
    *heads, critic = stage.heads
    for head in heads:
        head.norm.set_weights(np.array(NORM))
    critic.logs[0].assign([0.2, -1.0, 0.5, 1.0])
    experts = [
        np.concatenate([e / precision, np.tile(-np.log(precision), (len(e), 1))], axis=1)
        for e, precision in zip(
            (
                natural(side, head, oracle.features(side, rows))
                for side, rows, head in zip(model.sides, pairs.arrays(), heads, strict=True)
            ),
            critic.precisions,
            strict=True,
        )
    ]
    latent = DiagonalGaussian(dim=4)
    posteriors = [np.split(oracle.product(latent, e), 2, axis=1) for e in experts]
    pmi = np.asarray(latent.log_pmi(*posteriors), float)
    strangers = [logsumexp(pmi, axis=axis).mean() for axis in (0, 1)]
    information = np.diag(pmi).mean() - np.mean(strangers) + math.log(len(pmi))
    kl = oracle.kl(latent, oracle.product(latent, *experts)).mean()
    loss, means = stage.loss_and_terms(pairs.arrays(), training=False)
    assert float(means["information"]) == pytest.approx(information, rel=1e-3)
    assert float(means["kl_z"]) == pytest.approx(kl, rel=1e-3)
    assert float(loss) == pytest.approx(0.3 * kl - information, rel=1e-3)


def test_the_kinds_of_a_shared_label_are_found(aligned):
    stage, history = aligned
    assert stage.model.z == Categorical(n=1, k=3)
    assert stage.found["shared"] == "kinds"
    entropy = -sum(p * math.log(p) for p in (120 / 300, 100 / 300, 80 / 300))
    assert stage.shared_nats == pytest.approx(entropy, abs=0.15)
    assert history["val_information"][-1] == pytest.approx(entropy, abs=0.15)


@pytest.fixture
def linear():
    """Pairs of columns of which three are correlated, by .9, .8 and .1, and turned."""
    rng = np.random.default_rng(0)
    rho = np.array([0.9, 0.8, 0.1])
    z, *noises = rng.normal(size=(3, 2000, 3))
    sides = (np.sqrt(rho) * z + np.sqrt(1 - rho) * noise for noise in noises)
    turned = [side @ np.linalg.qr(rng.normal(size=(3, 3)))[0] for side in sides]
    return Pairs(*(side.astype(np.float32) for side in turned))


def columns_model(pairs, **settings):
    """A model of such pairs, whose codecs are not learnt."""
    modality = Vector(kinds=("real",) * 3)
    codecs = {name: modality.codec(None, 0) for name in "xy"}
    for codec, store in zip(codecs.values(), pairs.stores, strict=True):
        codec.train_on(Pairs(store, store))
    sides = {
        name: wk.SideSettings(
            local=DiagonalGaussian(dim=2), hidden=(8,), flow_steps=1, reader="features", **settings
        )
        for name in "xy"
    }
    return wk.WynerModel(
        Categorical(n=1, k=2), dict.fromkeys("xy", modality), codecs=codecs, settings=sides
    )


def skipping(pairs):
    """A stage whose experts have skip connections, begun with pairs: and its second training."""
    stage = wk.Stage(columns_model(pairs, skip=True), Alignment(dimensions=5, find=True))
    stage.compile(keras.optimizers.Adam(2e-3), jit_compile=False)
    stage.objective.begin(stage, pairs)
    *_, x, y, critic = stage.heads
    return stage, [x, y], critic


def test_experts_with_skip_connections_begin_at_canonical_correlations(linear):
    """Before any step they tell what a linear map does: of .9 and .8, the third is too slight."""
    stage, heads, critic = skipping(linear)
    rho = np.array([0.9, 0.8]) / (1 + 0.1)  # by a ridge of a tenth of the variance, less sure
    for precision in critic.precisions:
        # Those of z's experts, ρ / (1 − ρ); the others are 1 as ever.
        np.testing.assert_allclose(precision[:2], rho / (1 - rho), rtol=0.1)
        np.testing.assert_array_equal(precision[2:], 1.0)
    two = np.arange(5) < 2  # the other dimensions are drawn
    for head in heads:
        head.norm.gamma.assign(np.where(two, head.norm.gamma.numpy(), 0.0))
    for log in critic.logs:
        log.assign(np.where(two, log.numpy(), -20.0))
    _, means = stage.loss_and_terms(linear.arrays(), training=True)
    shared = -0.5 * sum(math.log(1 - rho**2) for rho in (0.9, 0.8))
    assert float(means["skip_information"]) == pytest.approx(shared, abs=0.1)
    assert float(means["information"]) < 0.1


def test_pairs_that_are_not_correlated_leave_heads_as_they_were(weights):
    rows = np.random.default_rng(0).normal(size=(2, 500, 3)).astype(np.float32)
    pairs = Pairs(*rows)
    fresh = wk.Stage(columns_model(pairs, skip=True), Alignment(dimensions=5, find=True))
    stage, *_ = skipping(pairs)
    assert weights(*stage.heads) == weights(*fresh.heads)


def test_few_pairs_are_told_apart_by_what_a_linear_map_sees(linear):
    """What experts without tell more badly is not taken; z and the experts are those with."""
    few = linear.take(200, seed=0)
    stage, *_ = skipping(few)
    trained, held = stage.objective.split(few, seed=0)
    stage.fit(trained, validation_data=held, batch_size=85, epochs=20, verbose=0)
    _, means = stage.loss_and_terms(held.arrays(), training=False)
    assert float(means["skip_information"]) > float(means["information"]) + 0.2
    assert stage.found["shared"] == "a quantity"
    model = stage.model
    experts = model.experts(dict(zip("xy", map(tf.constant, held.arrays()), strict=True)))
    pmi = model.z.log_pmi(*(model.z.product(each).outputs() for each in experts))
    assert nats_told(np.asarray(pmi, float)).mean() > float(means["information"]) + 0.2
    for side in model.sides:
        assert np.abs(side.expert_network.output_layer.kernel[-3:]).max() > 0.1


def test_kinds_that_experts_tell_by_themselves_are_read_without_a_skip_connection():
    rng = np.random.default_rng(0)
    labels = rng.integers(3, size=600)
    rows = (3 * rng.normal(size=(3, 3))[labels] + 0.3 * rng.normal(size=(600, 3)) for _ in "xy")
    pairs = Pairs(*(side.astype(np.float32) for side in rows))
    stage, *_ = skipping(pairs)
    trained, held = stage.objective.split(pairs, seed=0)
    stage.fit(trained, validation_data=held, batch_size=128, epochs=60, verbose=0)
    assert stage.model.z == Categorical(n=1, k=3)
    for side in stage.model.sides:
        np.testing.assert_array_equal(side.expert_network.output_layer.kernel[-3:], 0.0)


def test_a_shared_number_is_a_quantity_and_its_nats_are_found(make_model):
    rng = np.random.default_rng(0)
    z, *noises = rng.normal(size=(3, 3000, 1))
    seen = [z + 0.5 * noise for noise in noises]  # correlation .8
    x = rng.random((3000, 16))
    x[:, :1] = 0.5 + 0.12 * seen[0]
    y = np.concatenate([np.tanh(seen[1]), rng.normal(size=(3000, 2))], axis=1)
    pairs = Pairs(x.reshape(-1, 4, 4, 1).clip(0, 1), y)
    stage, _ = found(make_model, pairs, epochs=20)
    assert stage.found["shared"] == "a quantity"
    assert stage.model.z == DiagonalGaussian(dim=1)
    # A lower bound of I(X; Y), of what experts of noisy features tell.
    assert 0.3 < stage.shared_nats < -0.5 * math.log(1 - 0.8**2) + 0.05


def test_a_label_beside_a_number_is_both_kinds_and_a_quantity(make_model):
    rng = np.random.default_rng(0)
    labels, z = rng.integers(3, size=3000), rng.normal(size=3000)
    noises = np.sqrt(0.9) * z + np.sqrt(0.1) * rng.normal(size=(2, 3000))  # correlation .9
    x = 0.3 + 0.4 * rng.random((3, 16))[labels] + 0.03 * rng.normal(size=(3000, 16))
    x[:, 5] = 0.5 + 0.12 * noises[0]
    y = np.concatenate([3 * np.eye(3)[labels, :2], noises[1][:, None]], axis=1)
    y[:, :2] += 0.3 * rng.normal(size=(3000, 2))
    pairs = Pairs(x.reshape(-1, 4, 4, 1).clip(0, 1), y)
    stage, _ = found(make_model, pairs, epochs=20)
    assert stage.model.z == Product(Categorical(n=1, k=3), DiagonalGaussian(dim=1))
    assert stage.found["shared"] == "kinds and a quantity"
    assert (stage.found["kinds"], stage.found["dimensions"]) == (3, 1)
    assert words(stage.found).startswith("3 kinds and a quantity of 1 dimension: ")
    whole = math.log(3) - 0.5 * math.log(1 - 0.9**2)
    assert whole - 0.4 < stage.shared_nats < whole + 0.1
    h = features(stage.model, pairs)
    for side in stage.model.sides:
        q = stage.model.z(side.expert(h[side.name]))
        kinds = np.asarray(q.kinds.mode).argmax(axis=1)
        order = [np.bincount(kinds[labels == label]).argmax() for label in range(3)]
        assert sorted(order) == [0, 1, 2]
        assert (kinds == np.array(order)[labels]).mean() > 0.97
        mean = np.asarray(q.quantities.mean)[:, 0]
        assert abs(np.corrcoef(mean, z)[0, 1]) > 0.9
        # The quantity tells next to nothing of the label.
        means = np.array([mean[labels == label].mean() for label in range(3)])
        assert np.ptp(means) < 0.5 * mean.std()


def test_few_pairs_that_share_nothing_are_not_learnt_by_heart(make_model, labelled):
    """Tested by those that the experts were trained on, chance would look sure."""
    x, y = labelled.arrays()
    order = np.random.default_rng(0).permutation(300)[:60]
    stage, _ = found(make_model, Pairs(x[:60], y[order]), epochs=20)
    assert stage.found["shared"] == "nothing"
    assert stage.found["p"] > 0.05


def test_of_pairs_that_are_all_linked_nothing_is_said_that_was_not_tested(make_model, labelled):
    one = Pairs(*labelled.arrays(), groups=np.zeros(len(labelled), int))
    stage, _ = found(make_model, one, epochs=5)
    assert stage.found["p"] is None
    assert stage.shared_nats == 0
    assert words(stage.found).endswith("untested, since no pairs are apart from others")


@pytest.mark.parametrize("seed", range(2))
def test_shuffled_pairs_share_nothing(make_model, labelled, seed):
    x, y = labelled.arrays()
    order = np.random.default_rng(seed + 1).permutation(len(y))
    stage, _ = found(make_model, Pairs(x, y[order]), epochs=5, seed=seed)
    assert stage.found["shared"] == "nothing"
    assert stage.shared_nats == 0
    model = stage.model
    q = model.joint_z({"x": x[:4], "y": y[:4]})
    np.testing.assert_allclose(q.outputs()[0], 1 / model.z.k, rtol=1e-5)


def test_what_is_found_is_chosen_on_pairs_apart(labelled):
    trained, validation = Alignment(find=True).split(labelled, seed=0)
    rows = [set(part.index[:, 0]) for part in (trained, validation)]
    assert not rows[0] & rows[1]
    assert len(rows[1]) == pytest.approx(0.15 * len(labelled), abs=2)
    assert Alignment().split(labelled, seed=0)[1] is None
    # Of few more, so that there is a test; none where one group has all.
    some, tested = Alignment(find=True).split(labelled.take(60), seed=0)
    assert (len(some), len(tested)) == (40, 20)
    of_groups = Pairs(*labelled.arrays(), groups=np.arange(300) % 50)
    _, tested = Alignment(find=True).split(of_groups, seed=0)
    assert len(np.unique(tested.groups)) == 20
    one = Pairs(*labelled.arrays(), groups=np.zeros(len(labelled), int))
    assert Alignment(find=True).split(one, seed=0) == (one, None)


@pytest.mark.parametrize(
    ("rows", "count", "least", "most"), [(1000, 2000, 85, 115), (5000, 5000, 100, 130)]
)
def test_of_pairs_that_share_rows_about_a_hundred_are_apart_or_more(rows, count, least, most):
    """15 % of both sides' rows have 2 % of the pairs; of few pairs a larger share is apart."""
    index = np.random.default_rng(0).integers(rows, size=(count, 2))
    side = np.arange(rows, dtype="f")[:, None]
    trained, tested = Alignment(find=True).split(Pairs(side, side, index), seed=0)
    assert least <= len(tested) <= most
    for column in (0, 1):
        assert not set(trained.index[:, column]) & set(tested.index[:, column])


@pytest.mark.parametrize(
    "z",
    [
        Categorical(n=1, k=3),
        DiagonalGaussian(dim=2),
        Product(Categorical(n=1, k=3), DiagonalGaussian(dim=2)),
    ],
)
def test_a_z_that_is_told_stays(make_model, labelled, z):
    told = {"epochs": 5, "find": False}
    stage, _ = found(lambda **settings: make_model(**settings | {"z": z}), labelled, **told)
    assert stage.model.z == z
    assert stage.shared_nats > 0.5
    h = features(stage.model, labelled)
    experts = [side.expert(h[side.name]) for side in stage.model.sides]
    assert float(z.shared_information(*experts)) == pytest.approx(stage.shared_nats, abs=1e-3)


def test_a_gaussian_z_has_the_experts_that_were_trained(make_model, pairs):
    stage = wk.Stage(make_model(z=DiagonalGaussian(dim=3)), Alignment(dimensions=3))
    critic = stage.heads[-1]
    critic.logs[1].assign([0.5, -0.5, 1.5])
    trained = stage.loss_and_terms(pairs.arrays(), training=False)[1]
    stage.objective.end(stage, pairs)
    model = stage.model
    batch = dict(zip(("x", "y"), pairs.arrays(), strict=True))
    posteriors = [model.z.product(expert).outputs() for expert in model.experts(batch)]
    pmi = np.asarray(model.z.log_pmi(*posteriors), float)
    strangers = [logsumexp(pmi, axis=axis).mean() for axis in (0, 1)]
    information = np.diag(pmi).mean() - np.mean(strangers) + math.log(len(pmi))
    assert information == pytest.approx(float(trained["information"]), abs=2e-3)
    np.testing.assert_allclose(model.joint_z(batch).kl(), _kl(stage, pairs), rtol=2e-3)


def _kl(stage, pairs):
    return np.asarray(stage.terms(pairs.arrays(), training=False)["kl_z"])


def test_kinds_are_concepts_that_decoders_can_be_asked_for(aligned, labelled):
    model = aligned[0].model
    assert legible(model, labelled) > 0.9
    for loss in (Joint(), Refinement()):
        assert loss.adapted(model, labelled) is loss


def test_experts_read_the_label_as_gaussian_clusters_do(aligned, labelled, labels):
    model, h = aligned[0].model, features(aligned[0].model, labelled)
    modes = []
    for side in model.sides:
        logits = np.asarray(side.expert(h[side.name]), float)
        modes.append(logits.argmax(axis=1))
        order = [np.bincount(modes[-1][labels == label]).argmax() for label in range(3)]
        assert sorted(order) == [0, 1, 2]
        assert (modes[-1] == np.array(order)[labels]).mean() > 0.98
    assert (modes[0] == modes[1]).mean() > 0.97


def test_a_residual_models_affine_maps_are_the_concepts_means(aligned, labelled, labels):
    model = aligned[0].model
    for side, rows in features(model, labelled).items():
        means = np.stack([np.asarray(rows)[labels == label].mean(axis=0) for label in range(3)])
        fitted = np.asarray(model.side(side).mean(np.eye(3, dtype=np.float32)))
        distance = np.abs(fitted[:, None] - means[None]).max(axis=-1)
        assert sorted(distance.argmin(axis=1)) == [0, 1, 2]
        assert distance.min(axis=1).max() < 0.05


def test_a_model_with_another_z_keeps_the_trunks_and_the_codecs(make_model, weights):
    model = make_model()
    other = model.with_z(Categorical(n=1, k=5))
    for old, new in zip(model.sides, other.sides, strict=True):
        assert weights(*old.expert_network.hidden_layers) == weights(
            *new.expert_network.hidden_layers
        )
        assert old.codec is new.codec
        assert new.expert_network.output_layer.units == 5


def test_a_second_variable_clusters_what_the_first_leaves(make_model, pairs):
    stage = wk.Stage(make_model(z=Categorical(n=2, k=3)), Alignment(dimensions=5))
    stage.objective.end(stage, pairs)
    assert 0 < stage.shared_nats <= 2 * math.log(3) + 1e-4
    h = features(stage.model, pairs)
    experts = [side.expert(h[side.name]) for side in stage.model.sides]
    shared = float(stage.model.z.shared_information(*experts))
    assert shared == pytest.approx(stage.shared_nats, abs=1e-3)


def test_fewer_different_pairs_than_values_leave_finite_experts(make_model, pairs):
    few = pairs.select([0, 1, 0, 1])
    stage = wk.Stage(make_model(), Alignment(dimensions=4))
    stage.objective.end(stage, few)
    assert np.isfinite(stage.shared_nats)
    assert all(np.isfinite(value).all() for value in stage.model.get_weights())


def test_a_gaussian_z_wider_than_what_is_trained_is_refused(make_model):
    with pytest.raises(ValueError, match=r"`dimensions` should be at least 4.*Received: 3"):
        wk.Stage(make_model(z=DiagonalGaussian(dim=4)), Alignment(dimensions=3))
