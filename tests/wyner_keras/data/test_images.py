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
        (_images(), [0.0] * 4, "integers or texts. Received: dtype float64"),
    ],
)
def test_bad_sets_are_refused(images, labels, message):
    with pytest.raises(ValueError, match=message):
        LabelledImages(images, labels)


def test_bytes_stay_bytes_and_read_as_float32_in_0_to_1():
    images = np.arange(24, dtype="uint8").reshape(4, 3, 2, 1) * 11
    held = LabelledImages(images, [0] * 4)
    assert held.images.dtype == np.uint8
    assert np.shares_memory(held.images, images)
    np.testing.assert_array_equal(held.unit(), images.astype("float32") / np.float32(255))
    assert held.unit().dtype == np.float32


def test_labels_may_be_texts():
    held = LabelledImages(_images(), ["dog", "cat", "dog", "ant"])
    assert held.classes == ("ant", "cat", "dog")
    assert held.of_class("dog").tolist() == [0, 2]
    assert repr(held) == "LabelledImages(4 images of shape (3, 2, 1), classes ant, cat, dog)"
    assert held.by_class(3).labels.tolist() == ["ant", "cat", "dog"]


def test_a_set_is_one_store_of_rows():
    held = LabelledImages(_images(), [5, 2, 5, 0])
    assert held.rows is held.rows
    assert len(held.rows) == 4
    np.testing.assert_array_equal(held.rows.take(np.array([1])), held.images[1:2])
