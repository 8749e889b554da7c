import math

import keras
import numpy as np
import pytest
from keras import ops
from scipy import integrate, stats
from scipy.special import logsumexp

import wyner_keras as wk
from wyner_keras.evaluation.importance import SideNoise, Weighed, locals_of
from wyner_keras.latents import Categorical, DiagonalGaussian, Gaussian
from wyner_keras.losses import ReaderMatching

FLOWS = {"flow_steps": 0, "u": False, "v": False}


def test_the_terms_are_matching_errors_of_the_noise_that_makes_z(make_model, pairs, oracle, still):
    latent = DiagonalGaussian(dim=5)
    model, given = make_model(z=latent, reader_flow_steps=3, **FLOWS), {}
    for side, value in zip(model.sides, (2.0, 3.0), strict=True):

        def error(start, end, features, time, name=side.name, value=value):
            given[name] = [np.asarray(part, float) for part in (start, end, features, time)]
            return np.full(len(start), value)

        side.reader_flow.matching_error = error
    batch = dict(zip("xy", pairs.arrays(), strict=True))
    terms = ReaderMatching()(model, batch, still, training=False)
    assert {name: float(np.mean(value)) for name, value in terms.items()} == {
        "matching_z_x": 2.0,
        "matching_z_y": 3.0,
    }
    h = {s.name: oracle.features(s, batch[s.name]) for s in model.sides}
    experts = [oracle.mlp(side.expert_network, h[side.name]) for side in model.sides]
    z = oracle.sample(latent, oracle.product(latent, *experts), still.noises[5, "exact"], 1.0)
    for side in model.sides:
        own = oracle.read(side, latent, batch[side.name], h[side.name])
        mean, log_variance = np.split(own, 2, axis=1)
        start, end, features, time = given[side.name]
        np.testing.assert_allclose(end, (z - mean) / np.exp(log_variance / 2), rtol=1e-3, atol=1e-4)
        np.testing.assert_array_equal(start, still.noises[5, "prior"])
        np.testing.assert_allclose(features, h[side.name], rtol=1e-4, atol=1e-5)
        # The middles of the flow's three steps, equally often.
        times, counts = np.unique(time, return_counts=True)
        np.testing.assert_allclose(times, [1 / 6, 1 / 2, 5 / 6], rtol=1e-6)
        assert counts.tolist() == [8, 8, 8]


def test_features_have_noise_while_it_trains(make_model, pairs, still):
    model, given = make_model(z=DiagonalGaussian(dim=5), reader_flow_steps=1, **FLOWS), []
    for side in model.sides:
        side.reader_flow.matching_error = lambda start, end, features, time: given.append(features)
    batch = dict(zip("xy", pairs.arrays(), strict=True))
    for training in (False, True):
        ReaderMatching(feature_noise=0.5)(model, batch, still, training=training)
    clean, noisy = np.asarray(given[0]), np.asarray(given[2])
    np.testing.assert_allclose(noisy - clean, 0.5 * still.noises["normal", 16], atol=1e-5)


@pytest.mark.slow
def test_z_of_two_modes_is_drawn_from_either_and_not_from_between(make_model):
    """Where z given x is −1 or 1, equally often, and x tells nothing of it."""
    rng = np.random.default_rng(0)
    y = 3.0 + np.where(rng.random(2000) < 0.5, -3.0, 3.0)[:, None] * np.ones(3)
    pairs = wk.Pairs(0.5 + 1e-3 * rng.random((2000, 4, 4, 1)), y + rng.normal(0, 0.01, y.shape))
    model = make_model(
        z=DiagonalGaussian(dim=1), reader_flow_steps=6, **{**FLOWS, "hidden": (64, 64)}
    )
    side = model.side("x")
    (velocity,) = side.reader_flow.velocities
    velocity.output_layer.kernel.assign(0.0 * velocity.output_layer.kernel)

    def joint_z(batch):
        sign = keras.ops.sign(model.features_of(batch)["y"][:, :1])
        return Gaussian(sign, keras.ops.full_like(sign, np.log(1e-2)))

    model.joint_z = joint_z
    stage = wk.Stage(model, ReaderMatching(feature_noise=0.0))
    stage.compile(keras.optimizers.Adam(5e-3), jit_compile=False, steps_per_execution=16)
    stage.fit(pairs, epochs=40, batch_size=125, verbose=0)
    x, noise = np.repeat(pairs.arrays()[0][:1], 500, axis=0), rng.normal(size=(500, 1))
    z = np.asarray(side.sample_z(x, noise.astype("f")))[:, 0]
    own = np.asarray(side.read(x).sample(noise))[:, 0]
    assert np.mean(np.abs(np.abs(z) - 1) < 0.4) > 0.8
    assert np.mean(z > 0) == pytest.approx(0.5, abs=0.1)
    assert np.mean(np.abs(np.abs(own) - 1) < 0.4) < 0.5


def two_modes(deviation):
    """The velocity of a flow to −1 or 1, equally often, each with a deviation; exact."""

    def velocity(points, time, _):
        cosine, sine = ops.cos(0.5 * math.pi * time), ops.sin(0.5 * math.pi * time)
        variance = ops.square(cosine) + ops.square(sine * deviation)
        upper = ops.sigmoid(2 * points * sine / variance)
        found = 0.0
        for mode, share in ((1.0, upper), (-1.0, 1 - upper)):
            rest = (points - sine * mode) / variance
            end, start = mode + sine * deviation**2 * rest, cosine * rest
            found = found + share * (cosine * end - sine * start)
        return found

    return velocity


def test_a_bound_is_of_what_its_samples_make_likely(make_model, pairs):
    """However badly the steps of its flow can be undone."""
    model = make_model(z=DiagonalGaussian(dim=1), reader_flow_steps=2, **FLOWS)
    rows = dict(zip("xy", (values[:2] for values in pairs.arrays()), strict=True))
    noise = {
        side.name: SideNoise(np.zeros_like(side.codec.noise_units, "f"), np.ones(1, "f"), 1.0)
        for side in model.sides
    }
    rng, side = np.random.default_rng(0), model.side("x")
    side.reader_flow.velocities = [two_modes(0.3)]
    # Backwards they make another density than that of samples: one of more than 1 in all.
    places = np.linspace(-4, 4, 2001, dtype="f")[:, None]
    features = np.repeat(np.asarray(side.encode(rows["x"]))[:1], len(places), 0)
    back = np.asarray(side.reader_flow.inverse(places, features))[:, 0]
    moved = side.reader_flow.log_determinant(places, features)
    mass = integrate.trapezoid(np.exp(moved) * stats.norm.pdf(back), places[:, 0])
    assert mass > 1.2
    weighed = Weighed(model, rows, locals_of(model), noise, 4000, rng)
    found = weighed.bounds()["y_given_x"]
    drawn = rng.normal(size=(10_000, 1)).astype("f")
    for place, bound in enumerate(found):
        z = side.sample_z(np.repeat(rows["x"][place : place + 1], len(drawn), 0), drawn)
        y = np.repeat(rows["y"][place : place + 1], len(drawn), 0)
        y_side = model.side("y")
        logs = y_side.codec.log_prob(y, y_side.decode(None, z), noise["y"].spread)
        truth = logsumexp(np.asarray(logs, float)) - math.log(len(drawn))
        assert bound == pytest.approx(truth, abs=0.05)


def test_a_kind_has_no_such_flow_and_the_stage_nothing_to_do(make_model, pairs):
    model = make_model(z=Categorical(n=1, k=3), reader_flow_steps=2, **FLOWS)
    assert [side.reader_flow for side in model.sides] == [None, None]
    assert ReaderMatching().adapted(model, pairs) is None
    with pytest.raises(ValueError, match=r"ReaderMatching needs.*Received: reader_flow_steps=\[2"):
        wk.Stage(model, ReaderMatching())
