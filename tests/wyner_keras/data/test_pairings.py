"""Pairings: labels that fit, even use of every image, and what is refused."""

import hashlib

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras.data import (
    LabelledImages,
    add_one,
    from_indices,
    label_map,
    next_label,
    same_label,
)


def _images(n: int) -> np.ndarray:
    return np.random.default_rng(0).integers(0, 256, (n, 2, 2, 1), np.uint8)


def _set(labels) -> LabelledImages:
    return LabelledImages(_images(len(labels)), np.asarray(labels))


def _label_lists(classes: int) -> st.SearchStrategy:
    extra = st.lists(st.integers(0, classes - 1), max_size=20)
    return extra.flatmap(lambda more: st.permutations(list(range(classes)) + more))


_counts = st.none() | st.integers(1, 12)
_seeds = st.integers(0, 2**32)


def _check_balance(pairs, pairs_per_class, x, y):
    """Every image of a class is used equally often, give or take one, on both sides."""
    assert (pairs.x, pairs.y) == (x.rows, y.rows)
    for label in x.classes:
        members = x.of_class(label)
        rows = pairs.index[pairs.x_labels == label]
        assert len(rows) == (len(members) if pairs_per_class is None else pairs_per_class)
        uses = np.bincount(rows[:, 0], minlength=len(pairs.x))[members]
        assert np.ptp(uses) <= 1
        partner = np.unique(pairs.y_labels[pairs.x_labels == label])
        assert len(partner) == 1
        uses = np.bincount(rows[:, 1], minlength=len(pairs.y))[y.of_class(partner[0])]
        assert np.ptp(uses) <= 1


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 6), st.data(), _counts, _seeds)
def test_add_one_adds_one_and_uses_images_evenly(classes, data, pairs_per_class, seed):
    images = _set(data.draw(_label_lists(classes)))
    pairs = add_one(images, pairs_per_class, seed=seed, classes=classes)
    np.testing.assert_array_equal(pairs.y_labels, (pairs.x_labels + 1) % classes)
    _check_balance(pairs, pairs_per_class, images, images)
    again = add_one(images, pairs_per_class, seed=seed, classes=classes)
    np.testing.assert_array_equal(again.index, pairs.index)


@settings(deadline=None, max_examples=50)
@given(_label_lists(4), _label_lists(3), _counts, _seeds, st.booleans())
def test_label_map_follows_the_map_to_other_targets(xs, ys, pairs_per_class, seed, as_dict):
    table = {0: 2, 1: 0, 2: 2, 3: 1}
    mapping = table if as_dict else lambda n: np.int64(table[n])
    x, y = _set(xs), _set(ys)
    pairs = label_map(x, mapping, pairs_per_class, seed=seed, targets=y)
    assert [table[n] for n in pairs.x_labels] == pairs.y_labels.tolist()
    _check_balance(pairs, pairs_per_class, x, y)


@settings(deadline=None, max_examples=50)
@given(_label_lists(3), _label_lists(5), _counts, _seeds)
def test_same_label_keeps_the_label(xs, ys, pairs_per_class, seed):
    x, y = _set(xs), _set(ys)
    pairs = same_label(x, y, pairs_per_class, seed=seed)
    np.testing.assert_array_equal(pairs.x_labels, pairs.y_labels)
    _check_balance(pairs, pairs_per_class, x, y)


def test_seeds_give_other_pairs_in_mixed_order():
    images = _set(np.repeat(np.arange(10), 30))
    pairs = add_one(images, 30, seed=0)
    assert not np.array_equal(pairs.index, add_one(images, 30, seed=1).index)
    # Classes are mixed: sorted blocks would show 10 distinct labels only at the very end.
    assert len(set(pairs.x_labels[:100].tolist())) == 10


def test_x_and_y_are_independent_given_the_label():
    images = _set(np.repeat([0, 1], 4))
    pairs = add_one(images, 32_000, seed=0, classes=2)
    table = np.zeros((8, 8))
    np.add.at(table, tuple(pairs.index.T), 1)
    # 16 cells a class, 2,000 expected in each, standard deviation about 34 (fixed margins).
    for block in (table[:4, 4:], table[4:, :4]):
        assert abs(block - 2000).max() < 5 * 34
        np.testing.assert_array_equal(block.sum(0), 8000)


@pytest.mark.parametrize(
    ("make", "checksum"),
    [
        (lambda images: add_one(images, 50, seed=0), "3b37021135c4a27f"),
        (lambda images: label_map(images, lambda n: 9 - n, seed=3), "5717775dc1170c3a"),
        (lambda images: same_label(images, images, 7, seed=1), "05065d4a2831bcf7"),
    ],
    ids=["add_one", "label_map", "same_label"],
)
def test_the_draws_never_change(make, checksum):
    index = make(_set(np.arange(200) * 7 % 10)).index
    assert hashlib.sha256(index.tobytes()).hexdigest()[:16] == checksum


def test_labels_may_be_texts():
    letters = _set(["a", "b", "a", "b", "c"])
    pairs = label_map(letters, {"a": "b", "b": "c", "c": "a"}, 4, seed=0)
    assert {(x, y) for x, y in zip(pairs.x_labels, pairs.y_labels, strict=True)} == {
        ("a", "b"),
        ("b", "c"),
        ("c", "a"),
    }
    again = same_label(letters, letters, seed=0)
    assert again.x_labels.tolist() == again.y_labels.tolist()


def test_the_label_map_of_add_one_is_one_function():
    assert [next_label(n) for n in (0, 8, 9)] == [1, 9, 0]
    assert next_label(25, classes=26) == 0


def test_from_indices_keeps_order_and_takes_bare_arrays():
    images = _images(3)
    pairs = from_indices(images, images, [[2, 0], [1, 1]])
    assert pairs.index.tolist() == [[2, 0], [1, 1]]
    assert pairs.x is pairs.y
    assert pairs.x_labels is None
    labelled = _set([4, 5])
    pairs = from_indices(labelled, images, [[1, 2], [0, 0]])
    assert pairs.x is labelled.rows
    assert pairs.x_labels.tolist() == [5, 4]


_digits = _set(range(10))


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda: add_one(_set([0, 1, 3])),
            r"class 1 .* images of class 2 .*Received: images of classes \(0, 1, 3\)",
        ),
        (lambda: add_one(_set([0, 1])), "class 1 should have a partner.*Received: "),
        (lambda: add_one(_digits, classes=5), "below classes=5. Received: label 9"),
        (lambda: add_one(_digits, classes=1), "classes should be.*Received: 1"),
        (lambda: add_one(_digits, 0), "pairs_per_class should be.*Received: 0"),
        (lambda: add_one(_digits, 2.5), "pairs_per_class should be.*Received: 2.5"),
        (lambda: add_one(_digits, seed=-1), "seed should be.*Received: -1"),
        (lambda: add_one(np.zeros((2, 2, 2, 1))), "LabelledImages.*Received: ndarray"),
        (lambda: add_one(None), "LabelledImages.*Received: NoneType"),
        (lambda: add_one(_set(["a", "b"])), "whole numbers below classes=10. Received: label 'b'"),
        (lambda: label_map(_set(["a", "b"]), {"a": "b"}), "partner for class 'b'"),
        (lambda: same_label(_set(["a", "b"]), _set(["a", "c"])), "class 'b' should have a partner"),
        (lambda: label_map(_digits, {0: 1}), r"partner for class 1. Received: a mapping of \[0\]"),
        (lambda: label_map(_digits, lambda n: n + 1), r"class 9 should have.*class 10.*Received: "),
        (
            lambda: label_map(_digits, lambda n: n / 2),
            "partner of class 0 should be.*Received: 0.0",
        ),
        (lambda: label_map(_digits, 3), "mapping should be.*Received: 3"),
        (lambda: label_map(_digits, abs, targets=[1]), "targets should be.*Received: list"),
        (lambda: same_label(_digits, _set([0])), "class 1 should have a partner.*Received: "),
        (lambda: same_label(None, _digits), "x_images should be.*Received: NoneType"),
        (lambda: same_label(_digits, None), "y_images should be.*Received: NoneType"),
        (lambda: from_indices(None, _digits, [[0, 0], [1, 1]]), "x should be.*Received: None"),
        (lambda: from_indices(_digits, _digits, None), "index should be an array.*Received: None"),
    ],
)
def test_bad_pairings_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()
