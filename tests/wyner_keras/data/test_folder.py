"""Folders of images: labels, grey and colour, and what is refused."""

import numpy as np
import pytest
from PIL import Image

from wyner_keras.data import load


def _save(path, value, mode="L", size=(3, 2)):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.new(mode, size, value).save(path)


def _fill(root, names=("0", "1"), count=3):
    for place, name in enumerate(names):
        for number in range(count):
            _save(root / name / f"{number}.png", 10 * place + number)


def test_folders_called_by_numbers_are_labels(tmp_path):
    _fill(tmp_path / "train", ("10", "9"))
    _fill(tmp_path / "test", ("9",), 1)
    source = load(tmp_path)
    assert source.name == tmp_path.name
    assert source.train.labels.tolist() == [10] * 3 + [9] * 3
    assert source.test.labels.tolist() == [9]
    assert source.train.image_shape == (2, 3, 1)
    expected = np.array([0, 1, 2, 10, 11, 12], "float32") / np.float32(255)
    np.testing.assert_array_equal(source.train.images[:, 1, 2, 0], expected)


def test_other_names_are_numbered_in_sorted_order(tmp_path):
    _fill(tmp_path / "train", ("cat", "7", "ant"), 1)
    _fill(tmp_path / "test", ("cat",), 1)
    source = load(str(tmp_path))
    assert source.train.labels.tolist() == [0, 1, 2]  # 7, ant, cat
    assert source.test.labels.tolist() == [2]


def test_a_folder_without_test_is_split_and_others_are_passed_over(tmp_path):
    _fill(tmp_path, count=5)
    (tmp_path / "0" / "notes.txt").write_text("not an image")
    (tmp_path / ".cache").mkdir()
    _save(tmp_path / "1" / "x.JPG", 30)
    source = load(tmp_path, test_fraction=0.3)
    assert (len(source.train), len(source.test)) == (7, 4)


def test_one_colour_image_makes_all_of_them_colour(tmp_path):
    _fill(tmp_path / "train")
    _save(tmp_path / "test" / "0" / "red.png", (255, 0, 0), "RGB")
    source = load(tmp_path)
    assert source.train.image_shape == (2, 3, 3)
    np.testing.assert_array_equal(source.test.images[0, 0, 0], [1, 0, 0])


def _text(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_bytes(b"not an image")


def _cut_short(path):
    path.parent.mkdir(parents=True, exist_ok=True)
    noise = np.random.default_rng(0).integers(0, 256, (2, 3), "uint8")
    Image.fromarray(noise).save(path)
    path.write_bytes(path.read_bytes()[:50])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (
            lambda root: (root / "2").mkdir(),
            "label's folder should hold.*Received: '.*2' with none",
        ),
        (lambda root: _text(root / "0" / "9.png"), "readable. Received: .*9.png"),
        (lambda root: _cut_short(root / "0" / "9.png"), "readable. Received: .*9.png"),
        (
            lambda root: _save(root / "0" / "9.png", 0, size=(4, 4)),
            r"size.*Received: '.*9.png' of \(4, 4\)",
        ),
        (
            lambda root: _save(root / "0" / "9.png", 0, "I;16"),
            "8 bits.*Received: '.*9.png' in mode 'I;16'",
        ),
        (
            lambda root: _fill(root / "train"),
            "both train and test.*Received: '.*train' without 'test'",
        ),
        (
            lambda root: _fill(root / "test"),
            "both train and test.*Received: '.*test' without 'train'",
        ),
    ],
)
def test_bad_folders_are_refused(tmp_path, spoil, message):
    _fill(tmp_path)
    spoil(tmp_path)
    with pytest.raises(ValueError, match=message):
        load(tmp_path)


def test_an_empty_folder_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"a folder for each label. Received: "):
        load(tmp_path)


def test_a_label_of_the_test_set_only_is_refused(tmp_path):
    _fill(tmp_path / "train")
    _fill(tmp_path / "test", ("0", "5"))
    with pytest.raises(ValueError, match=r"Received: \['5'\]"):
        load(tmp_path)
