import itertools
from typing import ClassVar

import numpy as np
import pytest
from scipy import integrate, stats
from scipy.special import logsumexp, softmax

from wyner_keras import Categorical, DiagonalGaussian
from wyner_keras.evaluation import median_rank, pmi_scores, recall_at
from wyner_serving.errors import BundleError
from wyner_serving.tasks import Tasks


@pytest.fixture
def rng() -> np.random.Generator:
    return np.random.default_rng(0)


def test_pmi_of_categorical_variables_is_the_sum_over_their_values(rng) -> None:
    family = Categorical(n=2, k=3)
    q_x, q_y = (softmax(2 * rng.normal(size=(rows, 2, 3)), axis=-1) for rows in (4, 5))
    found = family.log_pmi([q_x.reshape(4, 6)], [q_y.reshape(5, 6)])
    expected = np.zeros((4, 5))
    for z in itertools.product(range(3), repeat=2):
        p_x, p_y = (np.prod([q[:, i, z[i]] for i in range(2)], axis=0) for q in (q_x, q_y))
        expected += np.outer(p_x, p_y) * 9  # p(z) = 1 / 9
    np.testing.assert_allclose(found, np.log(expected), rtol=1e-5)


def test_pmi_of_gaussian_variables_is_the_integral(rng) -> None:
    family = DiagonalGaussian(dim=2)
    x, y = (
        [rng.normal(size=(rows, 2)), -2 * rng.random((rows, 2))] for rows in (3, 4)
    )  # narrower than N(0, 1), as products of it and a factor are
    found = np.asarray(family.log_pmi(x, y))

    def part(i: int, j: int, dim: int) -> float:
        q_x, q_y = (
            stats.norm(mean[row, dim], np.exp(log_variance[row, dim] / 2))
            for (mean, log_variance), row in ((x, i), (y, j))
        )
        ratio = lambda z: q_x.pdf(z) * q_y.pdf(z) / stats.norm.pdf(z)  # noqa: E731
        return np.log(integrate.quad(ratio, -12, 12)[0])

    for i, j in itertools.product(range(3), range(4)):
        assert found[i, j] == pytest.approx(part(i, j, 0) + part(i, j, 1), abs=1e-4)


def test_pmi_is_the_models_own_bayes_rule(rng) -> None:
    """Of experts: log of normaliser of the product, less those of each alone."""
    family = DiagonalGaussian(dim=1)
    experts = [rng.normal(size=(6, 2)).astype("float32") for _ in "xy"]
    outputs = [family.product(expert).outputs() for expert in experts]
    z = np.linspace(-8, 8, 4001)[:, None]
    prior = stats.norm.logpdf(z)
    factors = [stats.norm.logpdf(z, expert[:, 0], np.exp(expert[:, 1] / 2)) for expert in experts]
    both = logsumexp(prior + factors[0] + factors[1], axis=0)
    alone = [logsumexp(prior + factor, axis=0) for factor in factors]
    expected = both - alone[0] - alone[1] - np.log(z[1] - z[0])
    assert np.diagonal(family.log_pmi(*outputs)) == pytest.approx(expected, abs=1e-4)


def test_recall_of_known_ranks() -> None:
    scores = np.array([[3, 1, 2, 0], [9, 8, 0, 0], [1, 2, 0, 3], [5, 5, 5, 5]])
    assert recall_at(scores, 1) == pytest.approx((1 + 0 + 0 + 1 / 4) / 4)
    assert recall_at(scores, 2) == pytest.approx((1 + 1 + 0 + 2 / 4) / 4)
    assert recall_at(scores, 4) == 1
    assert recall_at(scores, 9) == 1


def test_median_rank_of_known_ranks() -> None:
    scores = np.array([[3, 1, 2, 0], [9, 8, 0, 0], [1, 2, 0, 3], [5, 5, 5, 5]])
    assert median_rank(scores) == pytest.approx(np.median([1, 2, 4, 2.5]))
    assert median_rank(np.zeros((50, 50))) == 25.5


def test_scores_that_tell_nothing_find_by_chance(rng) -> None:
    assert recall_at(np.zeros((50, 50)), 1) == pytest.approx(1 / 50)
    assert recall_at(np.zeros((50, 50)), 5) == pytest.approx(5 / 50)
    two = np.arange(50) % 2
    assert recall_at((two[:, None] == two).astype(float), 1) == pytest.approx(1 / 25)


class Bundle(Tasks):
    """Reads z off the values themselves, in chunks; says of its latent what a manifest does."""

    batch_size = 7
    identity = "of this test"
    side_entries: ClassVar = {side: {"kind": "series", "shape": [3]} for side in "xy"}
    posterior_names = ("mean", "log_variance")
    latent_entries: ClassVar = {"z": DiagonalGaussian(dim=3).describe()}

    def run_graph(self, name, inputs):
        ((side, values),) = inputs.items()
        assert name == f"posterior_{side}_z"
        assert len(values) <= 7
        return [values, np.full_like(values, -3)]


def test_a_bundle_is_asked_for_its_posteriors(rng) -> None:
    family, values = DiagonalGaussian(dim=3), rng.normal(size=(120, 3)).astype("float32")
    scores = pmi_scores(Bundle(), values, values)
    posterior = [values, np.full_like(values, -3)]
    np.testing.assert_allclose(scores, family.log_pmi(posterior, posterior), rtol=1e-4, atol=1e-3)
    assert recall_at(scores, 1) > 0.9


def test_a_model_that_shows_no_posterior_has_no_scores() -> None:
    assert pmi_scores(object(), np.zeros((2, 1)), np.zeros((2, 1))) is None

    class Strange(Bundle):
        latent_entries: ClassVar = {"z": {"family": "strange", "size": 3}}

        def run_graph(self, name, inputs):
            if name == "score_pairs":
                raise BundleError("no such graph")
            return super().run_graph(name, inputs)

    values = np.zeros((2, 3), np.float32)
    assert pmi_scores(Strange(), values, values) is None
