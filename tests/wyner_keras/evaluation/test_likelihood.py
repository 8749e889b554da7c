"""Bounds of log-likelihood, of models whose likelihood has a closed form or can be summed up."""

import numpy as np
import pytest
import tensorflow as tf
from scipy import stats
from scipy.special import logsumexp

import wyner_keras as wk
from wyner_keras.data import Pairs
from wyner_keras.evaluation import Bound, Noise, evaluate, fit_noise, log_likelihood
from wyner_keras.evaluation.importance import Locals, SideNoise, log_mean, over_equal
from wyner_keras.networks.affine import Affine

# X = a z + b c + m + σ ε and Y likewise, c = stretch · u + shift what a flow makes of u.
SIGMA = {"x": 0.5, "y": 0.3}
A = {"x": np.array([1.0, -0.5, 0.3]), "y": np.array([0.7, 0.4])}
B = {"x": np.array([0.2, 0.9, 0.4]), "y": np.array([-0.3, 1.0])}
STRETCH, SHIFT = {"x": 2.0, "y": 0.5}, {"x": 0.3, "y": -1.0}


def moments(*names):
    """Mean and covariance of the sides, one after the other."""
    mean = np.concatenate([B[name] * SHIFT[name] for name in names])
    a = np.concatenate([A[name] for name in names])
    covariance = np.outer(a, a)
    at = 0
    for name in names:
        own = slice(at, at + len(A[name]))
        covariance[own, own] += STRETCH[name] ** 2 * np.outer(B[name], B[name])
        covariance[own, own] += SIGMA[name] ** 2 * np.eye(len(A[name]))
        at += len(A[name])
    return mean, covariance


def exact(x, y):
    """Log p of each pair, by the names of `log_likelihood`."""
    found = {
        "joint": stats.multivariate_normal(*moments("x", "y")).logpdf(np.hstack([x, y])),
        "x": stats.multivariate_normal(*moments("x")).logpdf(x),
        "y": stats.multivariate_normal(*moments("y")).logpdf(y),
    }
    found["y_given_x"] = found["joint"] - found["x"]
    found["x_given_y"] = found["joint"] - found["y"]
    return found


def linear_gaussian(off=0.0, narrow=1.0):
    """A model of such pairs, whose posteriors are exact, or off the mean and too narrow."""
    vectors = {name: wk.Vector(kinds=("real",) * len(A[name])) for name in "xy"}
    model = wk.WynerModel(
        wk.DiagonalGaussian(dim=1),
        vectors,
        codecs={name: vector.codec(None, 0) for name, vector in vectors.items()},
        settings={
            name: wk.SideSettings(
                local=wk.DiagonalGaussian(dim=1), hidden=(4,), reader="features", flow_steps=1
            )
            for name in "xy"
        },
    )
    for side in model.sides:
        overwrite(side, off, narrow)
    return model


def overwrite(side, off, narrow):
    name = side.name
    a, b, sigma = (np.asarray(each[name], "f") for each in (A, B, SIGMA))
    stretch, shift = STRETCH[name], SHIFT[name]
    side.flow.assign_affine(
        Affine(np.zeros((1, 1)), np.zeros((1, 1, 1)), np.full(1, shift), np.full((1, 1), stretch))
    )
    inverse = np.linalg.inv(stretch**2 * np.outer(b, b) + sigma**2 * np.eye(len(a)))
    precision_z, precision_u = a @ inverse @ a, 1 / stretch**2 + b @ b / sigma**2
    to_z = (inverse @ a / precision_z)[:, None].astype("f")
    to_u = (b / sigma**2 / precision_u)[:, None].astype("f")

    def gaussian(mean, precision):
        log_variance = tf.fill(tf.shape(mean), np.float32(np.log(narrow / precision)))
        return tf.concat([mean + np.float32(off * precision**-0.5), log_variance], axis=1)

    def expert(features, training=False):
        return gaussian((features - np.float32(shift) * b) @ to_z, precision_z)

    def posterior(features, z):
        mean = (features - z * a) @ to_u + np.float32(shift / stretch**2 / precision_u)
        return side.local(gaussian(mean, precision_u))

    side.expert, side.posterior = expert, posterior
    side.read = lambda data, features=None, training=False: side.z.product(expert(features))
    side.decode = lambda code, z: code * b + z * a


@pytest.fixture(scope="module")
def correlated():
    rng = np.random.default_rng(0)
    rows = rng.multivariate_normal(*moments("x", "y"), size=100).astype("f")
    return Pairs(rows[:, :3], rows[:, 3:])


def noise_of(narrow=1.0, width=1.0):
    """The model's own noise, by which u is proposed too narrowly, or so many times as widely."""
    return Noise(
        spread={n: np.full(len(A[n]), 2 * np.log(SIGMA[n]), "f") for n in "xy"},
        scale={n: np.full(len(A[n]), SIGMA[n]) for n in "xy"},
        metric={n: np.full(len(A[n]), narrow * SIGMA[n] ** 2) for n in "xy"},
        width=dict.fromkeys("xy", width),
    )


@pytest.mark.parametrize("samples", [1, 5])
def test_exact_posteriors_give_the_likelihood_itself(correlated, samples):
    found = log_likelihood(linear_gaussian(), correlated, noise_of(), samples=samples)
    truth = exact(*correlated.arrays())
    for name in ("joint", "x", "y"):
        np.testing.assert_allclose(found[name].nats, truth[name], atol=2e-4)
    assert found["joint"].mean == pytest.approx(truth["joint"].mean(), abs=1e-4)
    assert found["joint"].standard_error == pytest.approx(truth["joint"].std(ddof=1) / 100**0.5)
    assert found["x"].bits == pytest.approx(-truth["x"].mean() / 3 / np.log(2), abs=1e-4)
    assert found["joint"].bits_error == pytest.approx(found["joint"].standard_error / 5 / np.log(2))


def test_bounds_are_below_the_likelihood_and_reach_it_as_k_grows(correlated):
    model, truth = linear_gaussian(off=0.5, narrow=0.6), exact(*correlated.arrays())
    gaps = []
    for samples in (1, 8, 64):
        found = log_likelihood(model, correlated, noise_of(0.5), samples=samples, seed=1)
        assert list(found) == ["joint", "x", "y", "x_given_y", "y_given_x"]
        gap = {name: truth[name] - bound.nats for name, bound in found.items()}
        for name, each in gap.items():
            # No z that q(z|x) of this model draws is p(z|x)'s, so conditionals have no such truth.
            if "given" not in name:
                assert each.mean() > -2 * each.std() / 100**0.5, (name, samples)
        gaps.append([gap[name].mean() for name in ("joint", "x", "y")])
    gaps = np.array(gaps)
    assert gaps[0].min() > 0.15
    assert (np.diff(gaps, axis=0) < 0.01).all()
    assert gaps[-1].max() < 0.1


def test_conditionals_of_exact_posteriors_reach_the_likelihood(correlated):
    model, truth = linear_gaussian(narrow=1.0), exact(*correlated.arrays())
    few, many = (log_likelihood(model, correlated, noise_of(), samples=k) for k in (1, 100))
    for name in ("y_given_x", "x_given_y"):
        gap = truth[name] - many[name].nats
        assert -0.02 < gap.mean() < 0.03
        assert np.abs(gap).max() < 0.5
        assert (truth[name] - few[name].nats).mean() > gap.mean() + 0.03


def test_noise_is_found_whatever_the_posteriors_are(correlated):
    model = linear_gaussian(off=0.3, narrow=0.4)
    found = fit_noise(model, correlated, rounds=12, seed=1)
    truth = exact(*correlated.arrays())
    bounds = log_likelihood(model, correlated, found)
    # As likely as by the noise that the pairs were drawn with, whose columns 100 pairs leave open.
    assert bounds["joint"].mean > truth["joint"].mean() - 0.1
    for name in "xy":
        np.testing.assert_allclose(found.scale[name], SIGMA[name], rtol=0.6)
        np.testing.assert_allclose(2 * np.log(found.scale[name]), found.spread[name], atol=1e-5)
        assert 0.8 < found.width[name] < 1.25
    first, again = (fit_noise(model, correlated, rounds=1, seed=1) for _ in range(2))
    np.testing.assert_array_equal(again.scale["x"], first.scale["x"])


def enumerated(model, x, y, spread):
    """Log p of pairs by a sum over the values of z, of a model without locals."""
    z = model.z.values()
    log_p = np.asarray(model.log_prior(z), float)
    assert logsumexp(log_p) == pytest.approx(0, abs=1e-5)
    of_side = {}
    for side, rows in zip(model.sides, (x, y), strict=True):
        made = np.asarray(side.render(None, z), float).reshape(len(z), -1)
        deviation = np.sqrt(np.exp(spread[side.name])) * side.codec.noise_units
        rows = rows.reshape(len(rows), -1)
        of_side[side.name] = stats.norm(made[None], deviation).logpdf(rows[:, None]).sum(axis=2)
    found = {"joint": log_p + of_side["x"] + of_side["y"]}
    for side, rows in zip(model.sides, (x, y), strict=True):
        found[side.name] = log_p + of_side[side.name]
        other = "xy".replace(side.name, "")
        q = side.read(rows, side.encode(rows))
        read = np.stack([np.asarray(q.log_prob(np.tile(v, (len(rows), 1)))) for v in z], axis=1)
        found[f"{other}_given_{side.name}"] = read + of_side[other]
    return {name: logsumexp(each, axis=1) for name, each in found.items()}


@pytest.mark.parametrize("z", [wk.Categorical(n=1, k=3), wk.Categorical(n=2, k=3)])
def test_the_bound_of_a_categorical_model_is_the_sum_over_its_values(make_model, z):
    rng = np.random.default_rng(0)
    model = make_model(z=z, u=False, v=False, flow_steps=0)
    pairs = Pairs(rng.random((30, 4, 4, 1)), rng.normal(size=(30, 3)))
    model.fit_prior(pairs)
    x, y = pairs.arrays()
    noise = Noise(
        spread={"x": np.zeros(1, "f"), "y": np.array([0.5, 1.0, 1.5], "f")},
        scale={"x": np.ones(1), "y": np.ones(3)},
        metric={"x": np.ones(16), "y": np.ones(3)},
        width={"x": 1.0, "y": 1.0},
    )
    truth = enumerated(model, x, y, noise.spread)
    found = log_likelihood(model, pairs, noise, samples=600)
    for name, bound in found.items():
        gap = truth[name] - bound.nats
        assert np.ptp(truth[name]) > 0.1
        assert -0.02 < gap.mean() < 0.02, name
        assert np.abs(gap).max() < 0.4, name


def test_weights_of_equal_z_are_averaged():
    z = np.array([[[1.0, 0], [0, 1], [1, 0]]])
    logs = np.log([[2.0, 5.0, 4.0]])
    np.testing.assert_allclose(np.exp(over_equal(logs, z)), [[3, 5, 3]])
    assert log_mean(logs)[0] == pytest.approx(np.log(11 / 3))


@pytest.mark.parametrize("width", [1.0, 1.5])
def test_weights_of_a_curved_flow_are_those_of_quadrature(make_model, width):
    """log p(x|z) of a u of one dimension is an integral that a grid gives."""
    model = make_model(u=wk.DiagonalGaussian(dim=1), flow_steps=2, seed=3)
    side = model.side("x")
    for variable in side.flow.trainable_variables:
        variable.assign(2.0 * variable)
    rng = np.random.default_rng(0)
    data, z = rng.random((3, 4, 4, 1)).astype("f"), np.eye(3, dtype="f")
    spread = np.full(1, -2.0, "f")
    grid = np.linspace(-7, 7, 4001, dtype="f")[:, None]
    expected = []
    for example, value in zip(data, z, strict=True):
        of_z = np.tile(value, (len(grid), 1))
        code = np.asarray(side.code(grid, of_z))
        logs = side.codec.log_prob(example[None], side.decode(code, of_z), spread)
        logs = np.asarray(logs, float) + stats.norm.logpdf(grid[:, 0])
        expected.append(logsumexp(logs) + np.log(14 / 4000))
    # Curved: no line through the ends leads through the middle.
    assert abs(code[0] + code[-1] - 2 * code[2000]) > 0.5
    noise = SideNoise(spread, np.full(16, 0.3), width)
    features = np.asarray(side.encode(data))
    drawn = Locals(side)(data, features, np.repeat(z[:, None], 4000, axis=1), noise, rng)
    np.testing.assert_allclose(log_mean(drawn.log_weights), expected, atol=0.05)


FAMILIES = (
    (wk.Categorical(n=1, k=3), None, 1),
    (wk.DiagonalGaussian(dim=2), False, 0),
    (wk.DiagonalGaussian(dim=2), wk.Categorical(n=2, k=2), 0),
)


@pytest.mark.parametrize(("z", "local", "flows"), FAMILIES)
def test_every_family_has_bounds(make_model, few, z, local, flows):
    model = make_model(z=z, u=local, v=local, flow_steps=flows)
    noise = fit_noise(model, few, samples=4, rounds=1)
    found = log_likelihood(model, few, noise, samples=2)
    for bound in found.values():
        assert bound.nats.shape == (24,)
        assert np.isfinite(bound.nats).all()
    # Nats of a density of 16 values in [0, 1] are comparable to its noise's entropy.
    entropy = 16 * 0.5 * np.log(2 * np.pi * np.e * noise.scale["x"][0] ** 2)
    assert found["x"].mean == pytest.approx(-entropy, abs=8)
    with pytest.raises(ValueError, match=r"`samples` should be.*Received: 0"):
        log_likelihood(model, few, noise, samples=0)


@pytest.fixture(scope="session")
def few():
    rng = np.random.default_rng(0)
    return Pairs(rng.random((24, 4, 4, 1)), rng.normal(size=(24, 3)))


def test_pairs_of_one_group_count_once_in_the_error():
    nats, groups = np.repeat([1.0, 2.0, 6.0], 20), np.repeat([0, 1, 2], 20)
    alone, of_groups = (Bound(nats, np.full(60, 4), each) for each in (None, groups))
    assert of_groups.standard_error == pytest.approx(np.std([1, 2, 6], ddof=1) / np.sqrt(3))
    assert alone.standard_error == pytest.approx(np.std(nats, ddof=1) / np.sqrt(60))
    assert of_groups.mean == alone.mean


def test_evaluate_has_the_bounds_their_errors_and_the_noise(make_model, few):
    model = make_model(u=False, v=False, flow_steps=0)
    report = evaluate(model, few, samples=2, styles=3, concepts=2, verbose=False)
    for name, values in (("y", 3), ("marginal_x", 16), ("joint", 19)):
        nats, error = report.figures[f"log_likelihood_{name}"]
        assert report[f"bits_{name}"] == pytest.approx(-nats / values / np.log(2))
        assert report.figures[f"bits_{name}"].beside == pytest.approx(error / values / np.log(2))
    # Uniform values, which z tells nothing of.
    noise, alone = report.figures["noise_scale_x"]
    assert alone == pytest.approx(12**-0.5, abs=0.03)
    assert noise > 0.9 * alone
    assert (report.counts["likelihood"], report.counts["noise_scale"]) == (16, 8)
    assert "log-likelihood, at least, of y given x, K = 64" in report.table()


def test_columns_of_every_kind_are_scored_as_far_as_they_are_known(few):
    rng = np.random.default_rng(0)
    columns = np.stack([rng.normal(5, 3, 40), np.arange(40) % 2, np.arange(40) % 3], axis=1)
    columns[::4, 0] = np.nan
    vector = wk.Vector(kinds=("real", "binary", "categorical"), categories=(0, 0, 3), missing=True)
    pairs = Pairs(columns, columns[::-1], x_modality=vector, y_modality=vector)
    model = wk.WynerModel(
        wk.Categorical(n=1, k=2),
        {"x": vector, "y": vector},
        codecs={"x": vector.codec(wk.CodecSettings(code_size=2), 0)}
        | dict(y=vector.codec(wk.CodecSettings(code_size=2), 1)),
        settings={
            name: wk.SideSettings(local=None, hidden=(4,), reader="features", flow_steps=0)
            for name in "xy"
        },
    )
    noise = fit_noise(model, pairs, rounds=1)
    assert np.isnan(noise.scale["x"]).tolist() == [False, True, True]
    found = log_likelihood(model, pairs, noise, samples=4)
    assert found["x"].dimensions.tolist() == [2 if row % 4 == 0 else 3 for row in range(40)]
    assert found["x_given_y"].bits == pytest.approx(
        -found["x_given_y"].nats.sum() / 110 / np.log(2)
    )


def test_a_codec_without_a_density_is_named_and_not_asked(make_model, few, monkeypatch):
    model = make_model(u=False, v=False, flow_steps=0)
    kind = type(model.side("x").codec)
    monkeypatch.setattr(kind, "noise_units", None)
    report = evaluate(model, few, samples=2, styles=3, concepts=2, verbose=False)
    needs = "a W-model in Keras, whose codecs and learned prior have `log_prob`"
    assert report.left_out["log_likelihood_y"] == report.left_out["noise_scale_x"] == needs
    with pytest.raises(ValueError, match="`model` should be a W-model in Keras, whose codecs"):
        fit_noise(model, few)
    unasked = evaluate(model, few, samples=2, styles=3, concepts=2, bounds=False, verbose=False)
    assert set(unasked.left_out) == set(report.left_out)
    assert unasked.left_out["bits_x"] == "`bounds=True`, a run without `--quick`"
