"""A gallery that the server holds."""

import base64

import numpy as np
import pytest


@pytest.fixture(scope="module")
def galleries(bundle, tmp_path_factory):
    folder = tmp_path_factory.mktemp("galleries")
    rng = np.random.default_rng(1)
    found = {}
    for side in "xy":
        rows = rng.random((20, *bundle.example_shape(side)), dtype=np.float32)
        found[side] = getattr(bundle, f"gallery_{side}")(rows)
        found[side].save(folder / f"{side}.gallery")
    return folder, found


@pytest.fixture(scope="module")
def server(start, galleries):
    files = [str(galleries[0] / f"{side}.gallery") for side in "xy"]
    return start("--max_results=64", "--gallery", *files).wait()


@pytest.mark.parametrize("side", ["x", "y"])
def test_ranks_are_the_bundles_over_every_protocol(server, bundle, galleries, given, side):
    query = "yx"["xy".index(side)]
    data = given[f"generate-{side}"][0][query]
    rows, nats = bundle.rank(data, galleries[1][side], k=4)
    body = {"inputs": data.tolist(), "parameters": {"k": 4}}
    found = server.v1(f"rank-{side}", body).json()["outputs"]
    np.testing.assert_array_equal(found["rows"], rows)
    np.testing.assert_array_equal(np.float32(found["nats"]), nats)
    tensor = {"name": query, "shape": data.shape, "datatype": "FP32"}
    body = {"inputs": [{**tensor, "data": data.ravel().tolist()}], "parameters": {"k": 4}}
    first, second = server.v2(f"rank-{side}", body).json()["outputs"]
    assert (first["name"], first["datatype"], first["shape"]) == ("rows", "INT64", [3, 4])
    np.testing.assert_array_equal(np.reshape(first["data"], (3, 4)), rows)
    assert (second["name"], second["datatype"]) == ("nats", "FP32")
    answer = server.rpc(f"rank-{side}", {query: data}, {"k": 4})
    raw_rows, raw_nats = answer.raw_output_contents
    np.testing.assert_array_equal(np.frombuffer(raw_rows, np.int64).reshape(3, 4), rows)
    np.testing.assert_array_equal(np.frombuffer(raw_nats, np.float32).reshape(3, 4), nats)


def test_images_as_png_and_ten_rows_by_default(server, bundle, galleries, folder):
    content = (folder / "samples" / "x" / "00.png").read_bytes()
    instance = {"b64": base64.b64encode(content).decode()}
    (found,) = server.v1("rank-y", {"instances": [instance]}).json()["predictions"]
    rows, _ = bundle.rank(bundle.samples("x")[:1], galleries[1]["y"])
    np.testing.assert_array_equal(found["rows"], rows[0])
    assert rows.shape == (1, 10)


def test_what_is_wrong_is_said(server, given):
    x = given["generate-y"][0]["x"]
    for parameters, message in (
        ({"k": 0}, "`k` should be a positive integer"),
        ({"k": 30}, "at most 64 results"),
        ({"seed": 1}, "`parameters` should be `k`"),
    ):
        answer = server.v1("rank-y", {"inputs": x.tolist(), "parameters": parameters})
        assert answer.status_code == 400
        assert message in answer.json()["error"]
    tensor = {"name": "x", "shape": [10, *x.shape[1:]], "datatype": "FP32", "data": [0.5]}
    answer = server.v2("rank-y", {"inputs": [tensor], "parameters": {"k": 10**4299}})
    assert answer.status_code == 400 and "more than 10^99" in answer.json()["error"]


def test_metadata(server):
    found = server.http.get("/v2/models/wyner-rank-y").json()
    assert [each["name"] for each in found["inputs"]] == ["x"]
    assert found["outputs"] == [
        {"name": "rows", "datatype": "INT64", "shape": [-1, -1]},
        {"name": "nats", "datatype": "FP32", "shape": [-1, -1]},
    ]


def test_a_gallery_of_another_model_stops_the_start(start, galleries, tmp_path):
    gallery = galleries[1]["y"]
    gallery.model, own = "of another", gallery.model
    try:
        gallery.save(tmp_path / "other.gallery")
    finally:
        gallery.model = own
    server = start("--gallery", str(tmp_path / "other.gallery"))
    assert server.process.wait(timeout=120) == 1
    assert "`gallery` should be of this model" in server.log.read_text()
