import keras
import numpy as np
import pytest
from flows import FLOWS, bend

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import FlowStage, JointStage, MarginalStage
from wyner_keras.networks.affine import Affine


@pytest.fixture
def model(make_model):
    return bend(make_model(**FLOWS))


def test_the_estimated_kl_is_the_closed_form_for_an_affine_flow(make_model):
    model = make_model(**FLOWS)
    rng = np.random.default_rng(0)
    matrix, shift = np.tril(rng.normal(size=(2, 2))) + 2 * np.eye(2), rng.normal(size=2)
    model.flow_u.assign_affine(Affine(np.zeros((3, 2)), np.zeros((3, 2, 2)), shift, matrix))
    z = np.repeat(np.eye(3, dtype="f")[[1]], 5_000, axis=0)
    parameters = np.repeat(rng.normal(size=(1, 4)).astype("f"), len(z), axis=0)
    family = model.config.u
    code = np.asarray(family.sample(parameters, family.draw_noise(rng, len(z))))
    kl = np.asarray(model.local_kl("x", parameters, code, z))
    # u = matrix⁻¹ (code − shift) is Gaussian.
    inverse = np.linalg.inv(matrix)
    mean = inverse @ (parameters[0, :2] - shift)
    covariance = inverse @ np.diag(np.exp(parameters[0, 2:])) @ inverse.T
    expected = 0.5 * (np.trace(covariance) + mean @ mean - 2 - np.linalg.slogdet(covariance)[1])
    assert expected > 0.3
    assert kl.mean() == pytest.approx(expected, abs=5 * kl.std() / np.sqrt(len(kl)))


def test_decoding_what_was_pulled_back_is_decoding_the_code(model):
    rng = np.random.default_rng(1)
    z = np.eye(3, dtype="f")[rng.integers(0, 3, 8)]
    code = rng.normal(size=(8, 2)).astype("f")
    u = model.pull_back("x", code, z)
    assert np.abs(u - code).max() > 0.1
    decoded = model.decode_code(code, z, "x")[0]
    np.testing.assert_allclose(model.decode(u, z, "x")[0], decoded, atol=5e-3)
    assert not np.allclose(model.decode(code, z, "x")[0], decoded, atol=2e-2)


def test_the_terms_are_matching_errors_of_the_posteriors_samples(model, pairs, oracle, monkeypatch):
    """Whatever the noise is: it is recorded on its way, and so are the flows' arguments."""
    noises, given = {}, {}
    for family in (Categorical, DiagonalGaussian):

        def noise(self, count, seed, family=family):
            found = self.draw_noise(np.random.default_rng(len(noises)), int(count))
            noises[len(noises)] = found
            return found

        monkeypatch.setattr(family, "random_noise", noise)
    for side in "xy":
        flow = model.flow(side)

        def error(start, code, z, time, side=side):
            given[side] = tuple(np.asarray(part, float) for part in (start, code, z, time))
            return keras.ops.full((len(start),), {"x": 2.0, "y": 3.0}[side])

        monkeypatch.setattr(flow, "matching_error", error)
    loss, means = FlowStage(model).loss_and_terms(*pairs.arrays(), training=False)
    assert {name: float(value) for name, value in means.items()} == {
        "matching_u": 2.0,
        "matching_v": 3.0,
    }
    assert float(loss) == 5.0
    x, y = (
        np.asarray(model.features(image, side))
        for image, side in zip(pairs.arrays(), "xy", strict=True)
    )
    q = oracle.posterior(model.config.z, model.joint_expert_x(x), model.joint_expert_y(y))
    # An exact sample of q(z|x,y): the largest of logits and Gumbel noise.
    z = np.eye(3, dtype="f")[(q - np.log(-np.log(noises[0]))).argmax(axis=1)]
    for side, own, name, family, first in (
        ("x", x, "u", model.config.u, 1),
        ("y", y, "v", model.config.v, 3),
    ):
        parameters = getattr(model, f"joint_encoder_{name}")([own, z])
        code = oracle.sample(family, parameters, noises[first], 1.0)
        start, found_code, found_z, time = given[side]
        np.testing.assert_array_equal(found_z, z)
        np.testing.assert_allclose(found_code, code, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(start, np.float32(noises[first + 1]))
        # One time in each of 24 equal parts of [0, 1].
        np.testing.assert_array_equal(np.floor(24 * time[:, 0]), np.arange(24))


def test_its_minimum_is_known_where_the_codes_are_gaussian(model, pairs):
    """Standardised Gaussian codes need no velocity: what is left is the variance of the paths."""
    stage = FlowStage(model)
    for flow in (model.flow_u, model.flow_v):
        for velocity in flow.velocities:
            velocity.output_layer.kernel.assign(np.zeros(velocity.output_layer.kernel.shape))
            velocity.output_layer.bias.assign(np.zeros(velocity.size))
        none = np.zeros((3, flow.size, flow.size))
        flow.assign_affine(Affine(none[:, 0], none, none[0, 0], np.eye(flow.size)))
    z = np.tile(np.eye(3, dtype="f")[0], (20_000, 1))
    rows = {d: np.concatenate([np.zeros((20_000, 2 * d), "f"), z], axis=1) for d in (2, 4)}
    terms = stage.terms(rows[2], rows[4], training=False)
    # cos θ · w − sin θ · u of two standard normals is one: its square is the dimension.
    assert np.mean(terms["matching_u"]) == pytest.approx(2, abs=0.06)
    assert np.mean(terms["matching_v"]) == pytest.approx(4, abs=0.08)


def test_it_trains_the_flows_alone_and_no_other_stage_does(model, pairs, weights):
    flows = (model.flow_u, model.flow_v)
    others = [*model.joint_parts, *model.marginal_parts]
    assert not set(map(id, flows)) & set(map(id, others))
    before, still = weights(*flows), weights(*others)
    stage = FlowStage(model)
    stage.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = stage.fit(pairs, batch_size=8, epochs=40, verbose=0).history["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.3
    assert weights(*flows) != before
    assert weights(*others) == still
    before = weights(*flows)
    for other in (JointStage(model), MarginalStage(model)):
        other.compile(optimizer="adam")
        other.fit(pairs, batch_size=8, epochs=1, verbose=0)
    assert weights(*flows) == before


def test_batches_of_images_train_it_by_their_codes(model, pairs, weights):
    whole = FlowStage(model).terms(*pairs.arrays(), training=False)
    stage = FlowStage(model)
    halves = stage.terms(*stage.codes(*pairs.arrays()), training=False)
    for name, values in whole.items():
        np.testing.assert_allclose(values, halves[name], rtol=1e-5, err_msg=name)
    before = weights(model.flow_u, model.flow_v)
    stage.compile(optimizer="adam")
    stage.fit(pairs.dataset(8), epochs=1, verbose=0)
    after = weights(model.flow_u, model.flow_v)
    assert after != before
    # A batch larger than the pairs has no size of its own.
    stage.compile(optimizer="adam")
    stage.fit(pairs, batch_size=100, epochs=1, verbose=0)
    assert weights(model.flow_u, model.flow_v) != after


def test_style_transfer_to_the_styles_own_concept_decodes_its_code(make_model, pairs):
    """With z ~ q(z|x) the same on both sides, the flow goes back the way it came."""
    model = bend(make_model(**FLOWS | {"flow_steps": 8}))
    rng = np.random.default_rng(5)
    for encoder in (model.marginal_encoder_z_x, model.marginal_encoder_z_y):
        encoder.output_layer.bias.assign([0.0, 50.0, 0.0])
    x, y = pairs.arrays()
    noise_z = rng.random((3, 3)).astype("f")
    noise_u = rng.normal(size=(3, 2)).astype("f")
    images = model.transfer_graph("x", x[:3], y[:1], noise_z, noise_u, noise_z[:1])[:, 0]
    z = np.eye(3, dtype="f")[[1, 1, 1]]
    features = model.features(x[:3], "x")
    parameters = model.marginal_local(features, z, "x")
    code = model.config.u.sample(parameters, noise_u)
    np.testing.assert_allclose(
        images, model.images(model.decode_code(code, z, "x")[0], "x"), atol=1e-4
    )


def test_a_trained_flow_is_saved_with_the_model(make_model, pairs, tmp_path):
    model = make_model(**FLOWS)
    x, y = pairs.arrays()
    before = model.generate_y(x, seed=0)
    stage = FlowStage(model)
    stage.compile(optimizer=keras.optimizers.Adam(1e-2))
    stage.fit(pairs, batch_size=8, epochs=2, verbose=0)
    after = model.generate_y(x, seed=0)
    assert np.abs(after - before).max() > 1e-3
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    np.testing.assert_array_equal(again.generate_y(x, seed=0), after)
    transferred = again.transfer_x(style=x[:3], concept=y[:2], seed=1)
    np.testing.assert_array_equal(transferred, model.transfer_x(style=x[:3], concept=y[:2], seed=1))


def test_while_flows_are_the_identity_the_joint_stage_may_skip_them(
    make_model, model, pairs, still_noise
):
    def losses(model):
        return [
            float(
                JointStage(model, concept_weight=2.0, flows=flows).loss_and_terms(
                    *pairs.arrays(), training=False
                )[0]
            )
            for flows in (True, False)
        ]

    through, around = losses(make_model(**FLOWS))
    assert through == pytest.approx(around, rel=1e-5)
    through, around = losses(model)
    assert abs(through - around) > 0.002 * around


def test_a_stage_is_made_again_from_its_config(model):
    again = FlowStage.from_config(FlowStage(model).get_config())
    assert again.model.config == model.config


def test_a_stage_without_flows_is_refused(make_model):
    with pytest.raises(ValueError, match="Received: flow_steps=0"):
        FlowStage(make_model(**FLOWS | {"flow_steps": 0}))


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"flow_steps": -1}, "Received: flow_steps=-1"),
        ({"flow_steps": True}, "Received: flow_steps=True"),
        ({"flow_steps": 2, "u": None}, "DiagonalGaussian U and V"),
    ],
)
def test_settings_that_cannot_be(make_model, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(**FLOWS | settings)
