import keras
import numpy as np
import pytest

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.models import FlowStage, JointStage, MarginalStage

FLOWS = {
    "u": DiagonalGaussian(dim=2),
    "v": DiagonalGaussian(dim=4),
    "joint_local": "xz",
    "local_couplings": 2,
}


@pytest.fixture
def model(make_model):
    """A model with flows that are not the identity."""
    model = make_model(**FLOWS)
    rng = np.random.default_rng(3)
    for flow in (model.flow_u, model.flow_v):
        for variable in flow.trainable_variables:
            variable.assign(0.3 * rng.normal(size=variable.shape))
    return model


def test_the_estimated_kl_is_the_closed_form_for_an_affine_flow(make_model):
    model = make_model(**FLOWS)
    rng = np.random.default_rng(0)
    for flow in (model.flow_u, model.flow_v):
        for variable in flow.affine.trainable_variables:
            variable.assign(0.4 * rng.normal(size=variable.shape))
    z = np.repeat(np.eye(3, dtype="f")[[1]], 60_000, axis=0)
    parameters = np.repeat(rng.normal(size=(1, 4)).astype("f"), len(z), axis=0)
    family = model.config.u
    code = family.sample(parameters, family.draw_noise(rng, len(z)))
    u, kl = (np.asarray(value) for value in model.pull_back("x", parameters, code, z))
    # u = (code − shift) / scale is Gaussian: its moments give the divergence.
    mean, variance = u.mean(axis=0), u.var(axis=0)
    expected = 0.5 * np.sum(variance + mean**2 - 1 - np.log(variance))
    assert expected > 0.3
    assert kl.mean() == pytest.approx(expected, abs=5 * kl.std() / np.sqrt(len(kl)))


def test_decoding_what_was_pulled_back_is_decoding_the_code(model):
    rng = np.random.default_rng(1)
    z = np.eye(3, dtype="f")[rng.integers(0, 3, 8)]
    code, parameters = rng.normal(size=(8, 2)).astype("f"), rng.normal(size=(8, 4)).astype("f")
    u, _ = model.pull_back("x", parameters, code, z)
    assert np.abs(u - code).max() > 0.1
    np.testing.assert_allclose(
        model.decode(u, z, "x")[0], model.decode_code(code, z, "x")[0], atol=1e-5
    )
    assert not np.allclose(model.decode(code, z, "x")[0], model.decode_code(code, z, "x")[0])


def test_the_terms_are_those_of_the_flows_in_numpy(model, pairs, oracle, still_noise):
    stage = FlowStage(model, transport_weight=0.7)
    stage.temperature.assign(0.6)
    loss, means = stage.loss_and_terms(*pairs.arrays(), training=False)
    x, y = (np.asarray(model.features(image, side)) for image, side in
            zip(pairs.arrays(), "xy", strict=True))  # fmt: skip
    q = oracle.posterior(model.config.z, model.joint_expert_x(x), model.joint_expert_y(y))
    z = np.float32(oracle.sample(model.config.z, q, still_noise[3], 0.6))
    expected = {}
    for name, own, family, own_name in (
        ("u", x, model.config.u, "x"),
        ("v", y, model.config.v, "y"),
    ):
        parameters = np.asarray(getattr(model, f"joint_encoder_{name}")([own, z]), float)
        code = oracle.sample(family, parameters, still_noise[family.dim], 1.0)
        flow = getattr(model, f"flow_{name}")
        value, log_determinant = (np.asarray(part) for part in flow.inverse(np.float32(code), z))
        entropy = 0.5 * (1 + np.log(2 * np.pi) + parameters[:, family.dim :]).sum(axis=1)
        prior = 0.5 * (np.log(2 * np.pi) + value**2).sum(axis=1)
        expected[f"kl_{name}"] = (prior - log_determinant - entropy).mean()
        half = (len(z) + 1) // 2
        concept, decoder = z[:half][::-1], getattr(model, f"decoder_{own_name}")
        moved, kept = (
            np.asarray(decoder([np.float32(local), concept]))
            for local in (flow(value[:half], concept), code[:half])
        )
        expected[f"transport_{name}"] = np.square(moved - kept).sum(axis=1).mean()
    assert set(means) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(means[name], value, rtol=1e-3, err_msg=name)
    total = expected["kl_u"] + expected["kl_v"]
    total += 0.7 * (expected["transport_u"] + expected["transport_v"])
    np.testing.assert_allclose(loss, total, rtol=1e-3)


def test_other_stages_count_the_same_divergence(model, pairs, still_noise):
    flow = FlowStage(model).loss_and_terms(*pairs.arrays(), training=False)[1]
    joint = JointStage(model).loss_and_terms(*pairs.arrays(), training=False)[1]
    for name in ("kl_u", "kl_v"):
        np.testing.assert_allclose(joint[name], flow[name], rtol=1e-5)


def test_it_trains_the_flows_alone_and_no_other_stage_does(model, pairs, weights):
    flows = (model.flow_u, model.flow_v)
    others = [*model.joint_parts, *model.marginal_parts]
    assert not set(map(id, flows)) & set(map(id, others))
    before, still = weights(*flows), weights(*others)
    stage = FlowStage(model)
    stage.compile(optimizer=keras.optimizers.Adam(1e-2))
    losses = stage.fit(pairs, batch_size=8, epochs=30, verbose=0).history["loss"]
    assert np.mean(losses[-5:]) < np.mean(losses[:5]) - 0.2
    assert weights(*flows) != before
    assert weights(*others) == still
    before = weights(*flows)
    for other in (JointStage(model), MarginalStage(model)):
        other.compile(optimizer="adam")
        other.fit(pairs, batch_size=8, epochs=1, verbose=0)
    assert weights(*flows) == before


def test_style_transfer_to_the_styles_own_concept_decodes_its_code(model, pairs):
    """With z ~ q(z|x) the same on both sides, the flow goes back the way it came."""
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
        images, model.images(model.decode_code(code, z, "x")[0], "x"), atol=1e-5
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
    # The one is an estimate of the other's closed form.
    assert through == pytest.approx(around, rel=0.05)
    through, around = losses(model)
    assert abs(through - around) > 0.05 * around


def test_the_transport_term_keeps_styles_where_they_are(make_model, pairs):
    """The heavier it is, the less a style moves between concepts."""
    moved = []
    for weight in (0.0, 10.0):
        model = make_model(**FLOWS)
        stage = FlowStage(model, transport_weight=weight)
        stage.compile(optimizer=keras.optimizers.Adam(1e-2))
        history = stage.fit(pairs, batch_size=8, epochs=30, verbose=0).history
        moved.append(np.mean(history["transport_u"][-5:]))
    assert moved[1] < 0.5 * moved[0]


def test_a_stage_is_made_again_from_its_config(model):
    stage = FlowStage(model, transport_weight=0.3)
    again = FlowStage.from_config(stage.get_config())
    assert float(again.transport_weight) == pytest.approx(0.3)


@pytest.mark.parametrize(
    ("couplings", "weight", "message"),
    [
        (0, 0.1, "Received: local_couplings=0"),
        (2, -1.0, "Received: transport_weight=-1.0"),
        (2, float("nan"), "Received: transport_weight=nan"),
    ],
)
def test_a_stage_that_cannot_be_is_refused(make_model, couplings, weight, message):
    model = make_model(**FLOWS | {"local_couplings": couplings})
    with pytest.raises(ValueError, match=message):
        FlowStage(model, transport_weight=weight)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"local_couplings": -1}, "Received: local_couplings=-1"),
        ({"local_couplings": True}, "Received: local_couplings=True"),
        ({"local_couplings": 2, "u": None}, "DiagonalGaussian U and V"),
        ({"local_couplings": 2, "u": DiagonalGaussian(dim=1)}, "2 dimensions or more"),
    ],
)
def test_settings_that_cannot_be(make_model, settings, message):
    with pytest.raises(ValueError, match=message):
        make_model(**FLOWS | settings)
