import itertools

import keras
import numpy as np
import pytest
from pairwise import pairwise

from wyner_keras.latents import Categorical
from wyner_keras.networks import TreePrior


def fitted(probabilities):
    """The prior fitted to a joint distribution, an array with an axis a variable."""
    n, k = probabilities.ndim, probabilities.shape[0]
    prior = TreePrior(n, k)
    prior.build(None)
    prior.fit_joint(pairwise(probabilities))
    return prior


def frequencies(prior, count=200_000, seed=0):
    n, k = prior.n, prior.k
    noise = np.random.default_rng(seed).random((count, n * k), dtype=np.float32)
    z = np.asarray(prior(noise)).reshape(-1, n, k)
    assert set(np.unique(z)) <= {0.0, 1.0}
    np.testing.assert_array_equal(z.sum(axis=-1), 1)
    found = np.zeros((k,) * n)
    np.add.at(found, tuple(z.argmax(axis=-1).T), 1 / count)
    return found


def tree_distribution(seed, k=3):
    """p(z₂) p(z₀|z₂) p(z₃|z₂) p(z₁|z₃): no order of the variables gives it away."""
    rng = np.random.default_rng(seed)

    def conditional():
        return rng.dirichlet(np.full(k, 0.3), size=k)

    root = rng.dirichlet(np.ones(k))
    return np.einsum("c,ca,cd,db->abcd", root, conditional(), conditional(), conditional())


@pytest.mark.parametrize("seed", range(3))
def test_a_distribution_that_is_a_tree_is_found(seed):
    truth = tree_distribution(seed)
    found = frequencies(fitted(truth))
    # Five standard deviations of a frequency.
    assert np.abs(found - truth).max() < 5 * np.sqrt(0.25 / 200_000)


def test_its_probabilities_are_the_trees():
    truth = tree_distribution(0)
    z = Categorical(n=4, k=3).values()
    found = np.exp(np.asarray(fitted(truth).log_prob(z))).reshape(truth.shape)
    np.testing.assert_allclose(found, truth, rtol=1e-3, atol=1e-7)
    unfitted = TreePrior(4, 3)
    unfitted.build(None)
    np.testing.assert_allclose(unfitted.log_prob(z), -4 * np.log(3), rtol=1e-5)


def test_of_another_distribution_it_is_the_best_tree():
    """By enumeration of all trees of four variables: D(q ‖ p) least, singles and edges exact."""
    q = np.random.default_rng(7).dirichlet(np.full(16, 0.4)).reshape((2,) * 4)

    def pair(i, j):
        return np.einsum(q, range(4), (i, j))

    def of_tree(edges):
        p, reached = np.einsum(q, range(4), (0,)).reshape(2, 1, 1, 1), {0}
        while len(reached) < 4:
            i, j = next((i, j) for i, j in edges if i in reached and j not in reached)
            conditional = pair(i, j) / pair(i, j).sum(axis=1, keepdims=True)
            shape = np.ones(4, int)
            shape[[i, j]] = 2
            p = p * (conditional if i < j else conditional.T).reshape(shape)
            reached.add(j)
        return p

    def divergence(p):
        return float((q * np.log(q / p)).sum())

    every = [
        [*edges, *((j, i) for i, j in edges)]
        for edges in itertools.combinations(itertools.combinations(range(4), 2), 3)
    ]
    trees = []
    for edges in every:
        reached = {0}
        for _ in range(4):
            reached |= {j for i, j in edges if i in reached}
        if len(reached) == 4:
            trees.append(of_tree(edges))
    assert len(trees) == 16
    best = min(trees, key=divergence)
    assert sorted(map(divergence, trees))[1] > divergence(best) + 1e-3
    found = frequencies(fitted(q))
    assert np.abs(found - best).max() < 5 * np.sqrt(0.25 / 200_000)


def test_one_variable_has_its_own_probabilities():
    truth = np.array([0.7, 0.0, 0.2, 0.1])
    np.testing.assert_allclose(frequencies(fitted(truth)), truth, atol=0.005)


def test_until_it_is_fitted_it_is_the_uniform_prior():
    family = Categorical(n=3, k=4)
    prior = TreePrior(family.n, family.k)
    prior.build(None)
    noise = family.draw_noise(np.random.default_rng(1), 50)
    np.testing.assert_array_equal(prior(noise), family.prior_sample(noise))


def test_of_posteriors_it_takes_the_mean():
    """Given x and y variables are independent: the joint is the mean of their products."""
    q = np.random.default_rng(3).dirichlet(np.full(3, 0.2), size=(40, 2))
    prior = TreePrior(2, 3)
    prior.build(None)
    prior.fit((part.reshape(-1, 6),) for part in np.split(q, [7, 30]))
    expected = np.einsum("ba,bc->ac", q[:, 0], q[:, 1]) / len(q)
    assert np.abs(expected - expected.sum(1, keepdims=True) * expected.sum(0)).max() > 0.02
    np.testing.assert_allclose(frequencies(prior), expected, atol=5 * np.sqrt(0.25 / 200_000))


def test_it_is_saved_with_its_tree(tmp_path):
    prior = fitted(tree_distribution(0))
    noise = np.random.default_rng(2).random((50, prior.n * prior.k), dtype=np.float32)
    again = TreePrior.from_config(prior.get_config())
    again.build(None)
    again.set_weights(prior.get_weights())
    np.testing.assert_array_equal(again(noise), prior(noise))
    assert prior.trainable_variables == []
    assert keras.saving.get_registered_name(TreePrior) == "wyner_keras>TreePrior"


def test_what_it_cannot_be_fitted_to():
    prior = TreePrior(2, 3)
    prior.build(None)
    with pytest.raises(ValueError, match=r"should have shape \(2, 2, 3, 3\). Received: shape=\(2"):
        prior.fit_joint(np.ones((2, 2)))
