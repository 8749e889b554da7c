import json
import os
import shutil
import signal
import subprocess
import sys
from pathlib import Path

import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tiny_bundle
from pairwise import pairwise

from wyner_export import (
    BundleError,
    ExportError,
    read_manifest,
    verify_bundle,
    write_bundle,
)
from wyner_export.functions import Graph, TensorInfo
from wyner_export.graphs import graphs_of
from wyner_export.onnx_files import write_onnx
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.models import WynerConfig, WynerModel

GRAPHS = {
    *("encode_x_z", "encode_x_u", "encode_y_z", "encode_y_v", "decode_x", "decode_y"),
    *("posterior_x_z", "posterior_y_z"),
    *("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y"),
}


@pytest.fixture
def copy(bundle, tmp_path):
    shutil.copytree(bundle, tmp_path / "bundle")
    return tmp_path / "bundle"


def edit(folder, change):
    path = folder / "manifest.json"
    values = json.loads(path.read_text())
    change(values)
    path.write_text(json.dumps(values))


def test_a_bundle_verifies_and_says_what_it_holds(bundle):
    manifest = verify_bundle(bundle)
    assert set(manifest["graphs"]) == GRAPHS
    assert manifest["images"] == {"x": [8, 8, 1], "y": [8, 8, 1]}
    assert manifest["latents"]["z"] == {
        "family": "categorical", "n": 1, "k": 3, "size": 3, "noise": "uniform"
    }  # fmt: skip
    assert manifest["latents"]["v"]["size"] == 4
    assert manifest["pairing"]["label_map"] == {"0": 1, "1": 2, "2": 0}
    assert manifest["metrics"]["figures"]["joint_coherence"]["model"] == 0.5
    assert max(manifest["parity"].values()) < 1e-5
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "joint coherence | 0.500" in card
    assert "z holds 1.00 nats of x and y, 0.75 of x alone, 0.50 of y alone" in card
    assert len(list((bundle / "samples" / "x").glob("*.png"))) == 7


def test_files_are_standard_onnx_with_free_batches_named(bundle):
    for name in GRAPHS:
        model = onnx.load(bundle / "onnx" / f"{name}.onnx")
        assert {node.domain for node in model.graph.node} <= {""}
        assert [opset.version for opset in model.opset_import if not opset.domain] == [18]
        (first, *_) = model.graph.input[0].type.tensor_type.shape.dim
        assert first.dim_param == ("styles" if name.startswith("transfer") else "n")


def test_samples_of_z_follow_the_posterior_that_the_bundle_tells(bundle, tiny_images):
    """The frequencies of `encode_x_z` over fresh noise are the probabilities of `posterior_x_z`."""
    image, count = tiny_images[0][:1], 4000
    run = {name: onnxruntime.InferenceSession(bundle / "onnx" / f"{name}.onnx").run
           for name in ("encode_x_z", "posterior_x_z")}  # fmt: skip
    (told,) = run["posterior_x_z"](None, {"x": image})
    noise = np.random.default_rng(0).random((count, 3), dtype=np.float32)
    (drawn,) = run["encode_x_z"](None, {"x": image.repeat(count, axis=0), "noise_z": noise})
    assert told.sum() == pytest.approx(1, abs=1e-6)
    assert told.std() > 0.05
    # Four standard errors of a frequency.
    np.testing.assert_allclose(drawn.mean(axis=0), told[0], atol=4 * 0.5 / count**0.5)


def test_the_posterior_of_a_gaussian_z_is_its_mean_and_variance(make_tiny):
    model = make_tiny(z=DiagonalGaussian(dim=3), residual=False, flow_steps=0)
    (graph,) = (graph for graph in graphs_of(model) if graph.name == "posterior_y_z")
    images = np.random.default_rng(0).random((2, 8, 8, 1), dtype=np.float32)
    told = graph.traced(tf.constant(images))
    assert {name: value.shape for name, value in told.items()} == {
        "mean": (2, 3), "log_variance": (2, 3)
    }  # fmt: skip
    still, one = (model.sample_z(images, "y", np.full((2, 3), noise)) for noise in (0.0, 1.0))
    np.testing.assert_allclose(told["mean"], still, atol=1e-6)
    np.testing.assert_allclose(np.exp(0.5 * told["log_variance"]), one - still, atol=1e-6)


def test_what_exists_is_not_overwritten(tiny, bundle):
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match="should not exist yet"):
        write_bundle(tiny, bundle)
    assert (bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("fails", ["examples", "write_saved_model", "write_onnx", "model_card"])
def test_a_failure_leaves_nothing_behind(tiny, tiny_images, tmp_path, monkeypatch, fails):
    def fail(*arguments, **options):
        raise ExportError("no")

    monkeypatch.setattr(f"wyner_export.bundle.{fails}", fail)
    monkeypatch.setattr(
        "wyner_export.bundle.graphs_of",
        lambda model: tuple(g for g in graphs_of(model) if g.name == "posterior_x_z"),
    )
    with pytest.raises(ExportError, match="no"):
        write_bundle(tiny, tmp_path / "bundle", images=tiny_images)
    assert not list(tmp_path.iterdir())


def test_a_killed_export_leaves_nothing_to_the_next(tiny, tiny_images, tmp_path, monkeypatch):
    """Killed in the middle of the conversion; the next export of that name clears up."""
    code = """
import os, signal, sys
import tiny_bundle
import wyner_export.bundle
wyner_export.bundle.write_onnx = lambda *given: os.kill(os.getpid(), signal.SIGKILL)
one = lambda model: tuple(g for g in graphs_of(model) if g.name == "posterior_x_z")
graphs_of, wyner_export.bundle.graphs_of = wyner_export.bundle.graphs_of, one
tiny_bundle.write_tiny_bundle(tiny_bundle.tiny_model(), sys.argv[1])
"""
    path = tmp_path / "bundle"
    tools = str(Path(tiny_bundle.__file__).parent)
    killed = subprocess.run(
        [sys.executable, "-c", code, str(path)],
        env={**os.environ, "PYTHONPATH": tools},
        capture_output=True,
        check=False,
    )
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert not path.exists()
    assert len(list(tmp_path.iterdir())) == 1
    monkeypatch.setattr(
        "wyner_export.bundle.graphs_of",
        lambda model: tuple(g for g in graphs_of(model) if g.name == "posterior_x_z"),
    )
    write_bundle(tiny, path, images=tiny_images)
    assert list(tmp_path.iterdir()) == [path]


def test_a_graph_that_the_converter_spoils_is_refused(tmp_path):
    """keras.ops.argmax converts without an error, into a file that nothing can open."""
    import keras

    info = TensorInfo(name="x", shape=("n", 3), meaning="")
    graph = Graph(
        name="bad",
        meaning="",
        inputs=(info,),
        outputs=(TensorInfo(name="y", shape=("n",), meaning=""),),
        function=lambda x: (keras.ops.cast(keras.ops.argmax(x, axis=-1), "float32"),),
    )
    with pytest.raises(ExportError, match="bad"):
        write_onnx(graph, tmp_path / "bad.onnx")
    assert not (tmp_path / "bad.onnx").exists()


@pytest.mark.parametrize(
    "name",
    [
        "onnx/decode_y.onnx",
        "MODEL_CARD.md",
        "samples/x/00.png",
        "saved_model/wyner/1/saved_model.pb",
        "saved_model/wyner/1/assets.extra/tf_serving_warmup_requests",
    ],
)
def test_one_altered_byte_is_found(copy, name):
    content = bytearray((copy / name).read_bytes())
    content[len(content) // 2] ^= 1
    (copy / name).write_bytes(bytes(content))
    with pytest.raises(BundleError, match=f"{name} should be as it was written"):
        verify_bundle(copy)


def test_missing_and_unknown_files_are_found(copy):
    (copy / "samples" / "x" / "00.png").rename(copy / "extra.png")
    with pytest.raises(
        BundleError, match=r"missing \['samples/x/00.png'\].*listed \['extra.png'\]"
    ):
        verify_bundle(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(format=99), "newer.*Received: format 99"),
        (lambda values: values.pop("graphs"), "'graphs' is a required property"),
        (lambda values: values["images"].update(x=[8, 8]), "images/x"),
        (lambda values: values.update(surprise=1), "surprise"),
    ],
)
def test_a_manifest_that_does_not_follow_the_schema_is_refused(copy, change, message):
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        verify_bundle(copy)


def test_a_folder_without_a_readable_manifest_is_refused(copy):
    (copy / "manifest.json").write_text("{")
    with pytest.raises(BundleError, match="should be JSON"):
        verify_bundle(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match="which has none"):
        verify_bundle(copy)


def of_pixels(**settings):
    """A small model without a wrapper; images of y have colours and another shape."""
    values = {
        **{"z": Categorical(n=1, k=3), "u": DiagonalGaussian(dim=2), "v": DiagonalGaussian(dim=2)},
        **{"hidden": (8,), "x_shape": (5, 7, 1), "y_shape": (6, 4, 3)},
    }
    return WynerModel(WynerConfig(**values | settings))


def test_a_model_without_local_latents_has_no_noise_for_them(tmp_path):
    path = write_bundle(of_pixels(u=None, v=None), tmp_path / "bundle")
    manifest = verify_bundle(path)
    assert set(manifest["graphs"]) == GRAPHS - {"encode_x_u", "encode_y_v"}
    names = [info["name"] for info in manifest["graphs"]["generate_pairs"]["inputs"]]
    assert names == ["noise_z"]
    assert manifest["latents"]["u"] is None
    assert manifest["images"] == {"x": [5, 7, 1], "y": [6, 4, 3]}


KINDS = {
    "gaussian-z": {"z": DiagonalGaussian(dim=3), "v": None, "decoder": "gaussian"},
    "categorical-locals": {
        **{"z": Categorical(n=2, k=5), "u": Categorical(n=3, k=4), "v": Categorical(n=2, k=3)},
        **{"joint_encoder": "free", "alignment_weight": 0.0},
    },
}


@pytest.mark.parametrize("kind", KINDS)
def test_every_kind_of_model_gets_out(tmp_path, kind):
    """Its engines agree, and its graphs' outputs have the order that the manifest says."""
    path = write_bundle(of_pixels(**KINDS[kind]), tmp_path / "bundle")
    for graph in read_manifest(path)["graphs"].values():
        session = onnxruntime.InferenceSession(path / graph["file"])
        names = [info["name"] for info in graph["outputs"]]
        assert names == [value.name for value in session.get_outputs()]


def test_a_learned_prior_is_part_of_joint_generation(make_tiny, tmp_path):
    model = make_tiny(z=Categorical(n=3, k=3), prior="tree")
    joint = np.random.default_rng(0).dirichlet(np.full(27, 0.2)).reshape(3, 3, 3)
    model.prior_z.fit(pairwise(joint))
    (graph,) = (graph for graph in graphs_of(model) if graph.name == "generate_pairs")
    write_onnx(graph, tmp_path / "generate_pairs.onnx")
    session = onnxruntime.InferenceSession(tmp_path / "generate_pairs.onnx")
    rng = np.random.default_rng(1)
    noises = [
        family.draw_noise(rng, 50) for family in (model.config.z, model.config.u, model.config.v)
    ]
    names = [given.name for given in session.get_inputs()]
    found = session.run(None, dict(zip(names, noises, strict=True)))
    for ours, kerass in zip(found, model.joint_graph(*noises), strict=True):
        np.testing.assert_allclose(ours, kerass, atol=1e-5)


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="should be a WynerModel"):
        write_bundle(tf.keras.Sequential(), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())
