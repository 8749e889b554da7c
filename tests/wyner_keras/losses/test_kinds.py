import itertools

import numpy as np
import pytest

from wyner_keras.losses.kinds import Clusters, clustered, merged, merges


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


def test_merges_go_down_to_two_kinds_and_lose_least_first():
    rng = np.random.default_rng(0)
    joint = 0.9 * np.diag(rng.dirichlet(np.full(5, 5.0))) + 0.1 / 25
    owner, table = split(joint, [[0.5, 0.5], [1.0], [0.2, 0.3, 0.5], [1.0], [0.4, 0.6]], rng)
    path = list(merges(table))
    assert [kinds.max() + 1 for kinds in path] == [9, 8, 7, 6, 5, 4, 3, 2]
    assert len({*zip(owner, path[4], strict=True)}) == 5
    assert list(merges(np.eye(1))) == []


def test_values_that_nothing_has_are_of_no_kind():
    table = np.zeros((3, 3))
    table[0, 0] = table[2, 2] = 50
    assert merged(table, price=0.1, rows=100).tolist() == [0, -1, 1]


def test_clusters_read_as_equally_likely_gaussians():
    rng = np.random.default_rng(0)
    label = rng.integers(3, size=600)
    points = tuple(
        8 * rng.normal(size=(3, 4))[label] + scale * rng.normal(size=(600, 4)) for scale in (1, 2)
    )
    found = clustered(points, 3, seed=0)
    assert len({*zip(label, found, strict=True)}) == 3
    clusters = Clusters.of(points, found)
    assert clusters.variances == pytest.approx((1, 4), rel=0.1)
    for side, values in enumerate(points):
        kernel, bias = clusters.affine(side)
        distances = np.square(values[:, None] - clusters.centres[side]).sum(axis=-1)
        logits = -0.5 * distances / clusters.variances[side]
        differences = values @ kernel + bias - logits
        np.testing.assert_allclose(differences, differences[:, :1] + np.zeros(3), atol=1e-8)


def test_fewer_different_points_than_clusters_are_a_cluster_each():
    points = (np.repeat(np.eye(2), 5, axis=0), np.zeros((10, 1)))
    assert clustered(points, 4, seed=0).max() == 1
