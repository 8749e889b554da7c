import numpy as np
import pytest

import wyner_keras as wk
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Matching
from wyner_keras.networks.affine import Affine
from wyner_keras.product import Product


@pytest.fixture(autouse=True)
def few_samples(monkeypatch):
    """The flows are calibrated by fewer samples, which takes less time."""
    monkeypatch.setattr("wyner_keras.losses.matching._CALIBRATED_ON", 20_000)


@pytest.fixture
def stage(make_model, pairs):
    """Its experts are sure, of one value or another: z is the same whatever the noise."""
    stage = wk.Stage(make_model(), Matching())
    for side, rows in zip(stage.model.sides, pairs.arrays(), strict=True):
        output = side.expert_network.output_layer
        output.kernel.assign(1000.0 * output.kernel.numpy())
        output.bias.assign(-np.mean(side.expert(side.encode(rows)), axis=0) + output.bias.numpy())
    return stage


def codes_of(stage, pairs, name="x"):
    """Means, variances and z of the codes that the flow of a side learns from."""
    side = stage.model.side(name)
    rows = stage.objective.arrays(stage, pairs)[f"{name}_codes"].astype(float)
    means, log_variances, z = np.split(rows, [side.local.size, 2 * side.local.size], axis=1)
    return means, np.exp(log_variances), z


def concepts(z, least):
    """Masks of the values that more pairs than `least` have."""
    masks = [z[:, value] > 0.5 for value in range(z.shape[1])]
    found = [mask for mask in masks if mask.sum() > least]
    assert len(found) > 1
    return found


def test_the_terms_are_matching_errors_of_exact_samples(make_model, pairs, oracle, still):
    model, given = make_model(flow_steps=3), {}
    for side, value in zip(model.sides, (2.0, 3.0), strict=True):

        def error(start, code, z, time, name=side.name, value=value):
            given[name] = [np.asarray(part, float) for part in (start, code, z, time)]
            return np.full(len(start), value)

        side.flow.matching_error = error
    terms = Matching()(model, dict(zip("xy", pairs.arrays(), strict=True)), still, training=False)
    assert {name: float(np.mean(value)) for name, value in terms.items()} == {
        "matching_u": 2.0,
        "matching_v": 3.0,
    }
    h = [
        oracle.features(side, rows) for side, rows in zip(model.sides, pairs.arrays(), strict=True)
    ]
    logits = sum(oracle.mlp(s.expert_network, own) for s, own in zip(model.sides, h, strict=True))
    z = np.eye(3)[(logits - np.log(-np.log(still.noises[3, "exact"]))).argmax(axis=1)]
    for side, own in zip(model.sides, h, strict=True):
        noises = [still.noises[side.local.size, use] for use in ("exact", "prior")]
        code = oracle.sample(side.local, oracle.posterior(side, own, z), noises[0], 1.0)
        start, found, found_z, time = given[side.name]
        np.testing.assert_array_equal(found_z, z)
        np.testing.assert_allclose(found, code, rtol=1e-4, atol=1e-5)
        np.testing.assert_array_equal(start, noises[1])
        # The middles of the flow's three steps, equally often.
        times, counts = np.unique(time, return_counts=True)
        np.testing.assert_allclose(times, [1 / 6, 1 / 2, 5 / 6], rtol=1e-6)
        assert counts.tolist() == [8, 8, 8]


def test_codes_drawn_before_are_those_drawn_on_the_way(stage, pairs, still):
    whole = stage.objective(
        stage.model, dict(zip("xy", pairs.arrays(), strict=True)), still, training=False
    )
    codes = stage.objective.arrays(stage, pairs)
    before = stage.objective(stage.model, codes, still, training=False)
    for name, values in whole.items():
        np.testing.assert_allclose(values, before[name], rtol=1e-3, err_msg=name)


def test_of_very_many_pairs_each_step_makes_its_own_codes(make_model, pairs, monkeypatch):
    monkeypatch.setattr("wyner_keras.losses.matching._HELD", 0)
    stage = wk.Stage(make_model(flow_steps=3), Matching())
    flow = stage.model.side("x").flow
    before = [weight.numpy() for weight in flow.trainable_variables]
    assert stage.objective.arrays(stage, pairs) is None
    stage.compile(optimizer="adam")
    history = stage.fit(pairs, batch_size=12, epochs=2, verbose=0).history
    assert np.isfinite(history["matching_u"]).all()
    assert any(
        not np.array_equal(old, new.numpy())
        for old, new in zip(before, flow.trainable_variables, strict=True)
    )


def test_its_minimum_is_known_where_the_codes_are_gaussian(stage, still):
    """Standardised Gaussian codes need no velocity: what is left is the variance of the paths."""
    batch, z = {}, np.tile(np.eye(3, dtype="f")[0], (20_000, 1))
    for side in stage.model.sides:
        size = side.local.size
        for velocity in side.flow.velocities:
            for weight in (velocity.output_layer.kernel, velocity.output_layer.bias):
                weight.assign(np.zeros(weight.shape))
        none = np.zeros((3, size, size))
        side.flow.assign_affine(Affine(none[:, 0], none, none[0, 0], np.eye(size)))
        codes = np.zeros((20_000, 2 * size), "f")
        batch[f"{side.name}_codes"] = np.concatenate([codes, z], axis=1)
    terms = stage.objective(stage.model, batch, still, training=False)
    # cos θ · w − sin θ · u of two standard normals is one: its square is the dimension.
    assert np.mean(terms["matching_u"]) == pytest.approx(2, abs=0.06)
    assert np.mean(terms["matching_v"]) == pytest.approx(4, abs=0.08)


def test_it_begins_with_codes_that_are_white_for_each_concept(stage, pairs):
    stage.objective.begin(stage, pairs)
    means, variances, z = codes_of(stage, pairs)
    flow = stage.model.side("x").flow
    for mask in concepts(z, least=2):
        ends = np.asarray(flow.standardised(means[mask], z[mask]), float)
        np.testing.assert_allclose(ends.mean(axis=0), 0, atol=1e-3)
        matrix = np.asarray(flow.unscale[0], float).reshape(3, 2, 2)[z[mask][0].argmax()]
        covariance = ends.T @ ends / mask.sum()
        covariance += matrix @ np.diag(variances[mask].mean(axis=0)) @ matrix.T
        np.testing.assert_allclose(covariance, np.eye(2), atol=5e-3)


def test_what_moves_the_decoder_most_is_taken_by_itself(stage, pairs):
    """The first coordinate of w is a function of one axis of the codes, the most sensitive."""
    stage.objective.begin(stage, pairs)
    side, (means, _, z) = stage.model.side("y"), map(np.float32, codes_of(stage, pairs, "y"))
    matrix = np.asarray(side.flow.affine.inverse.matrices[0] + side.flow.affine.inverse.matrix)
    axis = matrix[0] / np.linalg.norm(matrix[0])
    others = np.linalg.svd(axis[None])[2][1:]

    def moved(step):
        made = [side.codec.decode(side.decode(means + by, z)) for by in (0, 1e-2 * step)]
        return float(np.linalg.norm(made[1] - made[0]))

    assert moved(np.float32(axis)) > 0.99 * max(moved(np.float32(other)) for other in others)
    # Of any direction, none moves it more: what is second is at right angles to the first.
    rng = np.random.default_rng(6)
    for other in rng.normal(size=(20, 4)):
        assert moved(np.float32(other / np.linalg.norm(other))) < 1.01 * moved(np.float32(axis))


@pytest.mark.parametrize(
    "z",
    [
        Categorical(n=2, k=3),
        DiagonalGaussian(dim=2),
        Product(Categorical(n=1, k=3), DiagonalGaussian(dim=1)),
    ],
)
def test_other_common_latents_have_one_matrix_and_a_mean_that_z_moves(make_model, pairs, z):
    stage = wk.Stage(make_model(z=z), Matching())
    # So many that rounding of z's mean makes dependent coordinates look independent.
    pairs = pairs.select(np.tile(np.arange(len(pairs)), 250))
    stage.objective.begin(stage, pairs)
    affine = stage.model.side("x").flow.affine
    assert not np.any(affine.matrices)
    # No larger than codes are: nothing that cancels, though coordinates of z are dependent.
    assert 0.01 < np.abs(affine.shifts).max() < 10
    means, variances, values = codes_of(stage, pairs)
    rest = means - affine.shift - values @ affine.shifts
    # z is drawn anew here: about white, by the moments that it was fitted to.
    covariance = rest.T @ rest / len(rest) + np.diag(variances.mean(axis=0))
    white = np.linalg.inv(affine.matrix) @ covariance @ np.linalg.inv(affine.matrix).T
    np.testing.assert_allclose(white, np.eye(2), atol=0.5)


def test_it_ends_with_samples_of_the_codes_moments(stage, pairs):
    """Whatever the velocity is; here one that no training has seen."""
    stage.objective.begin(stage, pairs)
    flow, (means, variances, z) = stage.model.side("x").flow, codes_of(stage, pairs)

    def samples(value):
        u = np.random.default_rng(7).normal(size=(20_000, 2)).astype("f")
        return np.asarray(flow(u, np.tile(np.float32(value), (20_000, 1))), float)

    before = samples(z[0])
    stage.objective.end(stage, pairs)
    assert np.abs(samples(z[0]) - before).max() > 0.1
    for mask in concepts(z, least=2):
        found = samples(z[mask][0])
        covariance = np.cov(means[mask].T, bias=True) + np.diag(variances[mask].mean(axis=0))
        size = np.sqrt(np.diag(covariance))
        np.testing.assert_allclose(found.mean(0) / size, means[mask].mean(0) / size, atol=0.05)
        scale = np.outer(size, size)
        np.testing.assert_allclose(np.cov(found.T) / scale, covariance / scale, atol=0.08)


def test_a_model_without_flows_is_refused(make_model):
    with pytest.raises(ValueError, match=r"Matching needs a model with flows.*flow_steps=\[0, 0\]"):
        wk.Stage(make_model(flow_steps=0), Matching())


def test_flows_of_a_quantity_can_be_a_stage_of_their_own(make_model, pairs):
    models = make_model(z=DiagonalGaussian(dim=2)), make_model()
    for of_quantity, taken in ((None, [True, True]), (True, [True, False]), (False, [False, True])):
        loss = Matching(of_quantity=of_quantity)
        assert [loss.adapted(model, pairs) is loss for model in models] == taken
