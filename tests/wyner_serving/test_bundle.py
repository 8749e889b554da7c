import hashlib
import json
import os
import shutil
import subprocess
import sys
import threading
from pathlib import Path

import numpy as np
import pytest
from mutations import seal
from tiny_bundle import as_format_1, tiny_rows

from wyner_serving import Bundle, BundleError, InputError

ROOT = Path(__file__).parents[2]


@pytest.fixture(scope="session")
def opened(bundle):
    return Bundle.load(bundle, threads=1)


def test_a_side_that_there_is_not_is_refused_by_name(opened, tiny_images):
    x, _ = tiny_images
    for ask in (opened.samples, opened.example_shape, lambda side: opened.posteriors(x, side)):
        with pytest.raises(InputError, match=r"`side` should be one of x, y. Received: 'z'"):
            ask("z")


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def results(model, x, y):
    pair_x, pair_y = model.generate_pairs(5, seed=3)
    return {
        "y": model.generate_y(x, seed=3),
        "x": model.generate_x(y, seed=3),
        "samples": model.generate_y(x, seed=3, samples=4),
        "pair_x": pair_x,
        "pair_y": pair_y,
        "transfer_x": model.transfer_x(style=x[:3], concept=y, seed=3),
        "transfer_y": model.transfer_y(style=y[:3], concept=x, seed=3),
    }


@pytest.mark.parametrize("name", ["columns", "mixed", "product"])
def test_the_names_seeds_and_results_are_the_keras_models(bundle_of, tiny_of, name):
    model, bundle = tiny_of(name), Bundle.load(bundle_of(name), threads=1)
    x, y = tiny_rows(model).values()
    expected = results(model, x, y)
    for task, found in results(bundle, x, y).items():
        assert found.dtype == np.float32
        assert found.shape == expected[task].shape
        np.testing.assert_allclose(found, expected[task], rtol=1e-5, atol=1e-5, err_msg=task)


@pytest.mark.parametrize("batch_size", [1, 3])
def test_batches_change_nothing(bundle, opened, tiny_images, batch_size):
    small = Bundle.load(bundle, batch_size=batch_size, threads=1)
    expected = results(opened, *tiny_images)
    for name, images in results(small, *tiny_images).items():
        np.testing.assert_allclose(images, expected[name], atol=1e-6, err_msg=name)


def test_parts_compose_to_the_task(opened, tiny_images):
    x, y = tiny_images
    concept, style = opened.encode_y(y, seed=4).z, opened.encode_x(x, seed=4).local
    assert concept.shape == (7, 3) and (concept.sum(axis=1) == 1).all()
    assert style.shape == (7, 2)
    images = opened.decode_x(concept, style)
    assert images.shape == (7, 8, 8, 1)
    swapped = opened.decode_x(concept[::-1].copy(), style)
    assert np.abs(images - swapped).max() > 1e-3
    assert opened.decode_y(concept, opened.encode_y(y).local).shape == (7, 8, 8, 1)


@pytest.mark.parametrize("name", ["images", "columns", "mixed"])
def test_its_samples_are_the_held_out_examples_it_was_made_with(bundle_of, tiny_of, name):
    """Images to their grey levels; columns and series to the bit, with what is missing."""
    bundle = Bundle.load(bundle_of(name))
    for side, given in tiny_rows(tiny_of(name)).items():
        found = bundle.samples(side)
        assert found.dtype == np.float32 and found.shape == (7, *bundle.example_shape(side))
        if bundle.side_entries[side]["kind"] == "image":
            np.testing.assert_allclose(found, given, atol=0.5 / 255 + 1e-6)
        else:
            np.testing.assert_array_equal(found, given)


def test_samples_are_files_that_people_open(bundle_of):
    folder = bundle_of("columns") / "samples"
    assert sorted(path.name for path in folder.iterdir()) == ["x.csv", "y.npy"]
    header, first, second, third, *_ = (folder / "x.csv").read_text().splitlines()
    assert header == "height,left,colour,visits,income"
    assert first.count(",") == 4 and "," not in first[:6]
    # Rows in which all, and some, are missing.
    assert second == ",,,," and third.startswith(",0,,")
    assert {path.suffix for path in (bundle_of("mixed") / "samples" / "x").iterdir()} == {".png"}


@pytest.mark.parametrize(
    ("name", "side", "file", "content"),
    [
        ("images", "x", "samples/x/00.png", b"no image"),
        ("columns", "x", "samples/x.csv", b"height,left\n1,2\n"),
        ("columns", "x", "samples/x.csv", b"a,b,c,d,e\n1,2,3,4\n1,2,3,4,5\n"),
        ("columns", "x", "samples/x.csv", b"a,b,c,d,e\n1,2,3,4,one\n"),
        ("columns", "x", "samples/x.csv", b""),
        ("columns", "y", "samples/y.npy", b"no array"),
        ("columns", "y", "samples/y.npy", None),
    ],
)
def test_damaged_samples_are_refused(bundle_of, tmp_path, name, side, file, content):
    shutil.copytree(bundle_of(name), tmp_path / "bundle")
    (tmp_path / "bundle" / file).unlink()
    if content is not None:
        (tmp_path / "bundle" / file).write_bytes(content)
        seal(tmp_path / "bundle")
    else:
        edit(tmp_path / "bundle", lambda values: values["files"].pop(file))
    bundle = Bundle.load(tmp_path / "bundle")
    with pytest.raises(BundleError, match=rf"samples/{side} should hold samples of shape"):
        bundle.samples(side)


def row(height=170.0, left=1, colour=3, visits=2, income=160):
    return np.array([[height, left, colour, visits, income]])


BAD_ROWS = {
    "columns": (row()[:, :4], r"`x` should be an array \(n, 5\)"),
    "rank": (row()[0], r"Received: shape \(5,\)"),
    "binary": (row(left=1.5), "0 or 1 in column 'left'. Received: 1.5"),
    "category": (row(colour=4), "whole numbers below 4 in column 'colour'. Received: 4"),
    "count": (row(visits=-1), "whole numbers of 0 or more in column 'visits'"),
    "infinite": (row(height=np.inf), "finite in float32.*in column 'height', row 0"),
    "text": (row().astype(str), "should be numbers"),
    "mask": (np.ma.asarray(row()), "a masked array"),
}


@pytest.mark.parametrize("case", BAD_ROWS)
def test_bad_columns_are_refused_by_name(bundle_of, case):
    rows, message = BAD_ROWS[case]
    with pytest.raises(InputError, match=message):
        Bundle.load(bundle_of("columns")).generate_y(rows, seed=0)


def test_what_is_missing_may_be_where_the_manifest_says_so(bundle_of):
    bundle = Bundle.load(bundle_of("columns"))
    unknown = np.full((1, 5), np.nan)
    assert np.isfinite(bundle.generate_y(unknown, seed=0)).all()
    known = bundle.generate_y(row(), seed=0)
    assert np.abs(bundle.generate_y(unknown, seed=0) - known).max() > 1e-3
    with pytest.raises(InputError, match="`y` should be finite"):
        bundle.generate_x(np.full((1, 12, 2), np.nan), seed=0)
    made = bundle.generate_x(np.zeros((50, 12, 2)), seed=0)
    assert set(made[:, 1]) <= {0, 1} and set(made[:, 2]) <= {0, 1, 2, 3}
    assert (made[:, 3] >= 0).all() and (made[:, 3] == np.round(made[:, 3])).all()


def test_a_bundle_of_format_1_does_what_it_did(copy, opened, tiny_images):
    """Its manifest, as the last version wrote it, over the same graphs and samples."""
    as_format_1(copy)
    bundle = Bundle.load(copy, threads=1)
    assert bundle.manifest["format"] == 3 and "images" not in bundle.manifest
    assert bundle.side_entries == opened.side_entries
    # It did not say what form the pmi has.
    told = {
        name: {key: value for key, value in entry.items() if key != "pmi"}
        for name, entry in opened.latent_entries.items()
    }
    assert bundle.latent_entries == told
    expected = results(opened, *tiny_images)
    for name, found in results(bundle, *tiny_images).items():
        np.testing.assert_array_equal(found, expected[name])
    np.testing.assert_array_equal(bundle.samples("y"), opened.samples("y"))
    # Nor how common kinds are: they count as equally common.
    x, y = tiny_images
    q_x, q_y = (bundle.posteriors(rows, side)[0] for rows, side in ((x, "x"), (y, "y")))
    expected = np.log(3 * q_x.astype(float) @ q_y.T)
    np.testing.assert_allclose(bundle.log_pmi(x, y), expected, atol=1e-5)
    assert np.abs(opened.log_pmi(x, y) - expected).max() > 0.1


def test_eight_bit_images_are_taken_for_what_they_are(opened, tiny_images):
    pixels = np.round(255 * tiny_images[0]).astype(np.uint8)
    np.testing.assert_array_equal(
        opened.generate_y(pixels, seed=0),
        opened.generate_y(pixels / np.float32(255), seed=0),
    )


def test_threads_share_a_bundle(bundle, tiny_images):
    shared, x = Bundle.load(bundle, threads=1), tiny_images[0]
    expected = {seed: shared.generate_y(x, seed=seed) for seed in range(4)}
    fresh = Bundle.load(bundle, threads=1)
    wrong = []

    def work(seed):
        for _ in range(10):
            if not np.array_equal(fresh.generate_y(x, seed=seed), expected[seed]):
                wrong.append(seed)

    workers = [threading.Thread(target=work, args=(number % 4,)) for number in range(16)]
    for worker in workers:
        worker.start()
    for worker in workers:
        worker.join()
    assert not wrong


IMAGE = np.zeros((1, 8, 8, 1), np.float32)
BAD_CALLS = {
    "shape": (
        lambda b: b.generate_y(IMAGE[:, :4], seed=0),
        r"\(n, 8, 8, 1\).*shape \(1, 4, 8, 1\)",
    ),
    "rank": (lambda b: b.generate_y(IMAGE[0], seed=0), r"Received: shape \(8, 8, 1\)"),
    "type": (lambda b: b.generate_x([[0.0]], seed=0), "Received: list"),
    "dtype": (lambda b: b.generate_y(IMAGE.astype(int), seed=0), "Received: dtype int64"),
    "range": (lambda b: b.generate_y(IMAGE + 200, seed=0), "0-255 data as uint8"),
    "below": (lambda b: b.generate_y(IMAGE - 0.1, seed=0), "values from -0.1"),
    "nan": (lambda b: b.generate_y(IMAGE * np.nan, seed=0), "NaN or infinity"),
    "empty": (lambda b: b.generate_y(IMAGE[:0], seed=0), r"shape \(0, 8, 8, 1\)"),
    "samples": (lambda b: b.generate_y(IMAGE, seed=0, samples=0), "samples=0"),
    "count": (lambda b: b.generate_pairs(0, seed=0), "count=0"),
    "negative": (lambda b: b.generate_pairs(-1, seed=0), "count=-1"),
    "seed": (lambda b: b.generate_pairs(1, seed=-1), "seed=-1"),
    "truth": (lambda b: b.generate_pairs(1, seed=True), "seed=True"),
    "style": (lambda b: b.transfer_x(style=IMAGE[:0], concept=IMAGE, seed=0), "`style`"),
    "concept": (lambda b: b.transfer_y(style=IMAGE, concept=IMAGE + 9, seed=0), "`concept`"),
    "z": (lambda b: b.decode_x(np.eye(4), np.zeros((4, 2))), r"`z` should have shape \(n, 3\)"),
    "rows": (lambda b: b.decode_x(np.eye(3), np.zeros((4, 2))), r"`u` should have shape \(3, 2\)"),
    "u": (lambda b: b.decode_x(np.eye(3)), "`u` should be an array"),
    "v nan": (lambda b: b.decode_y(np.eye(3), np.full((3, 4), np.nan)), "`v` should be finite"),
    "v large": (lambda b: b.decode_y(np.eye(3), np.full((3, 4), 1e39)), "`v` should be finite"),
    "mask": (lambda b: b.generate_y(np.ma.masked_equal(IMAGE, 1), seed=0), "a masked array"),
    "style mask": (
        lambda b: b.transfer_x(style=np.ma.asarray(IMAGE), concept=IMAGE, seed=0),
        "`style` .* without a mask",
    ),
    "complex": (lambda b: b.encode_x(IMAGE + 0j), "`x` .* real numbers.*complex64"),
    "z mask": (lambda b: b.decode_x(np.ma.asarray(np.eye(3)), np.zeros((3, 2))), "without a mask"),
    "u complex": (lambda b: b.decode_x(np.eye(3), np.zeros((3, 2)) * 1j), "`u` .*complex128"),
    "z text": (lambda b: b.decode_x(np.eye(3).astype(str), np.zeros((3, 2))), "`z` .*<U"),
}


@pytest.mark.parametrize("case", BAD_CALLS)
def test_bad_input_is_refused(opened, case):
    call, message = BAD_CALLS[case]
    with pytest.raises(InputError, match=message):
        call(opened)


def test_results_beyond_float32_are_no_answer(opened):
    z, u = np.eye(3, dtype=np.float32), np.zeros((3, 2), np.float32)
    assert np.isfinite(opened.decode_x(z, u)).all()
    with pytest.raises(InputError, match="decode_x should be asked for what float32 can hold"):
        opened.decode_x(np.float32(1e38) * z, u)


LARGE = np.broadcast_to(IMAGE, (10**5, 8, 8, 1))
TOO_LARGE = {
    "samples": (
        lambda model: model.generate_y(np.repeat(IMAGE, 3, axis=0), seed=0, samples=10**12),
        "3 inputs x 1000000000000 samples of 8x8x1, 698.5 TiB, of .* available",
    ),
    "count": (
        lambda model: model.generate_pairs(2**62, seed=0),
        r"about 10\^19 pairs of 8x8x1 and 8x8x1, more than 1024 EiB",
    ),
    "count of 31 digits": (lambda model: model.generate_pairs(10**30, seed=0), r"10\^30 pairs"),
    "samples of 5001 digits": (
        lambda model: model.generate_x(IMAGE, seed=0, samples=10**5000),
        r"10\^5000 samples",
    ),
    "styles by concepts": (
        lambda model: model.transfer_x(style=LARGE, concept=LARGE, seed=0),
        "100000 styles x 100000 concepts of 8x8x1, 2.328 TiB",
    ),
}


@pytest.mark.parametrize("case", TOO_LARGE)
def test_what_cannot_fit_is_refused_by_its_size(opened, case):
    call, message = TOO_LARGE[case]
    with pytest.raises(InputError, match=rf"should leave a result that fits in memory.*{message}"):
        call(opened)


def test_what_fits_depends_on_the_memory_there_is(opened, monkeypatch):
    monkeypatch.setattr("wyner_serving.checks.available", lambda: 2**27)
    with pytest.raises(InputError, match=r"`count` .* 262145 pairs .* 128 MiB, of 128 MiB avail"):
        opened.generate_pairs(2**18 + 1, seed=0)
    monkeypatch.setattr("wyner_serving.checks.available", lambda: 0)
    # So little is always there.
    assert len(opened.generate_pairs(3, seed=0)[0]) == 3


@pytest.mark.parametrize("kind", ["float16", "float64", ">f4", ">f8", "strided", "fortran"])
def test_other_layouts_of_the_same_values_give_the_same(opened, tiny_images, kind):
    def like(values):
        if kind == "strided":
            return np.repeat(values[::-1], 2, axis=0)[::-2]
        return np.asfortranarray(values) if kind == "fortran" else values.astype(kind)

    x = np.round(8 * tiny_images[0]) / np.float32(8)
    z, u = np.eye(3, dtype=np.float32), np.full((3, 2), 0.5, np.float32)
    np.testing.assert_array_equal(opened.generate_y(like(x), seed=1), opened.generate_y(x, seed=1))
    np.testing.assert_array_equal(opened.encode_x(like(x)).z, opened.encode_x(x).z)
    np.testing.assert_array_equal(
        opened.transfer_x(style=like(x), concept=like(x), seed=1),
        opened.transfer_x(style=x, concept=x, seed=1),
    )
    np.testing.assert_array_equal(opened.decode_x(like(z), like(u)), opened.decode_x(z, u))


@pytest.mark.parametrize("options", [{"threads": 0}, {"batch_size": 0}, {"threads": 1.5}])
def test_bad_options_are_refused(bundle, options):
    with pytest.raises(InputError, match="positive integer"):
        Bundle.load(bundle, **options)


def edit(folder, change):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))
    seal(folder, files=False)


def rename_file(values, name):
    values["files"][name] = values["files"].pop("onnx/generate_y.onnx")
    values["graphs"]["generate_y"]["file"] = name


def _columns(**said):
    column = {"name": "pet", "kind": "categorical"} | said
    return {"kind": "vector", "shape": [1], "columns": [column], "missing": False}


BAD_MANIFESTS = {
    "newer": (lambda v: v.update(format=4), "newer.*Received: format 4"),
    "true": (lambda v: v.update(format=True), "Received: format True"),
    "format 1 without images": (lambda v: v.update(format=1) or v.pop("sides"), "sides"),
    "no format": (lambda v: v.pop("format"), "Received: format None"),
    "no graphs": (lambda v: v.pop("graphs"), r"no \['graphs'\]"),
    "no task": (lambda v: v["graphs"].pop("transfer_y"), "transfer_y"),
    "shape": (lambda v: v["sides"]["x"].update(shape=[8, -8, 1]), "sides/x"),
    "flat": (lambda v: v["sides"]["x"].update(shape=[8, 8]), r"images \(h, w, c\)"),
    "side": (lambda v: v["sides"].pop("y"), "sides should be x and y"),
    "local": (lambda v: v["sides"]["x"].update(local="w"), "sides/x should have kind and local"),
    "columns": (lambda v: v["sides"]["x"].update(kind="vector", shape=[3]), "columns"),
    "texts": (lambda v: v["sides"]["x"].update(_columns(categories=2, texts=["a"])), "a text a"),
    "no texts": (lambda v: v["sides"]["x"].update(_columns(categories=1, texts=[1])), "a text a"),
    "latent": (lambda v: v["latents"]["z"].update(noise="pink"), "latents/z"),
    "no z": (lambda v: v["latents"].update(z=None), "TypeError"),
    "outside": (lambda v: rename_file(v, "../generate_y.onnx"), "lie in the bundle"),
    "absolute": (lambda v: rename_file(v, "/generate_y.onnx"), "lie in the bundle"),
    "unlisted": (lambda v: v["files"].pop("onnx/generate_y.onnx"), "no such entry"),
    "digest": (lambda v: v["files"]["onnx/decode_x.onnx"].update(sha256="0" * 64), "SHA-256"),
    "list": (lambda v: v.update(files=[]), "files should be by name.*Received: list"),
}


@pytest.mark.parametrize("case", BAD_MANIFESTS)
def test_a_bad_manifest_is_refused(copy, case):
    change, message = BAD_MANIFESTS[case]
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy)


def test_damage_is_refused(copy):
    file = copy / "onnx" / "generate_x.onnx"
    content = file.read_bytes()
    file.write_bytes(content[: len(content) // 2])
    with pytest.raises(BundleError, match=r"generate_x.onnx should have \d+ bytes"):
        Bundle.load(copy)
    altered = bytearray(content)
    altered[len(content) // 2] ^= 1
    file.write_bytes(bytes(altered))
    with pytest.raises(BundleError, match="should have SHA-256"):
        Bundle.load(copy)
    file.unlink()
    with pytest.raises(BundleError, match="no such file"):
        Bundle.load(copy)


def test_a_listed_file_that_is_no_graph_is_refused(copy):
    content = b"not a graph"
    (copy / "onnx" / "generate_y.onnx").write_bytes(content)
    digest = {"sha256": hashlib.sha256(content).hexdigest(), "bytes": len(content)}
    edit(copy, lambda values: values["files"].update({"onnx/generate_y.onnx": digest}))
    with pytest.raises(BundleError, match="generate_y should be a graph"):
        Bundle.load(copy).generate_y(IMAGE, seed=0)


def test_a_link_that_leaves_the_bundle_is_refused(copy, tmp_path):
    file = copy / "onnx" / "generate_y.onnx"
    file.rename(tmp_path / "elsewhere.onnx")
    file.symlink_to(tmp_path / "elsewhere.onnx")
    with pytest.raises(BundleError, match=r"onnx/generate_y\.onnx, a link"):
        Bundle.load(copy)


def test_a_folder_that_is_no_bundle_is_refused(tmp_path):
    with pytest.raises(BundleError, match=r"should be a folder with manifest.json"):
        Bundle.load(tmp_path)
    (tmp_path / "settings.json").touch()
    with pytest.raises(BundleError, match=", a run, of which `wyner export` makes a bundle"):
        Bundle.load(tmp_path)
    (tmp_path / "manifest.json").write_text("[1]")
    with pytest.raises(BundleError, match="Received: format None"):
        Bundle.load(tmp_path)


def test_it_runs_where_tensorflow_was_never_installed(bundle, tmp_path):
    """A fresh environment with the base dependencies alone."""
    environment = tmp_path / "environment"
    subprocess.run([sys.executable, "-m", "venv", "--without-pip", environment], check=True)
    python = environment / "bin" / "python"
    pip = [sys.executable, "-m", "pip", "--python", python, "--disable-pip-version-check"]
    wheel = [*pip, "install", "--quiet"]
    # Bytecode of all that is installed would take longer than that of what is imported.
    hurried = {**os.environ, "PIP_NO_COMPILE": "1"}
    subprocess.run([*wheel, "-c", ROOT / "requirements.lock", ROOT], check=True, env=hurried)
    code = f"""
import sys, numpy as np
from wyner_serving import Bundle
bundle = Bundle.load({str(bundle)!r})
x = np.random.default_rng(1).random((7, 8, 8, 1), dtype=np.float32)
np.savez({str(tmp_path / "made.npz")!r}, y=bundle.generate_y(x, seed=3),
         t=bundle.transfer_x(style=x[:2], concept=x, seed=3))
heavy = {{"tensorflow", "keras", "wyner_keras", "wyner_export"}} & set(sys.modules)
assert not heavy, heavy
try:
    import tensorflow
except ModuleNotFoundError:
    print("no tensorflow")
"""
    done = subprocess.run(
        [python, "-c", code], check=True, capture_output=True, text=True, cwd=tmp_path
    )
    assert done.stdout.strip() == "no tensorflow"
    x = np.random.default_rng(1).random((7, 8, 8, 1), dtype=np.float32)
    with np.load(tmp_path / "made.npz") as made:
        opened = Bundle.load(bundle)
        np.testing.assert_allclose(made["y"], opened.generate_y(x, seed=3), atol=1e-6)
        expected = opened.transfer_x(style=x[:2], concept=x, seed=3)
        np.testing.assert_allclose(made["t"], expected, atol=1e-6)
