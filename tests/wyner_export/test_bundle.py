import json
import shutil

import keras
import numpy as np
import onnx
import onnxruntime
import pytest
import tensorflow as tf
import tiny_bundle
from mutations import seal
from pairwise import pairwise

from wyner_export import (
    BundleError,
    ExportError,
    graphs_of,
    read_manifest,
    verify_bundle,
    write_bundle,
)
from wyner_export.functions import Graph, TensorInfo
from wyner_export.onnx_files import write_onnx
from wyner_export.shared_weights import SharedWeights
from wyner_keras.families import latent_of
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_serving import Bundle
from wyner_serving.signature import new_key
from wyner_serving.whole import whole_folder

GRAPHS = {
    *("encode_x_z", "encode_x_u", "encode_y_z", "encode_y_v", "decode_x", "decode_y"),
    *("posterior_x_z", "posterior_y_z"),
    *("generate_y", "generate_x", "generate_pairs", "transfer_x", "transfer_y", "score_pairs"),
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
    seal(folder, files=False)


def manifest_of(folder):
    return json.loads((folder / "manifest.json").read_text())


@pytest.mark.parametrize("logits", [[0.0, 0.0, 0.0], [-2.3125] * 3, [0.1, 0.2, 0.3]])
def test_a_graph_of_nats_holds_how_common_kinds_are_and_reads_nothing(logits):
    model = tiny_bundle.tiny_model(z=Categorical(n=1, k=3))
    model.prior.logits.assign(np.broadcast_to(logits, (1, 3, 3)))
    (score,) = (graph for graph in graphs_of(model) if graph.name == "score_pairs")
    assert score.traced.get_concrete_function().variables == ()
    posteriors = np.random.default_rng(0).dirichlet(np.ones(3), (2, 4)).astype("f")
    (nats,) = score.call(x_probabilities=posteriors[0], y_probabilities=posteriors[1])
    np.testing.assert_allclose(
        nats, np.log(posteriors[0] / tf.nn.softmax(logits) @ posteriors[1].T), rtol=1e-5, atol=1e-6
    )


def test_a_manifest_says_what_its_bundle_holds(bundle):
    manifest = manifest_of(bundle)
    assert manifest["format"] == 3
    assert set(manifest["graphs"]) == GRAPHS
    assert manifest["sides"] == {
        "x": {"kind": "image", "shape": [8, 8, 1], "local": "u"},
        "y": {"kind": "image", "shape": [8, 8, 1], "local": "v"},
    }
    assert list(manifest["latents"]) == ["z", "u", "v"]
    (part,) = manifest["latents"]["z"].pop("pmi")
    assert part.pop("shares") == pytest.approx([0.5, 0.3, 0.2], abs=1e-6)
    assert part == {"form": "categorical", "n": 1, "k": 3}
    assert manifest["latents"]["z"] == {
        "family": "categorical", "n": 1, "k": 3, "size": 3, "noise": "uniform"
    }  # fmt: skip
    assert manifest["latents"]["v"]["size"] == 4
    assert manifest["pairing"]["label_map"] == {"0": 1, "1": 2, "2": 0}
    assert manifest["metrics"]["figures"]["joint_coherence"]["model"] == 0.5
    assert max(manifest["parity"].values()) < 1e-5
    card = (bundle / "MODEL_CARD.md").read_text()
    assert "joint coherence | share | 0.500" in card
    assert "z holds 1.00 nats of x and y, 0.75 of x alone, 0.50 of y alone" in card
    assert len(list((bundle / "samples" / "x").glob("*.png"))) == 7


def test_a_manifest_describes_columns_and_series(bundle_of):
    manifest = manifest_of(bundle_of("columns"))
    x, y = manifest["sides"].values()
    assert (x["kind"], x["shape"], x["missing"]) == ("vector", [5], True)
    assert x["columns"][:3] == [
        {"name": "height", "kind": "real"},
        {"name": "left", "kind": "binary"},
        {
            "name": "colour",
            "kind": "categorical",
            "categories": 4,
            "texts": ["blue", "green", "red", "teal"],
        },
    ]
    assert y == {"kind": "series", "shape": [12, 2], "local": "v"}
    # Without a local latent there is neither its encoder nor its noise.
    assert manifest["latents"]["v"] is None
    assert set(manifest["graphs"]) == GRAPHS - {"encode_y_v"}
    names = [info["name"] for info in manifest["graphs"]["generate_pairs"]["inputs"]]
    assert names == ["noise_z", "noise_u"]
    (given, *_), (made,) = (manifest["graphs"]["generate_y"][key] for key in ("inputs", "outputs"))
    assert given["meaning"] == "vectors of x" and given["range"] == [None, None]
    assert made["meaning"] == "generated series of y" and made["shape"] == ["n", 12, 2]
    mean, log_variance = manifest["graphs"]["posterior_x_z"]["outputs"]
    assert (mean["name"], log_variance["name"]) == ("mean", "log_variance")


def test_a_manifest_describes_a_product(bundle_of, tiny_of):
    model, manifest = tiny_of("product"), manifest_of(bundle_of("product"))
    entry = manifest["latents"]["z"]
    assert (entry["family"], entry["k"], entry["dim"]) == ("product", 3, 2)
    assert latent_of(entry) == model.z
    told = {info["name"]: info["shape"] for info in manifest["graphs"]["posterior_x_z"]["outputs"]}
    assert told == {"probabilities": ["n", 3], "mean": ["n", 2], "log_variance": ["n", 2]}
    x, y = tiny_bundle.tiny_rows(model).values()
    ranked, expected = Bundle.load(bundle_of("product")).rank(x, y, k=7), model.rank(x, y, k=7)
    np.testing.assert_allclose(ranked.nats, expected.nats, rtol=1e-4, atol=1e-4)
    assert np.ptp(ranked.nats) > 0.01


@pytest.mark.parametrize("name", ["columns", "mixed", "product"])
def test_a_bundle_verifies(bundle_of, name):
    assert verify_bundle(bundle_of(name)) == manifest_of(bundle_of(name))


def test_files_have_free_batches_named_and_outputs_in_order(bundle):
    for name, graph in manifest_of(bundle)["graphs"].items():
        model = onnx.load(bundle / graph["file"])
        (first, *_) = model.graph.input[0].type.tensor_type.shape.dim
        free = {"transfer": "styles", "score": "rows_x"}
        assert first.dim_param == free.get(name.split("_")[0], "n")
        for key, values in (("inputs", model.graph.input), ("outputs", model.graph.output)):
            assert [info["name"] for info in graph[key]] == [value.name for value in values]


@pytest.mark.parametrize("name", tiny_bundle.SHARED)
def test_a_large_weight_is_once_in_a_bundle(bundle_of, name):
    """The file of weights is those that graphs refer to, end to end; no graph has a large one."""
    folder, ranges = bundle_of(name) / "onnx", set()
    for path in folder.glob("*.onnx"):
        for held in onnx.load(path, load_external_data=False).graph.initializer:
            assert len(held.raw_data) < 256
            if held.external_data:
                told = {entry.key: entry.value for entry in held.external_data}
                ranges.add((int(told["offset"]), int(told["length"])))
    content, end = (folder / "weights.bin").read_bytes(), 0
    for offset, length in sorted(ranges):
        assert length >= 256 and offset == -(-end // 64) * 64
        end = offset + length
    assert end == len(content)
    assert len({content[offset : offset + length] for offset, length in ranges}) == len(ranges)


def test_graphs_with_the_same_weights_share_them(tmp_path):
    """Whatever their shapes; small ones stay, and a graph's file is the same every time."""
    rng = np.random.default_rng(0)
    kernel, other, small = (rng.normal(size=size) for size in ((16, 8), (16, 8), (3, 3)))
    files = []
    for place in ("first", "again"):
        (tmp_path / place).mkdir()
        weights = SharedWeights(tmp_path / place)
        for number, arrays in enumerate([(kernel, small), (kernel.reshape(8, 16), other)]):
            held = [
                onnx.numpy_helper.from_array(values, f"{name}")
                for name, values in enumerate(arrays)
            ]
            model = onnx.helper.make_model(onnx.helper.make_graph([], "f", [], [], held))
            path = tmp_path / place / f"{number}.onnx"
            path.write_bytes(weights.moved(model).SerializeToString())
            assert not any(values.external_data for values in held)
            for values, found in zip(arrays, onnx.load(path).graph.initializer, strict=True):
                np.testing.assert_array_equal(onnx.numpy_helper.to_array(found), values)
        files.append({path.name: path.read_bytes() for path in (tmp_path / place).iterdir()})
    assert files[0] == files[1]
    assert files[0]["weights.bin"] == kernel.tobytes() + other.tobytes()


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


def test_the_posterior_of_a_gaussian_z_is_its_mean_and_variance(bundle_of):
    """Of a normal z, noise of 0 gives the mean, and noise of 1 a deviation more."""
    folder = bundle_of("columns")
    run = {name: onnxruntime.InferenceSession(folder / "onnx" / f"{name}.onnx").run
           for name in ("encode_y_z", "posterior_y_z")}  # fmt: skip
    y = np.random.default_rng(0).normal(size=(2, 12, 2)).astype(np.float32)
    mean, log_variance = run["posterior_y_z"](None, {"y": y})
    still, one = (
        run["encode_y_z"](None, {"y": y, "noise_z": np.full((2, 3), noise, np.float32)})[0]
        for noise in (0.0, 1.0)
    )
    np.testing.assert_allclose(mean, still, atol=1e-6)
    np.testing.assert_allclose(np.exp(0.5 * log_variance), one - still, atol=1e-5)


def test_what_exists_is_not_overwritten(tiny, bundle):
    before = (bundle / "manifest.json").read_bytes()
    with pytest.raises(ValueError, match="should not exist yet"):
        write_bundle(tiny, bundle)
    assert (bundle / "manifest.json").read_bytes() == before


@pytest.mark.parametrize("fails", ["run_examples", "write_saved_model", "write_onnx", "model_card"])
def test_a_failure_leaves_nothing_behind(least, only, tmp_path, monkeypatch, fails):
    def fail(*arguments, **options):
        raise ExportError("no")

    only("posterior_x_z")
    monkeypatch.setattr(f"wyner_export.bundle.{fails}", fail)
    with pytest.raises(ExportError, match="no"):
        write_bundle(least, tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_without_examples_a_model_generates_its_own(least, only, tmp_path):
    only("posterior_x_z")
    folder = write_bundle(least, tmp_path / "bundle", pairing="things that go together")
    manifest = read_manifest(folder)
    assert manifest["pairing"] == {"meaning": "things that go together", "label_map": None}
    # The columns' names, then ten rows: to the bit, by nine digits.
    lines = (folder / "samples" / "x.csv").read_text().splitlines()
    assert lines[0] == "0,1" and len(lines) == 11
    x, _ = least.generate_pairs(10, seed=0)
    np.testing.assert_array_equal(np.loadtxt(lines[1:], delimiter=",", dtype=np.float32), x)


@pytest.mark.parametrize(
    ("examples", "message"),
    [
        ({"x": np.zeros((3, 2))}, r"arrays of the sides \['x', 'y'\]"),
        ((np.zeros((3, 2)), np.zeros((3, 3))), "arrays of the sides"),
        ({"x": np.zeros((3, 2)), "y": np.zeros((3, 2))}, r"`examples of y` should be .*\(n, 3\)"),
        ({"x": np.full((3, 2), np.nan), "y": np.zeros((3, 3))}, "`examples of x` .* finite"),
    ],
)
def test_wrong_examples_are_refused(least, tmp_path, examples, message):
    with pytest.raises(ValueError, match=message):
        write_bundle(least, tmp_path / "bundle", examples=examples)
    assert not list(tmp_path.iterdir())


def test_a_graph_that_the_converter_spoils_is_refused(tmp_path):
    """keras.ops.argmax converts without an error, into a file that nothing can open."""
    graph = Graph(
        name="bad",
        meaning="",
        inputs=(TensorInfo(name="x", shape=("n", 3), meaning=""),),
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
        "onnx/weights.bin",
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
    with pytest.raises(BundleError, match=f"{name} should have SHA-256"):
        verify_bundle(copy)


def test_missing_and_unknown_files_are_found(copy):
    shutil.copyfile(copy / "samples" / "x" / "00.png", copy / "extra.png")
    with pytest.raises(BundleError, match=r"files that its manifest lists.*extra.png besides"):
        verify_bundle(copy)
    (copy / "samples" / "x" / "00.png").unlink()
    with pytest.raises(BundleError, match=r"should hold samples/x/00.png. Received: no such file"):
        verify_bundle(copy)


@pytest.mark.parametrize(
    ("change", "message"),
    [
        (lambda values: values.update(format=99), "newer.*Received: format 99"),
        (lambda values: values.pop("graphs"), "'graphs' is a required property"),
        (lambda values: values["sides"]["x"].update(shape=[]), "sides/x/shape"),
        (lambda values: values["sides"]["x"].update(kind="vector"), "'columns' is a required"),
        (lambda values: values["latents"]["u"].update(noise="pink"), "latents/u"),
        (lambda values: values["latents"].update(z=None), "latents/z"),
        (lambda values: values.update(surprise=1), "surprise"),
    ],
)
def test_a_manifest_that_does_not_follow_the_schema_is_refused(copy, change, message):
    edit(copy, change)
    with pytest.raises(BundleError, match=message):
        verify_bundle(copy)


def test_a_folder_without_a_readable_manifest_is_refused(copy):
    (copy / "manifest.json").write_text("{")
    seal(copy, files=False)
    with pytest.raises(BundleError, match="should be JSON"):
        verify_bundle(copy)
    (copy / "manifest.json").unlink()
    with pytest.raises(BundleError, match=r"should be a folder with manifest\.json"):
        verify_bundle(copy)


def test_a_learned_prior_is_part_of_joint_generation(make_tiny, tmp_path):
    model = make_tiny(z=Categorical(n=3, k=3), u=DiagonalGaussian(dim=2), flow_steps=0)
    joint = np.random.default_rng(0).dirichlet(np.full(27, 0.2)).reshape(3, 3, 3)
    model.prior.fit_joint(pairwise(joint))
    (graph,) = (graph for graph in graphs_of(model) if graph.name == "generate_pairs")
    write_onnx(graph, tmp_path / "generate_pairs.onnx")
    rng = np.random.default_rng(1)
    noises = {
        f"noise_{name}": family.draw_noise(rng, 50)
        for name, family in {
            "z": model.z,
            **{side.local_name: side.local for side in model.sides},
        }.items()
    }
    found = onnxruntime.InferenceSession(tmp_path / "generate_pairs.onnx").run(None, noises)
    for ours, kerass in zip(found, graph.run(noises).values(), strict=True):
        np.testing.assert_allclose(ours, kerass, atol=1e-5)
    # From a uniform prior the pairs would be others.
    model.prior.logits.assign(np.zeros_like(model.prior.logits))
    assert np.abs(graph.run(noises)["x"] - found[0]).max() > 1e-2


def test_what_is_no_model_is_refused(tmp_path):
    with pytest.raises(ValueError, match="should be a WynerModel"):
        write_bundle(tf.keras.Sequential(), tmp_path / "bundle")
    assert not list(tmp_path.iterdir())


def test_a_signed_bundle_is_sealed_last(least, only, tmp_path):
    pytest.importorskip("cryptography")
    only("posterior_x_z")
    secret, public = new_key(tmp_path / "KEY")
    folder = write_bundle(least, tmp_path / "bundle", secret_key=secret)
    assert read_manifest(folder, public)["format"] == 3
    lines = (folder / "manifest.sha256").read_text().splitlines()
    assert [line.split("  ")[1] for line in lines] == ["manifest.json", "manifest.json.minisig"]
    other = new_key(tmp_path / "OTHER")[1]
    with pytest.raises(BundleError, match="should be signed by key"):
        verify_bundle(folder, public_key=other)
    with pytest.raises(ValueError, match="KEY should be a secret key"):
        write_bundle(least, tmp_path / "other", secret_key=public)


def test_a_manifest_that_nobody_could_read_is_not_written(least, only, tmp_path):
    only("posterior_x_z")
    with pytest.raises(ValueError, match="should have 4194304 bytes at most"):
        write_bundle(least, tmp_path / "bundle", pairing="a" * 2**22)
    with pytest.raises(ValueError, match=r"should be plain JSON.*32 levels"):
        write_bundle(least, tmp_path / "bundle", metrics={"a": json.loads("[" * 40 + "]" * 40)})
    assert not list(tmp_path.iterdir())


def test_a_bundle_that_another_process_writes_is_refused_at_once(tiny, tmp_path, monkeypatch):
    monkeypatch.setattr("wyner_export.bundle.graphs_of", None)  # the slow part
    with whole_folder(tmp_path / "bundle"):
        with pytest.raises(BlockingIOError, match="bundle should be written by one process"):
            write_bundle(tiny, tmp_path / "bundle")
        assert not (tmp_path / "bundle").exists()
