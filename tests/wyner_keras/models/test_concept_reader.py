import keras
import numpy as np
import pytest

from wyner_keras.latents import Categorical
from wyner_keras.models import JointStage


@pytest.mark.parametrize("kind", ["features", "images"])
def test_a_marginal_encoder_reads_what_was_decoded(
    kind, make_model, pairs, oracle, still_noise, monkeypatch
):
    """Its own kind of input, without dropout, and the term is its −log q(z'|·)."""
    model = make_model(concept_weight=2.0, marginal_encoder=kind, encoder_dropout=0.5)
    stage = JointStage(model, train_locals=False, reader="marginals")
    decoded, decode = [], model.decode

    def recorded(local, z, side):
        features, scale = decode(local, z, side)
        decoded.append(features)
        return features, scale

    monkeypatch.setattr(model, "decode", recorded)
    noise = model.config.v.draw_noise(np.random.default_rng(0), 24)
    code = np.asarray(model.config.v.prior_sample(noise))
    z = np.eye(3, dtype="f")[np.zeros(24, int)]
    found = stage.concept(code, z, 24, "y", training=True)
    given = decoded[0] if kind == "features" else model.images(decoded[0], "y")
    parameters = model.config.z.posterior(model.marginal_encoder_z_y(given))
    drawn = oracle.prior_sample(Categorical(n=1, k=3), still_noise[3][:12])
    expected = oracle.negative_log_likelihood(model.config.z, np.asarray(parameters), drawn)
    np.testing.assert_allclose(found, expected, rtol=1e-4)
    other = JointStage(model).concept(code, z, 24, "y", training=False)
    assert not np.allclose(found, other, rtol=0.05)


@pytest.mark.parametrize("kind", ["features", "images"])
def test_it_teaches_the_decoders_and_learns_nothing(kind, make_model, pairs, weights):
    keras.utils.set_random_seed(0)
    model = make_model(marginal_encoder=kind, joint_local="xz")
    for encoder in (model.marginal_encoder_z_x, model.marginal_encoder_z_y):
        # Untrained, they would hardly tell images apart.
        encoder.output_layer.kernel.assign(20.0 * encoder.output_layer.kernel.numpy())
    stage = JointStage(
        model, train_experts=False, train_locals=False, concept_weight=300.0, reader="marginals"
    )
    stage.compile(optimizer=keras.optimizers.Adam(1e-2))
    before = weights(*model.marginal_parts, *model.joint_encoders_z)
    history = stage.fit(pairs, batch_size=12, epochs=60, verbose=0).history
    assert weights(*model.marginal_parts, *model.joint_encoders_z) == before
    for side in "xy":
        concept = history[f"concept_{side}"]
        assert np.mean(concept[-5:]) < 0.8 * np.mean(concept[:5])


def test_a_stage_says_who_reads(make_model):
    stage = JointStage(make_model(concept_weight=1.0), reader="marginals")
    assert JointStage.from_config(stage.get_config()).reader == "marginals"
    with pytest.raises(ValueError, match="Received: reader='judge'"):
        JointStage(make_model(concept_weight=1.0), reader="judge")
