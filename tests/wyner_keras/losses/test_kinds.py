import numpy as np
from scipy.stats import multivariate_normal

from wyner_keras.losses.kinds import Clusters, clustered, nested


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
