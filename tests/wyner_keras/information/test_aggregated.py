import math

import numpy as np
import pytest
from scipy import stats
from scipy.special import softmax

from wyner_keras import Categorical, DiagonalGaussian, information
from wyner_keras.information import aggregated
from wyner_keras.product import Product


@pytest.fixture
def rng():
    return np.random.default_rng(0)


def test_exact_information_is_that_of_the_joint_table(rng):
    family = Categorical(n=2, k=3)
    logits = 2 * rng.normal(size=(20, 6)).astype(np.float32)
    each = softmax(logits.reshape(20, 2, 3).astype(float), axis=-1)
    table = np.einsum("wa,wb->wab", each[:, 0], each[:, 1]).reshape(20, 9)
    values = family.values()
    found = aggregated.states(family(logits), values)
    np.testing.assert_allclose(np.sort(found, axis=1), np.sort(table, axis=1), atol=1e-6)
    parts = (aggregated.states(family(part), values) for part in np.split(logits, [7, 12]))
    assert aggregated.exact_information(parts) == pytest.approx(
        information.mutual_information(table / 20), abs=1e-6
    )


def test_log_posteriors_are_scipys(rng):
    parameters, values = rng.normal(size=(3, 4)), rng.normal(size=(5, 2))
    distribution = DiagonalGaussian(dim=2)(parameters.astype(np.float32))
    found = aggregated.log_posteriors(distribution, values.astype(np.float32))
    mean, deviation = parameters[:, :2], np.exp(parameters[:, 2:] / 2)
    expected = stats.norm.logpdf(values[:, None], mean[None], deviation[None]).sum(axis=2)
    np.testing.assert_allclose(found, expected, rtol=1e-5)


@pytest.mark.parametrize("at_once", [1, 12, 2**16])
@pytest.mark.parametrize(
    "family",
    [
        DiagonalGaussian(dim=2),
        Categorical(n=2, k=3),
        Product(kinds=Categorical(n=1, k=3), quantities=DiagonalGaussian(dim=2)),
    ],
    ids=repr,
)
def test_log_posteriors_of_many_values_at_once_are_those_of_one(rng, monkeypatch, family, at_once):
    monkeypatch.setattr(aggregated, "_AT_ONCE", at_once)
    distribution = family(rng.normal(size=(4, family.parameter_size)).astype(np.float32))
    values = rng.normal(size=(7, family.size)).astype(np.float32)
    expected = [distribution.log_prob(np.tile(value, (4, 1))) for value in values]
    found = aggregated.log_posteriors(distribution, values)
    np.testing.assert_allclose(found, np.stack(expected), rtol=1e-6)
    one_by_one = aggregated.log_posteriors(Hidden(distribution), values)
    np.testing.assert_allclose(found, one_by_one, rtol=1e-6)


class Hidden:
    """A distribution of which nothing can be told but what all can be asked."""

    def __init__(self, distribution):
        self.log_prob, self.outputs = distribution.log_prob, distribution.outputs


def test_contrastive_bounds_enclose_a_gaussian_channel(rng):
    """z = w + noise with w ~ N(0, 1): I = ½ log(1 + 1/variance)."""
    variance, rows = 0.2, 2000
    w = rng.normal(size=rows)
    z = w + math.sqrt(variance) * rng.normal(size=rows)
    lower, upper = aggregated.contrastive_bounds(
        stats.norm.logpdf(z[:, None], w[None], math.sqrt(variance))
    )
    truth = 0.5 * math.log(1 + 1 / variance)
    assert lower <= truth + 0.05
    assert upper >= truth - 0.05
    assert lower == pytest.approx(upper, abs=0.02)
    assert lower == pytest.approx(truth, abs=0.05)


def test_rows_that_go_together_are_left_out_of_the_upper_bound(rng):
    """Each w comes twice: a z is as likely under the other, which tells of the bound, not of I."""
    variance, rows = 1e-6, 300
    w = np.repeat(rng.normal(size=rows), 2)
    z = w + math.sqrt(variance) * rng.normal(size=2 * rows)
    scores = stats.norm.logpdf(z[:, None], w[None], math.sqrt(variance))
    truth = 0.5 * math.log(1 + 1 / variance)  # 6.91
    assert aggregated.contrastive_bounds(scores)[1] < truth - 0.4
    upper = aggregated.contrastive_bounds(scores, w[:, None] == w)[1]
    assert upper >= truth - 0.05
    alone = aggregated.contrastive_bounds(scores, np.ones((2 * rows, 2 * rows), bool))
    assert alone == aggregated.contrastive_bounds(scores)


def test_the_lower_contrastive_bound_ends_at_the_log_of_the_rows():
    lower, upper = aggregated.contrastive_bounds(1e4 * np.eye(50))
    assert lower == pytest.approx(math.log(50))
    assert upper > 1000
