import itertools

import numpy as np
import pytest
from scipy.stats import multivariate_normal

from wyner_keras.losses.kinds import Clusters, clustered, merged, nested


def information(joint):
    joint = joint / joint.sum()
    independent = np.outer(joint.sum(axis=1), joint.sum(axis=0))
    chosen = joint > 0
    return (joint[chosen] * np.log(joint[chosen] / independent[chosen])).sum()


def split(joint, shares, rng):
    """Each value split into parts that x and y fall into by themselves: their values, a table."""
    owner = np.repeat(np.arange(len(joint)), [len(parts) for parts in shares])
    share = np.concatenate(shares)
    order = rng.permutation(len(owner))
    owner, share = owner[order], share[order]
    return owner, joint[np.ix_(owner, owner)] * np.outer(share, share)


@pytest.mark.parametrize("seed", range(4))
def test_parts_that_tell_nothing_apart_become_their_kind(seed):
    rng = np.random.default_rng(seed)
    joint = 0.9 * np.diag(rng.dirichlet(np.full(6, 5.0))) + 0.1 / 36
    owner, table = split(joint, [rng.dirichlet(np.full(n, 3.0)) for n in (1, 2, 3, 4, 5, 6)], rng)
    kinds = merged(table, price=0.1, rows=100_000)
    assert kinds.max() == 5
    for i, j in itertools.combinations(range(len(owner)), 2):
        assert (kinds[i] == kinds[j]) == (owner[i] == owner[j])


def test_nothing_that_is_shared_is_lost_but_what_is_cheaper_than_its_price():
    rng = np.random.default_rng(0)
    joint = rng.dirichlet(np.full(64, 0.2)).reshape(8, 8)
    for price in (0.0, 0.1, 1.0):
        kinds = merged(joint, price=price, rows=10**9)
        members = np.eye(kinds.max() + 1)[kinds]
        left = members.T @ joint @ members
        p, q = ((table.sum(axis=0) + table.sum(axis=1)) / 2 for table in (joint, left))
        saved = -(p * np.log(p)).sum() + (q[q > 0] * np.log(q[q > 0])).sum()
        assert information(joint) - information(left) <= price * saved + 1e-9
    assert kinds.max() == 0  # at a price of 1 nothing is worth having


def test_what_chance_may_have_made_is_no_kind():
    rng = np.random.default_rng(0)
    values = rng.integers(10, size=(2, 300))
    table = np.zeros((10, 10))
    np.add.at(table, tuple(values), 1)
    assert merged(table, price=0.0, rows=300).max() == 0
    assert merged(np.diag(np.full(10, 30.0)), price=0.0, rows=300).max() == 9


def test_values_that_nothing_has_are_of_no_kind():
    table = np.zeros((3, 3))
    table[0, 0] = table[2, 2] = 50
    assert merged(table, price=0.1, rows=100).tolist() == [0, -1, 1]


def turned(rng, size, wide):
    """A covariance that is wide in one direction, which is no axis."""
    direction = rng.normal(size=size)
    return np.eye(size) + wide * np.outer(direction, direction)


def test_clusters_read_as_equally_likely_gaussians_of_one_covariance():
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=3000)
    spread = [turned(rng, 4, wide) for wide in (1, 9)]
    means = [8 * rng.normal(size=(3, 4)) for _ in spread]
    points = tuple(
        mean[label] + rng.multivariate_normal(np.zeros(4), each, size=3000)
        for mean, each in zip(means, spread, strict=True)
    )
    clusters = Clusters.of(points, label)
    for side, values in enumerate(points):
        np.testing.assert_allclose(clusters.centres[side], means[side], atol=0.5)
        np.testing.assert_allclose(
            np.linalg.inv(clusters.metrics[side]), spread[side], atol=0.05 * spread[side].max()
        )
        kernel, bias = clusters.affine(side)
        covariance = np.linalg.inv(clusters.metrics[side])
        expected = np.stack(
            [
                multivariate_normal(mean, covariance).logpdf(values)
                for mean in clusters.centres[side]
            ]
        )
        differences = values @ kernel + bias - expected.T
        np.testing.assert_allclose(differences, differences[:, :1] + np.zeros(3), atol=1e-7)


def beside_a_quantity(rng, count=2000):
    """Four labels, and points in which a quantity varies more than labels do."""
    label, size = rng.integers(4, size=count), 3
    along = rng.normal(size=(size,))
    quantity = 6 * rng.normal(size=(count, 1))
    means = 6 * rng.normal(size=(4, size))
    sides = (means[label] + quantity * along + rng.normal(size=(count, size)) for _ in range(2))
    return label, tuple(sides)


def test_plenty_of_clusters_beside_a_quantity_are_joined_to_the_labels():
    label, points = beside_a_quantity(np.random.default_rng(1))
    found = clustered(points, 16, seed=0)
    kinds = list(nested(points, found))[12][found]
    agree = [np.bincount(label[kinds == kind]).max() for kind in range(4)]
    assert sum(agree) > 0.99 * len(label)


def test_clusters_along_a_quantity_are_joined_first():
    label, points = beside_a_quantity(np.random.default_rng(1))
    # Of each label the low, the middle and the high part.
    along = points[0] @ np.linalg.svd(points[0] - points[0].mean(axis=0))[2][0]
    thirds = np.zeros(len(label), int)
    for value in range(4):
        own = np.flatnonzero(label == value)
        thirds[own] = 3 * value + np.argsort(np.argsort(along[own])) * 3 // len(own)
    path = list(nested(points, thirds))
    assert [kinds.max() + 1 for kinds in path] == [*range(12, 1, -1)]
    assert path[8].tolist() == np.repeat(np.unique(path[8], return_index=True)[0], 3).tolist()


def test_fewer_different_points_than_clusters_are_a_cluster_each():
    points = (np.repeat(np.eye(2), 5, axis=0), np.zeros((10, 1)))
    assert clustered(points, 4, seed=0).max() == 1
