"""What the gate of a bundle accepts, and what it refuses: a list of faults planted in one graph."""

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
import tiny_bundle
from mutations import seal

from wyner_export import BundleError, ExportError, verify_bundle, write_bundle
from wyner_export.functions import TensorInfo
from wyner_export.graphs import graphs_of
from wyner_export.onnx_files import write_onnx
from wyner_export.parity import Disagreement, Parity
from wyner_export.rounding import conditioning, unit_of
from wyner_export.saved_model import variables_of
from wyner_export.weights import lost_weights


@pytest.fixture
def check(judged_of, tmp_path):
    """Plants a fault in the file of one graph and has it checked."""

    def check(name, plant, of="images"):
        judged = judged_of(of)
        model = onnx.load(judged.onnx(name))
        plant(model)
        onnx.checker.check_model(model)
        onnx.save(model, tmp_path / "planted.onnx")
        judged.check_file(name, tmp_path / "planted.onnx")

    return check


def test_a_sound_file_passes_as_it_is(check, judged):
    for name in judged.graphs:
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
# Of vectors with columns of every kind, some of them missing, and of series.
FAULTS_OF_COLUMNS = [
    *((planted.weight_off, name) for name in ("encode_x_u", "decode_x", "decode_y")),
    *((planted.stale, name) for name in ("posterior_x_z", "generate_x", "transfer_x")),
    *((planted.bias_lost, name) for name in ("encode_x_z", "decode_x", "generate_y")),
    *((planted.noise_ignored, name) for name in ("encode_x_z", "encode_y_z", "generate_x")),
    *((planted.missing_ignored, name) for name in ("posterior_x_z", "generate_y")),
    *((planted.column_off, name) for name in ("decode_x", "generate_x")),
]
CASES = [
    *((plant, name, "images") for plant, name in FAULTS),
    *((plant, name, "columns") for plant, name in FAULTS_OF_COLUMNS),
]


@pytest.mark.parametrize(
    ("plant", "name", "of"),
    CASES,
    ids=[f"{of}-{plant.__name__}-{name}" for plant, name, of in CASES],
)
def test_a_planted_fault_is_refused_by_graph_and_output(check, judged_of, plant, name, of):
    outputs = "|".join(info.name for info in judged_of(of).graphs[name].outputs)
    with pytest.raises(Disagreement, match=rf"^{name}: ({outputs})[ ,].* Received: "):
        check(name, plant, of)


def test_another_number_of_steps_is_refused(make_tiny, judged, tmp_path):
    """The same weights, in a flow that follows the same equation by two steps in place of one."""
    other = make_tiny(flow_steps={"x": 2, "y": 0})
    (graph,) = (graph for graph in graphs_of(other) if graph.name == "decode_x")
    write_onnx(graph, tmp_path / "other.onnx")
    with pytest.raises(Disagreement, match=r"^decode_x: .* should be the same in SavedModel and "):
        judged.check_file("decode_x", tmp_path / "other.onnx")


def test_the_other_sides_file_is_refused(judged, tmp_path):
    model = onnx.load(judged.onnx("posterior_y_z"))
    for node in model.graph.node:
        node.input[:] = ["x" if name == "y" else name for name in node.input]
    model.graph.input[0].name = "x"
    onnx.save(model, tmp_path / "other.onnx")
    with pytest.raises(Disagreement, match=r"^posterior_x_z: probabilities should be the same"):
        judged.check_file("posterior_x_z", tmp_path / "other.onnx")


def test_stale_weights_of_a_saved_model_are_refused(tiny, judged):
    """Far too near for any answer to tell: one weight moved by two units in the last place."""
    (graph,) = (graph for graph in graphs_of(tiny) if graph.name == "decode_y")
    variables = graph.traced.get_concrete_function().variables
    judged.parity.check_saved_model(graph, judged.loaded, variables)
    kernel = max(
        judged.loaded.signatures["decode_y"].variables, key=lambda v: v.shape.num_elements()
    )
    values = kernel.numpy()
    moved = values.copy()
    moved.flat[0] *= 1 + 2 * np.finfo(np.float32).eps
    kernel.assign(moved)
    try:
        with pytest.raises(
            Disagreement, match=r"^decode_y: y of SavedModel should come of the model's"
        ):
            judged.parity.check_saved_model(graph, judged.loaded, variables)
    finally:
        kernel.assign(values)


def test_a_kernel_may_be_scaled_by_its_channels_and_no_more(judged):
    """As a converter does where batch normalisation follows a convolution."""
    rng = np.random.default_rng(0)
    kernel = tf.Variable(rng.normal(size=(3, 3, 4, 5)).astype(np.float32), name="kernel")
    scaled = kernel.numpy() * rng.uniform(0.5, 2, 5).astype(np.float32)
    turned = scaled.transpose(3, 2, 0, 1)
    assert not lost_weights([kernel], [turned])
    off = turned.copy()
    off[2, 1, 0, 0] *= 1 + 1e-5
    assert lost_weights([kernel], [off]) == ["kernel (3, 3, 4, 5)"]
    assert lost_weights([kernel], [turned + np.float32(1e-4)]) == ["kernel (3, 3, 4, 5)"]


def test_what_rounding_does_to_a_graph_is_measured(judged):
    """Moves of units in the last place move outputs by that order, and are taken back."""
    for graph, outputs in judged.parity.conditioning.reach.items():
        for name, reach in outputs.items():
            if name != "z":
                assert 1e-8 < np.median(reach) < 1e-4, (graph, name)
    read = variables_of(judged.loaded.signatures[name] for name in judged.graphs)
    before = [variable.numpy() for variable in read]
    graphs = [judged.graphs["posterior_x_z"]]
    again = conditioning(judged.loaded, graphs, judged.answers, {}, seed=1)
    assert 1e-8 < np.median(again.reach["posterior_x_z"]["probabilities"]) < 1e-4
    for variable, values in zip(read, before, strict=True):
        np.testing.assert_array_equal(variable.numpy(), values)


def test_each_column_is_judged_by_its_own_deviation(judged_of):
    """A fault that is small in one column's unit is large in another's."""
    judged = judged_of("columns")
    right = judged.answers["decode_x"].outputs["x"]
    unit = judged.parity.conditioning.unit["decode_x"]["x"]
    assert unit.size.shape == (5,) and unit.ceiling == 0.01
    np.testing.assert_allclose(unit.size[0], right[:, 0].std(), rtol=1e-6)
    judged.check("decode_x", "ONNX", {"x": right})
    for column in (0, 4):
        near, far = right.copy(), right.copy()
        near[3, column] += 1e-7 * unit.size[column]
        far[3, column] += 1e-3 * unit.size[column]
        judged.check("decode_x", "ONNX", {"x": near})
        with pytest.raises(Disagreement, match=rf"decode_x: x should .* in row \(3, {column}\)"):
            judged.check("decode_x", "ONNX", {"x": far})


def test_what_hardly_varies_beside_its_size_is_judged_by_its_size():
    """Dates in seconds, say: float32 holds them to 128."""
    info = TensorInfo(name="x", shape=("n", 2), meaning="")
    values = np.stack([1.7e9 + np.arange(9.0), np.zeros(9)], axis=1)
    unit = unit_of(info, {"x": {"kind": "series"}}, values)
    np.testing.assert_allclose(unit.size, [2e-3 * 1.7e9, 1], rtol=1e-6)
    assert unit.axes == (1,)


def test_a_decision_within_rounding_is_left_out(judged_of):
    """A category that rounding alone changes says nothing; one that it does not change counts."""
    judged = judged_of("columns")
    right = judged.answers["decode_x"].outputs["x"]
    reach = judged.parity.conditioning.reach["decode_x"]["x"].copy()
    reach[5, 2] = 1.0
    limits = judged.parity.conditioning._replace(
        reach={**judged.parity.conditioning.reach, "decode_x": {"x": reach}}
    )
    some = Parity("SavedModel", judged.answers, limits)
    other = right.copy()
    other[5, 2] = (right[5, 2] + 1) % 4
    some.check(judged.graphs["decode_x"], "ONNX", {"x": other})
    other[6, 2] = (right[6, 2] + 1) % 4
    with pytest.raises(Disagreement, match=r"in row \(6, 2\)"):
        some.check(judged.graphs["decode_x"], "ONNX", {"x": other})


def test_a_graph_that_rounding_alone_upsets_is_refused_for_that(judged):
    """No engine can be judged by it, and the message says so."""
    graph = judged.graphs["decode_x"]
    reach = {**judged.parity.conditioning.reach, "decode_x": {"x": np.full(23, 0.1)}}
    upset = Parity("Keras", judged.answers, judged.parity.conditioning._replace(reach=reach))
    with pytest.raises(Disagreement, match=r"decode_x: x should move by .* in 23 of 23 rows"):
        upset.check(graph, "ONNX", judged.answers["decode_x"].outputs)


@pytest.mark.parametrize(("steep", "decides"), [(1.5, True), (7.9, True), (8.1, False)])
def test_a_map_that_is_steep_throughout_is_judged_by_fewer_units(judged, steep, decides):
    """A right engine is passed, and one that is off by what can be seen is not."""
    graph, right = judged.graphs["decode_x"], judged.answers["decode_x"].outputs
    ceiling = judged.parity.conditioning.unit["decode_x"]["x"].ceiling
    reach = {
        **judged.parity.conditioning.reach,
        "decode_x": {"x": np.array([1e-6, *[steep * ceiling] * 22])},
    }
    some = Parity("Keras", judged.answers, judged.parity.conditioning._replace(reach=reach))
    off = {"x": np.clip(right["x"] - 0.9 * ceiling, 0, None)}
    off["x"][0] = right["x"][0]
    if not decides:
        with pytest.raises(Disagreement, match=r"by 16 units .* in 22 of 23 rows"):
            some.check(graph, "ONNX", right)
        return
    some.check(graph, "ONNX", off)
    off["x"][3] = right["x"][3] + 1.1 * ceiling
    with pytest.raises(Disagreement, match=r"within 0.00098 in row \(3,\)"):
        some.check(graph, "ONNX", off)


def test_a_row_that_rounding_upsets_is_left_out_and_others_are_judged(judged):
    graph, right = judged.graphs["decode_x"], judged.answers["decode_x"].outputs
    reach = {
        **judged.parity.conditioning.reach,
        "decode_x": {"x": np.array([0.1, *[1e-6] * 22])},
    }
    some = Parity("Keras", judged.answers, judged.parity.conditioning._replace(reach=reach))
    wrong = {"x": right["x"].copy()}
    wrong["x"][0] = 1 - wrong["x"][0]
    some.check(graph, "ONNX", wrong)
    wrong["x"][3] += 1e-5
    with pytest.raises(Disagreement, match=r"within 1e-06 in row \(3,\)"):
        some.check(graph, "ONNX", wrong)


def test_answers_that_are_not_finite_or_of_another_shape_are_refused(judged):
    right = judged.answers["decode_x"].outputs["x"]
    broken = right.copy()
    broken[2] = np.nan
    with pytest.raises(Disagreement, match="decode_x: x should be the same"):
        judged.check("decode_x", "ONNX", {"x": broken})
    with pytest.raises(Disagreement, match=r"should be float32 \(23, 8, 8, 1\). Received"):
        judged.check("decode_x", "ONNX", {"x": right[:, :, :4]})
    with pytest.raises(Disagreement, match="Received: float64"):
        judged.check("decode_x", "ONNX", {"x": right.astype(np.float64)})


@pytest.fixture
def never(monkeypatch):
    """Fails the test where an export gets as far as its graphs."""
    monkeypatch.setattr("wyner_export.bundle._write_engines", lambda *given: pytest.fail("began"))


def test_a_broken_model_is_refused_before_any_conversion(least, never, tmp_path):
    weights = least.sides[0].decoder_network.trainable_variables[0]
    values = weights.numpy()
    weights.assign(np.full(weights.shape, np.nan))
    try:
        with pytest.raises(ValueError, match=r"should have finite weights.*kernel"):
            write_bundle(least, tmp_path / "bundle")
    finally:
        weights.assign(values)
    assert not list(tmp_path.iterdir())


@pytest.mark.parametrize("said", [{"metrics": {"a": float("nan")}}, {"nats": {"z": np.float32(1)}}])
def test_what_a_manifest_cannot_hold_is_refused_before_any_conversion(least, never, tmp_path, said):
    with pytest.raises(ValueError, match="should be JSON"):
        write_bundle(least, tmp_path / "bundle", **said)
    assert not list(tmp_path.iterdir())


def test_an_export_with_a_planted_fault_leaves_nothing(least, only, tmp_path, monkeypatch):
    """The whole path: a converter that spoils one graph, named by the error."""

    def spoil(graph, path, *others):
        write_onnx(graph, path, *others)
        model = onnx.load(path)
        planted.weight_off(model)
        onnx.save(model, path)

    only("posterior_y_z")
    monkeypatch.setattr("wyner_export.bundle.write_onnx", spoil)
    with pytest.raises(ExportError, match=r"^posterior_y_z: probabilities"):
        write_bundle(least, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_resealed_bundle_with_a_planted_fault_does_not_verify(bundle_of, tmp_path):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle_of("columns"), folder)
    name = "onnx/encode_x_u.onnx"
    model = onnx.load(folder / name)
    planted.noise_ignored(model)
    onnx.save(model, folder / name)
    seal(folder)
    with pytest.raises(BundleError, match=r"^encode_x_u: u should be the same in SavedModel and"):
        verify_bundle(folder)


PROCESSORS = {
    "oldest-instructions": (
        "images",
        {"ONEDNN_MAX_CPU_ISA": "SSE41", "TF_NUM_INTRAOP_THREADS": "1", "OMP_NUM_THREADS": "1"},
    ),
    "without-onednn": ("mixed", {"TF_ENABLE_ONEDNN_OPTS": "0", "TF_NUM_INTRAOP_THREADS": "2"}),
}


@pytest.mark.parametrize("processor", PROCESSORS)
def test_a_bundle_verifies_on_another_processor(bundle_of, tmp_path, processor):
    """One of format 1, too; and of all that TensorFlow writes nothing reaches stderr."""
    name, settings = PROCESSORS[processor]
    folder = bundle_of(name)
    if name == "images":
        folder = shutil.copytree(folder, tmp_path / "bundle")
        tiny_bundle.as_format_1(folder)
    code = "import sys; from wyner_keras.cli import main; sys.exit(main(sys.argv[1:]))"
    quiet = {name: value for name, value in os.environ.items() if name != "TF_CPP_MIN_LOG_LEVEL"}
    done = subprocess.run(
        [sys.executable, "-c", code, "export", "--verify", str(folder)],
        env={**quiet, **settings},
        capture_output=True,
        text=True,
        check=False,
    )
    assert done.returncode == 0, done.stderr
    first, *rest = done.stderr.splitlines()
    count = len(json.loads((folder / "manifest.json").read_text())["graphs"])
    assert first == f"SavedModel: {count} graphs" and count >= 13
    assert [line.split(":")[0] for line in rest] == [
        f"ONNX {n}/{count}" for n in range(1, count + 1)
    ]
    assert done.stdout.startswith(f"{folder} is whole, and its engines agree")
