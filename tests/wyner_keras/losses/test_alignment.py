import math

import keras
import numpy as np
import pytest
from scipy.special import softmax

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Alignment
from wyner_keras.losses.alignment import number_of_values


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


@pytest.fixture(scope="module")
def aligned(make_model, labelled):
    """A stage that has found the label, with fewer values of z than it could have had."""
    model = make_model(z=Categorical(n=1, k=7), hidden=(32,), dropout=0.0, noise=0.0)
    stage = wk.Stage(model, Alignment(functions=6, find_values=True))
    stage.compile(keras.optimizers.Adam(1e-2), jit_compile=False)
    history = stage.fit(labelled, batch_size=150, epochs=50, verbose=0).history
    return stage, history


def features(model, pairs):
    return {
        side.name: side.encode(rows) for side, rows in zip(model.sides, pairs.arrays(), strict=True)
    }


def test_the_term_is_the_maximal_correlation_in_numpy(make_model, pairs, oracle):
    model = make_model()
    stage = wk.Stage(model, Alignment(functions=4))
    sides = []
    for side, rows, head in zip(model.sides, pairs.arrays(), stage.heads, strict=True):
        kernel, bias = side.expert_network.hidden_layers[0].get_weights()
        hidden = np.maximum(oracle.features(side, rows) @ kernel + bias, 0)
        sides.append(hidden @ head.kernel.numpy() + head.bias.numpy())
    f, g = (side - side.mean(axis=0) for side in sides)
    covariances = np.trace(np.cov(f.T, bias=True) @ np.cov(g.T, bias=True))
    expected = (f * g).sum(axis=1).mean() - covariances / 2
    loss, means = stage.loss_and_terms(pairs.arrays(), training=False)
    assert float(means["maximal_correlation"]) == pytest.approx(expected, rel=1e-3)
    assert float(loss) == -float(means["maximal_correlation"])


def test_a_shared_label_of_three_values_has_two_correlations_of_one(aligned):
    correlation = aligned[1]["maximal_correlation"][-1]
    assert correlation == pytest.approx(1.0, abs=0.1)


def test_as_many_values_are_found_as_the_label_has(aligned):
    assert aligned[0].model.z == Categorical(n=1, k=3)
    entropy = -sum(p * math.log(p) for p in (120 / 300, 100 / 300, 80 / 300))
    assert aligned[0].shared_nats == pytest.approx(entropy, abs=0.03)


def test_experts_read_the_label_as_gaussian_clusters_do(aligned, labelled, labels):
    stage = aligned[0]
    model, h = stage.model, features(stage.model, labelled)
    modes = []
    for side, head in zip(model.sides, stage.heads, strict=True):
        logits = np.asarray(side.expert(h[side.name]), float)
        modes.append(logits.argmax(axis=1))
        order = [np.bincount(modes[-1][labels == label]).argmax() for label in range(3)]
        assert sorted(order) == [0, 1, 2]
        assert (modes[-1] == np.array(order)[labels]).mean() > 0.99
        # Of equally likely clusters with one variance.
        f = np.asarray(head(side.expert_network.trunk(h[side.name])), float)
        centres = np.stack([f[labels == label].mean(axis=0) for label in range(3)])
        variance = np.square(f - centres[labels]).mean()
        q = softmax(-0.5 * np.square(f[:, None] - centres).sum(axis=-1) / variance, axis=-1)
        assert np.abs(softmax(logits, axis=-1)[:, order] - q).mean() < 0.02
    assert (modes[0] == modes[1]).mean() > 0.99
    experts = [side.expert(h[side.name]) for side in model.sides]
    shared = float(model.z.shared_information(*experts))
    assert shared == pytest.approx(stage.shared_nats, abs=1e-3)


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


@pytest.mark.parametrize("values", [2, 3, 8])
def test_the_number_of_values_is_one_more_than_there_are_correlations(values):
    rng = np.random.default_rng(0)
    label = rng.integers(values, size=2000)
    f, g = (
        5 * rng.normal(size=(values, 12))[label] + rng.normal(size=(2000, 12)) for _ in range(2)
    )
    assert number_of_values(f, g) == values


def test_where_correlations_do_not_fall_all_values_are_taken():
    """What is shared is a continuum, or there is nothing."""
    rng = np.random.default_rng(0)
    common, *noises = rng.normal(size=(3, 4000, 6))
    assert number_of_values(*(common + noise for noise in noises)) == 7
    assert number_of_values(*noises) == 7


def test_a_second_variable_clusters_what_the_first_leaves(make_model, pairs):
    stage = wk.Stage(make_model(z=Categorical(n=2, k=3)), Alignment(functions=5))
    stage.objective.end(stage, pairs)
    assert 0 < stage.shared_nats <= 2 * math.log(3) + 1e-4
    h = features(stage.model, pairs)
    experts = [side.expert(h[side.name]) for side in stage.model.sides]
    shared = float(stage.model.z.shared_information(*experts))
    assert shared == pytest.approx(stage.shared_nats, abs=1e-3)


def test_fewer_different_pairs_than_values_leave_finite_experts(make_model, pairs):
    few = pairs.select([0, 1, 0, 1])
    stage = wk.Stage(make_model(), Alignment(functions=4))
    stage.objective.end(stage, few)
    assert np.isfinite(stage.shared_nats)
    assert all(np.isfinite(value).all() for value in stage.model.get_weights())


def test_a_gaussian_z_has_no_clusters(make_model):
    with pytest.raises(ValueError, match=r"Alignment needs a Categorical z. Received: z=Diagonal"):
        wk.Stage(make_model(z=DiagonalGaussian(dim=2)), Alignment())
