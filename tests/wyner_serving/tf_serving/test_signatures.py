"""The staged SavedModel, called as the server calls it."""

import contextlib
import io

import numpy as np
import pytest
import tensorflow as tf
from absl.testing import flagsaver
from model_server import Servable
from tensorflow.python.tools import saved_model_cli
from tensorflow_serving.apis import prediction_log_pb2

WARM_UP = "assets.extra/tf_serving_warmup_requests"


def warm_up(folder):
    """Inputs by signature."""
    found = {}
    for record in tf.data.TFRecordDataset(str(folder / WARM_UP)):
        request = prediction_log_pb2.PredictionLog.FromString(record.numpy()).predict_log.request
        assert request.model_spec.name == "wyner"
        inputs = {name: tf.make_ndarray(value) for name, value in request.inputs.items()}
        found[request.model_spec.signature_name] = inputs
    return found


@pytest.fixture(scope="module")
def requests(staged):
    return warm_up(staged)


def leading(infos):
    return {info.tensor_shape.dim[0].size for info in infos.values()}


def test_every_signature_takes_and_gives_rows(servable, requests):
    offered = set(servable.signatures) - {"__saved_model_init_op"}
    assert offered == set(requests)
    tasks = {f"generate_{what}" for what in ("x", "y", "pairs")}
    forms = {f"{task}{form}" for task in tasks for form in ("", "_seeded", "_png")}
    forms |= {f"transfer_{side}_{form}" for side in "xy" for form in ("rows", "seeded", "png")}
    parts = {"encode_x_z", "encode_x_u", "encode_y_z", "encode_y_v", "decode_x", "decode_y"}
    parts |= {"posterior_x_z", "posterior_y_z", "score_pairs_rows"}
    assert offered == forms | parts | {"sides", "about"}
    for name in offered:
        signature = servable.signatures[name]
        assert leading(signature.inputs) == leading(signature.outputs) == {-1}, name


def close(found, expected):
    if found.dtype == object and not found[0].startswith(b"\x89PNG"):
        assert list(found) == list(expected)
    elif found.dtype == object:
        for one, other in zip(found, expected, strict=True):
            pixels = [tf.io.decode_png(png).numpy().astype(int) for png in (one, other)]
            # Rounding may fall either way.
            np.testing.assert_allclose(*pixels, atol=1)
    else:
        np.testing.assert_allclose(found, expected, rtol=1e-5, atol=1e-5)


@pytest.mark.parametrize("of", ["images", "columns"])
def test_warm_up_replays_and_batching_changes_nothing(staged_of, servable_of, of):
    """Two requests that the server runs as one give what each gives alone."""
    servable = servable_of(of)
    for name, inputs in warm_up(staged_of(of)).items():
        inputs = {key: np.repeat(value, 2, axis=0)[:5] for key, value in inputs.items()}
        count = len(next(iter(inputs.values())))
        parts = [
            {key: value[rows] for key, value in inputs.items()}
            for rows in (slice(0, 1), slice(1, count))
        ]
        together = servable.batched(name, parts)
        whole = servable.run(name, inputs)
        for key, value in whole.items():
            assert len(value) == count
            close(together[0][key], value[:1])
            close(together[1][key], value[1:])


def test_the_grid_cannot_be_batched(bundle_of):
    """Why staging takes it out: its warm-up fails the load, and equal sizes would mix requests."""
    folder = bundle_of("columns") / "saved_model" / "wyner" / "1"
    full, inputs = Servable(folder), warm_up(folder)["transfer_x"]
    with pytest.raises(Exception, match="equal 0th-dimension size"):
        full.batched("transfer_x", [inputs])
    squares = [{key: value[:count] for key, value in inputs.items()} for count in (1, 2)]
    mixed = full.batched("transfer_x", squares)
    assert [results["x"].shape[:2] for results in mixed] == [(1, 3), (2, 3)]
    full.session.close()


def run_cli(command, folder, **flags):
    printed = io.StringIO()
    arguments = [f"--{name}={value}" for name, value in {"dir": folder, **flags}.items()]
    with flagsaver.flagsaver(), contextlib.redirect_stdout(printed):
        saved_model_cli.create_parser().parse_args([command, *arguments]).func()
    return printed.getvalue()


def test_saved_model_cli_shows_it(staged):
    shown = run_cli("show", staged, tag_set="serve")
    assert '"generate_y_png"' in shown and '"transfer_x"' not in shown
    shown = run_cli("show", staged, tag_set="serve", signature_def="generate_y_seeded")
    for name, dtype, shape in (("x", "FLOAT", "(-1, 8, 8, 1)"), ("seed", "INT32", "(-1)")):
        start = f"inputs['{name}'] tensor_info:\n      dtype: DT_{dtype}\n      shape: {shape}\n"
        assert start in shown


def test_saved_model_cli_runs_it(staged_of, servable_of, tmp_path):
    staged, servable = staged_of("columns"), servable_of("columns")
    seeds = np.array([3, 4], np.int32)
    np.save(tmp_path / "seed.npy", seeds)
    run_cli(
        "run",
        staged,
        tag_set="serve",
        signature_def="generate_pairs_seeded",
        inputs=f"seed={tmp_path / 'seed.npy'}",
        outdir=tmp_path,
    )
    for side, made in servable.run("generate_pairs_seeded", {"seed": seeds}).items():
        np.testing.assert_allclose(np.load(tmp_path / f"{side}.npy"), made, rtol=1e-5, atol=1e-6)
