"""Bundles that are damaged or forged: refused by name, before anything of theirs is parsed."""

import ast
import json
import random
import shutil
from pathlib import Path

import numpy as np
import pytest
from hostile_bundles import answers, damage, used
from hypothesis import given
from hypothesis import strategies as st
from mutations import BYTES, MANIFEST, ONNX, TEXTS, TREES, files_of, seal

from wyner_serving import Bundle, BundleError
from wyner_serving.plain_json import parse_json
from wyner_serving.seal import CHECKSUM

ROOT = Path(__file__).parents[2]
WAYS_OUT = {("allow_pickle", True), ("safe_mode", False), ("shell", True)}


@pytest.fixture(scope="module")
def expected(bundle):
    return answers(Bundle.load(bundle, threads=1))


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


@pytest.mark.parametrize("seed", range(40))
def test_damage_is_refused(bundle, expected, tmp_path, seed):
    """`make mutations` does the same 2,000 times, and looks at time and memory."""
    folder, family, name = damage(bundle, seed, tmp_path)
    facts = json.dumps(Bundle.load(bundle).manifest)
    kind, told = used(folder, expected, facts)
    lawful = ("accepted, other facts", "accepted, other answers") if family == "forged" else ()
    assert kind in ("refused at load", "refused at use", *lawful), (family, name, told)


@pytest.mark.parametrize("name", TREES)
def test_what_is_no_file_of_the_bundle_is_refused_and_not_opened(copy, name):
    TREES[name](copy, copy / "onnx" / "decode_x.onnx")
    with pytest.raises(BundleError, match="Received"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", TREES)
@pytest.mark.parametrize("file", [MANIFEST, CHECKSUM])
def test_a_seal_that_is_no_file_is_refused_and_not_opened(copy, name, file):
    TREES[name](copy, copy / file)
    with pytest.raises(BundleError, match="Received"):
        Bundle.load(copy)


@pytest.mark.parametrize("name", TEXTS)
def test_json_that_readers_differ_in_is_refused_though_sealed(copy, name):
    path = copy / MANIFEST
    path.write_bytes(TEXTS[name](random.Random(0), path.read_bytes()))
    with pytest.raises(BundleError, match=r"manifest.json should be as manifest.sha256|more than"):
        Bundle.load(copy)
    seal(copy, files=False)
    with pytest.raises(BundleError, match=r"should be (JSON|of format|a folder)"):
        Bundle.load(copy)


@pytest.mark.parametrize("seed", range(2))
@pytest.mark.parametrize("name", ONNX)
def test_a_graph_that_is_not_as_the_manifest_says_is_refused_though_sealed(copy, name, seed):
    ONNX[name](random.Random(seed), copy)
    seal(copy)
    bundle = Bundle.load(copy, threads=1)
    with pytest.raises(BundleError, match=r"should (have|hold|be)"):
        answers(bundle)


def test_every_byte_counts(copy):
    """One bit of each file, its last byte gone, and one byte more."""
    rng = random.Random(0)
    for path in files_of(copy):
        content = path.read_bytes()
        for change in (BYTES["flip"](rng, content), content[:-1], content + b"\n"):
            path.write_bytes(change)
            with pytest.raises(BundleError):
                Bundle.load(copy)
        path.write_bytes(content)
    Bundle.load(copy)


def test_a_checksum_cannot_be_left_out(copy):
    (copy / CHECKSUM).unlink()
    with pytest.raises(BundleError, match=r"should hold manifest.sha256. Received: no such file"):
        Bundle.load(copy)


def test_an_earlier_bundle_needs_none(copy, opened_rows):
    values = json.loads((copy / MANIFEST).read_text())
    (copy / MANIFEST).write_text(json.dumps({**values, "format": 2}))
    (copy / CHECKSUM).unlink()
    (copy / "notes.txt").write_text("mine")
    bundle = Bundle.load(copy, threads=1)
    assert bundle.manifest["format"] == 3
    np.testing.assert_array_equal(bundle.generate_y(opened_rows, seed=0)[0].shape, (8, 8, 1))
    (copy / "samples" / "x" / "00.png").write_bytes(
        (copy / "samples" / "x" / "00.png").read_bytes()[::-1]
    )
    with pytest.raises(BundleError, match=r"00.png should have SHA-256"):
        bundle.samples("x")


@pytest.fixture
def opened_rows(tiny_images):
    return tiny_images[0]


def test_nothing_is_unpickled_or_evaluated():
    """In no package: neither by name nor by an argument that allows it."""
    forbidden = {"eval", "exec", "pickle", "cPickle", "dill", "marshal", "shelve", "joblib"}
    for folder in ("wyner_keras", "export", "serving"):
        files = [path for path in (ROOT / folder).rglob("*.py") if "tests" not in path.parts]
        assert files
        for path in files:
            for node in ast.walk(ast.parse(path.read_text())):
                names = {each.name.split(".")[0] for each in getattr(node, "names", []) or []
                         if isinstance(each, ast.alias)}  # fmt: skip
                if isinstance(node, ast.Call) and isinstance(node.func, ast.Name):
                    names.add(node.func.id)
                assert not names & forbidden, path
                if isinstance(node, ast.keyword) and isinstance(node.value, ast.Constant):
                    assert (node.arg, node.value.value) not in WAYS_OUT, path


FORGED = {
    "sizes": (
        lambda v: v["sides"]["x"].update(shape=[8, 8, 10**18]),
        "sides/x should have a shape",
    ),
    "many axes": (lambda v: v["sides"]["x"].update(kind="k", shape=[1] * 9), "sides/x should have"),
    "many values": (lambda v: v["sides"]["x"].update(kind="k", shape=[2**15] * 2), "sides/x"),
    "zero": (lambda v: v["latents"]["u"].update(size=0), "latents/u"),
    "other size": (lambda v: v["sides"]["x"].update(shape=[8, 9, 1]), r"sizes \[8, 9, 1\]"),
    "latent": (lambda v: v["latents"].update(w=None), "latents should be z and one of each side"),
    "shared": (lambda v: v["sides"]["x"].update(local="v"), "latents should be z and one of each"),
    "input": (
        lambda v: v["graphs"]["generate_y"]["inputs"][1].update(latent="u"),
        "generate_y/inputs/noise_z should be of latent z. Received: 'u'",
    ),
    "dtype": (lambda v: v["graphs"]["decode_x"]["inputs"][0].update(dtype="object"), "float32"),
    "rank": (lambda v: v["graphs"]["decode_x"]["inputs"][0].update(shape=["n"] * 11), "a shape"),
    "graph": (
        lambda v: v["graphs"].update({"../x": v["graphs"]["decode_x"]}),
        "graphs should have",
    ),
    "digest": (lambda v: v["files"].update({"MODEL_CARD.md": {"bytes": 1}}), "sha256 and bytes"),
    "bytes": (lambda v: v["files"]["MODEL_CARD.md"].update(bytes=10**18), "should have 10000"),
    "saved model": (lambda v: v["saved_model"].update(path="/"), "saved_model.pb"),
}


@pytest.mark.parametrize("case", FORGED)
def test_facts_that_do_not_fit_are_refused_though_sealed(copy, case):
    change, message = FORGED[case]
    values = json.loads((copy / MANIFEST).read_text())
    change(values)
    (copy / MANIFEST).write_text(json.dumps(values))
    seal(copy, files=False)
    with pytest.raises(BundleError, match=message):
        Bundle.load(copy)


PATHS = ["../x", "/x", "a/../../x", "./x", "a//x", "x/", "", "..", "C:\\x", "a\\x", "a\0x", "a\nx"]


@pytest.mark.parametrize("path", [*PATHS, "a" * 300, "/".join("a" * 20)])
def test_paths_that_are_not_plain_are_refused(copy, path):
    values = json.loads((copy / MANIFEST).read_text())
    values["files"][path] = values["files"]["MODEL_CARD.md"]
    (copy / MANIFEST).write_text(json.dumps(values))
    seal(copy, files=False)
    with pytest.raises(BundleError, match="files should lie in the bundle"):
        Bundle.load(copy)


JSON = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats(allow_nan=False, allow_infinity=False)
    | st.text(st.characters(exclude_categories=["Cs"])),
    lambda inner: st.lists(inner) | st.dictionaries(st.text(), inner),
    max_leaves=20,
)  # fmt: skip


@given(JSON)
def test_plain_json_is_read_as_it_is(values):
    assert parse_json(json.dumps(values).encode()) == values
    assert parse_json(json.dumps(values, ensure_ascii=False).encode()) == values


@given(st.binary())
def test_any_bytes_are_json_or_a_value_error(content):
    try:
        found = parse_json(content)
    except ValueError:
        return
    assert found == json.loads(content)


@pytest.mark.parametrize(
    "content",
    [b'["' + b'\\"' * 2**21, b'"' + b"\\" * 2**22, b"[" * 2**22, b'{"a":' * 2**20, b'"' * 2**22],
)
def test_no_text_takes_long(content):
    with pytest.raises(ValueError):
        parse_json(content)
