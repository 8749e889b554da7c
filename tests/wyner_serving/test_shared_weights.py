"""Weights beside the graphs: where they may lie, and that a bundle is refused otherwise."""

import json
import shutil

import numpy as np
import onnx
import pytest
from mutations import seal

from wyner_serving import Bundle, BundleError

GRAPH, WEIGHTS = "onnx/decode_x.onnx", "onnx/weights.bin"


@pytest.fixture
def copy(bundle, tmp_path):
    return shutil.copytree(bundle, tmp_path / "bundle")


def graph_of(folder):
    """A graph as its file has it, and the initializers that lie beside it."""
    model = onnx.load(folder / GRAPH, load_external_data=False)
    outside = [held for held in model.graph.initializer if held.external_data]
    assert outside
    return model, outside


def entries_of(held):
    return {entry.key: entry for entry in held.external_data}


def forged(folder, change):
    """A bundle with a graph whose first initializer outside was changed, sealed again."""
    model, (first, *_) = graph_of(folder)
    change(model, first)
    (folder / GRAPH).write_bytes(model.SerializeToString())
    seal(folder)
    return Bundle.load(folder, threads=1)


def decoded(bundle):
    rng = np.random.default_rng(0)
    z, u = (bundle.latent_entries[name]["size"] for name in "zu")
    return bundle.decode_x(np.eye(5, z, dtype=np.float32), rng.normal(size=(5, u)))


def told(key, value):
    return lambda model, held: setattr(entries_of(held)[key], "value", value)


def without(key):
    def change(model, held):
        held.external_data.remove(entries_of(held)[key])

    return change


def in_an_attribute(model, held):
    constant = onnx.helper.make_node("Constant", [], [held.name], value=held)
    model.graph.initializer.remove(held)
    model.graph.node.insert(0, constant)


def in_an_inner_graph(model, held):
    inner = onnx.helper.make_graph([], "inner", [], [], [held])
    model.graph.node[0].attribute.append(onnx.helper.make_attribute("then_branch", inner))


def again(key):
    def change(model, held):
        held.external_data.add(key=key, value=entries_of(held)[key].value)

    return change


REFUSED = {
    "absolute": told("location", "/etc/passwd"),
    "above": told("location", "../onnx/weights.bin"),
    "by another way": told("location", "./weights.bin"),
    "another file": told("location", "decode_y.onnx"),
    "memory": told("location", "*/_ORT_MEM_ADDR_/*"),
    "beyond the end": told("offset", "1000000"),
    "negative": told("offset", "-64"),
    "no number": told("offset", "0x40"),
    "empty": told("offset", ""),
    "too long": told("length", "4096"),
    "nothing": told("length", "0"),
    "no length": without("length"),
    "no offset": without("offset"),
    "no location": without("location"),
    "two offsets": again("offset"),
    "a word more": lambda model, held: held.external_data.add(key="checksum", value="0"),
    "another size": lambda model, held: held.dims.append(2),
    "another type": lambda model, held: setattr(held, "data_type", onnx.TensorProto.DOUBLE),
    "texts": lambda model, held: setattr(held, "data_type", onnx.TensorProto.STRING),
    "not said to be outside": lambda model, held: setattr(held, "data_location", 0),
    "in an attribute": in_an_attribute,
    "in an inner graph": in_an_inner_graph,
}


@pytest.mark.parametrize("case", REFUSED)
def test_a_tensor_that_is_no_range_of_the_weights_is_refused(copy, case):
    bundle = forged(copy, REFUSED[case])
    with pytest.raises(BundleError, match=r"decode_x should hold all its tensors.* Received: "):
        decoded(bundle)


def test_what_is_not_changed_opens(copy, bundle):
    """So that nothing above is refused for the forging itself."""
    found = decoded(forged(copy, lambda model, held: None))
    np.testing.assert_array_equal(found, decoded(Bundle.load(bundle, threads=1)))


def test_weights_are_those_of_the_file(copy, bundle):
    content = bytearray((copy / WEIGHTS).read_bytes())
    (copy / WEIGHTS).write_bytes(bytes(len(content)))
    with pytest.raises(BundleError, match=r"weights\.bin should have SHA-256"):
        Bundle.load(copy)
    seal(copy)
    assert np.abs(decoded(Bundle.load(copy)) - decoded(Bundle.load(bundle))).max() > 0.01


@pytest.mark.parametrize("sealed", [False, True])
def test_weights_cut_off_are_refused(copy, sealed):
    (copy / WEIGHTS).write_bytes((copy / WEIGHTS).read_bytes()[:100])
    if not sealed:
        with pytest.raises(BundleError, match=r"weights\.bin should have \d+ bytes"):
            Bundle.load(copy)
        return
    seal(copy)
    with pytest.raises(BundleError, match="within its 100 bytes"):
        decoded(Bundle.load(copy))


def test_weights_that_are_missing_are_refused(copy):
    (copy / WEIGHTS).unlink()
    with pytest.raises(BundleError, match=r"should hold onnx/weights\.bin"):
        Bundle.load(copy)
    unlist(copy)
    with pytest.raises(BundleError, match=r"should hold all its tensors. Received: one in another"):
        decoded(Bundle.load(copy))


def unlist(folder):
    values = json.loads((folder / "manifest.json").read_text())
    del values["files"][WEIGHTS]
    (folder / "manifest.json").write_text(json.dumps(values))
    seal(folder)


def test_a_graph_in_another_folder_has_no_weights_beside_it(copy):
    values = json.loads((copy / "manifest.json").read_text())
    (copy / "moved").mkdir()
    (copy / GRAPH).rename(copy / "moved" / "decode_x.onnx")
    values["files"]["moved/decode_x.onnx"] = values["files"].pop(GRAPH)
    values["graphs"]["decode_x"]["file"] = "moved/decode_x.onnx"
    (copy / "manifest.json").write_text(json.dumps(values))
    seal(copy)
    with pytest.raises(BundleError, match=r"should hold all its tensors. Received: one in another"):
        decoded(Bundle.load(copy))


def test_weights_that_are_swapped_after_the_check_are_not_read(copy, bundle):
    opened = Bundle.load(copy)
    (copy / WEIGHTS).write_bytes(bytes((copy / WEIGHTS).stat().st_size))
    np.testing.assert_array_equal(decoded(opened), decoded(Bundle.load(bundle)))


def test_a_forked_process_has_the_weights(copy, bundle):
    opened = Bundle.load(copy)
    expected = decoded(opened)
    (copy / WEIGHTS).unlink()
    opened._sessions.begin_anew()
    np.testing.assert_array_equal(decoded(opened), expected)


def test_a_bundle_whose_graphs_hold_all_their_weights_opens(copy, bundle):
    for path in (copy / "onnx").glob("*.onnx"):
        onnx.save(onnx.load(path), path)
    (copy / WEIGHTS).unlink()
    unlist(copy)
    pairs = Bundle.load(copy, threads=1).generate_pairs(5, seed=0)
    for found, expected in zip(
        pairs, Bundle.load(bundle, threads=1).generate_pairs(5, seed=0), strict=True
    ):
        np.testing.assert_array_equal(found, expected)
