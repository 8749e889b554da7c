"""What the gate of a bundle accepts, and what it refuses: a list of faults planted in one graph."""

import hashlib
import json
import os
import shutil
import subprocess
import sys

import numpy as np
import onnx
import planted
import pytest
import tensorflow as tf

from wyner_export import BundleError, ExportError, verify_bundle, write_bundle
from wyner_export.graphs import graphs_of
from wyner_export.onnx_files import write_onnx
from wyner_export.parity import Disagreement, Parity


@pytest.fixture(scope="module")
def graphs(tiny):
    return {graph.name: graph for graph in graphs_of(tiny)}


@pytest.fixture
def check(parity, graphs, loaded, bundle, tmp_path):
    """Plants a fault in the file of one graph and has it checked."""

    def check(name, plant):
        model = onnx.load(bundle / "onnx" / f"{name}.onnx")
        plant(model)
        onnx.checker.check_model(model)
        onnx.save(model, tmp_path / "planted.onnx")
        variables = loaded.signatures[name].variables
        parity.check_onnx(graphs[name], tmp_path / "planted.onnx", variables)

    return check


def test_a_sound_file_passes_as_it_is(check, graphs):
    for name in graphs:
        check(name, lambda model: None)


FAULTS = [
    *((planted.weight_off, name) for name in ("encode_x_z", "encode_y_v", "decode_x")),
    *((planted.weight_off, name) for name in ("generate_y", "generate_pairs", "transfer_y")),
    *((planted.stale, name) for name in ("posterior_x_z", "decode_y", "generate_x", "transfer_x")),
    *((planted.bias_lost, name) for name in ("encode_x_u", "posterior_y_z", "decode_y")),
    *((planted.noise_ignored, name) for name in ("encode_x_z", "encode_y_z", "encode_x_u")),
    *((planted.noise_ignored, name) for name in ("generate_y", "generate_pairs", "transfer_x")),
    *((planted.input_transposed, name) for name in ("posterior_x_z", "encode_y_v", "transfer_x")),
    (planted.sides_swapped, "generate_pairs"),
]


@pytest.mark.parametrize(
    ("plant", "name"), FAULTS, ids=[f"{plant.__name__}-{name}" for plant, name in FAULTS]
)
def test_a_planted_fault_is_refused_by_graph_and_output(check, graphs, plant, name):
    outputs = "|".join(info.name for info in graphs[name].outputs)
    with pytest.raises(Disagreement, match=rf"^{name}: ({outputs})[ ,].* Received: "):
        check(name, plant)


@pytest.mark.parametrize("name", ["decode_x", "encode_y_v", "generate_y"])
def test_another_number_of_steps_is_refused(make_tiny, parity, graphs, loaded, tmp_path, name):
    """The same weights, in a flow that follows the same equation by two steps in place of one."""
    (other,) = (g for g in graphs_of(make_tiny(flow_steps=2)) if g.name == name)
    write_onnx(other, tmp_path / "other.onnx")
    variables = loaded.signatures[name].variables
    with pytest.raises(Disagreement, match=f"^{name}: .* should be the same in Keras and ONNX"):
        parity.check_onnx(graphs[name], tmp_path / "other.onnx", variables)


def test_the_other_sides_file_is_refused(parity, graphs, loaded, bundle, tmp_path):
    model = onnx.load(bundle / "onnx" / "posterior_y_z.onnx")
    for node in model.graph.node:
        node.input[:] = ["x" if name == "y" else name for name in node.input]
    model.graph.input[0].name = "x"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(Disagreement, match=r"^posterior_x_z: probabilities should be the same"):
        parity.check_onnx(
            graphs["posterior_x_z"],
            tmp_path / "other.onnx",
            loaded.signatures["posterior_x_z"].variables,
        )


def test_stale_weights_of_a_saved_model_are_refused(parity, graphs, bundle):
    """Far too near for any answer to tell: one weight moved by two units in the last place."""
    loaded = tf.saved_model.load(str(bundle / "saved_model" / "wyner" / "1"))
    graph = graphs["decode_x"]
    variables = graph.traced.get_concrete_function().variables
    parity.check_saved_model(graph, loaded, variables)
    kernel = max(loaded.signatures["decode_x"].variables, key=lambda v: v.shape.num_elements())
    values = kernel.numpy()
    values.flat[0] *= 1 + 2 * np.finfo(np.float32).eps
    kernel.assign(values)
    with pytest.raises(
        Disagreement, match=r"^decode_x: x of SavedModel should come of the model's"
    ):
        parity.check_saved_model(graph, loaded, variables)


def test_what_rounding_does_to_a_graph_is_measured(parity, loaded, graphs):
    """Moves of 32 units in the last place move outputs by that order, and are taken back."""
    for graph, outputs in parity.conditioning.reach.items():
        for name, reach in outputs.items():
            if name != "z":
                assert 1e-8 < np.median(reach) < 1e-4, (graph, name)
    for graph in graphs.values():
        parity.check_saved_model(graph, loaded, graph.traced.get_concrete_function().variables)


def test_a_graph_that_rounding_alone_upsets_is_refused_for_that(parity, graphs, tiny_answers):
    """No engine can be judged by it, and the message says so."""
    graph = graphs["decode_x"]
    reach = {**parity.conditioning.reach, "decode_x": {"x": np.full(23, 0.1)}}
    upset = Parity("Keras", tiny_answers, parity.conditioning._replace(reach=reach))
    with pytest.raises(Disagreement, match=r"decode_x: x should move by .* in 23 of 23 rows"):
        upset.check(graph, "ONNX", tiny_answers["decode_x"].outputs)


def test_a_row_that_rounding_upsets_is_left_out_and_others_are_judged(parity, graphs, tiny_answers):
    graph, right = graphs["decode_x"], tiny_answers["decode_x"].outputs
    reach = {**parity.conditioning.reach, "decode_x": {"x": np.array([0.1, *[1e-6] * 22])}}
    some = Parity("Keras", tiny_answers, parity.conditioning._replace(reach=reach))
    wrong = {"x": right["x"].copy()}
    wrong["x"][0] = 1 - wrong["x"][0]
    some.check(graph, "ONNX", wrong)
    wrong["x"][3] += 1e-5
    with pytest.raises(Disagreement, match=r"within 1e-06 in row \(3,\)"):
        some.check(graph, "ONNX", wrong)


def test_answers_that_are_not_finite_or_of_another_shape_are_refused(parity, graphs, tiny_answers):
    graph, right = graphs["decode_x"], tiny_answers["decode_x"].outputs["x"]
    broken = right.copy()
    broken[2] = np.nan
    with pytest.raises(Disagreement, match="decode_x: x should be the same"):
        parity.check(graph, "ONNX", {"x": broken})
    with pytest.raises(Disagreement, match=r"should be float32 \(23, 8, 8, 1\). Received"):
        parity.check(graph, "ONNX", {"x": right[:, :, :4]})
    with pytest.raises(Disagreement, match="Received: float64"):
        parity.check(graph, "ONNX", {"x": right.astype(np.float64)})


def test_a_broken_model_is_refused_before_any_conversion(make_tiny, tmp_path, monkeypatch):
    model = make_tiny()
    weights = model.decoder_x.trainable_variables[0]
    weights.assign(np.full(weights.shape, np.nan))
    monkeypatch.setattr("wyner_export.bundle.graphs_of", lambda model: pytest.fail("began"))
    with pytest.raises(ValueError, match=r"should have finite weights.*kernel"):
        write_bundle(model, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_what_a_manifest_cannot_hold_is_refused_before_any_conversion(
    tiny, tiny_images, tmp_path, monkeypatch
):
    monkeypatch.setattr("wyner_export.bundle._write_engines", lambda *given: pytest.fail("began"))
    for values in ({"metrics": {"a": float("nan")}}, {"nats": {"z": np.float32(1)}}):
        with pytest.raises(ValueError, match="should be JSON"):
            write_bundle(tiny, tmp_path / "bundle", images=tiny_images, **values)
    assert not list(tmp_path.iterdir())


def test_an_export_with_a_planted_fault_leaves_nothing(tiny, tiny_images, tmp_path, monkeypatch):
    """The whole path: a converter that spoils one graph, named by the error."""

    def spoil(graph, path):
        write_onnx(graph, path)
        model = onnx.load(path)
        planted.weight_off(model)
        onnx.save(model, path)

    monkeypatch.setattr("wyner_export.bundle.write_onnx", spoil)
    monkeypatch.setattr(
        "wyner_export.bundle.graphs_of",
        lambda model: tuple(g for g in graphs_of(model) if g.name == "posterior_y_z"),
    )
    with pytest.raises(ExportError, match=r"^posterior_y_z: probabilities"):
        write_bundle(tiny, tmp_path / "bundle", images=tiny_images)
    assert not list(tmp_path.iterdir())


def test_a_resealed_bundle_with_a_planted_fault_does_not_verify(bundle, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    name = "onnx/encode_y_v.onnx"
    model = onnx.load(folder / name)
    planted.noise_ignored(model)
    onnx.save(model, folder / name)
    manifest = json.loads((folder / "manifest.json").read_text())
    content = (folder / name).read_bytes()
    manifest["files"][name] = {
        "sha256": hashlib.sha256(content).hexdigest(),
        "bytes": len(content),
    }
    (folder / "manifest.json").write_text(json.dumps(manifest))
    with pytest.raises(BundleError, match=r"^encode_y_v: v should be the same in SavedModel and"):
        verify_bundle(folder)


@pytest.mark.parametrize(
    "settings",
    [
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
        {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_NUM_INTRAOP_THREADS": "2"},
    ],
    ids=["oldest-instructions", "without-onednn"],
)
def test_a_bundle_verifies_on_another_processor(bundle, settings):
    """And of all that TensorFlow writes nothing reaches stderr."""
    code = "import sys; from wyner_keras.cli import main; sys.exit(main(sys.argv[1:]))"
    quiet = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "--verify", str(bundle)],
        env={**quiet, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines()
    assert first == "SavedModel: 13 graphs"
    assert [line.split(":")[0] for line in rest] == [f"ONNX {n}/13" for n in range(1, 14)]
    assert done.stdout.startswith(f"{bundle} is whole, and its engines agree")
