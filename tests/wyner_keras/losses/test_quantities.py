import math

import numpy as np
import pytest

from wyner_keras.latents import DiagonalGaussian
from wyner_keras.losses.quantities import Quantities, correlated


def drawn(rho, count, seed=0, size=5):
    """Points of which the first columns are correlated, turned at random on each side."""
    rng, rho = np.random.default_rng(seed), np.array(rho)
    z = rng.normal(size=(count, len(rho)))
    turns = [
        np.linalg.qr(np.random.default_rng(7 + k).normal(size=(size, size)))[0] for k in (0, 1)
    ]
    sides = []
    for turn in turns:
        points = rng.normal(size=(count, size))
        points[:, : len(rho)] *= np.sqrt(1 - rho)
        points[:, : len(rho)] += np.sqrt(rho) * z
        sides.append(3 + points @ turn)
    return tuple(sides)


def test_the_directions_that_agree_are_found_and_their_correlations():
    found = correlated(drawn([0.9, 0.5], 20_000), drawn([0.9, 0.5], 5_000, seed=1))
    assert found.correlations == pytest.approx([0.9, 0.5], abs=0.02)
    a, b = found.variates(drawn([0.9, 0.5], 20_000, seed=2))
    np.testing.assert_allclose(np.cov(a.T), np.eye(2), atol=0.05)
    np.testing.assert_allclose(np.cov(b.T), np.eye(2), atol=0.05)
    assert np.mean(a * b, axis=0) == pytest.approx([0.9, 0.5], abs=0.03)


@pytest.mark.parametrize("seed", range(10))
def test_of_points_that_share_nothing_no_direction_is_kept(seed):
    found = correlated(drawn([], 500, seed), drawn([], 200, seed + 100))
    assert len(found.correlations) == 0


def test_the_nats_are_those_of_wyner_and_the_mean_pmi_the_mutual_information():
    rho = np.array([0.8, 0.3])
    points = drawn(rho, 3_000, size=2)
    found = correlated(points, points)
    assert found.nats() == pytest.approx(0.5 * np.log((1 + rho) / (1 - rho)), abs=0.1)
    told = [np.diag(found.some(slice(k, k + 1)).pmi(points)).mean() for k in range(2)]
    assert told == pytest.approx(-0.5 * np.log(1 - rho**2), abs=0.05)
    assert np.diag(found.pmi(points)).mean() == pytest.approx(sum(told))


def test_experts_have_that_pmi_by_the_latent_itself():
    found = Quantities((np.zeros(2), np.ones(2)), (np.eye(2), 2 * np.eye(2)), np.array([0.7, 0.2]))
    points = drawn([0.7], 6, size=2)
    latent = DiagonalGaussian(dim=2)
    posteriors = []
    for side, values in enumerate(points):
        kernel, bias = found.affine(side)
        q = latent.product((values @ kernel + bias).astype("float32"))
        posteriors.append([np.asarray(each) for each in q.outputs()])
    np.testing.assert_allclose(
        np.asarray(latent.log_pmi(*posteriors)), found.pmi(points), atol=1e-3
    )


def test_a_perfect_agreement_stays_finite():
    x = np.random.default_rng(0).normal(size=(50, 3))
    found = correlated((x, 2 * x), (x, 2 * x))
    assert len(found.correlations) == 3
    assert found.correlations.max() < 1
    assert math.isfinite(found.nats().sum())


def labelled(count, seed, shift=0.0):
    """Points of which two columns tell one of three kinds and the next is correlated by .8."""
    rng, kinds = (
        np.random.default_rng(seed),
        np.random.default_rng(seed + 1).integers(3, size=count),
    )
    z, sides = rng.normal(size=count), []
    for _ in range(2):
        points = rng.normal(size=(count, 4))
        points[:, :2] = 5 * np.eye(3)[kinds, :2] + 0.3 * points[:, :2]
        points[:, 2] = math.sqrt(0.8) * z + math.sqrt(0.2) * points[:, 2] + shift * kinds
        sides.append(points)
    return tuple(sides), kinds


def test_inside_kinds_that_are_told_what_tells_them_apart_is_no_quantity():
    (points, kinds), (apart, others) = labelled(5_000, 0), labelled(2_000, 5)
    plain = correlated(points, apart)
    assert len(plain.correlations) == 3
    found = correlated(points, apart, (kinds, others))
    assert found.correlations == pytest.approx([0.8], abs=0.03)
    for side, variate in zip(points, found.variates(points), strict=True):
        assert abs(np.corrcoef(side[:, 2], variate[:, 0])[0, 1]) > 0.99
        means = [variate[kinds == kind].mean() for kind in range(3)]
        assert np.ptp(means) < 0.15


def test_what_a_quantity_shows_of_the_kinds_counts_as_noise():
    (points, kinds), (apart, others) = labelled(5_000, 0, 0.5), labelled(2_000, 5, 0.5)
    found = correlated(points, apart, (kinds, others))
    # The shift can be told from the label's columns and taken out: the direction does so.
    assert found.correlations == pytest.approx([0.8], abs=0.05)
    alone = tuple(side[:, 2:3] for side in points), tuple(side[:, 2:3] for side in apart)
    found = correlated(*alone, (kinds, others))
    spread = 1 + 0.25 * 2 / 3  # variance of the column, its kinds' means included
    assert found.correlations == pytest.approx([0.8 / spread], abs=0.03)
    (variate, _) = found.variates(alone[0])
    assert variate.var() == pytest.approx(1, abs=0.05)
