"""Bulk work over folders: what is read, what is written, and going on."""

import io
import json
import os
import shutil
import zipfile

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
import tiny_bundle
from PIL import Image

from wyner_serving import Bundle, InputError
from wyner_serving.bulk import Job, run
from wyner_serving.whole import held


@pytest.fixture(scope="module")
def x():
    return np.random.default_rng(0).integers(0, 256, (150, 8, 8), np.uint8)


@pytest.fixture
def job(bundle, tmp_path, x):
    """A job of generation from an array, but for what is given; its output and result."""
    np.save(tmp_path / "x.npy", x)

    def do(output="out", **values):
        given = {"task": "generate_y", "input": str(tmp_path / "x.npy"), "rows_per_part": 40}
        folder = tmp_path / output
        made = Job(**{"bundle": str(bundle), "output": str(folder)} | given | values)
        return folder, run(made)

    return do


def table(folder):
    return pq.read_table(folder).sort_by("row")


def tensor(folder, name):
    return table(folder).column(name).combine_chunks().to_numpy_ndarray()


def _parquet(kind, x, path):
    unit = x[..., None].astype(np.float32) / np.float32(255)
    if kind == "nested":
        column = pa.array(x.tolist(), pa.list_(pa.list_(pa.uint8())))
    elif kind == "flat":
        column = pa.array(list(unit.reshape(len(x), -1)))
    else:
        column = pa.FixedShapeTensorArray.from_numpy_ndarray(unit)
    path.mkdir()
    rows = pa.table({"name": [str(each) for each in range(len(x))], "x": column})
    # Files and row groups that no part begins with.
    pq.write_table(rows.slice(0, 70), path / "a.parquet", row_group_size=33)
    pq.write_table(rows.slice(70, 0), path / "b.parquet")
    pq.write_table(rows.slice(70), path / "c.parquet", row_group_size=1000)


def _arrays(kind, x, path):
    path.mkdir()
    if kind == "npy":
        np.save(path / "a.npy", x[:70])
        np.save(path / "b.npy", x[70:])
        return
    save = np.savez_compressed if kind == "compressed" else np.savez
    save(path / "a.npz", x=x[:70], other=x[:3])
    save(path / "b.npz", only=x[70:])


def _images(_, x, path):
    (path / "deep").mkdir(parents=True)
    for number, pixels in enumerate(x):
        Image.fromarray(pixels).save(path / ("deep" if number > 99 else ".") / f"{number:03}.png")
    # Folders come with files in the order of paths.
    os.rename(path / "deep", path / "99z")


KINDS = {
    "nested": _parquet,
    "flat": _parquet,
    "tensors": _parquet,
    "npy": _arrays,
    "npz": _arrays,
    "compressed": _arrays,
    "images": _images,
}


@pytest.mark.parametrize("kind", KINDS)
def test_the_same_rows_give_the_same_from_whatever_they_are_read(job, tmp_path, x, kind):
    expected, _ = job()
    KINDS[kind](kind, x, tmp_path / "in")
    rows = x
    if kind == "images":
        names = sorted(
            p.relative_to(tmp_path / "in").as_posix() for p in (tmp_path / "in").rglob("*.png")
        )
        rows = x[[int(name[-7:-4]) for name in names]]
        np.save(tmp_path / "ordered.npy", rows)
        expected, _ = job("ordered", input=str(tmp_path / "ordered.npy"))
    found, done = job("found", input=str(tmp_path / "in"), rows_per_part=47)
    assert done == (150, 4, 4)
    np.testing.assert_array_equal(table(found)["row"].to_numpy(), np.arange(150))
    np.testing.assert_array_equal(tensor(found, "y"), tensor(expected, "y"))
    if kind == "images":
        assert table(found)["input"].to_pylist() == names


def test_a_killed_job_goes_on_and_gives_the_bytes_of_a_whole_one(job, bytes_of):
    folder, done = job()
    assert done == (150, 4, 4)
    whole = bytes_of(folder)
    (folder / "part-000001.parquet").unlink()
    (folder / "part-000003.parquet").unlink()
    assert job()[1] == (150, 4, 2)
    assert bytes_of(folder) == whole
    before = {path: path.stat().st_mtime_ns for path in folder.iterdir()}
    assert job()[1] == (150, 4, 0)
    assert {path: path.stat().st_mtime_ns for path in folder.iterdir()} == before


@pytest.mark.parametrize("told", [False, True])
@pytest.mark.parametrize("name", ["_bulk.json", "part-000000.parquet"])
def test_a_job_that_was_killed_as_it_began_begins_anew(job, bytes_of, tmp_path, told, name):
    if told:  # what the output is of, before the first part was there
        folder, _ = job()
        for path in folder.glob("part-*"):
            path.unlink()
    (tmp_path / "out" / f".{name}.writing-abcd1234").mkdir(parents=True)
    folder, done = job()
    assert done == (150, 4, 4)
    assert "_bulk.json" in bytes_of(folder)
    assert not [path for path in folder.iterdir() if path.name.startswith(".")]


def test_an_output_has_one_job_at_a_time(job, tmp_path):
    folder, _ = job()
    (folder / "part-000001.parquet").unlink()
    with held(folder), pytest.raises(BlockingIOError, match="out should be written by one process"):
        job()
    assert not (folder / "part-000001.parquet").exists()
    assert job()[1] == (150, 4, 1)


def test_an_output_that_vanishes_ends_the_job(bundle, tmp_path, x):
    np.save(tmp_path / "x.npy", x)
    made = {"task": "generate_y", "input": str(tmp_path / "x.npy"), "rows_per_part": 40}
    job = Job(bundle=str(bundle), output=str(tmp_path / "out"), **made)
    with pytest.raises(FileNotFoundError, match="out"):
        run(job, progress=lambda *_: shutil.rmtree(tmp_path / "out"))
    assert not (tmp_path / "out").exists()


def test_a_part_is_written_whole_or_not_at_all(job, x, tmp_path):
    bad = x.astype(np.float32) / 255
    bad[99] = np.nan
    np.save(tmp_path / "bad.npy", bad)
    with pytest.raises(InputError, match="rows 80 to 119 of the input: `x` should be finite"):
        job("bad", input=str(tmp_path / "bad.npy"))
    assert sorted(os.listdir(tmp_path / "bad")) == [
        *("_bulk.json", "part-000000.parquet", "part-000001.parquet")
    ]


@pytest.mark.parametrize("form", ["npz", "images", "parquet"])
def test_every_form_holds_the_same_and_has_the_same_bytes_again(job, bytes_of, form):
    folder, _ = job("a", form=form)
    again, _ = job("b", form=form)
    assert bytes_of(folder) == bytes_of(again)
    y = tensor(job()[0], "y")
    if form == "npz":
        parts = [np.load(path) for path in sorted(folder.glob("*.npz"))]
        np.testing.assert_array_equal(np.concatenate([part["y"] for part in parts]), y)
        np.testing.assert_array_equal(np.concatenate([part["row"] for part in parts]), range(150))
    if form == "images":
        pixels = np.asarray(Image.open(folder / "part-000003" / "y" / "000000149.png"))
        np.testing.assert_array_equal(pixels, np.round(255 * y[149, ..., 0]))
        lines = (folder / "part-000003" / "rows.csv").read_text().splitlines()
        assert lines[0] == "row,file"
        assert lines[-1] == "149,000000149.png"
        assert sum(name.endswith("png") for name in bytes_of(folder)) == 150


def test_samples_of_an_input_are_numbered_and_differ(job, bytes_of):
    folder, done = job(samples=3, count=21)
    assert done == (63, 2, 2)
    found = pq.read_table(folder)
    assert found["row"].to_pylist() == [row for row in range(21) for _ in range(3)]
    assert found["sample"].to_pylist() == [0, 1, 2] * 21
    y = found["y"].combine_chunks().to_numpy_ndarray()
    assert (y[0] != y[1]).any()
    images, _ = job("images", samples=3, count=21, form="images", rows_per_part=100)
    assert "part-000000/y/000000020-002.png" in bytes_of(images)


def test_numbers_of_numpy_are_numbers(job, bytes_of):
    named = {"seed": 3, "samples": 2, "count": 5, "rows_per_part": 4}
    folder, _ = job(**named)
    other, done = job("other", **{name: np.int64(value) for name, value in named.items()})
    assert bytes_of(other) == bytes_of(folder)
    assert job("other", **named)[1] == done._replace(written=0)  # the same job


def test_pairs_need_no_input_and_columns_are_called_by_their_names(bundle_of, tmp_path):
    folder = bundle_of("mixed")
    job = Job(bundle=str(folder), task="generate_pairs", output=str(tmp_path / "pairs"), count=90)
    assert run(job) == (90, 1, 1)
    found = pq.read_table(tmp_path / "pairs")
    entry = Bundle.load(folder).side_entries["y"]
    own = [f"y.{column['name']}" for column in entry["columns"]]
    assert found.column_names == ["row", "x", *own]
    assert set(found["y.colour"].to_pylist()) <= {"blue", "green", "red", "teal"}
    # What is written can be read: the y of each pair as given.
    back = Job(
        bundle=str(folder),
        task="encode_y",
        input=str(tmp_path / "pairs"),
        output=str(tmp_path / "z"),
    )
    run(back)
    values = np.array([found[name].to_pylist() for name in own[:2]], np.float32).T
    colours = [column.get("texts") for column in entry["columns"]][2]
    values = np.column_stack(
        [
            values,
            [colours.index(each) for each in found["y.colour"].to_pylist()],
            *(found[name].to_pylist() for name in own[3:]),
        ]
    ).astype(np.float32)
    np.save(tmp_path / "y.npy", np.ascontiguousarray(values))
    run(
        Job(
            bundle=str(folder),
            task="encode_y",
            input=str(tmp_path / "y.npy"),
            output=str(tmp_path / "w"),
        )
    )
    assert pq.read_table(tmp_path / "z") == pq.read_table(tmp_path / "w")


def test_missing_values_of_columns_are_null_and_come_back(bundle_of, tiny_of, tmp_path):
    """Of one side, columns may be called without it."""
    rows = tiny_bundle.tiny_rows(tiny_of("columns"), 40)["x"]
    entry = Bundle.load(bundle_of("columns")).side_entries["x"]
    columns = {}
    for column, values in zip(entry["columns"], rows.T, strict=True):
        texts = column.get("texts")
        given = [None if np.isnan(v) else texts[int(v)] if texts else float(v) for v in values]
        columns[column["name"]] = given
    pq.write_table(pa.table(columns), tmp_path / "x.parquet")
    np.save(tmp_path / "x.npy", rows)
    for name in ("x.parquet", "x.npy"):
        job = Job(
            bundle=str(bundle_of("columns")),
            task="encode_x",
            input=str(tmp_path / name),
            output=str(tmp_path / f"of {name}"),
        )
        run(job)
    assert pq.read_table(tmp_path / "of x.parquet") == pq.read_table(tmp_path / "of x.npy")


def test_transfer_reads_styles_and_concepts_from_folders_and_arrays(bundle, job, x, tmp_path):
    y = x[::-1]
    for name, values in (("style", x), ("concept", y)):
        (tmp_path / "in" / name).mkdir(parents=True)
        for number, pixels in enumerate(values[:20]):
            Image.fromarray(pixels).save(tmp_path / "in" / name / f"{number:03}.png")
    np.savez(tmp_path / "in.npz", style=x[:20], concept=y[:20])
    images, _ = job("a", task="transfer_x", input=str(tmp_path / "in"))
    arrays, _ = job("b", task="transfer_x", input=str(tmp_path / "in.npz"))
    np.testing.assert_array_equal(tensor(images, "x"), tensor(arrays, "x"))
    (tmp_path / "in" / "concept" / "007.png").rename(tmp_path / "in" / "concept" / "7.png")
    with pytest.raises(InputError, match=r"007\.png"):
        job("c", task="transfer_x", input=str(tmp_path / "in"))


def test_ranking_writes_rows_and_nats(bundle, job, x, tmp_path):
    opened = Bundle.load(bundle)
    opened.gallery_y(x[:30]).save(tmp_path / "y.gallery")
    folder, _ = job(task="rank_y", gallery=str(tmp_path / "y.gallery"), top=3)
    expected = opened.rank(x, opened.gallery_y(x[:30]), k=3)
    np.testing.assert_allclose(tensor(folder, "nats"), expected.nats, atol=1e-4)
    assert tensor(folder, "rows").shape == (150, 3)


def test_another_job_or_folder_is_refused(job, tmp_path, x):
    folder, _ = job()
    before = sorted(os.listdir(folder))
    for values, message in (
        ({"seed": 1}, "seed 0, not 1"),
        ({"rows_per_part": 41}, "rows_per_part 40, not 41"),
        ({"count": 7}, "rows 150, not 7"),
        ({"form": "npz"}, "form 'parquet', not 'npz'"),
    ):
        with pytest.raises(InputError, match=message):
            job(**values)
    assert sorted(os.listdir(folder)) == before
    # Other rows under the same name.
    np.save(tmp_path / "x.npy", x[:149])
    with pytest.raises(InputError, match="another: input"):
        job(input=str(tmp_path / "x.npy"))
    (tmp_path / "taken").mkdir()
    (tmp_path / "taken" / "a.txt").write_text("a")
    with pytest.raises(InputError, match="new or empty"):
        job("taken")
    plan = json.loads((folder / "_bulk.json").read_text())
    plan["versions"]["onnxruntime"] = "1.0"
    (folder / "_bulk.json").write_text(json.dumps(plan))
    with pytest.raises(InputError, match="versions"):
        job(input=str(tmp_path / "x.npy"), count=149)


def test_bad_jobs_are_refused_before_anything_is_written(job, tmp_path, bundle, x):
    np.savez(tmp_path / "a.npz", a=x, b=x)
    np.savez(tmp_path / "y.npz", y=x)
    np.save(tmp_path / "turned.npy", np.asfortranarray(x))
    np.save(tmp_path / "objects.npy", np.array([None]), allow_pickle=True)
    pq.write_table(pa.table({"other": [1.0]}), tmp_path / "other.parquet")
    (tmp_path / "torn.parquet").write_bytes(b"PAR1")
    (tmp_path / "torn.npz").write_bytes(b"PK")
    (tmp_path / "two").mkdir()
    np.save(tmp_path / "two" / "x.npy", x)
    pq.write_table(pa.table({"x": [1.0]}), tmp_path / "two" / "x.parquet")
    (tmp_path / "empty").mkdir()
    for values, message in (
        ({"input": None}, "`input` should be given"),
        ({"task": "generate_pairs"}, "`input` should be absent"),
        ({"task": "generate_pairs", "input": None}, "`count` should be given"),
        ({"task": "generate_pairs", "input": None, "count": 10**12}, "1000000 parts"),
        ({"count": 151}, "at most 150"),
        ({"form": "csv"}, "`form` should be one of"),
        ({"form": "images", "task": "encode_x"}, "images of 1 to 4 channels"),
        ({"samples": 0}, "`samples`"),
        ({"rows_per_part": 0}, "`rows_per_part`"),
        ({"input": str(tmp_path / "gone")}, "--input should be a regular file"),
        ({"input": str(tmp_path / "empty")}, "with none"),
        ({"input": str(tmp_path / "two")}, "1 tables, 1 arrays"),
        ({"input": str(tmp_path / "a.npz")}, "array 'x'"),
        ({"input": str(tmp_path / "y.npz")}, r"array 'x'. Received: \['y'\]"),
        ({"input": str(tmp_path / "turned.npy")}, "Fortran"),
        ({"input": str(tmp_path / "objects.npy")}, "numbers"),
        ({"input": str(tmp_path / "torn.npz")}, "readable as .npz"),
        ({"input": str(tmp_path / "torn.parquet")}, "readable as Parquet"),
        ({"input": str(tmp_path / "other.parquet")}, "a column 'x'"),
        ({"input": str(tmp_path)}, "outside the input"),
    ):
        with pytest.raises(InputError, match=message):
            job(**values)
        assert not (tmp_path / "out").exists()


def header(shape):
    """A .npy file of eight bytes that says that it holds more."""
    stream = io.BytesIO()
    np.lib.format.write_array_header_1_0(
        stream, {"descr": "|u1", "fortran_order": False, "shape": shape}
    )
    return stream.getvalue() + bytes(8)


def test_files_that_are_none_or_hold_less_than_they_say_are_refused_at_once(job, tmp_path):
    for name, shape in (("negative.npy", (-1, 8, 8)), ("huge.npy", (10**9, 8, 8))):
        (tmp_path / name).write_bytes(header(shape))
    with zipfile.ZipFile(tmp_path / "huge.npz", "w") as archive:
        archive.writestr("x.npy", header((10**9, 8, 8)))
    os.mkfifo(tmp_path / "fifo.npy")
    os.mkfifo(tmp_path / "fifo.parquet")
    (tmp_path / "loop.npy").symlink_to("loop.npy")
    (tmp_path / "zero.npy").symlink_to("/dev/zero")
    for name, message in (
        ("negative.npy", r"hold what its header says. Received: shape \(-1, 8, 8\)"),
        ("huge.npy", "hold what its header says. .*, 8 bytes"),
        ("huge.npz", "hold what its header says. .*, 8 bytes"),
        ("fifo.npy", "a FIFO"),
        ("fifo.parquet", "a FIFO"),
        ("loop.npy", "--input should be a regular file"),
        ("zero.npy", "a device"),
    ):
        with pytest.raises(InputError, match=message):
            job(input=str(tmp_path / name))
        assert not (tmp_path / "out").exists()


def test_a_name_that_is_no_text_is_refused_by_its_bytes(job, tmp_path):
    (tmp_path / "images").mkdir()
    name = os.fsdecode(bytes(tmp_path / "images") + b"/\xff.png")
    Image.fromarray(np.zeros((8, 8), np.uint8)).save(name)
    with pytest.raises(InputError, match=r"names are UTF-8. Received: b'.*\\xff.png'"):
        job(input=str(tmp_path / "images"))
    assert not (tmp_path / "out").exists()


def test_a_job_whose_first_rows_were_refused_leaves_room_for_another(job, tmp_path, x):
    np.save(tmp_path / "nan.npy", np.where(np.arange(len(x)).reshape(-1, 1, 1, 1) == 0, np.nan, x))
    with pytest.raises(InputError, match="rows 0 to"):
        job(input=str(tmp_path / "nan.npy"))
    folder, _ = job()
    assert (folder / "part-000000.parquet").is_file()


def test_what_another_job_has_not_finished_is_not_taken_for_all(job, tmp_path):
    folder, _ = job()
    (folder / "part-000002.parquet").unlink()
    with pytest.raises(InputError, match="110 of 150 rows"):
        job("next", task="encode_y", input=str(folder))


@pytest.mark.parametrize(
    ("column", "message"),
    [
        (pa.array([[0.5] * 64, [0.5] * 63]), "lengths"),
        (pa.array([[0.5] * 64, None]), "null"),
        (pa.array([[0.5] * 65, [0.5] * 65]), "65 numbers a row instead of 64"),
        (pa.array(["a", "b"]), "string"),
        (pa.array(np.zeros((2, 4, 16)).tolist()), r"shape \(4, 16\) instead of \(8, 8, 1\)"),
        (pa.FixedShapeTensorArray.from_numpy_ndarray(np.zeros((2, 2, 4, 8))), r"shape \(2, 4, 8\)"),
        (
            pa.ExtensionArray.from_storage(
                pa.fixed_shape_tensor(pa.float64(), (1, 8, 8), permutation=[1, 2, 0]),
                pa.FixedSizeListArray.from_arrays(np.zeros(128), 64),
            ),
            r"axes lie in the order \[1, 2, 0\]",
        ),
    ],
)
def test_columns_of_other_shapes_are_refused_by_name(job, tmp_path, column, message):
    pq.write_table(pa.table({"x": column}), tmp_path / "bad.parquet")
    with pytest.raises(InputError, match=rf"bad.parquet should hold x.*{message}"):
        job(input=str(tmp_path / "bad.parquet"))
