"""Files of images of the user's: `--input`, and the file of `--map`."""

import argparse
import contextlib
import os

import numpy as np
import pytest
from PIL import Image

from wyner_keras.cli import inputs, options
from wyner_keras.data.folder import read_folder

_NOISE = np.random.default_rng(0).integers(0, 256, (2, 3, 3), np.uint8)


pytestmark = pytest.mark.usefixtures("no_hang")


def _read(*paths, shape=(2, 3, 1)):
    entry = {"kind": "image", "shape": list(shape)}
    return inputs.read([str(path) for path in paths], "x", entry, "--input")


def _save(path, image=None, **options):
    path.parent.mkdir(parents=True, exist_ok=True)
    (Image.fromarray(_NOISE[..., 0]) if image is None else image).save(path, **options)
    return path


def test_files_are_read_as_those_of_a_folder_to_train_on(tmp_path):
    exif = Image.Exif()
    exif[274] = 6
    _save(tmp_path / "0" / "a.png", Image.fromarray(np.rot90(_NOISE).copy()), exif=exif)
    _save(tmp_path / "0" / "b.webp", Image.fromarray(_NOISE))
    _save(tmp_path / "0" / "c.bmp")
    _save(tmp_path / "0" / "d.tif", Image.new("CMYK", (3, 2), (0, 51, 102, 51)))
    _save(tmp_path / "0" / "e.png", Image.new("RGBA", (3, 2), (255, 0, 0, 128)))
    _save(tmp_path / "0" / "f.png", Image.fromarray(np.full((2, 3), 12345, np.uint16)))
    (expected,) = read_folder(tmp_path)
    found = _read(tmp_path, shape=(2, 3, 3))
    assert found.dtype == np.float32
    np.testing.assert_array_equal(found, expected.images)
    np.testing.assert_array_equal(found[0], (_NOISE / 255).astype("float32"))
    np.testing.assert_array_equal(found[4, 0, 0], np.float32([255, 127, 127]) / np.float32(255))
    np.testing.assert_array_equal(found[5], np.full((2, 3, 3), 12345 / 65535, "float32"))


def test_colour_becomes_grey_for_a_model_of_grey_images(tmp_path):
    grey = Image.fromarray(_NOISE).convert("L")
    found = _read(_save(tmp_path / "a.png", Image.fromarray(_NOISE)))
    np.testing.assert_array_equal(found[0, ..., 0], np.asarray(grey) / np.float32(255))


def test_folders_in_folders_are_read_by_name_and_the_rest_is_left_out(tmp_path, caplog):
    for place, name in enumerate(("b/2.png", "a.png", "b/1.png", "c/d/e.gif")):
        _save(tmp_path / name, Image.new("L", (3, 2), place))
    for name in ("__MACOSX/._a.png", "b/Thumbs.db", ".hidden/x.png"):
        (tmp_path / name).parent.mkdir(exist_ok=True)
        (tmp_path / name).write_bytes(b"nothing")
    assert (_read(tmp_path)[:, 0, 0, 0] * 255).tolist() == [1, 2, 0, 3]
    assert not caplog.records
    (tmp_path / "b" / "notes.txt").write_text("left out")
    (tmp_path / "c" / "back").symlink_to(tmp_path)  # a walk that follows it never ends
    assert len(_read(tmp_path)) == 4
    (record,) = caplog.records
    assert record.getMessage().startswith("2 of the files and folders")


def _fifo(path):
    os.mkfifo(path)


@pytest.mark.parametrize("name", ["a.npy", "a.png", "folder/a.png"])
@pytest.mark.parametrize(
    ("make", "what"),
    [
        (_fifo, "a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "a device"),
        (lambda path: path.symlink_to("nowhere"), "a link to nothing"),
    ],
)
def test_what_is_no_regular_file_is_named_and_not_opened(tmp_path, monkeypatch, name, make, what):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    make(path)

    def opened(*args, **kwargs):
        raise AssertionError("opened")

    for opener in ("builtins.open", "os.open", "PIL.Image.open", "numpy.load"):
        monkeypatch.setattr(opener, opened)
    with pytest.raises(ValueError, match=rf"input should be a regular file.*a\.\w+', {what}"):
        _read(path.parent if "/" in name else path)


def _save_array(path, array):
    np.save(path, array)


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (lambda path: _save_array(path, np.zeros((1, 2, 3, 1), complex)), "imaginary parts would"),
        (lambda path: _save_array(path, np.zeros((1, 2, 4, 1))), r"\(n, 2, 3, 1\)"),
        (lambda path: path.write_bytes(b"\x93NUMPY\1\0\x10\0{'descr': ((((("), r"as \.npy"),
        (lambda path: path.write_bytes(b""), r"readable as \.npy.*EOFError"),
        (lambda path: path.mkdir(), "regular file.*a folder"),
        (lambda path: None, "regular file.*No such file"),
    ],
)
def test_bad_arrays_are_refused_by_name(tmp_path, make, message):
    make(tmp_path / "a.npy")
    with pytest.raises(ValueError, match=f"--input`? should .*{message}"):
        _read(tmp_path / "a.npy")


@pytest.mark.parametrize(
    ("name", "make", "message"),
    [
        ("a.heic", lambda path: path.write_bytes(b"x"), r"\.npy file, or \.png.*a\.heic'"),
        ("in/a.heic", lambda path: path.write_bytes(b"x"), r"convert others.*a\.heic'"),
        ("in/notes.txt", lambda path: path.write_bytes(b"x"), r"\.npy file, or \.png.*in'"),
        ("in/a.png", lambda path: path.mkdir(), r"regular file.*in/a\.png', a folder"),
        ("a.png", lambda path: path.write_bytes(b"x"), r"readable as PNG.*a\.png'"),
        ("a.png", lambda path: _save(path, Image.new("L", (2, 3))), "2 pixels high and 3 wide"),
    ],
)
def test_bad_files_are_refused_by_name(tmp_path, name, make, message):
    path = tmp_path / name
    path.parent.mkdir(exist_ok=True)
    make(path)
    with pytest.raises(ValueError, match=f"--input should .*{message}"):
        _read(path.parent if "/" in name else path)


def test_a_tables_empty_cells_are_those_of_a_table_to_train_on(tmp_path):
    (tmp_path / "t.csv").write_text("x.a,kind\n1,b\n NA,a\nnull,\n", encoding="utf-8")
    columns = [
        {"name": "a", "kind": "real"},
        {"name": "kind", "kind": "categorical", "texts": ["a", "b"], "categories": 2},
    ]
    entry = {"kind": "vector", "shape": [2], "columns": columns, "missing": True}
    found = inputs.read([str(tmp_path / "t.csv")], "x", entry, "--input")
    np.testing.assert_array_equal(found, [[1, 1], [np.nan, 0], [np.nan, np.nan]])


_COLUMNS = [
    {"name": "a", "kind": "real"},
    {"name": "kind", "kind": "categorical", "texts": ["1", "NA", "none"], "categories": 3},
]
_CELLS = {"kind": "vector", "shape": [2], "columns": _COLUMNS, "missing": True}


def test_a_known_category_is_one_in_files_and_in_bulk_whatever_its_name(tmp_path):
    import pyarrow as pa
    import pyarrow.parquet as pq

    from wyner_serving.bulk.sources import open_source

    cells = {"a": ["0.5", "NA", "", "null"], "kind": ["NA", "none", "1", "null"]}
    lines = [",".join(cells), *map(",".join, zip(*cells.values(), strict=True))]
    (tmp_path / "t.csv").write_text("\n".join(lines) + "\n", encoding="utf-8")
    pq.write_table(pa.table(cells), tmp_path / "t.parquet")
    expected = [[0.5, 1], [np.nan, 2], [np.nan, 0], [np.nan, np.nan]]
    for name in ("t.csv", "t.parquet"):
        found = inputs.read([str(tmp_path / name)], "x", _CELLS, "--input")
        np.testing.assert_array_equal(found, expected)
    with contextlib.closing(open_source(tmp_path / "t.parquet", {"x": _CELLS})) as source:
        np.testing.assert_array_equal(source.read(0, 4)["x"], expected)
    # The text of a number is no category's number.
    for column, text in (("kind", "0"), ("a", "far")):
        bad = {name: [text if name == column else each[0]] for name, each in cells.items()}
        pq.write_table(pa.table(bad), tmp_path / "bad.parquet")
        with pytest.raises(ValueError, match=f"column '{column}'.*Received: '{text}'"):
            inputs.read([str(tmp_path / "bad.parquet")], "x", _CELLS, "--input")
        with (
            contextlib.closing(open_source(tmp_path / "bad.parquet", {"x": _CELLS})) as source,
            pytest.raises(ValueError, match=f"Received: '{text}' in column '{column}'"),
        ):
            source.read(0, 1)


ENTRY = {
    "kind": "vector",
    "shape": [2],
    "columns": [
        {"name": "age", "kind": "real"},
        {"name": "city", "kind": "categorical", "texts": ["Bonn", "Oslo"], "categories": 2},
    ],
    "missing": False,
}


@pytest.mark.parametrize(
    ("row", "message"),
    [
        ("3,Köln", r"'city' of .*t.csv' should be one of \['Bonn', 'Oslo'\].*'Köln' in"),
        ("old,Oslo", "column 'age' of .*t.csv' should be numbers. Received: 'old' in row 1"),
        (
            "inf,Oslo",
            "finite in float32; infinity stands for no value.*first inf in column 'age', row 1$",
        ),
        (
            "-1e300,Oslo",
            "finite in float32; at most 3.4e.38.*first -1e.300 in column 'age', row 1$",
        ),
    ],
)
def test_a_value_that_a_model_does_not_know_is_named_with_its_row(tmp_path, row, message):
    (tmp_path / "t.csv").write_text(f"age,city\n1,Bonn\n{row}\n", encoding="utf-8")
    with pytest.raises(ValueError, match=message) as caught:
        inputs.read([str(tmp_path / "t.csv")], "x", ENTRY, "--input")
    assert "could not convert" not in str(caught.value)


def test_columns_that_a_model_does_not_know_are_told_of(tmp_path, caplog):
    table = "x.age,city,y.dose,label,x.size,note\n1,Bonn,2,a,3,b\n"
    (tmp_path / "t.csv").write_text(table, encoding="utf-8")
    inputs.read([str(tmp_path / "t.csv")], "x", ENTRY, "--input")
    (record,) = caplog.records
    assert record.getMessage().endswith("t.csv' that are left out: ['x.size', 'note']")


def test_models_of_two_channels_take_no_image_files(tmp_path):
    with pytest.raises(ValueError, match=r"1 or 3 channels, not 2. Received: '.*a.png'"):
        _read(_save(tmp_path / "a.png"), shape=(2, 3, 2))


def test_the_file_of_a_map_is_read(tmp_path):
    (tmp_path / "a.json").write_text('{"0": 1,\n "1": 0}')
    assert options.map_text(str(tmp_path / "a.json")) == '{"0": 1, "1": 0}'


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (_fifo, "regular file.*a FIFO"),
        (lambda path: path.symlink_to("/dev/zero"), "regular file.*a device"),
        (lambda path: path.mkdir(), "regular file.*a folder"),
        (lambda path: path.write_bytes(b"\xff\xfe"), "utf-8"),
        (lambda path: path.write_text('{"0":' * 10**5), "pairs such as .*Received: "),
        (lambda path: path.write_text('{"0": 1e999}'), "whole numbers.*1e999"),
    ],
)
def test_bad_files_of_a_map_are_refused(tmp_path, make, message):
    make(tmp_path / "a.json")
    with pytest.raises(argparse.ArgumentTypeError, match=message):
        options.map_text(str(tmp_path / "a.json"))
