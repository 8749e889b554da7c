"""Splits a set into images to train on and images held out, within each class."""

from collections.abc import Mapping

import numpy as np
from numpy.typing import NDArray

_Positions = NDArray[np.int64]


def split_classes(
    labels: NDArray[np.int64],
    test_fraction: float,
    seed: int,
    names: Mapping[int, str] | None = None,
) -> tuple[_Positions, _Positions]:
    """Splits positions at random so that every class is on both sides.

    Args:
        labels: `(n,)`.
        test_fraction: share of each class that is held out, above 0 and below 1.
        seed: of the draw.
        names: what the labels are called, for the error message.

    Returns:
        The positions to train on and those held out, both in random order. Where the classes are
        large enough, `ceil(test_fraction * n)` are held out. Where one is too small for its share,
        every class holds out its own share, rounded, but at least 1 and at most all but 1.

    Raises:
        ValueError: when a class has one image only.

    Example:
        >>> train, test = split_classes(np.repeat([0, 1], 3), test_fraction=0.2, seed=0)
        >>> len(train), len(test)
        (4, 2)
    """
    classes, counts = np.unique(labels, return_counts=True)
    if counts.min() < 2:
        label = int(classes[counts.argmin()])
        called = repr(names[label]) if names else label
        raise ValueError(
            "each class should have 2 images or more, to hold one out, or the source give its own "
            "test set: folders train and test, or ((train_images, train_labels), (test_images, "
            f"test_labels)). Received: 1 image of class {called}"
        )
    held_out = int(np.ceil(test_fraction * len(labels)))
    enough = counts.min() * test_fraction >= 1 and held_out <= len(labels) - len(classes)
    if enough:
        from sklearn.model_selection import train_test_split

        train, test = train_test_split(
            np.arange(len(labels)), test_size=held_out, random_state=seed, stratify=labels
        )
        # A small share left to train on can still pass a class by.
        if len(np.unique(labels[train])) == len(classes):
            return train, test
    return _split_each(labels, test_fraction, seed)


def _split_each(
    labels: NDArray[np.int64], test_fraction: float, seed: int
) -> tuple[_Positions, _Positions]:
    rng = np.random.default_rng(seed)
    train, test = [], []
    for label in np.unique(labels):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out = min(max(1, round(test_fraction * len(members))), len(members) - 1)
        test.append(members[:held_out])
        train.append(members[held_out:])
    return rng.permutation(np.concatenate(train)), rng.permutation(np.concatenate(test))
