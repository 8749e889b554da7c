"""Folders of images: labels, grey and colour, and what is refused."""

import os
import tracemalloc
from pathlib import Path

import numpy as np
import pytest
from PIL import Image

from wyner_keras.data import load
from wyner_keras.data.folder import read_folder


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
    assert source.train.images.dtype == np.uint8
    assert source.train.images[:, 1, 2, 0].tolist() == [0, 1, 2, 10, 11, 12]


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
    assert source.test.images[0, 0, 0].tolist() == [255, 0, 0]


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
        (lambda root: _text(root / "0" / "9.png"), "readable as PNG.*Received: '.*9.png'"),
        (lambda root: _cut_short(root / "0" / "9.png"), "readable as PNG.*Received: '.*9.png'"),
        (
            lambda root: _save(root / "0" / "9.png", 0, size=(4, 4)),
            r"size.*Received: '.*9.png' of \(4, 4\)",
        ),
        (
            lambda root: _save(root / "0" / "9.tif", 0, "I"),
            "8 or 16 bits.*Received: '.*9.tif' in mode 'I'",
        ),
        (lambda root: os.mkfifo(root / "0" / "9.png"), "regular file.*'.*9.png', a FIFO"),
        (lambda root: os.mkfifo(root / "pipe"), "regular file.*'.*pipe', a FIFO"),
        (lambda root: (root / "0" / "9.gif").mkdir(), "regular file.*'.*9.gif', a folder"),
        (lambda root: (root / "0" / "9.png").symlink_to("/dev/zero"), "'.*9.png', a device"),
        (lambda root: (root / "2").symlink_to("gone"), "'.*2', a link to nothing"),
        (lambda root: _text(root / "1" / "a.HEIC"), "convert others.*Received: '.*a.HEIC'"),
        (
            lambda root: _save(root / "1" / "more" / "a.png", 7),
            "not in folders within.*1/more/a.png",
        ),
        (lambda root: _text(root / "1" / "a.svg"), "convert others.*Received: '.*a.svg'"),
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


def test_numbers_are_labels_only_while_they_differ(tmp_path):
    _fill(tmp_path / "padded", ("00", "01", "09", "10"), 1)
    _fill(tmp_path / "mixed", ("0", "00", "01", "1"), 1)
    (padded,) = read_folder(tmp_path / "padded")
    assert padded.labels.tolist() == [0, 1, 9, 10]
    (mixed,) = read_folder(tmp_path / "mixed")
    assert mixed.labels.tolist() == [0, 1, 2, 3]
    # Of several roots, the first says which label is which.
    _fill(tmp_path / "some", ("00", "1"), 1)
    both = read_folder(tmp_path / "mixed", tmp_path / "some")
    assert both[1].labels.tolist() == [1, 3]


def test_numbers_too_large_for_a_label_are_names(tmp_path):
    _fill(tmp_path, ("20261128093000123456", "7"), 1)
    (found,) = read_folder(tmp_path)
    assert found.labels.tolist() == [0, 1]


def test_what_systems_leave_is_no_class_and_no_image(tmp_path, caplog):
    _fill(tmp_path)
    (before,) = read_folder(tmp_path)
    for name in ("__MACOSX", "@eaDir", "lost+found", "$RECYCLE.BIN", ".git", "__pycache__"):
        (tmp_path / name).mkdir()
        (tmp_path / "0" / name).mkdir()
    (tmp_path / "System Volume Information").mkdir()
    for name in ("._0.png", "Thumbs.db", "desktop.ini", ".DS_Store"):
        _text(tmp_path / "0" / name)
        _text(tmp_path / name)
    (after,) = read_folder(tmp_path)
    np.testing.assert_array_equal(after.images, before.images)
    np.testing.assert_array_equal(after.labels, before.labels)
    assert not caplog.records


def test_other_files_are_left_out_with_one_warning(tmp_path, caplog):
    _fill(tmp_path)
    _text(tmp_path / "0" / "notes.txt")
    _text(tmp_path / "1" / "table.csv")
    (tmp_path / "1" / "deeper").mkdir()
    _save(tmp_path / "loose.png", 7)
    assert len(read_folder(tmp_path)[0]) == 6
    (record,) = caplog.records
    assert record.levelname == "WARNING"
    assert record.getMessage().startswith("4 of the files and folders")
    assert "'loose.png'" in record.getMessage()


def test_what_lies_beside_train_and_test_is_left_out_with_a_warning(tmp_path, caplog):
    _fill(tmp_path / "train")
    _fill(tmp_path / "test")
    _fill(tmp_path / "extra")
    assert len(load(tmp_path).train) == 6
    (record,) = caplog.records
    assert "'extra'" in record.getMessage()


def test_sizes_are_compared_as_seen(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    _save(tmp_path / "0" / "wide.png", 0, size=(3, 2))
    Image.new("L", (2, 3)).save(tmp_path / "0" / "turned.png", exif=exif)
    assert read_folder(tmp_path)[0].image_shape == (2, 3, 1)
    Image.new("L", (3, 2)).save(tmp_path / "0" / "x.png", exif=exif)
    with pytest.raises(ValueError, match=r"of 'x?.*turned.png', \(3, 2\).*x.png' of \(2, 3\)"):
        read_folder(tmp_path)


def test_8_and_16_bits_grey_and_colour_go_together(tmp_path):
    _save(tmp_path / "0" / "a.png", 51)
    _save(tmp_path / "0" / "b.tif", 13107, "I;16")
    _save(tmp_path / "1" / "c.png", (51, 0), "LA")
    (grey,) = read_folder(tmp_path)
    assert grey.image_shape == (2, 3, 1)
    np.testing.assert_array_equal(grey.images[:, 0, 0, 0], np.float32([0.2, 0.2, 1]))
    _save(tmp_path / "1" / "d.bmp", (0, 51, 255), "RGB")
    (colour,) = read_folder(tmp_path)
    np.testing.assert_array_equal(
        colour.images[:, 1, 1], np.float32([[0.2] * 3, [0.2] * 3, [1] * 3, [0, 0.2, 1]])
    )


def test_three_images_a_class_are_split_before_they_are_read(tmp_path):
    _fill(tmp_path, [f"kind {n}" for n in range(10)])
    source = load(tmp_path)
    assert source.train.labels.size == 20
    assert sorted(source.test.labels.tolist()) == list(range(10))
    both = np.concatenate([source.train.images, source.test.images])[:, 0, 0, 0]
    expected = [10 * place + number for place in range(10) for number in range(3)]
    assert sorted(both.tolist()) == expected
    np.testing.assert_array_equal(both[:20] // 10, source.train.labels)
    again, other = load(tmp_path), load(tmp_path, seed=1)
    np.testing.assert_array_equal(again.test.images, source.test.images)
    assert not np.array_equal(other.test.images, source.test.images)


def test_a_class_of_one_image_is_named_before_any_is_read(tmp_path):
    _fill(tmp_path, ("cat", "dog"))
    _text(tmp_path / "lone wolf" / "broken.png")
    with pytest.raises(ValueError, match=r"folders train and test.*1 image of class 'lone wolf'"):
        load(tmp_path)


def test_folders_that_may_not_be_listed_are_named(tmp_path, monkeypatch):
    _fill(tmp_path)
    scandir = os.scandir

    def refuse(path):
        if Path(path).name == "1":
            raise PermissionError(13, "Permission denied", str(path))
        return scandir(path)

    monkeypatch.setattr(os, "scandir", refuse)
    with pytest.raises(ValueError, match=r"can be read. Received: '.*1' \(.*Permission denied"):
        load(tmp_path)


def test_reading_holds_bytes_and_one_copy_of_them(tmp_path):
    noise = np.random.default_rng(0).integers(0, 256, (40, 100, 120), np.uint8)
    for place, pixels in enumerate(noise):
        path = tmp_path / str(place % 2) / f"{place}.bmp"
        path.parent.mkdir(exist_ok=True)
        Image.fromarray(pixels).save(path)
    load(tmp_path)  # what is imported and cached stays out of the count
    tracemalloc.start()
    load(tmp_path)
    peak = tracemalloc.get_traced_memory()[1]
    tracemalloc.stop()
    assert peak < 2.5 * noise.size
