import math

import keras
import numpy as np
import pytest
from scipy.special import softmax

from wyner_keras.data import LabelledImages, Pairs
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import AlignmentStage, JointStage


@pytest.fixture(scope="module")
def labelled_pairs() -> Pairs:
    """Three concepts, three patterns of x, three of y, noise that the sides do not share."""
    rng = np.random.default_rng(0)
    labels = np.arange(300) % 3
    sides = []
    for shape in ((4, 4, 1), (4, 2, 1)):
        patterns = rng.permutation(np.linspace(0.2, 0.8, 3 * np.prod(shape))).reshape(3, *shape)
        images = patterns[labels] + 0.05 * rng.normal(size=(300, *shape))
        sides.append(LabelledImages(images.clip(0, 1).astype(np.float32), labels))
    partner = np.concatenate([rng.permutation(np.flatnonzero(labels == k)) for k in range(3)])
    own = np.concatenate([np.flatnonzero(labels == k) for k in range(3)])
    return Pairs(*sides, np.stack([own, partner], axis=1))


@pytest.fixture(scope="module")
def aligned(make_model, labelled_pairs):
    stage = AlignmentStage(make_model(hidden=(32,), residual=True), functions=4)
    stage.compile(optimizer=keras.optimizers.Adam(0.01), jit_compile=False)
    history = stage.fit(labelled_pairs, batch_size=100, epochs=60, verbose=0).history
    return stage, history, stage.assign(labelled_pairs)


def test_the_term_is_the_maximal_correlation_in_numpy(make_model, pairs):
    stage = AlignmentStage(make_model(), functions=3)
    stage.build()
    x, y = pairs.arrays()
    f, g = (np.asarray(side, float) for side in stage.correlated(x, y))
    assert f.shape == g.shape == (24, 3)
    covariance = np.trace(np.cov(f.T, bias=True) @ np.cov(g.T, bias=True))
    expected = ((f - f.mean(axis=0)) * (g - g.mean(axis=0))).sum(axis=1).mean() - covariance / 2
    loss, means = stage.loss_and_terms(x, y, training=False)
    np.testing.assert_allclose(means["maximal_correlation"], expected, rtol=1e-3, atol=1e-5)
    assert float(loss) == -float(means["maximal_correlation"])


def test_three_shared_concepts_have_two_correlations_of_one(aligned):
    _, history, _ = aligned
    assert history["maximal_correlation"][-1] == pytest.approx(1.0, abs=0.1)
    assert history["maximal_correlation"][-1] < 1.1


def test_the_assigned_experts_share_the_concepts_entropy(aligned, labelled_pairs):
    stage, _, shared = aligned
    assert shared == pytest.approx(math.log(3), abs=0.02)
    model = stage.model
    x, y = labelled_pairs.arrays()
    experts = [
        model.joint_expert_x(x.reshape(len(x), -1)),
        model.joint_expert_y(y.reshape(len(y), -1)),
    ]
    # What the experts say is what was returned: the affine maps were put into their last layers.
    assert float(model.config.z.shared_information(*experts)) == pytest.approx(shared, abs=1e-3)
    concepts = [np.asarray(expert).argmax(axis=1) for expert in experts]
    np.testing.assert_array_equal(*concepts)
    for label in range(3):
        assert len(set(concepts[0][labelled_pairs.x_labels == label])) == 1
    assert len(set(concepts[0])) == 3


def test_the_assigned_logits_are_those_of_gaussian_clusters(aligned, labelled_pairs):
    stage, _, _ = aligned
    x, y = labelled_pairs.arrays()
    f = np.asarray(stage.correlated(x, y)[0], float)
    labels = labelled_pairs.x_labels
    centres = np.stack([f[labels == label].mean(axis=0) for label in range(3)])
    scale = np.square(f - centres[labels]).mean()
    q = softmax(-0.5 * np.square(f[:, None] - centres).sum(axis=-1) / scale, axis=-1)
    logits = np.asarray(stage.model.joint_expert_x(x.reshape(len(x), -1)), float)
    order = [logits[labels == label].mean(axis=0).argmax() for label in range(3)]
    np.testing.assert_allclose(softmax(logits, axis=-1)[:, order], q, atol=1e-2)


def test_a_residual_models_affine_maps_are_the_concepts_means(aligned, labelled_pairs):
    model = aligned[0].model
    for side, images in zip("xy", labelled_pairs.arrays(), strict=True):
        features = images.reshape(len(images), -1)
        means = np.stack(
            [features[labelled_pairs.x_labels == label].mean(axis=0) for label in range(3)]
        )
        fitted = np.asarray(model.concept(side)(np.eye(3, dtype=np.float32)))
        distance = np.abs(fitted[:, None] - means[None]).max(axis=-1)
        np.testing.assert_array_equal(np.sort(distance.argmin(axis=1)), [0, 1, 2])
        assert distance.min(axis=1).max() < 1e-2


def test_training_moves_the_experts_trunks_and_nothing_else_of_the_model(
    make_model, pairs, weights
):
    model = make_model()
    experts = [model.joint_expert_x, model.joint_expert_y]
    trunks = [weights(*expert.hidden_layers) for expert in experts]
    outputs = weights(*(expert.output_layer for expert in experts))
    rest = [part for part in model.joint_parts + model.marginal_parts if part not in experts]
    others = weights(*rest)
    stage = AlignmentStage(model)
    assert stage.functions == 9
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(pairs, batch_size=12, verbose=0)
    assert all(
        old != weights(*expert.hidden_layers) for old, expert in zip(trunks, experts, strict=True)
    )
    assert weights(*(expert.output_layer for expert in experts)) == outputs
    assert weights(*rest) == others


def test_assigning_is_reproducible_and_may_take_a_subset(aligned, labelled_pairs, weights):
    stage, _, shared = aligned
    assert stage.assign(labelled_pairs) == shared
    assert stage.assign(labelled_pairs, most=150, tries=3) == pytest.approx(math.log(3), abs=0.05)


def test_a_second_variable_clusters_what_the_first_leaves(make_model, pairs):
    stage = AlignmentStage(make_model(z=Categorical(n=2, k=3)), functions=5)
    stage.build()
    shared = stage.assign(pairs)
    assert np.isfinite(shared)
    assert shared <= 2 * math.log(3) + 1e-4
    x, y = pairs.arrays()
    experts = (
        stage.model.joint_expert_x(x.reshape(24, -1)),
        stage.model.joint_expert_y(y.reshape(24, -1)),
    )
    assert float(stage.model.config.z.shared_information(*experts)) == pytest.approx(
        shared, abs=1e-3
    )


def test_a_stage_is_saved_and_loaded_whole(make_model, pairs, weights, tmp_path):
    stage = AlignmentStage(make_model(), functions=3)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(pairs, batch_size=12, verbose=0)
    stage.save(tmp_path / "stage.keras")
    again = keras.models.load_model(tmp_path / "stage.keras", safe_mode=True)
    assert again.functions == 3
    assert weights(again.model, again.head_x, again.head_y) == weights(
        stage.model, stage.head_x, stage.head_y
    )


def test_the_joint_stage_goes_on_from_the_assigned_experts(aligned, labelled_pairs):
    joint = JointStage(aligned[0].model)
    means = joint.loss_and_terms(*labelled_pairs.arrays(), training=False)[1]
    assert float(means["alignment"]) == pytest.approx(aligned[2], abs=0.05)


@pytest.mark.parametrize(
    "settings",
    [{"joint_encoder": "free", "alignment_weight": 0.0}, {"z": DiagonalGaussian(dim=2)}],
)
def test_a_model_without_categorical_experts_is_refused(settings, make_model):
    with pytest.raises(ValueError, match=r"Alignment needs.*Received"):
        AlignmentStage(make_model(**settings))


@pytest.mark.parametrize("functions", [0, -1, 2.5, True, "3"])
def test_a_malformed_number_of_functions_is_refused(functions, make_model):
    with pytest.raises(ValueError, match=r"functions.*Received"):
        AlignmentStage(make_model(), functions=functions)


def test_fewer_different_pairs_than_concepts_are_assigned(make_model, pairs):
    few = Pairs(pairs.x, pairs.y, np.array([[0, 1], [2, 2], [0, 1]]))
    stage = AlignmentStage(make_model(), functions=4)
    stage.build()
    assert np.isfinite(stage.assign(few))
    assert all(np.isfinite(value).all() for value in stage.model.get_weights())
