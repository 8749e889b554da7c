import numpy as np
import pytest

from wyner_keras.models import JointStage


@pytest.mark.parametrize(
    "settings",
    [
        {},
        {"joint_encoder": "free", "alignment_weight": 0.0},
        {"u": None, "v": None},
        {"residual": True, "joint_local": "xz"},
    ],
    ids=["product", "free", "no local latents", "residual"],
)
def test_joint_training_leaves_the_marginal_encoders_alone(settings, make_model, pairs, weights):
    model = make_model(encoder_dropout=0.1, encoder_noise=0.1, **settings)
    marginals = weights(*model.marginal_parts)
    joints = [weights(part) for part in model.joint_parts]
    stage = JointStage(model)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*model.marginal_parts) == marginals
    after = [weights(part) for part in model.joint_parts]
    assert all(old != new for old, new in zip(joints, after, strict=True))


@pytest.mark.parametrize("distance", ["features", "pixels"])
def test_joint_training_leaves_the_wrapper_alone(
    distance, make_model, wrappers, wrapped_pairs, weights
):
    model = make_model(wrapper=wrappers, distance=distance)
    before, decoder = weights(*wrappers), weights(model.decoder_x)
    stage = JointStage(model)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(wrapped_pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*wrappers) == before
    assert weights(model.decoder_x) != decoder


def test_the_gradient_moves_every_part_against_the_loss(make_model, pairs, still_noise):
    stage = JointStage(make_model())
    stage.compile(optimizer="adam", run_eagerly=True)
    x, y = pairs.arrays()
    before = float(stage.loss_and_terms(x, y, training=False)[0])
    stage.fit(x, y, batch_size=24, epochs=3, verbose=0)
    assert float(stage.loss_and_terms(x, y, training=False)[0]) < before


def test_experts_that_are_not_trained_stay_bit_identical(make_model, pairs, weights):
    model = make_model(encoder_dropout=0.5, encoder_noise=0.5)
    experts = weights(model.joint_expert_x, model.joint_expert_y)
    decoder = weights(model.decoder_x)
    stage = JointStage(model, train_experts=False)
    stage.compile(optimizer="adam", run_eagerly=True)
    stage.fit(pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(model.joint_expert_x, model.joint_expert_y) == experts
    assert weights(model.decoder_x) != decoder
    assert JointStage.from_config(stage.get_config()).train_experts is False
    # Their dropout and noise are off as well.
    x, y = pairs.arrays()
    kls = [np.asarray(stage.terms(x, y, training=training)["kl_z"]) for training in (True, False)]
    np.testing.assert_array_equal(*kls)
    trained = JointStage(model).terms(x, y, training=True)["kl_z"]
    assert not np.allclose(trained, kls[0])


def test_decoders_alone_can_be_trained(make_model, pairs, weights):
    model = make_model(residual=True, joint_local="xz")
    stage = JointStage(model, train_experts=False, train_locals=False)
    stage.compile(optimizer="adam")
    decoders = (model.decoder_x, model.decoder_y)
    others = [part for part in model.joint_parts if part not in decoders]
    before, trained = weights(*others), weights(*decoders)
    stage.fit(pairs, batch_size=12, epochs=1, verbose=0)
    assert weights(*others) == before
    assert weights(*decoders) != trained
    assert JointStage.from_config(stage.get_config()).train_locals is False


def test_a_stages_concept_weight_takes_the_place_of_the_configs(make_model, pairs):
    model = make_model(concept_weight=2.0)
    losses, concepts = [], []
    for weight in (None, 0.0, 5.0):
        stage = JointStage(model, concept_weight=weight)
        loss, means = stage.loss_and_terms(*pairs.arrays(), training=False)
        parts = stage.weights_of_terms()
        concepts.append(float(means["concept_x"]))
        losses.append(parts["concept_x"])
        total = sum(parts[name] * means[name] for name in means)
        np.testing.assert_allclose(loss, total, rtol=1e-5)
    assert losses == [2.0, 0.0, 5.0]
    assert concepts[1] == 0.0 < min(concepts[0], concepts[2])
    with pytest.raises(ValueError, match="Received: concept_weight=-1"):
        JointStage(model, concept_weight=-1)
    free = make_model(joint_encoder="free", alignment_weight=0.0)
    with pytest.raises(ValueError, match="needs the experts"):
        JointStage(free, concept_weight=1.0)


@pytest.mark.parametrize("count", [1, 2, 3])
def test_small_batches_have_finite_terms(count, make_model, pairs):
    stage = JointStage(make_model(concept_weight=1.0))
    x, y = pairs.arrays()
    loss, _ = stage.loss_and_terms(x[:count], y[:count], training=True)
    assert np.isfinite(loss)
