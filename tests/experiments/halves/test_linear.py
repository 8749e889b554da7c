import math

import numpy as np
import pytest
from scipy import stats
from sklearn.cross_decomposition import CCA

from experiments.halves.linear import (
    GaussianConditional,
    baselines,
    choose,
    probabilistic_cca,
    regression,
)


def pairs(n, seed=0):
    """x of 3 and y of 2 columns that share two normal values, the second weakly; and p(x,y)."""
    rng = np.random.default_rng(seed)
    loadings = np.array([[1, 0.5, 0, 1, -1], [0, 0.3, -0.3, 0.2, 0.4]])
    noise = np.diag([0.5, 0.2, 0.3, 0.4, 0.6])
    noise[3, 4] = noise[4, 3] = 0.2
    covariance, mean = loadings.T @ loadings + noise, np.arange(5.0)
    rows = rng.multivariate_normal(mean, covariance, size=n)
    return rows[:, :3], rows[:, 3:], mean, covariance


def conditional(x, y, mean, covariance):
    """log p(y|x) in closed form."""
    joint = stats.multivariate_normal(mean, covariance).logpdf(np.hstack([x, y]))
    return joint - stats.multivariate_normal(mean[:3], covariance[:3, :3]).logpdf(x)


def test_the_density_is_scipys():
    rng = np.random.default_rng(0)
    x, y, root = rng.normal(size=(6, 3)), rng.normal(size=(6, 2)), rng.normal(size=(2, 2))
    model = GaussianConditional(
        weights=rng.normal(size=(3, 2)), offset=rng.normal(size=2), covariance=root @ root.T
    )
    expected = [
        stats.multivariate_normal(model.offset + a @ model.weights, model.covariance).logpdf(b)
        for a, b in zip(x, y, strict=True)
    ]
    np.testing.assert_allclose(model.log_prob(x, y), expected)


@pytest.mark.parametrize(
    ("fit", "settings"),
    [(regression, {"ridge": 0.0}), (probabilistic_cca, {"dimension": 2})],
)
def test_of_many_pairs_both_are_the_truth(fit, settings):
    x, y, *truth = pairs(20_000)
    model = fit(x, y, shrinkage=0.0, **settings)
    new_x, new_y, *_ = pairs(1000, seed=1)
    found = model.log_prob(new_x, new_y)
    expected = conditional(new_x, new_y, *truth)
    np.testing.assert_allclose(found, expected, atol=0.25)
    assert found.mean() == pytest.approx(expected.mean(), abs=0.01)


def test_cca_with_all_dimensions_is_the_regression_and_with_none_uses_no_x():
    x, y, *_ = pairs(200)
    of_all = probabilistic_cca(x, y, dimension=2, shrinkage=0.0)
    plain = regression(x, y, ridge=0.0, shrinkage=0.0)
    np.testing.assert_allclose(of_all.log_prob(x, y), plain.log_prob(x, y))
    of_none = probabilistic_cca(x, y, dimension=0, shrinkage=0.0)
    unused = regression(x, y, ridge=math.inf, shrinkage=0.0)
    np.testing.assert_allclose(of_none.log_prob(x, y), unused.log_prob(x, y))


def test_one_dimension_keeps_the_first_canonical_correlation():
    x, y, *_ = pairs(500)
    model = probabilistic_cca(x, y, dimension=1, shrinkage=0.0)
    predicted = model.offset + x @ model.weights
    assert np.linalg.matrix_rank(model.weights, tol=1e-8) == 1
    found = CCA(n_components=1, scale=False).fit(x, y)
    first, second = found.transform(x, y)
    expected = abs(np.corrcoef(first[:, 0], second[:, 0])[0, 1])
    # What it predicts is the canonical variate of x.
    assert abs(np.corrcoef(predicted[:, 0], first[:, 0])[0, 1]) == pytest.approx(1, abs=1e-4)
    whitened = np.linalg.solve(np.linalg.cholesky(np.cov(y.T, ddof=0)), predicted.T)
    assert np.sqrt(np.trace(np.cov(whitened, ddof=0))) == pytest.approx(expected, abs=1e-4)


def test_the_validation_part_chooses_and_all_pairs_are_fitted():
    (x, y, *_), (more_x, more_y, *_) = pairs(60), pairs(40, seed=1)
    grid = {"dimension": (0, 1, 2), "shrinkage": (0.0, 0.3)}
    chosen = choose(probabilistic_cca, grid, (x, y), (more_x, more_y))
    scores = {
        (d, s): probabilistic_cca(x, y, dimension=d, shrinkage=s).log_prob(more_x, more_y).mean()
        for d in grid["dimension"]
        for s in grid["shrinkage"]
    }
    best = max(scores, key=scores.get)
    assert tuple(chosen.settings.values()) == best
    assert chosen.validation == pytest.approx(scores[best])
    whole = probabilistic_cca(
        np.concatenate([x, more_x]), np.concatenate([y, more_y]), **chosen.settings
    )
    np.testing.assert_array_equal(chosen.model.weights, whole.weights)


def test_constant_columns_are_shrunk_past_or_refused():
    x, y, *_ = pairs(60)
    y[:, 1] = 3.0
    with pytest.raises(ValueError, match=r"`train` should have columns that vary.*Received: x"):
        dict(baselines((x, y), (x, y)))
