"""Pairings: which image of one set goes with which of another."""

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import check_whole
from wyner_keras.data.images import Label, LabelledImages
from wyner_keras.data.pairs import Pairs
from wyner_keras.received import received

LabelMap = Mapping[Any, Any] | Callable[[Any], Any]
"""From a label of x to a label of y."""


def next_label(label: int, classes: int = 10) -> int:
    """The label map of the paper's experiment: the next class, and 0 after the last.

    Args:
        label: from 0 to `classes - 1`.
        classes: how many there are.

    Example:
        >>> next_label(9)
        0
    """
    return (label + 1) % classes


def add_one(
    images: LabelledImages,
    pairs_per_class: int | None = None,
    *,
    seed: int = 0,
    classes: int = 10,
) -> Pairs:
    """Pairs each image with one of the next class: label(y) = (label(x) + 1) mod classes.

    x and y are drawn independently given their labels, so the label is all that they share: the
    experiment of the paper (Ryu, Choi, El-Khamy, Lee: Variational inference for Wyner's common
    information).

    Args:
        images: where both x and y are drawn from.
        pairs_per_class: pairs for each class of x; None for as many as it has images.
        seed: 0 or more; the same seed gives the same pairs.
        classes: how many classes there are; labels run from 0 to `classes - 1`.

    Returns:
        The pairs, shuffled. Within a class, each image is used equally often, give or take one.

    Raises:
        ValueError: when an argument is malformed, a label is not below `classes`, or a class
            has no partner.

    Example:
        >>> from wyner_keras import data
        >>> pairs = data.add_one(data.load("digits").train, pairs_per_class=50, seed=0)
        >>> len(pairs), bool((pairs.y_labels == (pairs.x_labels + 1) % 10).all())
        (500, True)
    """
    classes = check_whole(classes, "classes", minimum=2)
    _check_set(images, "images")
    last = images.classes[-1]
    if isinstance(last, str) or last >= classes:
        raise ValueError(
            f"labels should be whole numbers below classes={classes}. Received: label {last!r}"
        )
    next_of = functools.partial(next_label, classes=classes)
    return label_map(images, next_of, pairs_per_class, seed=seed)


def label_map(
    images: LabelledImages,
    mapping: LabelMap,
    pairs_per_class: int | None = None,
    *,
    seed: int = 0,
    targets: LabelledImages | None = None,
) -> Pairs:
    """Pairs each image with one whose label is the image of its own: label(y) = mapping(label(x)).

    Args:
        images: where x is drawn from.
        mapping: from each label of x to a label of y, a mapping or a function.
        pairs_per_class: pairs for each class of x; None for as many as it has images.
        seed: 0 or more; the same seed gives the same pairs.
        targets: where y is drawn from; None for `images`. Classes that nothing maps to are left
            out.

    Returns:
        The pairs, shuffled. Within a class of x, each image is used equally often, give or take
        one; so is each of its partners, drawn independently.

    Raises:
        ValueError: when an argument is malformed, labels are absent, or a class has no partner.

    Example:
        >>> from wyner_keras import data
        >>> pairs = data.label_map(data.load("digits").train, lambda n: 9 - n, 20, seed=0)
        >>> len(pairs), set((pairs.x_labels + pairs.y_labels).tolist())
        (200, {9})
    """
    targets = images if targets is None else targets
    _check_set(images, "images")
    _check_set(targets, "targets")
    if not isinstance(mapping, Mapping) and not callable(mapping):
        raise ValueError(
            "mapping should be a dict or a function from a label to a label. "
            f"Received: {received(mapping)}"
        )
    if pairs_per_class is not None:
        pairs_per_class = check_whole(pairs_per_class, "pairs_per_class", minimum=1)
    rng = np.random.default_rng(check_whole(seed, "seed"))
    partners = {label: _partner(mapping, label, targets) for label in images.classes}
    blocks = []
    for label, partner in partners.items():
        members = images.of_class(label)
        count = len(members) if pairs_per_class is None else pairs_per_class
        x = _draw(rng, members, count)
        y = _draw(rng, targets.of_class(partner), count)
        blocks.append(np.stack([x, y], axis=1))
    return Pairs(images, targets, rng.permutation(np.concatenate(blocks)))


def same_label(
    x_images: LabelledImages,
    y_images: LabelledImages,
    pairs_per_class: int | None = None,
    *,
    seed: int = 0,
) -> Pairs:
    """Pairs images of two sources that have the same label.

    Args:
        x_images: where x is drawn from.
        y_images: where y is drawn from. Classes that x does not have are left out.
        pairs_per_class: pairs for each class of x; None for as many as it has images.
        seed: 0 or more; the same seed gives the same pairs.

    Returns:
        The pairs, shuffled, drawn as in `label_map`.

    Raises:
        ValueError: when an argument is malformed, labels are absent, or a class of x does not
            occur in y.

    Example:
        >>> from wyner_keras import data
        >>> digits = data.load("digits")
        >>> pairs = data.same_label(digits.train, digits.test, pairs_per_class=20, seed=0)
        >>> len(pairs), bool((pairs.x_labels == pairs.y_labels).all())
        (200, True)
    """
    _check_set(x_images, "x_images")
    _check_set(y_images, "y_images")
    return label_map(x_images, lambda n: n, pairs_per_class, seed=seed, targets=y_images)


def from_indices(x_images: Any, y_images: Any, index: Any) -> Pairs:
    """Pairs that the user already has, in the order given: `Pairs(x_images, y_images, index)`.

    Args:
        x_images: what x is drawn from, as `Pairs` takes it.
        y_images: likewise.
        index: integer array `(n, 2)` of positions, the first column in `x_images`, the second
            in `y_images`.

    Raises:
        ValueError: as `Pairs` does, and without an index.

    Example:
        >>> x = np.random.default_rng(0).random((5, 8, 8, 1))
        >>> len(from_indices(x, 1 - x, [[0, 0], [1, 1]]))
        2
    """
    if index is None:
        raise ValueError("index should be an array (n, 2). Received: None")
    return Pairs(x_images, y_images, index)


def _check_set(images: Any, name: str) -> None:
    if not isinstance(images, LabelledImages):
        raise ValueError(
            f"{name} should be LabelledImages, made by load or LabelledImages(images, labels). "
            f"Received: {type(images).__name__}"
        )


def _partner(mapping: LabelMap, label: Label, targets: LabelledImages) -> Label:
    if isinstance(mapping, Mapping):
        if label not in mapping:
            raise ValueError(
                f"mapping should name a partner for class {label!r}. "
                f"Received: a mapping of {received(sorted(mapping, key=repr))}"
            )
        partner = mapping[label]
    else:
        partner = mapping(label)
    if not isinstance(targets.classes[0], str):
        partner = check_whole(partner, f"the partner of class {label!r}")
    if partner not in targets.classes:
        raise ValueError(
            f"class {label!r} should have a partner: images of class {partner!r} to pair it with. "
            f"Received: images of classes {received(targets.classes)}"
        )
    return partner


def _draw(rng: np.random.Generator, members: NDArray[np.int64], count: int) -> NDArray[np.int64]:
    # Whole shuffled passes rather than draws with replacement, so that use stays even.
    passes = -(-count // len(members))
    return np.concatenate([rng.permutation(members) for _ in range(passes)])[:count]
