import keras
import numpy as np
import pytest
from scipy.special import logsumexp

import wyner_keras as wk
from wyner_keras.latents import DiagonalGaussian
from wyner_keras.losses import Alignment
from wyner_keras.losses.directions import directions


def told(scores):
    """Symmetric InfoNCE, pair by pair."""
    strangers = sum(logsumexp(scores, axis=axis) for axis in (0, 1)) / 2 - np.log(len(scores))
    return np.diag(scores) - strangers


def wide(count, shared=6, size=80, rho=0.9, seed=0):
    """Few pairs of many values, of which some directions are correlated."""
    rng, mixing = np.random.default_rng(seed), np.random.default_rng(99)
    z = rng.normal(size=(count, shared))
    sides = []
    for _ in range(2):
        own = rng.normal(size=(count, size))
        own[:, :shared] = np.sqrt(rho) * z + np.sqrt(1 - rho) * own[:, :shared]
        sides.append(1 + own @ np.linalg.qr(mixing.normal(size=(size, size)))[0])
    return tuple(sides)


def test_what_a_critic_does_not_see_linear_directions_tell():
    seen, apart, others = wide(400), wide(80, seed=1), wide(500, seed=2)
    found = directions(seen, apart, np.zeros((80, 80)), 128)
    assert told(found.scores).mean() > 1.5
    pmi = found.quantities.pmi(found.points(others))
    assert (pmi.argmax(axis=1) == np.arange(500)).mean() > 0.3  # by chance .002


def test_examples_of_unlike_contrast_are_brought_to_one_length():
    """A scale that is drawn anew for each pair, as a picture's contrast is, deceives a Gaussian."""

    def contrasted(count, seed):
        scales = np.exp(np.random.default_rng(50 + seed).normal(size=(count, 1)))
        return tuple((side - 1) * scales for side in wide(count, shared=24, seed=seed))

    def found_of(make):
        return directions(make(900, 0), make(150, 1), np.zeros((150, 150)), 128)

    found = found_of(contrasted)
    assert found.power == 1.0 and told(found.scores).mean() > 4.0
    lengths = [np.linalg.norm(side, axis=1) for side in found.points(contrasted(9, 2))]
    np.testing.assert_allclose(lengths, 1.0, rtol=1e-6)
    assert found_of(lambda count, seed: wide(count, seed=seed)).power == 0.0


def test_a_critic_that_knows_its_pairs_needs_none():
    assert directions(wide(400), wide(80, seed=1), 50.0 * np.eye(80), 128) is None
    assert directions(wide(400, 0), wide(80, 0, seed=1), np.zeros((80, 80)), 128) is None


def test_experts_of_directions_have_their_pmi_at_its_factor():
    found = directions(wide(400), wide(80, seed=1), np.zeros((80, 80)), 128)
    points, posteriors = wide(7, seed=3), []
    latent = DiagonalGaussian(dim=len(found.log_variances))
    for means in found.means(points):
        log_variances = np.broadcast_to(found.log_variances, (7, latent.dim))
        expert = np.concatenate([means, log_variances], axis=1)
        posteriors.append(latent.product(expert.astype("float32")).outputs())
    own = np.asarray(latent.log_pmi(*posteriors), float)
    expected = found.factors[1] * found.quantities.pmi(found.points(points))
    # But for a constant, which tells no pair from another.
    np.testing.assert_allclose(own - own[0, 0], expected - expected[0, 0], atol=1e-3)


@pytest.fixture(scope="module")
def instances():
    """Pairs of small pictures of which each is its own concept: smooth patterns, seen twice."""
    rng = np.random.default_rng(0)
    coarse = rng.random((260, 4, 4, 1))
    smooth = np.kron(coarse, np.ones((1, 2, 2, 1)))
    x, y = (smooth[:, :, ::way] + 0.15 * rng.normal(size=smooth.shape) for way in (1, -1))
    return wk.Pairs(x.clip(0, 1).astype("f"), y.clip(0, 1).astype("f")).split(0.25, seed=0)


def aligned(train, held):
    """A stage whose networks learnt little."""
    image = wk.Image(shape=(8, 8, 1))
    side = wk.SideSettings(
        local=None, hidden=(4,), expert="data", reader="expert", flow_steps=0, noise=0.0
    )
    model = wk.WynerModel(
        wk.Categorical(n=1, k=2),
        {"x": image, "y": image},
        codecs=dict.fromkeys("xy", image.codec(None, 0)),
        settings=dict.fromkeys("xy", side),
    )
    stage = wk.Stage(model, Alignment(dimensions=4, price=0.01, find=True, augmented=False))
    # Four steps: to trace them takes several times as long.
    stage.compile(keras.optimizers.Adam(1e-4), run_eagerly=True)
    stage.fit(train, batch_size=64, epochs=1, validation_data=held, verbose=0)
    return stage


def test_a_network_that_learnt_little_is_helped(instances):
    train, held = instances
    stage = aligned(train, held)
    scores = np.asarray(stage.model.log_pmi(*held.arrays()))
    first = (scores.argmax(axis=1) == np.arange(len(held))).mean()
    assert stage.model.z.dim > 4 and first > 0.5  # by chance .015


def test_directions_that_no_pairs_apart_can_judge_are_not_used(instances):
    train, _ = instances
    network = aligned(train, None).model.sides[0].expert_network
    assert not np.any(network.linear_layer.kernel.numpy())


def test_of_shuffled_pairs_directions_tell_nothing(instances):
    train, held = (
        wk.Pairs(
            part.x, part.y, index=np.stack([part.index[:, 0], np.roll(part.index[:, 1], 1)], 1)
        )
        for part in instances
    )
    assert aligned(train, held).found["shared"] == "nothing"
