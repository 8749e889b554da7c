"""LabelledImages: what it holds and refuses."""

import dataclasses

import numpy as np
import pytest

from wyner_keras.data import LabelledImages


def _images(n: int = 4) -> np.ndarray:
    return np.random.default_rng(0).random((n, 3, 2, 1))


def test_holds_float32_and_int64_and_finds_classes():
    images = _images()
    held = LabelledImages(images, np.array([5, 2, 5, 0], "uint8"))
    assert (held.images.dtype, held.labels.dtype) == (np.float32, np.int64)
    np.testing.assert_array_equal(held.images, images.astype("float32"))
    assert (len(held), held.image_shape, held.classes) == (4, (3, 2, 1), (0, 2, 5))
    assert held.of_class(5).tolist() == [0, 2]
    assert held.of_class(1).tolist() == []


def test_take_is_the_first_without_a_copy():
    held = LabelledImages(_images(), [5, 2, 5, 0])
    first = held.take(2)
    assert first.labels.tolist() == [5, 2]
    assert np.shares_memory(first.images, held.images)


def test_is_read_only_and_leaves_the_callers_array_writable():
    images = _images().astype("float32")
    held = LabelledImages(images, [5, 2, 5, 0])
    with pytest.raises(ValueError, match=r"read-only"):
        held.images[0] = 0
    with pytest.raises(dataclasses.FrozenInstanceError):
        held.labels = None
    images[0] = 0


@pytest.mark.parametrize("n", [0, 5, -1, 1.0])
def test_take_refuses_other_counts(n):
    with pytest.raises(ValueError, match=f"n should be a whole number from 1 to 4. Received: {n}"):
        LabelledImages(_images(), [5, 2, 5, 0]).take(n)


@pytest.mark.parametrize(
    ("images", "labels", "message"),
    [
        (_images() * 255, [0] * 4, "0-255.*Received: values"),
        (_images(), None, "labels should be.*Received: None"),
        (_images(), [0] * 3, r"labels should have shape \(4,\).*Received: shape \(3,\)"),
        (_images(), [0.0] * 4, "labels should be integers. Received: dtype float64"),
    ],
)
def test_bad_sets_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)


def test_an_unlabelled_set_has_no_classes():
    held = LabelledImages.unlabelled(_images())
    assert not held.has_labels
    assert LabelledImages(_images(), [0] * 4).has_labels
    assert held.labels.tolist() == [-1] * 4
    assert held.take(2).labels.tolist() == [-1] * 2
    for use in (lambda: held.classes, lambda: held.of_class(0)):
        with pytest.raises(ValueError, match=r"should carry labels.*Received: 4 images without"):
            use()
