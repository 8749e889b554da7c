import itertools

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from hypothesis.extra.numpy import arrays
from scipy import stats
from scipy.special import logsumexp, softmax

from wyner_serving.pmi import Blocks, best, log_pmi, parts_of

CATEGORICAL = {"form": "categorical", "n": 2, "k": 3}
GAUSSIAN = {"form": "gaussian", "dim": 2}


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def probabilities(rng, rows, n=2, k=3, sharpness=2.0):
    logits = sharpness * rng.normal(size=(rows, n, k))
    return [softmax(logits, axis=-1).reshape(rows, -1).astype(np.float32)]


def gaussians(rng, rows, dim=2):
    """What prior × expert gives: from as wide as the prior to far narrower."""
    factor, mean = np.exp(rng.normal(0, 2.5, (rows, dim))), 2 * rng.normal(size=(rows, dim))
    factor[:, :1] *= rng.random((rows, 1)) > 0.3  # some rows tell nothing of a dimension
    outputs = factor * mean / (1 + factor), -np.log1p(factor)
    return [each.astype(np.float32) for each in outputs]


def enumerated(x, y, n=2, k=3):
    """The log of the sum over all values of z, float64."""
    q_x, q_y = (each[0].astype(np.float64).reshape(-1, n, k) for each in (x, y))
    total = np.zeros((len(q_x), len(q_y)))
    for z in itertools.product(range(k), repeat=n):
        p_x, p_y = (np.prod([q[:, i, z[i]] for i in range(n)], axis=0) for q in (q_x, q_y))
        total += np.outer(p_x, p_y) * k**n
    return np.log(total)


def integrated(x, y):
    """The log of the integral, dimension by dimension, on a grid of float64."""
    grid, step = np.linspace(-15, 15, 30_001, retstep=True)  # a thirtieth of the least deviation
    found = np.zeros((len(x[0]), len(y[0])))
    for i, j, d in itertools.product(range(len(x[0])), range(len(y[0])), range(x[0].shape[1])):
        logs = -stats.norm.logpdf(grid)
        for (mean, log_variance), row in ((x, i), (y, j)):
            deviation = np.exp(0.5 * np.float64(log_variance[row, d]))
            assert deviation > 30 * step
            logs += stats.norm.logpdf(grid, np.float64(mean[row, d]), deviation)
        found[i, j] += logsumexp(logs) + np.log(step)
    return found


def test_kinds_that_are_not_equally_common_count_by_their_shares(rng):
    shares = np.array([0.7, 0.25, 0.05])
    part = {"form": "categorical", "n": 1, "k": 3, "shares": shares.tolist()}
    x, y = (probabilities(rng, rows, n=1) for rows in (5, 7))
    expected = np.log((x[0].astype(float) / shares) @ y[0].astype(float).T)
    np.testing.assert_allclose(log_pmi([part], x, y), expected, rtol=1e-5, atol=1e-5)
    np.testing.assert_allclose(scored([part], x, y), expected, rtol=1e-5, atol=1e-5)
    # From either side the same.
    np.testing.assert_allclose(log_pmi([part], y, x), expected.T, rtol=1e-5, atol=1e-5)
    # Read surely, a pair of one kind tells what the kind is worth: H(Z) on average.
    sure = [np.eye(3, dtype=np.float32)]
    told = np.diagonal(log_pmi([part], sure, sure))
    assert shares @ told == pytest.approx(stats.entropy(shares), abs=1e-5)
    assert parts_of({"family": "categorical", "pmi": [part]}) == [part]


def scored(parts, x, y):
    return np.concatenate(list(Blocks(parts, y).nats(x)))


def both(parts, x, y):
    """By one formula on all at once, and by the gallery's blocks."""
    return np.asarray(log_pmi(parts, x, y)), scored(parts, x, y)


def test_of_categorical_variables_it_is_the_sum_over_every_value(rng):
    x, y = probabilities(rng, 4), probabilities(rng, 5)
    for found in both([CATEGORICAL], x, y):
        np.testing.assert_allclose(found, enumerated(x, y), rtol=1e-5, atol=1e-6)


def test_of_gaussian_variables_it_is_the_integral(rng):
    x, y = gaussians(rng, 5), gaussians(rng, 6)
    assert np.exp(x[1]).min() < 0.05 and (x[1] == 0).any()
    for found in both([GAUSSIAN], x, y):
        np.testing.assert_allclose(found, integrated(x, y), rtol=1e-5, atol=2e-5)


def test_posteriors_as_wide_as_the_prior_tell_nothing_of_any_other(rng):
    nothing = [np.zeros((1, 2), np.float32)] * 2
    y = gaussians(rng, 50)
    for x, other in ((nothing, y), (y, nothing)):
        for found in both([GAUSSIAN], x, other):
            np.testing.assert_allclose(found, 0, atol=1e-5)


def test_independent_parts_add_up(rng):
    """The parts of a product of latents are those of its factors, one after the other."""
    (q_x, q_y), (x, y) = (
        [make(rng, rows) for rows in (3, 4)] for make in (probabilities, gaussians)
    )
    expected = enumerated(q_x, q_y) + integrated(x, y)
    for found in both([CATEGORICAL, GAUSSIAN], [*q_x, *x], [*q_y, *y]):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)
    for found in both([GAUSSIAN, CATEGORICAL], [*x, *q_x], [*y, *q_y]):
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=2e-5)


def symmetric(x, y):
    """Another arrangement, in which x and y take the same part, in float64."""
    (m, a), (w, b) = ([each.astype(np.float64) for each in outputs] for outputs in (x, y))
    m, s, t = m[:, None], np.exp(a)[:, None], np.exp(b)
    v = s + t - s * t
    return 0.5 * ((t * m**2 + s * w**2 - (m - w) ** 2) / v - np.log(v)).sum(axis=-1)


@pytest.mark.parametrize("dim", [1, 64])
def test_many_rows_and_queries_are_scored_in_blocks(rng, dim):
    x, y = gaussians(rng, 40, dim), gaussians(rng, 9000 if dim == 1 else 2500, dim)
    found, expected = scored([{"form": "gaussian", "dim": dim}], x, y), symmetric(x, y)
    assert found.shape == expected.shape and found.dtype == np.float32
    np.testing.assert_allclose(found, expected, rtol=2e-6, atol=1e-4)


def test_both_ways_give_the_same_scores(rng):
    for parts, make in (([CATEGORICAL], probabilities), ([GAUSSIAN], gaussians)):
        x, y = make(rng, 30), make(rng, 20)
        np.testing.assert_allclose(scored(parts, x, y), scored(parts, y, x).T, rtol=1e-5, atol=1e-4)


def test_terms_that_cancel_cost_no_digits(rng):
    """A mean far out, of a posterior about as wide as the prior."""
    x = [np.float32([[3.0, -2.0]]), np.float32([[-3e-5, -1e-4]])]
    y = gaussians(rng, 500)
    np.testing.assert_allclose(scored([GAUSSIAN], x, y), symmetric(x, y), rtol=1e-5, atol=1e-5)


def test_agreement_too_small_for_float32_is_not_minus_infinity():
    one = [np.float32([[1, 0]])]
    other = [np.float32([[0, 1]])]
    for found in both([{"form": "categorical", "n": 1, "k": 2}], one, other):
        assert found[0, 0] == pytest.approx(np.log(2 * 1e-30), abs=1e-4)


@pytest.mark.parametrize("exponent", range(-25, -13))
def test_engines_that_take_subnormal_numbers_for_0_score_alike(rng, exponent):
    k = 100
    x, y = (np.float32(10.0**exponent) * rng.uniform(1, 9, (3, k)).astype("f") for _ in "xy")
    x[:, :2], y[:, :2] = (1, 0), (0, 1)  # modes apart
    products = x[:, None].astype(float) * y[None].astype(float)
    kept = np.where(products < np.finfo(np.float32).tiny, 0.0, products).sum(axis=-1)
    given = [{"form": "categorical", "n": 1, "k": k}], [x], [y]
    flushed = np.log(np.maximum(kept, 1e-30) * k)
    for found in both(*given):
        np.testing.assert_allclose(found, flushed, rtol=0, atol=2e-5)


@given(
    arrays(np.float32, st.integers(1, 30), elements=st.integers(-3, 3).map(float)),
    st.integers(1, 30),
)
def test_the_best_are_those_of_a_stable_sort(nats, k):
    k = min(k, len(nats))
    np.testing.assert_array_equal(best(nats, k), np.argsort(-nats, kind="stable")[:k])


def test_what_an_entry_says_of_its_parts():
    earlier = {"family": "gaussian", "dim": 3, "size": 3, "noise": "normal"}
    assert parts_of(earlier) == [{"form": "gaussian", "dim": 3}]
    mixed = {"family": "product", "pmi": [CATEGORICAL, GAUSSIAN]}
    assert parts_of(mixed) == [CATEGORICAL, GAUSSIAN]
    assert parts_of({"family": "logistic"}) is None
    assert parts_of({"family": "product", "pmi": [CATEGORICAL, {"form": "other"}]}) is None
