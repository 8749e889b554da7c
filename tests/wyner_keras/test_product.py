"""The product of a kind and quantities, by its parts, by enumeration and by integrals."""

import math

import keras
import numpy as np
import pytest
from scipy import stats
from scipy.special import log_softmax, logsumexp, softmax

import wyner_keras as wk
from wyner_keras.families import latent_of
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent, is_standard_normal
from wyner_keras.losses.joint import legible
from wyner_keras.product import Product

COUNT = 20_000
LATENT = Product(Categorical(n=1, k=3), DiagonalGaussian(dim=2))


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def repeated(parameters, count=COUNT):
    return np.repeat(np.float32(parameters)[None], count, axis=0)


def test_it_offers_the_protocol_and_comes_back_from_what_is_said_of_it():
    assert isinstance(LATENT, Latent)
    assert (LATENT.size, LATENT.parameter_size) == (5, 7)
    data = keras.saving.serialize_keras_object(LATENT)
    assert keras.saving.deserialize_keras_object(data, safe_mode=True) == LATENT
    entry = LATENT.describe()
    assert latent_of(entry) == LATENT
    assert (entry["family"], entry["noise"], entry["size"]) == ("product", "normal", 5)
    outputs = LATENT(np.zeros((4, 7))).outputs()
    assert [output.shape for output in outputs] == [(4, 3), (4, 2), (4, 2)]
    assert len(outputs) == len(LATENT.output_names)
    assert LATENT.values() is None


@pytest.mark.parametrize(
    ("kinds", "quantities"),
    [
        (Categorical(n=2, k=3), DiagonalGaussian(dim=1)),
        (DiagonalGaussian(dim=1), DiagonalGaussian(dim=1)),
        (Categorical(n=1, k=3), Categorical(n=1, k=3)),
    ],
)
def test_parts_of_other_families_are_refused(kinds, quantities):
    with pytest.raises(ValueError, match=r"should be a .*Received"):
        Product(kinds, quantities)


@pytest.mark.parametrize("shape", [(2, 6), (7,), (2, 2, 7)])
def test_parameters_of_another_width_are_refused(shape):
    for call in (LATENT, LATENT.product):
        with pytest.raises(ValueError, match=r"should have shape \(batch, 7\).*Received"):
            call(np.zeros(shape, np.float32))


def test_samples_of_a_posterior_and_of_the_prior_follow_their_laws(rng):
    logits = np.array([0.0, 1.0, -1.0])
    parameters = [*logits, 1.0, -2.0, math.log(0.25), math.log(9.0)]
    noise = LATENT.draw_noise(rng, COUNT)
    for z, shares, laws in (
        (LATENT(repeated(parameters)).sample(noise), softmax(logits), ((1, 0.5), (-2, 3))),
        (LATENT.prior_sample(noise), np.full(3, 1 / 3), ((0, 1), (0, 1))),
    ):
        z = np.asarray(z)
        assert set(np.unique(z[:, :3])) == {0.0, 1.0}
        assert stats.chisquare(z[:, :3].sum(axis=0), COUNT * shares).pvalue > 0.01
        for column, law in zip(z[:, 3:].T, laws, strict=True):
            assert stats.kstest(column, stats.norm(*law).cdf).pvalue > 0.01
        # The parts are independent: means by kind are the mean of all.
        means = z[:, :3].T @ z[:, 3:] / z[:, :3].sum(axis=0)[:, None]
        assert np.abs(means - z[:, 3:].mean(axis=0)).max() < 4 * 3 / math.sqrt(COUNT / 4)


def test_a_relaxed_sample_tends_to_the_exact_one_and_leaves_quantities_alone(rng):
    q, noise = LATENT(rng.normal(size=(50, 7))), LATENT.draw_noise(rng, 50)
    exact, warm, cold = (np.asarray(q.sample(noise, t)) for t in (None, 1.0, 1e-3))
    assert (np.abs(exact - cold).max(axis=1) < 1e-3).mean() > 0.9
    np.testing.assert_allclose(warm[:, :3].sum(axis=1), 1, atol=1e-5)
    assert warm[:, :3].max(axis=1).min() < 0.9
    np.testing.assert_array_equal(warm[:, 3:], exact[:, 3:])


def test_extreme_noise_gives_finite_samples():
    noise = np.array([[-40, 40, 0, 0, 0], [40, -40, -6, 0, 0]], np.float32)
    for sample in (LATENT(np.zeros((2, 7))).sample(noise, 0.5), LATENT.prior_sample(noise)):
        assert np.isfinite(sample).all()


def test_divergence_and_log_probability_are_those_of_the_definition(rng):
    first, second = rng.normal(size=(2, 7))
    q, p = LATENT(repeated(first)), LATENT(repeated(second))
    samples = q.sample(LATENT.draw_noise(rng, COUNT))
    ratios = np.asarray(q.log_prob(samples) - p.log_prob(samples), float)
    error = 5 * ratios.std() / math.sqrt(COUNT)
    assert ratios.mean() == pytest.approx(float(q.kl(p)[0]), abs=error)
    ratios = np.asarray(q.log_prob(samples), float) - np.log(1 / 3)
    ratios -= stats.norm.logpdf(np.asarray(samples)[:, 3:]).sum(axis=1)
    error = 5 * ratios.std() / math.sqrt(COUNT)
    assert ratios.mean() == pytest.approx(float(q.kl()[0]), abs=error)
    value = np.float32([[0, 1, 0, 0.3, -0.2]])
    expected = log_softmax(first[:3])[1]
    expected += stats.norm.logpdf(value[0, 3:], first[3:5], np.exp(first[5:] / 2)).sum()
    assert float(LATENT(np.float32([first])).log_prob(value)[0]) == pytest.approx(
        expected, rel=1e-4
    )


def test_experts_multiply_part_by_part(rng):
    experts = rng.normal(size=(2, 4, 7)).astype(np.float32)
    q = LATENT.product(*experts)
    kinds = Categorical(n=1, k=3).product(*experts[:, :, :3])
    quantities = DiagonalGaussian(dim=2).product(*experts[:, :, 3:])
    for found, expected in zip(q.outputs(), (*kinds.outputs(), *quantities.outputs()), strict=True):
        np.testing.assert_allclose(found, expected, rtol=1e-6)
    np.testing.assert_array_equal(q.mode, np.concatenate([kinds.mode, quantities.mode], axis=1))
    total = Categorical(n=1, k=3).shared_information(*experts[:, :, :3])
    total += DiagonalGaussian(dim=2).shared_information(*experts[:, :, 3:])
    assert float(LATENT.shared_information(*experts)) == pytest.approx(float(total), rel=1e-5)


def test_pointwise_information_is_the_log_of_the_sum_of_integrals(rng):
    latent = Product(Categorical(n=1, k=3), DiagonalGaussian(dim=1))
    experts = [rng.normal(size=(rows, 5)).astype(np.float32) for rows in (3, 2)]
    q_x, q_y = map(latent.product, experts)
    grid = np.linspace(-12, 12, 4001, dtype=np.float32)
    logs = []
    for value in np.eye(3, dtype=np.float32):
        z = np.concatenate([np.tile(value, (len(grid), 1)), grid[:, None]], axis=1)
        log_x, log_y = (
            np.stack(
                [
                    latent(np.repeat(_parameters(q, row), len(grid), axis=0)).log_prob(z)
                    for row in range(rows)
                ]
            )
            for q, rows in ((q_x, 3), (q_y, 2))
        )
        log_p = math.log(1 / 3) + stats.norm.logpdf(grid)
        logs.append(logsumexp(log_x[:, None] + log_y[None] - log_p, axis=2))
    expected = logsumexp(logs, axis=0) + math.log(grid[1] - grid[0])
    found = latent.log_pmi(q_x.outputs(), q_y.outputs())
    np.testing.assert_allclose(found, expected, rtol=1e-3, atol=1e-3)


def _parameters(q, row):
    """Logits, means and log variances of a row of a posterior, `(1, size)`."""
    probabilities, mean, log_variance = (np.asarray(each)[row] for each in q.outputs())
    return np.concatenate([np.log(probabilities), mean, log_variance])[None].astype(np.float32)


def test_a_walk_shows_each_kind_then_each_quantity_at_the_centre_of_the_other(rng):
    kind = np.repeat(np.eye(3, dtype=np.float32), [10, 60, 30], axis=0)
    mean = rng.normal(size=(100, 2)) * [0.2, 0.9] + [1.0, 2.0]
    posteriors = [kind, mean, np.full((100, 2), math.log(0.1))]
    centre = LATENT.centre(posteriors)
    np.testing.assert_allclose(centre, [0, 1, 0, *mean.mean(axis=0)], rtol=1e-5)
    kinds, *quantities = LATENT.sweeps(posteriors)
    assert (kinds.quantity, [each.quantity for each in quantities]) == (False, [True, True])
    np.testing.assert_array_equal(kinds.values[:, :3], np.eye(3)[[1, 2, 0]])
    np.testing.assert_allclose(kinds.values[:, 3:], np.tile(centre[3:], (3, 1)))
    np.testing.assert_allclose(kinds.shares, [0.6, 0.3, 0.1], atol=1e-6)
    assert [each.name for each in quantities] == ["dimension 2", "dimension 1"]
    for sweep, column in zip(quantities, (4, 3), strict=True):
        np.testing.assert_array_equal(sweep.values[:, :3], np.tile([0, 1, 0], (5, 1)))
        np.testing.assert_allclose(sweep.values[:, column], [-2, -1, 0, 1, 2])


def test_with_an_effect_the_strongest_walk_is_first_and_strengths_are_shares_of_all():
    effect = np.zeros((5, 2))
    effect[:3, 0] = [3, 0, -3]  # variance 6 over kinds
    effect[3], effect[4] = [0, 1], [3, 0]
    sweeps = LATENT.sweeps(None, effect)
    assert [each.quantity for each in sweeps] == [True, False, True]
    assert [each.strength for each in sweeps] == pytest.approx([9 / 16, 6 / 16, 1 / 16])


@pytest.fixture(scope="module")
def prior():
    """Two kinds, one thrice as common; its quantity is of two clusters, the other's of one."""
    rng = np.random.default_rng(0)
    kind = (rng.random(4000) < 0.25).astype(int)
    mean = np.where(kind == 1, 5.0, rng.choice([-2.0, 2.0], 4000))[:, None].astype("f")
    made = Product(Categorical(n=1, k=2), DiagonalGaussian(dim=1)).prior_layer()
    q = np.eye(2, dtype="f")[kind]
    parts = [slice(0, 1000), slice(1000, None)]
    made.fit((q[part], mean[part], np.full_like(mean[part], math.log(0.25))) for part in parts)
    return made


def drawn(prior, count=COUNT):
    noise = np.random.default_rng(1).normal(size=(count, prior.k + prior.size)).astype("f")
    return np.asarray(prior(noise))


def test_a_prior_is_uniform_beside_the_standard_normal_until_it_is_fitted():
    made = LATENT.prior_layer()
    z = drawn(made)
    assert stats.chisquare(z[:, :3].sum(axis=0)).pvalue > 1e-3
    for column in z[:, 3:].T:
        assert stats.kstest(column, "norm").pvalue > 1e-3
    expected = math.log(1 / 3) + stats.norm.logpdf(z[:5, 3:]).sum(axis=1)
    np.testing.assert_allclose(made.log_prob(z[:5]), expected, rtol=1e-4)


def test_a_fitted_prior_draws_the_quantities_of_each_kind(prior):
    z = drawn(prior)
    rare = z[:, 1] == 1
    assert rare.mean() == pytest.approx(0.25, abs=0.02)
    assert (z[rare, 2].mean(), z[rare, 2].std()) == pytest.approx((5, 0.5), abs=0.06)
    assert np.abs(z[~rare, 2]).mean() == pytest.approx(2, abs=0.06)
    assert (z[~rare, 2] > 0).mean() == pytest.approx(0.5, abs=0.03)
    assert (np.abs(z[~rare, 2]) < 0.5).mean() < 0.02


def test_its_density_is_that_of_its_samples(prior):
    grid = np.linspace(-8, 10, 1801, dtype="f")
    z, places = drawn(prior), []
    for kind in range(2):
        at = np.concatenate([np.tile(np.eye(2, dtype="f")[kind], (len(grid), 1)), grid[:, None]], 1)
        density = np.exp(np.asarray(prior.log_prob(at)))
        own = z[z[:, kind] == 1, 2]
        places.append(density.sum() * 0.01)
        assert places[-1] == pytest.approx(len(own) / len(z), abs=0.02)
        right = density[grid > 1].sum() * 0.01
        assert right == pytest.approx((own > 1).sum() / len(z), abs=0.02)
    assert sum(places) == pytest.approx(1, abs=1e-3)


def test_a_kind_that_few_rows_have_takes_the_quantities_of_all():
    made = LATENT.prior_layer()
    rng = np.random.default_rng(0)
    kind = np.eye(3, dtype="f")[[0] * 50 + [1] * 49 + [2]]
    mean = rng.normal(size=(100, 2)).astype("f")
    made.fit([(kind, mean, np.full((100, 2), -9, "f"))])
    z = drawn(made)
    assert np.isfinite(made.log_prob(z)).all()
    assert z[:, 2].mean() == pytest.approx(0.01, abs=0.005)
    assert np.cov(z[z[:, 2] == 1, 3:].T) == pytest.approx(np.cov(mean.T), abs=0.4)


def test_a_prior_comes_back_from_its_config(prior):
    again = type(prior).from_config(prior.get_config())
    again.build(None)
    again.set_weights(prior.get_weights())
    np.testing.assert_array_equal(drawn(again, 50), drawn(prior, 50))


def test_flows_are_for_priors_that_are_standard_normal():
    assert is_standard_normal(DiagonalGaussian(dim=2))
    assert not is_standard_normal(LATENT)
    with pytest.raises(ValueError, match=r"prior N\(0, I\).*Received: local=Product"):
        wk.SideSettings(local=LATENT, flow_steps=1)
    assert wk.SideSettings(local=LATENT, flow_steps=0).local == LATENT


@pytest.fixture(scope="module")
def columns():
    """48 pairs of three columns, of three labels and a number that both sides show."""
    rng = np.random.default_rng(0)
    labels, z = np.arange(48) % 3, rng.normal(size=48)
    sides = [
        np.concatenate([2 * np.eye(3)[labels, :2], z[:, None]], axis=1) + 0.2 * noise
        for noise in rng.normal(size=(2, 48, 3))
    ]
    return wk.Pairs(*sides, x_labels=labels, y_labels=labels)


def _model():
    """An untrained model of such columns."""
    vector = wk.Vector(kinds=("real",) * 3)
    settings = wk.SideSettings(
        hidden=(8,), reader="features", local=DiagonalGaussian(dim=2), flow_steps=1
    )
    return wk.WynerModel(
        Product(Categorical(n=1, k=3), DiagonalGaussian(dim=1)),
        {"x": vector, "y": vector},
        codecs={name: vector.codec(None, 0) for name in "xy"},
        settings=dict.fromkeys("xy", settings),
    )


@pytest.fixture(scope="module")
def trained(columns):
    """A model whose every stage has run, and the names of those that had something to do."""
    model, ran, losses = _model(), [], wk.losses
    for loss in (losses.Alignment(dimensions=3), losses.Joint(), losses.Matching()):
        ran.append(_run(model, loss, columns))
    return model, [*ran, _run(model, losses.Marginal(), columns)]


def _run(model, loss, pairs):
    stage = wk.Stage(model, loss.adapted(model, pairs))
    # What z is made of matters to the graphs of the first two.
    eagerly = isinstance(loss, wk.losses.Matching | wk.losses.Marginal)
    stage.compile(keras.optimizers.Adam(1e-2), jit_compile=False, run_eagerly=eagerly)
    before = [np.array(variable) for variable in stage.trainable_variables]
    history = stage.fit(pairs, batch_size=16, epochs=2, verbose=0).history
    assert np.isfinite(list(history.values())).all()
    after = stage.trainable_variables
    assert all(np.any(old != new) for old, new in zip(before, after, strict=True))
    return stage


def test_every_stage_trains_a_model_of_it(trained, columns):
    model, stages = trained
    assert stages[0].shared_nats > 0.5
    assert np.ptp(model.prior.means.numpy()) > 0  # p(z) is fitted


def test_decoders_are_asked_to_show_its_kinds_where_both_sides_tell_them(columns):
    model, losses = _model(), wk.losses
    for side in model.sides:
        # Of columns (2, 0), (0, 2) and (0, 0) the logits (40, 0, 20), (0, 40, 20) and (0, 0, 20).
        (hidden,), output = side.expert_network.hidden_layers, side.expert_network.output_layer
        hidden.set_weights([np.eye(3, 8), np.zeros(8)])
        output.set_weights([20 * np.eye(8, 5) * ([1], [1], *[[0]] * 6), 20 * np.eye(5)[2]])
    assert legible(model, columns) == pytest.approx(1, abs=1e-3)  # I(K_x; K_y) = H(K) = log 3
    assert losses.Refinement().adapted(model, columns) == losses.Refinement()
    for side in model.sides:
        side.expert_network.output_layer.bias.assign(1e3 * np.eye(5)[2])
    assert losses.Joint().adapted(model, columns) == losses.Joint(concept_weight=0.0)


def test_it_generates_ranks_and_comes_back_from_a_file(trained, columns, tmp_path):
    model, (x, y) = trained[0], columns.arrays()
    encoded = model.encode_x(x, seed=0)
    assert encoded.z.shape == (48, 4)
    np.testing.assert_array_equal(encoded.z[:, :3].sum(axis=1), 1)
    assert len(np.unique(encoded.z[:, 3])) == 48
    assert model.transfer_x(style=x[:3], concept=y[:4], seed=0).shape == (3, 4, 3)
    assert all(np.isfinite(each).all() for each in model.generate_pairs(20, seed=0))
    ranked = model.rank(x, y, k=48)
    told = [model.posteriors(rows, side) for side, rows in (("x", x), ("y", y))]
    scores = np.asarray(model.pmi_of(*told))
    np.testing.assert_allclose(ranked.nats, -np.sort(-scores, axis=1), rtol=1e-4, atol=1e-4)
    model.save(tmp_path / "model.keras")
    again = keras.models.load_model(tmp_path / "model.keras", safe_mode=True)
    assert (again.z, again.identity) == (model.z, model.identity)
    for one, other in zip(
        again.generate_pairs(9, seed=1), model.generate_pairs(9, seed=1), strict=True
    ):
        np.testing.assert_array_equal(one, other)


@pytest.mark.usefixtures("eagerly")
def test_figures_and_a_report_are_of_kinds_and_of_quantities(trained, columns):
    model = trained[0]
    figures = wk.evaluate(model, columns, verbose=0)
    assert "found_first_y" in figures.figures
    page = str(wk.report(model, columns, figures=figures, verbose=0))
    assert "What is shared" in page
    sweeps = model.z.sweeps([np.asarray(each) for each in _joint(model, columns).outputs()])
    assert [each.quantity for each in sweeps] == [False, True]


def _joint(model, pairs):
    return model.joint_z(dict(zip("xy", pairs.arrays(), strict=True)))
