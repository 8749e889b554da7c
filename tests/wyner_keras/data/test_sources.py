"""Sources: arrays and the digits of scikit-learn, train and test apart."""

import hashlib
import subprocess
import sys

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras.data import ImageSource, LabelledImages, load, rotated, whole_name


def _arrays(n: int = 10, side: int = 2):
    return np.full((n, side, side, 1), 0.5), np.arange(n) % 2


def test_digits_are_sklearns_split_once():
    from sklearn.datasets import load_digits

    digits, raw = load("digits"), load_digits()
    assert (digits.name, len(digits.train), len(digits.test)) == ("digits", 1437, 360)
    assert digits.train.image_shape == (8, 8, 1)
    # Together the two sides are the whole, each image once and with its own label.
    together = [
        (image.tobytes(), label)
        for side in (digits.train, digits.test)
        for image, label in zip(side.images, side.labels.tolist(), strict=True)
    ]
    whole = [
        ((image / 16).astype("float32").tobytes(), label)
        for image, label in zip(raw.images, raw.target.tolist(), strict=True)
    ]
    assert sorted(together) == sorted(whole)
    share = np.bincount(digits.test.labels) / np.bincount(raw.target)
    assert abs(share - 0.2).max() < 0.01


@pytest.mark.parametrize(("seed", "checksum"), [(0, "dd82963602a00ec7"), (1, "370b0d9701bd818e")])
def test_the_split_of_the_digits_never_changes(seed, checksum):
    digits = load("digits", seed=seed)
    whole = hashlib.sha256()
    for part in (digits.train, digits.test):
        whole.update(part.images.tobytes())
        whole.update(part.labels.tobytes())
    assert whole.hexdigest().startswith(checksum)


def test_the_split_is_by_seed():
    first, again, other = load("digits"), load("digits"), load("digits", seed=1)
    np.testing.assert_array_equal(first.test.images, again.test.images)
    assert not np.array_equal(first.test.images, other.test.images)


@settings(deadline=None, max_examples=50)
@given(st.integers(2, 40), st.integers(2, 40), st.floats(0.01, 0.99), st.integers(0, 99))
def test_arrays_split_within_each_class(zeros, ones, fraction, seed):
    n = zeros + ones
    images = np.linspace(0, 1, n)[:, None, None, None]
    labels = np.repeat([0, 1], [zeros, ones])
    source = load((images, labels), test_fraction=fraction, seed=seed)
    both = np.concatenate([source.train.images, source.test.images]).ravel()
    np.testing.assert_array_equal(np.sort(both), images.ravel().astype("float32"))
    for label, count in ((0, zeros), (1, ones)):
        held_out = (source.test.labels == label).sum()
        assert 1 <= held_out <= count - 1
        # Its share, to the next image or two: of all, the share is rounded up.
        assert abs(held_out - fraction * count) < 2
    again = load((images, labels), test_fraction=fraction, seed=seed)
    np.testing.assert_array_equal(again.test.images, source.test.images)


def test_train_and_test_arrays_stay_as_given():
    source = load((_arrays(4), _arrays(3)))
    assert (source.name, len(source.train), len(source.test)) == ("arrays", 4, 3)


def _turned_left(image):
    """What stands at the right edge, read downwards, comes to the top, read rightwards."""
    height, width, channels = image.shape
    turned = np.empty((width, height, channels), image.dtype)
    for row in range(height):
        for column in range(width):
            turned[width - 1 - column, row] = image[row, column]
    return turned


@pytest.mark.parametrize("turns", [1, 2, 3])
def test_rotated_turns_every_image_to_the_left_and_nothing_else(turns):
    images, labels = np.random.default_rng(0).random((5, 3, 4, 2)), np.arange(5)
    source = load(((images, labels), (images[::-1], labels[::-1])))
    turned = rotated(source, turns)
    assert turned.name == "arrays-rotated"
    for before, after in ((source.train, turned.train), (source.test, turned.test)):
        np.testing.assert_array_equal(after.labels, before.labels)
        for image, found in zip(before.images, after.images, strict=True):
            for _ in range(turns):
                image = _turned_left(image)
            np.testing.assert_array_equal(found, image)


def test_rotated_sources_are_named_and_split_as_the_upright_ones(monkeypatch):
    images, labels = np.random.default_rng(0).random((4, 3, 3, 1)), np.arange(4)
    both = LabelledImages(images, labels), LabelledImages(images[::-1], labels[::-1])
    monkeypatch.setattr("wyner_keras.data.sources.read_mnist", lambda: both)
    for name in ("mnist", "digits"):
        found, expected = load(f"{name}-rotated", seed=3), rotated(load(name, seed=3))
        assert found.name == expected.name == f"{name}-rotated"
        for part in ("train", "test"):
            one, other = getattr(found, part), getattr(expected, part)
            np.testing.assert_array_equal(one.images, other.images)
            np.testing.assert_array_equal(one.labels, other.labels)


def test_names_are_kept_and_folders_made_absolute(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    assert whole_name("mnist-rotated") == "mnist-rotated"
    assert whole_name("mine") == str(tmp_path / "mine")


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda: rotated(load(_arrays()), 4), "turns should be .* 1 to 3. Received: 4"),
        (lambda: rotated(load(_arrays()), 0), "turns should be .* 1 to 3. Received: 0"),
        (lambda: load("imagenet"), r"'digits', .*'mnist-rotated'\].*Received: 'imagenet'"),
        (lambda: load(None), "source should be.*Received: NoneType"),
        (lambda: load(_arrays()[0]), "source should be.*Received: ndarray"),
        (lambda: load((*_arrays(), 1)), "source should be.*Received: tuple"),
        (lambda: load((_arrays()[0], None)), "labels should be.*Received: None"),
        (lambda: load((_arrays()[0] * 255, _arrays()[1])), "0-255.*Received: values"),
        (lambda: load((_arrays(), (_arrays()[0],))), r"\(images, labels\). Received: a tuple of 1"),
        (lambda: load((_arrays(), _arrays(side=3))), r"\(2, 2, 1\). Received: \(3, 3, 1\)"),
        (
            lambda: load((_arrays(3)[0], [0, 0, 7])),
            "2 images or more.*Received: 1 image of class 7",
        ),
        (lambda: load("a" * 5000), "source should be.*Received: 'aaa"),
        (lambda: load("nul\0"), r"source should be.*Received: 'nul\\x00'"),
        (lambda: load("digits", test_fraction=0), "above 0 and below 1. Received: 0"),
        (lambda: load("digits", test_fraction=float("nan")), "below 1. Received: nan"),
        (lambda: load("digits", test_fraction="0.2"), "a number. Received: '0.2'"),
        (lambda: load("digits", test_fraction=True), "a number. Received: True"),
        (lambda: load("digits", seed=-1), "seed should be.*Received: -1"),
    ],
)
def test_bad_sources_are_refused(make, message):
    with pytest.raises(ValueError, match=message):
        make()


def test_a_source_is_of_one_shape():
    small, large = LabelledImages(*_arrays()), LabelledImages(*_arrays(side=3))
    with pytest.raises(ValueError, match=r"Received: \(3, 3, 1\)"):
        ImageSource("mixed", train=small, test=large)


def test_sources_are_shown_in_one_line():
    images, _ = _arrays(200)
    text = repr(load((images, np.arange(200) % 12)))
    assert "\n" not in text
    assert text == (
        "ImageSource('arrays', train=LabelledImages(160 images of shape (2, 2, 1), 12 classes from "
        "0 to 11), test=LabelledImages(40 images of shape (2, 2, 1), 12 classes from 0 to 11))"
    )


def test_importing_needs_neither_tensorflow_nor_sklearn():
    heavy = [
        "tensorflow",
        "keras",
        "tensorflow_datasets",
        "sklearn",
        "scipy",
        "PIL",
        "requests",
        "h5py",
        "pandas",
        "pyarrow",
    ]
    code = f"import sys\nfor name in {heavy}: sys.modules[name] = None\nimport wyner_keras.data"
    subprocess.run([sys.executable, "-c", code], check=True, timeout=60)
