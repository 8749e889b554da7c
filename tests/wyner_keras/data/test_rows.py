"""Stores of rows: whatever they lie in, `take` gives what NumPy's indexing gives."""

import gc
import os
import sys
import weakref

import numpy as np
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from wyner_keras.data import ArrayRows, DiskRows, FileRows, HDF5Rows, Rows, Subset
from wyner_keras.data.door import as_rows
from wyner_keras.data.rows import blocks

_ARRAY = np.random.default_rng(0).integers(0, 256, (20, 3, 2, 3), np.uint8)


def _memory(_):
    return ArrayRows(_ARRAY)


def _large(array):
    """The store of a mapped file as if it were larger than what may stay resident."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("wyner_keras.data.door.SMALL", 0)
        return as_rows(array, "rows")


def _small_map(folder):
    np.save(folder / "s.npy", _ARRAY)
    return as_rows(np.load(folder / "s.npy", mmap_mode="r"), "rows")


def _mapped(folder):
    np.save(folder / "a.npy", _ARRAY)
    return _large(np.load(folder / "a.npy", mmap_mode="r"))


def _middle_of_a_map(folder):
    np.save(folder / "b.npy", np.concatenate([_ARRAY[:7], _ARRAY, _ARRAY[:2]]))
    return _large(np.load(folder / "b.npy", mmap_mode="r")[7:-2])


def _private_map(folder):
    np.save(folder / "c.npy", _ARRAY * 0)
    array = np.load(folder / "c.npy", mmap_mode="c")
    array[:] = _ARRAY
    return _large(array)


def _columns_of_a_map(folder):
    np.save(folder / "d.npy", np.repeat(_ARRAY, 2, axis=1))
    return _large(np.load(folder / "d.npy", mmap_mode="r")[:, ::2])


def _file_that_is_gone(folder):
    np.save(folder / "e.npy", _ARRAY)
    array = np.load(folder / "e.npy", mmap_mode="r")
    (folder / "e.npy").unlink()
    return _large(array)


def _other_file(folder):
    np.save(folder / "f.npy", _ARRAY)
    array = np.load(folder / "f.npy", mmap_mode="r")
    (folder / "f.npy").unlink()
    np.save(folder / "f.npy", 255 - _ARRAY)
    return _large(array)


def _hdf5(folder):
    h5py = pytest.importorskip("h5py", reason="HDF5 files are read with h5py")
    with h5py.File(folder / "a.h5", "w") as file:
        file["group/rows"] = _ARRAY
    return HDF5Rows(folder / "a.h5", "group/rows")


def _files(folder, memory=0):
    from PIL import Image

    paths = [folder / f"{number}.png" for number in range(20)]
    for path, pixels in zip(paths, _ARRAY, strict=True):
        Image.fromarray(pixels).save(path)
    return FileRows(paths, memory=memory)


def _part(_):
    double = np.concatenate([_ARRAY, _ARRAY])
    within = Subset(ArrayRows(double), np.arange(35, 5, -1))
    return Subset(within, np.arange(15, 35) % 30)


_KINDS = {
    "memory": _memory,
    "small map": _small_map,
    "mapped": _mapped,
    "middle of a map": _middle_of_a_map,
    "private map": _private_map,
    "columns of a map": _columns_of_a_map,
    "file that is gone": _file_that_is_gone,
    "other file": _other_file,
    "hdf5": _hdf5,
    "files": _files,
    "files kept": lambda folder: _files(folder, 2**20),
    "part": _part,
}


@pytest.mark.parametrize("kind", _KINDS)
def test_take_is_indexing_of_an_array(kind, tmp_path):
    rows = _KINDS[kind](tmp_path)
    expected = _ARRAY
    if kind == "part":
        expected = _ARRAY[(np.arange(35, 5, -1) % 20)[np.arange(15, 35) % 30]]
    assert isinstance(rows, Rows)
    assert (len(rows), rows.shape, rows.dtype) == (20, (3, 2, 3), np.uint8)
    kept = rows.take(np.array([3]))
    for positions in ([], [0], [4, 5, 6], [19, 0, 7, 7, 3], range(20), [7] * 9):
        found = rows.take(np.array(positions, np.int64))
        np.testing.assert_array_equal(found, expected[list(positions)])
        found[...] = 0  # a copy
    np.testing.assert_array_equal(kept, expected[[3]])
    np.testing.assert_array_equal(np.concatenate([block for _, block in blocks(rows)]), expected)
    if rows.array is not None:
        np.testing.assert_array_equal(rows.array, _ARRAY)


@pytest.mark.parametrize("kind", ["memory", "mapped", "hdf5", "files", "part"])
def test_caches_may_be_keyed_by_a_store(kind, tmp_path):
    rows = _KINDS[kind](tmp_path)
    cache = weakref.WeakKeyDictionary({rows: 1})
    assert rows in cache
    del rows
    gc.collect()
    assert not cache


def test_arrays_are_neither_copied_nor_frozen():
    array = _ARRAY.copy()
    rows = ArrayRows(array)
    assert np.shares_memory(rows.array, array)
    assert not rows.array.flags.writeable
    array[0] = 0


def test_large_mapped_files_are_read_where_they_lie(tmp_path):
    for kind in ("mapped", "middle of a map"):
        rows = _KINDS[kind](tmp_path)
        assert isinstance(rows, DiskRows)
        assert rows.array is None
    # Small ones, and what their files do not hold, or no longer, are read through the map.
    for kind in ("small map", "private map", "columns of a map", "file that is gone", "other file"):
        rows = _KINDS[kind](tmp_path)
        assert isinstance(rows, ArrayRows)
        assert rows.array is None
    # A copy of some of a mapped file is in memory.
    some = np.load(tmp_path / "a.npy", mmap_mode="r")[[3, 1]]
    assert ArrayRows(some).array is not None


@pytest.mark.parametrize("large", [False, True])
@settings(deadline=None, max_examples=30)
@given(takes=st.lists(st.lists(st.integers(0, 19), max_size=9), max_size=8), kept=st.integers(0, 3))
def test_what_was_taken_stays_while_memory_is_used_again(large, tmp_path_factory, takes, kept):
    rows = (_mapped if large else _small_map)(tmp_path_factory.mktemp("mapped"))
    held = []
    for positions in takes:
        found = rows.take(np.array(positions, np.int64))
        held.append((positions, found[:, 1:][..., ::-1]))  # a view of a view
        held = held[-kept:] if kept else []
        for those, values in held:
            np.testing.assert_array_equal(values, _ARRAY[those][:, 1:, :, ::-1])


def test_a_file_cut_short_is_said(tmp_path):
    rows = _mapped(tmp_path)
    os.truncate(tmp_path / "a.npy", 200)
    with pytest.raises(OSError, match=r"row 19 should be in the file. Received: its end"):
        rows.take(np.array([19]))


def test_grey_bytes_get_a_channel_axis(tmp_path):
    grey = _ARRAY[..., 0]
    np.save(tmp_path / "a.npy", grey)
    for rows in (ArrayRows(grey), _large(np.load(tmp_path / "a.npy", mmap_mode="r"))):
        assert rows.shape == (3, 2, 1)
        np.testing.assert_array_equal(rows.take(np.array([2, 1]))[..., 0], grey[[2, 1]])


def test_an_hdf5_file_is_read_on_in_a_forked_process(tmp_path):
    rows = _hdf5(tmp_path)
    reader, writer = os.pipe()
    child = os.fork()
    if not child:
        status = 1
        try:
            os.write(writer, rows.take(np.array([5])).tobytes())
            status = 0
        finally:
            os._exit(status)
    assert os.waitpid(child, 0)[1] == 0
    assert os.read(reader, 100) == _ARRAY[5].tobytes()
    np.testing.assert_array_equal(rows.take(np.array([6])), _ARRAY[[6]])


def test_without_h5py_it_is_said_what_is_lacking(tmp_path, monkeypatch):
    (tmp_path / "a.h5").write_bytes(b"")
    monkeypatch.setitem(sys.modules, "h5py", None)
    with pytest.raises(ValueError, match=r"pip install h5py. Received: no h5py"):
        HDF5Rows(tmp_path / "a.h5", "rows")


def _text(folder):
    (folder / "a.h5").write_text("not HDF5")
    return HDF5Rows(folder / "a.h5", "rows")


def _other_size(folder):
    from PIL import Image

    rows = _files(folder)
    Image.new("RGB", (9, 9)).save(folder / "7.png")
    return rows


@pytest.mark.parametrize(
    ("use", "message"),
    [
        (lambda folder: HDF5Rows(folder / "a.h5", "rows"), "regular file. Received: '.*a.h5'"),
        (_text, "HDF5 file should be readable. Received: '.*a.h5'"),
        (lambda folder: _hdf5(folder) and HDF5Rows(folder / "a.h5", "x"), r"'x'. .*\['group'\]"),
        (lambda folder: _hdf5(folder) and HDF5Rows(folder / "a.h5", "group"), "dataset 'group'"),
        (lambda folder: FileRows([]), "an image or more. Received: none"),
        (lambda folder: _other_size(folder).take(np.array([7])), r"'.*7.png' of \(9, 9\)"),
        (lambda folder: _other_size(folder) and FileRows(sorted(folder.iterdir())), r"\(9, 9\)"),
    ],
)
def test_bad_files_are_refused(use, message, tmp_path):
    with pytest.raises(ValueError, match=message):
        use(tmp_path)
