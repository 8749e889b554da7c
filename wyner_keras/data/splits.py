"""Splits sets and pairs into what trains and what is held out."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

if TYPE_CHECKING:
    from wyner_keras.data.rows import Rows

_Positions = NDArray[np.int64]
_LARGE = 1 / 200  # share of the pairs from which on rows that link them are split, not lots


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


def held_out_pairs(
    stores: Sequence[Rows],
    index: _Positions,
    groups: NDArray[Any] | None,
    fraction: float,
    seed: int,
) -> NDArray[np.bool]:
    """Chooses pairs at random that share no row and no group with the others.

    Args:
        stores: of x and y; of `Subset`s the rows that they have in common count as one.
        index: `(n, 2)`.
        groups: `(n,)`, or None.
        fraction: share of the pairs, above 0 and below 1.
        seed: of the draw.

    Returns:
        A mask `(n,)`. Pairs that rows or groups link together are chosen together, and no more
        than the share is, but for a first lot that is larger.

    Raises:
        ValueError: when all pairs are linked.

    Example:
        >>> index = np.repeat(np.arange(10)[:, None], 2, axis=1)
        >>> from wyner_keras.data.rows import ArrayRows
        >>> stores = [ArrayRows(np.zeros((10, 1))), ArrayRows(np.zeros((10, 1)))]
        >>> int(held_out_pairs(stores, index, None, fraction=0.2, seed=0).sum())
        2
    """
    lots = linked_lots(stores, index, groups)
    if not lots.any():
        raise ValueError(
            "pairs should fall into two parts that share no row and no group, to hold one out; "
            f"split the rows before they are paired. Received: {len(index)} pairs, all linked"
        )
    return _some_lots(lots, fraction, seed)


def _some_lots(lots: NDArray[np.int64], fraction: float, seed: int) -> NDArray[np.bool]:
    """A mask of the pairs of some lots, no more than the share but for a first that is larger."""
    sizes = np.bincount(lots)
    wanted = max(1, round(fraction * len(lots)))
    chosen, count = np.zeros(len(sizes), bool), 0
    for lot in np.random.default_rng(seed).permutation(len(sizes)):
        if count + sizes[lot] <= wanted:
            chosen[lot], count = True, count + sizes[lot]
    if not count:
        chosen[np.argmin(sizes)] = True
    elif chosen.all():
        chosen[np.argmin(sizes)] = False
    return chosen[lots]


def linked_lots(
    stores: Sequence[Rows],
    index: _Positions,
    groups: NDArray[Any] | None,
    *,
    by_side: bool = False,
) -> NDArray[np.int64]:
    """Numbers lots of pairs: two are in one lot where rows or groups link them.

    Args:
        stores: of x and y; of `Subset`s the rows that they have in common count as one.
        index: `(n, 2)`.
        groups: `(n,)`, or None.
        by_side: whether a row links pairs on the same side only.

    Returns:
        The number of each pair's lot, `(n,)`, from 0.

    Example:
        >>> from wyner_keras.data.rows import ArrayRows
        >>> x, y = ArrayRows(np.zeros((3, 1))), ArrayRows(np.zeros((3, 1)))
        >>> linked_lots([x, y], np.array([[0, 0], [1, 1], [0, 2]]), None).tolist()
        [0, 1, 0]
    """
    from scipy.sparse import coo_array
    from scipy.sparse.csgraph import connected_components

    nodes, count = _nodes(stores, index, groups, by_side)
    starts = np.concatenate([nodes[0]] * (len(nodes) - 1))
    graph = coo_array(
        (np.ones(len(starts), bool), (starts, nodes[1:].ravel())), shape=(count, count)
    )
    _, labels = connected_components(graph, directed=False)
    return np.unique(labels[nodes[0]], return_inverse=True)[1]


def _nodes(
    stores: Sequence[Rows], index: _Positions, groups: NDArray[Any] | None, by_side: bool
) -> tuple[_Positions, int]:
    """Numbers of a pair's rows and its group, `(2 or 3, n)`, and how many there are."""
    nodes, count = _numbered(stores, index, by_side)
    if groups is not None:
        _, numbers = np.unique(groups, return_inverse=True)
        nodes = np.concatenate([nodes, count + numbers[None]])
        count += int(numbers.max()) + 1
    return nodes, count


def rows_of_stores(stores: Sequence[Rows], index: _Positions) -> _Positions:
    """Numbers of the rows of pairs, `(2, n)`: of a store that both sides have, one a row.

    Args:
        stores: of x and y; of `Subset`s the rows that they have in common count as one.
        index: `(n, 2)`.

    Example:
        >>> from wyner_keras.data.rows import ArrayRows
        >>> rows = ArrayRows(np.zeros((3, 1)))
        >>> rows_of_stores([rows, rows], np.array([[0, 1], [1, 2]])).tolist()
        [[0, 1], [1, 2]]
    """
    return _numbered(stores, index, by_side=False)[0]


def _numbered(stores: Sequence[Rows], index: _Positions, by_side: bool) -> tuple[_Positions, int]:
    """Numbers of a pair's rows `(2, n)`, and how many there are."""
    from wyner_keras.data.rows import root

    # By store, and by side if need be, the number of its first row as a node.
    firsts: dict[tuple[Rows, int], int] = {}
    nodes, count = [], 0
    for column, rows in enumerate(stores):
        store, within = root(rows)
        key = store, column if by_side else 0
        if key not in firsts:
            firsts[key], count = count, count + len(store)
        places = index[:, column] if within is None else within[index[:, column]]
        nodes.append(firsts[key] + places)
    return np.stack(nodes), count


def validation_parts(
    stores: Sequence[Rows],
    index: _Positions,
    groups: NDArray[Any] | None,
    fraction: float,
    seed: int,
) -> tuple[NDArray[np.bool], NDArray[np.bool]]:
    """Chooses pairs to train on and pairs to choose by, which share no group and no row of a side.

    Each side has an expert of its own, which has not learnt from a row that was the other side's.

    Args:
        stores: of x and y.
        index: `(n, 2)`.
        groups: `(n,)`, or None.
        fraction: share that is chosen by, above 0 and below 1.
        seed: of the draw.

    Returns:
        Two masks `(n,)`. Where rows link the pairs into large lots, the share is of rows and
        groups, and pairs with one on each side are in neither mask.

    Example:
        >>> from wyner_keras.data.rows import ArrayRows
        >>> rows = ArrayRows(np.zeros((100, 1)))
        >>> index = np.indices((100, 100)).reshape(2, -1).T
        >>> parts = validation_parts([rows, rows], index, None, fraction=0.2, seed=0)
        >>> [len(np.unique(index[part][:, 0])) for part in parts]
        [81, 19]
    """
    # A lot of rows may be a class: to leave it out whole would leave out what is to be known.
    largest = np.bincount(linked_lots(stores, index, None, by_side=True)).max()
    if largest <= max(1, _LARGE * len(index)):
        lots = linked_lots(stores, index, groups, by_side=True)
        chosen = _some_lots(lots, fraction, seed)
        return ~chosen, chosen
    nodes, count = _nodes(stores, index, groups, by_side=True)
    chosen = (np.random.default_rng(seed).random(count) < fraction)[nodes]
    return np.logical_not(chosen.any(axis=0)), np.asarray(chosen.all(axis=0))
