"""Pairs of one's own: folders, tables, files of arrays, arrays; and what is refused by its name."""

import os
import re
import sys
from pathlib import Path

import h5py
import numpy as np
import pandas as pd
import pytest
from PIL import Image

from wyner_keras.data import LabelledImages, Pairs, load, load_pairs
from wyner_keras.data.table import read_table
from wyner_keras.modality import Image as ImageModality
from wyner_keras.modality import Vector

_SHARED = Path(__file__).resolve().parents[4] / "shared" / "pairs"
_NOISE = np.random.default_rng(0).integers(0, 256, (20, 3, 2), np.uint8)


def _save(path, pixels):
    path.parent.mkdir(parents=True, exist_ok=True)
    Image.fromarray(pixels).save(path)
    return path


def _folder(root, names="abcdefghij", first=0):
    for place, name in enumerate(names, start=first):
        _save(root / "x" / f"{name}.png", _NOISE[place])
        _save(root / "y" / f"{name}.bmp", _NOISE[place + 1])
    return root


def _text(path, *lines):
    path.parent.mkdir(parents=True, exist_ok=True)
    path.write_text("\n".join(lines) + "\n")
    return path


def _rows(*parts):
    """All pairs of the parts as rows of numbers, sorted."""
    both = [np.concatenate([side.reshape(len(p), -1) for side in p.arrays()], 1) for p in parts]
    return np.array(sorted(np.concatenate(both).tolist()), "f")


# Folders


def test_names_are_alike_however_accents_are_written(tmp_path):
    """As one letter, or as a letter and an accent after it, which macOS writes."""
    _folder(tmp_path, ["pr\u00e9", *"abcd"])
    old = tmp_path / "y" / "pr\u00e9.bmp"
    old.rename(old.with_name("pre\u0301.bmp"))
    assert sum(map(len, load_pairs(tmp_path))) == 5
    _save(tmp_path / "x" / "pre\u0301.png", _NOISE[0])
    with pytest.raises(ValueError, match="names that differ before their suffix"):
        load_pairs(tmp_path)


def test_a_folder_pairs_images_by_name(tmp_path):
    train, held_out = load_pairs(_folder(tmp_path))
    assert (len(train), len(held_out)) == (8, 2)
    assert train.modalities[0] == ImageModality(shape=(3, 2, 1))
    assert train.x.dtype == np.uint8
    expected = np.concatenate([_NOISE[:10], _NOISE[1:11]], 1).reshape(10, -1) / np.float32(255)
    np.testing.assert_array_equal(_rows(train, held_out), np.array(sorted(expected.tolist()), "f"))
    again = load_pairs(str(tmp_path), seed=1)[1]
    assert not np.array_equal(again.arrays(), held_out.arrays())
    assert [len(part) for part in load_pairs(tmp_path, held_out=0.5)] == [5, 5]


def test_train_and_test_folders_are_kept_apart(tmp_path):
    _folder(tmp_path / "train", "abc")
    _folder(tmp_path / "test", "ab", first=10)
    train, held_out = load_pairs(tmp_path)
    np.testing.assert_array_equal(train.arrays()[0][..., 0], _NOISE[:3] / np.float32(255))
    np.testing.assert_array_equal(held_out.arrays()[0][..., 0], _NOISE[10:12] / np.float32(255))


@pytest.mark.parametrize("within", ["", "train"])
def test_a_folder_holds_images_without_partner_apart(tmp_path, within, caplog):
    _folder(tmp_path / within)
    if within:
        _folder(tmp_path / "test", "ab", first=10)
    _save(tmp_path / within / "extra_y" / "a.png", np.stack([_NOISE[15]] * 3, axis=-1))
    train, held_out = load_pairs(tmp_path)
    assert (train.facts().singles, held_out.facts().singles) == ((0, 1), (0, 0))
    # An image in colour makes all of its side so.
    assert (train.x.shape, train.y.shape) == ((3, 2, 1), (3, 2, 3))
    np.testing.assert_array_equal(train.y.take(train.singles[1])[0, ..., 0], _NOISE[15])
    assert not caplog.records


def test_images_without_partner_are_not_held_out(tmp_path):
    for part in ("train", "test"):
        _folder(tmp_path / part)
    _save(tmp_path / "test" / "extra_x" / "a.png", _NOISE[15])
    with pytest.raises(ValueError, match=r"in 'train'.*test/extra_x"):
        load_pairs(tmp_path)


def test_images_of_a_folder_are_read_as_they_are_seen(tmp_path):
    _folder(tmp_path)
    turned = Image.Exif()
    turned[274] = 6  # to the right
    Image.fromarray(np.rot90(_NOISE[0])).save(tmp_path / "x" / "a.png", exif=turned)
    blue = Image.new("RGBA", (2, 3), (255, 0, 0, 0))  # clear red
    blue.putpixel((1, 2), (0, 0, 255, 255))
    blue.save(tmp_path / "x" / "b.png")
    Image.fromarray(_NOISE[2].astype(np.uint16) * 257 + 100).save(tmp_path / "x" / "c.png")
    (train, held_out) = load_pairs(tmp_path)
    assert train.x.shape == (3, 2, 3)  # one image in colour makes all of them so
    assert (train.x.dtype, train.y.shape) == (np.uint8, (3, 2, 1))
    found = {row.tobytes() for part in (train, held_out) for row in part.x.take(np.arange(2))}
    found |= {row.tobytes() for row in train.x.take(np.arange(8))}
    white = np.full((3, 2, 3), 255, np.uint8)
    white[2, 1] = [0, 0, 255]
    expected = [np.repeat(grey[..., None], 3, 2) for grey in _NOISE[[0, *range(2, 10)]]]
    assert found == {row.tobytes() for row in (white, *expected)}


def test_what_systems_leave_is_passed_over_and_other_files_are_said(tmp_path, caplog):
    _folder(tmp_path)
    (tmp_path / "__MACOSX").mkdir()
    (tmp_path / "x" / ".DS_Store").write_bytes(b"")
    (tmp_path / "x" / "Thumbs.db").write_bytes(b"")
    assert len(load_pairs(tmp_path)[0]) == 8
    assert not caplog.records
    _text(tmp_path / "README.md", "mine")
    (tmp_path / "y" / "deeper").mkdir()
    load_pairs(tmp_path)
    assert ["README.md" in record.getMessage() for record in caplog.records] == [True, False]
    assert "deeper" in caplog.records[1].getMessage()


def _lose(root, names):
    for name in names:
        (root / "y" / f"{name}.bmp").unlink()


def _break(path):
    path.write_bytes(path.read_bytes()[:40])


@pytest.mark.parametrize(
    ("spoil", "message"),
    [
        (lambda root: _lose(root, "c"), "same names.*Received: 1 without a partner: x/c.png$"),
        (
            lambda root: _lose(root, "abcdefgh"),
            "8 without a partner: x/a.png, x/b.png, x/c.png, x/d.png, x/e.png, …$",
        ),
        (lambda root: _save(root / "y" / "z.png", _NOISE[0]), "1 without a partner: y/z.png"),
        (
            lambda root: _save(root / "x" / "a.bmp", _NOISE[0]),
            "differ before.*'.*a.bmp' and 'a.png",
        ),
        (lambda root: _break(root / "y" / "j.bmp"), "readable as PNG.*Received: '.*y/j.bmp'"),
        (lambda root: _text(root / "x" / "a.png", "text"), "readable as PNG.*'.*x/a.png'"),
        (lambda root: _save(root / "x" / "j.png", _NOISE[0].T), r"'.*j.png' of \(3, 2\)"),
        (lambda root: os.mkfifo(root / "x" / "k.png"), "regular file.*'.*k.png', a FIFO"),
        (lambda root: _text(root / "x" / "k.heic", ""), "convert others.*k.heic"),
        (lambda root: [p.unlink() for p in (root / "x").iterdir()], "'.*x' with none"),
        (lambda root: (root / "x").rename(root / "left"), r"folders x and y.*with \['left', 'y'\]"),
        (
            lambda root: _save(root / "y" / "more" / "a.png", _NOISE[0]),
            "side by side, not in folders within. Received: '.*y/more/a.png'",
        ),
        (
            lambda root: _folder(root / "train"),
            r"folders x and y, or train and test.*\['train', 'x'",
        ),
        (lambda root: _lose(root, "bcdefghij") or _remove(root, "bcdefghij"), "2 pairs or more"),
        (lambda root: _flat(root / "y"), "y should have rows that differ.*10 rows, all the same"),
    ],
)
def test_bad_folders_are_refused(tmp_path, spoil, message):
    spoil(_folder(tmp_path))
    with pytest.raises(ValueError, match=message):
        load_pairs(tmp_path)


def _remove(root, names):
    for name in names:
        (root / "x" / f"{name}.png").unlink()


def _flat(folder):
    for path in folder.iterdir():
        _save(path, _NOISE[0] * 0)


def test_train_without_test_or_a_side_is_refused(tmp_path):
    _folder(tmp_path / "train")
    with pytest.raises(ValueError, match=r"with \['train'\]"):
        load_pairs(tmp_path)
    (tmp_path / "test" / "x").mkdir(parents=True)
    with pytest.raises(ValueError, match=r"Received: '.*test/x' with none"):
        load_pairs(tmp_path)
    (tmp_path / "test" / "x").rmdir()
    with pytest.raises(ValueError, match=r"Received: '.*test/x' absent"):
        load_pairs(tmp_path)


# Tables


@pytest.mark.parametrize(("suffix", "comma"), [("csv", ","), ("csv", ";"), ("tsv", "\t")])
def test_columns_of_paths_are_images_beside_the_table(tmp_path, suffix, comma):
    _folder(tmp_path / "images")
    lines = [f"images/x/{name}.png,images/y/{name}.bmp" for name in "abcdefghij"]
    lines = [line.replace(",", comma) for line in ["x,y", *lines]]
    train, held_out = load_pairs(_text(tmp_path / f"pairs.{suffix}", *lines))
    expected = _rows(*load_pairs(tmp_path / "images"))
    np.testing.assert_array_equal(_rows(train, held_out), expected)


def test_columns_of_numbers_are_vectors_by_their_values(tmp_path, caplog):
    caplog.set_level("INFO")
    lines = [
        "x.age,x.smokes,x.city,y.dose,y.visits",
        *(f"{20 + n},{n % 2},{['Rome', 'Bonn', 'Oslo'][n % 3]},{n / 4},{n * 3}" for n in range(10)),
    ]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert train.modalities == held_out.modalities
    assert train.modalities[0] == Vector(
        kinds=("count", "binary", "categorical"),
        names=("age", "smokes", "city"),
        categories=(0, 0, 3),
        texts=((), (), ("Bonn", "Oslo", "Rome")),
    )
    assert train.modalities[1] == Vector(kinds=("real", "count"), names=("dose", "visits"))
    assert "{0: 'Bonn', 1: 'Oslo', 2: 'Rome'}" in caplog.text
    ages, cities = _rows(train, held_out)[:, [0, 2]].T
    np.testing.assert_array_equal(ages, 20 + np.arange(10))
    np.testing.assert_array_equal(cities, np.array([2, 0, 1])[np.arange(10) % 3])


def test_kinds_say_otherwise_and_values_may_be_missing(tmp_path):
    lines = ["x.a,x.b,y.c,y.d", *(f"{n},{n % 3},{n},{n}" for n in range(9)), "NA,2,nan,9"]
    file = _text(tmp_path / "a.csv", *lines)
    with pytest.raises(ValueError, match=r"'a' .*missing=True.* 1 rows without, the first row 9"):
        load_pairs(file)
    train, held_out = load_pairs(file, missing=True, kinds={"x.b": "categorical", "y": "real"})
    assert train.modalities == (
        Vector(kinds=("count", "categorical"), names=("a", "b"), categories=(0, 3), missing=True),
        Vector(kinds=("real", "real"), names=("c", "d"), missing=True),
    )
    assert np.isnan(_rows(train, held_out)).sum() == 2


def test_columns_x_and_y_of_numbers_are_vectors_too(tmp_path):
    lines = ["x,y", *(f"{n},{n / 2}" for n in range(10))]
    train, _ = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert train.modalities[1] == Vector(kinds=("real",), names=("y",))


def test_categories_of_which_most_occur_once_are_such_if_called_so(tmp_path):
    file = _text(tmp_path / "a.csv", "x.a,y.b", *(f"{n},city{n}" for n in range(30)))
    train, _ = load_pairs(file, kinds={"y.b": "categorical"})
    assert train.modalities[1].categories == (30,)


WRITTEN = {
    "a decimal comma": ([f"{n / 4 + 0.1:.2f}".replace(".", ",") for n in range(9)], "by a point"),
    "thousands": ([f"{1234567 * n + 5:,}" for n in range(1, 10)], "between thousands"),
    "German": (["1.234,5", "17.440,0", "9,0", "8,5", "none"], "between thousands and replace"),
    "either": (["17,440", "1,000", "2,300"], "take the comma out, or replace it by a point"),
    "a unit": (["174.4 cm", "168 cm", "170cm", "181 cm"], "take the unit 'cm' off"),
    "a currency": (["$1,200", "$ 30", "-$2", "NA"], "and take the unit '.' off"),
    "a percentage": (["12 %", "13,5 %", "14%", "unknown"], "take the unit '%' off"),
    "a dash": ([f"−{n}" for n in range(5)], "minus sign by a hyphen"),
    "most": (["1.5", "2", "3,5", "4", "low", "7,5"], "by a point"),
}


@pytest.mark.parametrize("side", ["y.height", "y"])
@pytest.mark.parametrize(("texts", "todo"), WRITTEN.values(), ids=WRITTEN)
def test_numbers_written_otherwise_are_no_categories(tmp_path, texts, todo, side):
    again = texts * 3
    lines = [f"x.a;{side}", *(f"{n};{text}" for n, text in enumerate(again))]
    file = _text(tmp_path / "a.csv", *lines)
    name = side.removeprefix("y.")
    first = next(text for text in texts if not text.replace(".", "").isdecimal())
    said = rf"column '{name}' of y .*{todo}.*'y.{name}=categorical'.*Received: '{re.escape(first)}'"
    with pytest.raises(ValueError, match=f"{said} in row {again.index(first)}"):
        load_pairs(file, missing=True)
    frame = pd.DataFrame({"a": range(len(again)), name: again})
    with pytest.raises(ValueError, match=f"{said} in row {again.index(first)}"):
        Pairs.from_frame(frame, "a", name)
    if side != "y":
        train, _ = load_pairs(file, missing=True, kinds={side: "categorical"})
        assert train.modalities[1].kinds == ("categorical",)
    meant = Pairs.from_frame(frame.astype({name: "category"}), "a", name)
    assert meant.modalities[1].texts == (tuple(sorted(set(texts))),)


@pytest.mark.parametrize(
    "texts",
    [
        ["1A", "2A", "1B", "2B"],
        ["1st", "2nd", "3rd"],
        ["18-25", "26-35", "36+"],
        ["4wd", "2wd", "4wd"],
        ["Q1", "Q2", "Q3"],
        ["01.02.2020", "02.03.2020"],
        ["1,2,3", "1,2", "rarely", "never"],
        ["12:30", "12:45"],
        ["5 cm", "12 kg", "3 l", "8 m"],
    ],
    ids=str,
)
def test_categories_with_digits_stay_such(tmp_path, texts):
    lines = ["x.a;y.b", *(f"{n};{text}" for n, text in enumerate(texts * 6))]
    train, _ = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert train.modalities[1].texts == (tuple(sorted(set(texts))),)


def test_of_many_categories_a_few_are_shown(tmp_path, caplog):
    caplog.set_level("INFO")
    lines = ["x.a,y.b", *(f"{n},c{n % 281:03d}" for n in range(600))]
    load_pairs(_text(tmp_path / "a.csv", *lines))
    assert "{0: 'c000', 1: 'c001', 2: 'c002', …}, 281 in all" in caplog.text
    caplog.clear()
    for place in range(40):
        _save(tmp_path / "labelled" / f"class {place}" / "a.png", _NOISE[0])
        _save(tmp_path / "labelled" / f"class {place}" / "b.png", _NOISE[1])
    load(tmp_path / "labelled")
    assert "…}, 40 in all" in caplog.text
    assert "class 39" not in caplog.text


def test_split_group_and_labels_of_a_table(tmp_path, caplog):
    lines = ["x.a,y.b,split,group,label,y_label,note"]
    lines += [f"{n},{n},{'test' if n > 5 else 'train'},g{n // 2},{n % 3},l{n},." for n in range(9)]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert (len(train), held_out.arrays()[0].ravel().tolist()) == (6, [6, 7, 8])
    assert held_out.x_labels.tolist() == [0, 1, 2]
    assert held_out.y_labels.tolist() == ["l6", "l7", "l8"]
    assert held_out.groups.tolist() == ["g3", "g3", "g4"]
    assert "['note']" in caplog.text


def test_groups_of_a_table_are_held_out_whole(tmp_path):
    lines = ["x.a,y.b,group", *(f"{n},{n},{n // 4}" for n in range(40))]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert (len(train), len(held_out)) == (32, 8)
    assert not set(train.groups) & set(held_out.groups)


def test_one_file_in_several_lines_is_one_row_on_one_side_of_the_split(tmp_path):
    _folder(tmp_path)
    lines = ["x,y,x_label"]
    lines += [f"x/{name}.png,y/{other}.bmp,{name}" for name in "abcde" for other in (name, "j")]
    lines += ["x/f.png,y/f.bmp,f", "x/g.png,y/g.bmp,g"]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", *lines), held_out=0.3)
    assert sorted({*held_out.x_labels}) == ["f", "g"]
    assert (len(train), len(train.x), len(train.y)) == (10, 5, 6)
    lines[1] = "x/a.png,y/a.bmp,other"
    with pytest.raises(
        ValueError, match=r"'x_label' .*one label.*'other' and 'a' for the same file"
    ):
        load_pairs(_text(tmp_path / "a.csv", *lines))


def test_one_file_on_both_sides_makes_one_store(tmp_path):
    _folder(tmp_path)
    lines = ["x,y,label", *(f"x/{a}.png,x/{b}.png,0" for a, b in ("ab", "ba", "cd", "ef"))]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", *lines))
    assert train.x is train.y
    assert len(train.x) + len(held_out.x) == 6


def test_a_line_with_one_side_is_a_single(tmp_path, caplog):
    pairs = [f"{n},{n / 3},{'ab'[n % 2]}" for n in range(10)]
    table = _text(tmp_path / "a.csv", "x.n,y.m,y.c", "20,,", *pairs, ",7.5,NA", "21,,", ",8.5,c")
    with pytest.raises(ValueError, match="column 'c' of y should have a value in every row"):
        load_pairs(table)
    train, held_out = load_pairs(table, missing=True)
    assert (len(train), len(held_out)) == (8, 2)
    assert train.modalities[1].texts == ((), ("a", "b", "c"))
    assert train.x.take(train.singles[0]).tolist() == [[20], [21]]
    np.testing.assert_array_equal(train.y.take(train.singles[1]), [[7.5, np.nan], [8.5, 2]])
    assert held_out.facts().singles == (0, 0)
    assert sorted(_rows(train, held_out)[:, 0]) == list(range(10))


def test_a_line_with_one_image_is_a_single(tmp_path):
    _folder(tmp_path)
    named = [f"x/{name}.png,y/{name}.bmp,{name}" for name in "abcdefgh"]
    train, held_out = load_pairs(_text(tmp_path / "a.csv", "x,y,label", *named, "x/i.png,,"))
    assert train.facts().singles == (1, 0)
    np.testing.assert_array_equal(train.x.take(train.singles[0])[0, ..., 0], _NOISE[8])
    assert {*train.x_labels, *held_out.x_labels} == set("abcdefgh")


def test_parquet_holds_the_same_as_text(tmp_path):
    pytest.importorskip("pyarrow", reason="Parquet files are read with pyarrow")
    import pyarrow as pa
    import pyarrow.parquet

    columns = {
        "x.a": [None if n == 3 else n for n in range(10)],
        "x.b": [n % 2 == 0 for n in range(10)],
        "x.c": [f"t{n % 4}" for n in range(10)],
        "y.d": [n / 3 for n in range(10)],
        "label": [f"l{n % 2}" for n in range(10)],
    }
    pyarrow.parquet.write_table(pa.table(columns), tmp_path / "a.parquet")
    train, held_out = load_pairs(tmp_path / "a.parquet", missing=True)
    assert train.modalities[0] == Vector(
        kinds=("count", "binary", "categorical"),
        names=("a", "b", "c"),
        categories=(0, 0, 4),
        texts=((), (), ("t0", "t1", "t2", "t3")),
        missing=True,
    )
    rows = _rows(train, held_out)
    assert np.isnan(rows).sum() == 1
    assert set(train.x_labels) == {"l0", "l1"}
    # As a side, every column is the side's.
    side, _ = load_pairs(tmp_path / "a.parquet", np.eye(10), missing=True)
    assert side.modalities[0].names == tuple(columns)


_NUMBERS = [f"{n},{n}" for n in range(4)]


@pytest.mark.parametrize(
    ("lines", "message"),
    [
        ([""], "column 'x' of paths, or columns 'x.NAME'|rows below its header"),
        (["x.a,y.b"], "rows below its header. Received: none"),
        (["x.a,y.b", "1,2", "3"], "2 fields in each line.*Received: 1 in line 3"),
        (["x.a,x.a,y.b", "1,2,3"], r"each column once. Received: \['x.a'\] repeated"),
        (["a,b", *_NUMBERS], r"column 'x' of paths, or columns 'x.NAME'. Received: \['a', 'b'\]"),
        (["x.a,b", *_NUMBERS], r"column 'y' of paths.*Received: \['x.a', 'b'\]"),
        (["x,x.a,y", "1,2,3", "1,2,4"], "column 'x' of paths, or columns"),
        (["x.a,y.b", *_NUMBERS, "5,six"], "column 'b' .*numbers, or texts.*'six' in row 4"),
        (["x.a,y.b,y.c", "1,2,3", "2,3,"], "column 'c' .*value in every row.*the first row 1"),
        (["x.a,y.b,y.c", "1,a,3", "2,None,4"], "'b' .*value in every row.*the first row 1: 'None'"),
        (["x.a,y.b", *_NUMBERS, ",NA"], "values of x, of y or of both.*1 rows.*first row 4"),
        (["x.a,y.b", *_NUMBERS, "5,inf"], "column 'b' of y.*finite.*inf in row 4"),
        (["x.a,y.b", "1,2"], "2 pairs or more. Received: 1"),
        (["x.a,y.b", "1,2", "1,3", "1,4"], "x should have rows that differ.*3 rows, all the same"),
        (["x,y", "gone.png,y/a.bmp"], "each file of column 'x' .*regular file.*gone.png"),
        (["x,y", "x/a.png, ", ",y/b.bmp"], "2 pairs or more. Received: 0"),
        (["x.a,y.b,group", "1,2,g", "2,3,h", "3,,i"], "'group' .*1 rows with one side.*row 2"),
        (["x.a,y.b,split", "1,2,train", "2,3,test", "3,,test"], "'split' .*train.*one side"),
        (["x.a,y.b,split", "1,2,train", "2,3,val"], r"'split' should hold.*Received: \['val'\]"),
        (["x.a,y.b,split", "1,2,train", "2,3,train"], "Received: 0 of 2 pairs chosen"),
        (["x.a,y.b,split", "1,2,train", "2,3,"], "'split' .*value in every row.*the first row 1"),
        (["x.a,y.b,label", "1,2,a", "2,3,"], "'label' .*value in every row.*the first row 1"),
        (
            ["x.a,y.b", *(f"{n},1970-01-{n:02d}" for n in range(1, 31))],
            "column 'b' of y should .*categorical all the same.*30 different texts in 30 rows",
        ),
        (
            ["x.a,y.b,group,split", "1,2,g,train", "2,3,g,test", "3,4,h,train"],
            "share no row and no group with others. Received: 1 that do, the first at place 1",
        ),
    ],
)
def test_bad_tables_are_refused(tmp_path, lines, message):
    _folder(tmp_path)
    with pytest.raises(ValueError, match=message):
        load_pairs(_text(tmp_path / "a.csv", *lines))


def test_a_line_without_text_of_one_column_is_a_row(tmp_path):
    lines = ["a", *(str(n / 2) for n in range(10))]
    lines[4] = ""
    y = _text(tmp_path / "y.csv", *lines, "", "")
    x = np.arange(20.0).reshape(10, 2)
    with pytest.raises(ValueError, match=r"value in every row.*1 rows without.*row 3"):
        load_pairs(x, y)
    train, held_out = load_pairs(x, y, missing=True)
    assert (len(train), len(held_out)) == (8, 2)
    for part in (train, held_out):
        rows, values = part.arrays()
        expected = np.where(rows[:, :1] == 6, np.nan, rows[:, :1] / 4)
        np.testing.assert_array_equal(values, expected)
    twice = _text(tmp_path / "two.csv", "a,b", "1,2", "", "3,4")
    assert read_table(twice) == {"a": ["1", "3"], "b": ["2", "4"]}


@pytest.mark.parametrize(
    ("column", "value", "message"),
    [
        ("x.b", "", r"value in every row.*the first row 7"),
        ("x.b", "many", r"'many' in row 7"),
        ("label", "", r"'label' should have a value.*the first row 7"),
        ("x.b", "1e300", r"finite in float32; at most 3.4e\+38.*1e\+300 in row 7"),
        ("x.b", "inf", r"infinity stands for no value.*inf in row 7"),
    ],
)
def test_errors_count_lines_with_one_side(column, value, message, tmp_path):
    lines = [{"x.a": n / 8, "x.b": n / 4, "y.c": -n / 8, "label": n % 3} for n in range(12)]
    lines[0] |= {"x.a": "", "x.b": ""}
    lines[7][column] = value
    pd.DataFrame(lines).to_csv(tmp_path / "a.csv", index=False)
    with pytest.raises(ValueError, match=message):
        load_pairs(tmp_path / "a.csv")


def test_tables_that_cannot_be_read_are_named(tmp_path, monkeypatch):
    (tmp_path / "a.csv").write_bytes(b"x.a,y.b\n\xff,1\n")
    with pytest.raises(ValueError, match=r"UTF-8. Received: '.*a.csv'"):
        load_pairs(tmp_path / "a.csv")
    os.mkfifo(tmp_path / "b.csv")
    with pytest.raises(ValueError, match=r"'.*b.csv', a FIFO"):
        load_pairs(tmp_path / "b.csv")
    _text(tmp_path / "a.parquet", "text")
    with pytest.raises(ValueError, match=r"readable as Parquet. Received: '.*a.parquet'"):
        load_pairs(tmp_path / "a.parquet")
    monkeypatch.setitem(sys.modules, "pyarrow.parquet", None)
    with pytest.raises(ValueError, match=r"pip install pyarrow. Received: no pyarrow"):
        load_pairs(tmp_path / "a.parquet")


# Files of arrays, and arrays


@pytest.mark.parametrize("small", [0, 2**30], ids=["on disk", "in memory"])
def test_files_of_arrays_hold_what_arrays_do(tmp_path, monkeypatch, small):
    monkeypatch.setattr("wyner_keras.data.rows.SMALL", small)
    x, y = _NOISE, np.random.default_rng(0).normal(size=(20, 4))
    expected = _rows(*load_pairs(x, y))
    np.save(tmp_path / "a.npy", x)
    np.savez(tmp_path / "one.npz", y)
    np.savez(tmp_path / "two.npz", images=x, other=y)
    sources = [(tmp_path / "a.npy", tmp_path / "one.npz"), (f"{tmp_path}/two.npz:images", y)]
    try:
        import h5py
    except ImportError:
        pass  # an extra
    else:
        with h5py.File(tmp_path / "a.h5", "w") as file:
            file["group/rows"] = x
            file["only"] = y
        sources.append((f"{tmp_path}/a.h5:group/rows", str(tmp_path / "a.h5")))
    for source in sources:
        train, held_out = load_pairs(*source)
        assert (len(train), len(held_out)) == (16, 4)
        np.testing.assert_array_equal(_rows(train, held_out), expected)


def test_files_of_singles_are_read_as_their_side_is(tmp_path):
    rng = np.random.default_rng(0)
    np.save(tmp_path / "x.npy", rng.random((10, 2)))
    np.save(tmp_path / "extra.npy", rng.random((4, 2)))
    y = _text(tmp_path / "y.csv", "a,b", *[f"{n},c{n % 3}" for n in range(10)])
    extra = _text(tmp_path / "extra.csv", "b,a", "c9,1.5", "c0,2")
    paths = {"extra_x": tmp_path / "extra.npy", "extra_y": extra}
    train, held_out = load_pairs(tmp_path / "x.npy", y, **paths)
    assert (train.facts().singles, held_out.facts().singles) == ((4, 2), (0, 0))
    np.testing.assert_array_equal(train.x.take(train.singles[0]), np.load(tmp_path / "extra.npy"))
    # Kinds and categories are those of both.
    assert train.modalities[1].kinds == ("real", "categorical")
    assert train.y.take(train.singles[1]).tolist() == [[1.5, 3], [2, 0]]
    with pytest.raises(ValueError, match=r"columns of y, \['a', 'b'\]. Received: \['a'\]"):
        load_pairs(tmp_path / "x.npy", y, extra_y=_text(tmp_path / "other.csv", "a", "1"))
    with pytest.raises(ValueError, match="extra_x and extra_y should come beside x and y"):
        load_pairs(y, extra_x=extra)


def test_arrays_keep_kinds_labels_and_one_store():
    labelled = LabelledImages(_NOISE[..., None], np.arange(20) % 3)
    train, held_out = load_pairs(labelled, np.arange(40).reshape(20, 2), kinds={"y.1": "real"})
    assert train.modalities[1].kinds == ("count", "real")
    assert set(held_out.x_labels) <= {0, 1, 2}
    same, _ = load_pairs(labelled, labelled)
    assert same.x is same.y
    gaps = np.where(np.eye(10) > 0, np.nan, np.arange(10.0))
    assert load_pairs(gaps, gaps, missing=True)[0].modalities[0].missing


@pytest.mark.parametrize(
    ("make", "message"),
    [
        (
            lambda f: load_pairs("nowhere"),
            "a folder that exists, a .csv.*Received: 'nowhere', y=None",
        ),
        (lambda f: load_pairs(np.eye(3)), r"Received: an array \(3, 3\) float64, y=None"),
        (lambda f: load_pairs(np.eye(3), np.eye(4)), "as many rows.*Received: 3 and 4"),
        (lambda f: load_pairs(np.eye(3), "b.txt"), "y should be an array, or the path.*'b.txt'"),
        (lambda f: load_pairs(f / "a.npy", np.eye(3)), "x should be a regular file.*a.npy"),
        (lambda f: load_pairs(f / "two.npz", np.eye(3)), "'two.npz:NAME'. .*'b', 'c'"),
        (lambda f: load_pairs(f"{f}/two.npz:d", np.eye(3)), "Received: 'd', of .*'b', 'c'"),
        (lambda f: load_pairs(f"{f}/texts.npy:a", np.eye(3)), "no array of a .npy file.*npy:a'"),
        (
            lambda f: load_pairs(f"{f}/none.h5:none", np.eye(3)),
            "none.h5:none should have a row.*shape None",
        ),
        (lambda f: load_pairs(f / "texts.npy", np.eye(3)), "x should be real numbers.*dtype <U1"),
        (lambda f: load_pairs(f / "pickled.npy", np.eye(3)), "x should be readable as .npy"),
        (lambda f: load_pairs(f / "broken.npz", np.eye(3)), "x should be readable as .npz"),
        (lambda f: load_pairs(np.eye(3), np.eye(3), held_out=0), "held_out .* Received: 0"),
        (lambda f: load_pairs(np.eye(3), np.eye(3), seed=-1), "seed should be"),
        (lambda f: load_pairs(np.eye(3), np.eye(3), kinds={"x.9": "real"}), "'x.NAME'.*'x.9'"),
        (lambda f: load_pairs(np.eye(3), np.eye(3), kinds={"z": "real"}), "by side.*Received: 'z'"),
        (
            lambda f: load_pairs(np.eye(3), np.eye(3), kinds={"x": "odd"}),
            "`kinds` should be one of",
        ),
        (
            lambda f: load_pairs(np.eye(3), np.eye(3), kinds={"x.1": "real", "y.2": "counts"}),
            "'count' say, for 'y.2'. Received: 'counts'",
        ),
        (lambda f: load_pairs(np.eye(2), np.eye(2)), "3 in all. Received: 2, of which 1 held out"),
        (
            lambda f: load_pairs(_NOISE, np.eye(20), kinds={"x": "real"}),
            r"columns of vectors, of \['y'\] here. Received: \['x'\]",
        ),
    ],
)
def test_bad_sources_are_refused(tmp_path, make, message):
    np.savez(tmp_path / "two.npz", b=np.eye(3), c=np.eye(3))
    np.save(tmp_path / "texts.npy", np.array([["a"], ["b"], ["c"]]))
    np.save(tmp_path / "pickled.npy", np.array([[None]] * 3), allow_pickle=True)
    (tmp_path / "broken.npz").write_bytes(b"not a zip file")
    with h5py.File(tmp_path / "none.h5", "w") as file:
        file["none"] = h5py.Empty("f")
    with pytest.raises(ValueError, match=message):
        make(tmp_path)


# Real pairs


def _real(name):
    file = _SHARED / f"{name}.npz"
    if not file.exists():
        pytest.skip(f"{file} is not there: real pairs are not shipped with the project")
    return file


def test_emoji_by_two_vendors():
    file = _real("emoji")
    train, held_out = load_pairs(f"{file}:google", f"{file}:twitter")
    assert (len(train), len(held_out)) == (1529, 382)
    facts = train.facts()
    assert (facts.classes, facts.same_store, facts.rows) == (None, False, (1529, 1529))
    assert facts.modalities == (ImageModality(shape=(32, 32, 3)),) * 2


def test_letters_of_held_out_faces():
    letters = np.load(_real("letters"))
    face = np.repeat(np.arange(290), 26)
    pairs = Pairs(letters["u"], letters["l"], x_labels=letters["y"], groups=face)
    train, held_out = pairs.split()
    assert (len(held_out), len(np.unique(held_out.groups))) == (58 * 26, 58)
    assert (train.facts().classes, held_out.facts().classes) == (26, 26)
    assert not np.intersect1d(train.groups, held_out.groups).size


def test_icons_in_two_styles_from_a_folder(tmp_path):
    icons = np.load(_real("icons"))
    for side, style in (("x", "thin"), ("y", "fill")):
        for name, pixels in zip(icons["name"][:60], icons[style], strict=False):
            _save(tmp_path / side / f"{name}.png", pixels)
    train, held_out = load_pairs(tmp_path)
    assert (len(train), len(held_out), train.x.shape) == (48, 12, (32, 32, 1))
