"""Every task, over every protocol, gives what `Bundle` gives: to the bit."""

import base64
import io
import json
from concurrent.futures import ThreadPoolExecutor

import numpy as np
import PIL.Image
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

TASKS = [
    *("generate-y", "generate-x", "generate-pairs", "transfer-x", "transfer-y"),
    *("encode-x", "encode-y", "decode-x", "decode-y"),
]
IN_ROWS = [task for task in TASKS if not task.startswith("transfer")]


def same(found, expected):
    """JSON's numbers, as float32, are the very ones that were written."""
    assert list(found) == list(expected)
    for name, values in found.items():
        np.testing.assert_array_equal(np.asarray(values, np.float32), expected[name], name)


def lists(arrays):
    return {name: array.tolist() for name, array in arrays.items()}


def inputs_of(tensors):
    return [
        {
            "name": name,
            "shape": list(array.shape),
            "datatype": "FP32",
            "data": array.ravel().tolist(),
        }
        for name, array in tensors.items()
    ]


def values_of(answer):
    return {
        output["name"]: np.reshape(output["data"], output["shape"])
        for output in answer.json()["outputs"]
    }


def rpc_values(answer):
    return {
        output.name: np.frombuffer(raw, np.float32).reshape(tuple(output.shape))
        for output, raw in zip(answer.outputs, answer.raw_output_contents, strict=True)
    }


@pytest.mark.parametrize("task", TASKS)
def test_v1_columns(server, given, task):
    tensors, parameters, expected = given[task]
    answer = server.v1(task, {"inputs": lists(tensors), "parameters": parameters})
    assert answer.headers["content-type"] == "application/json"
    found = answer.json()["outputs"]
    # TensorFlow Serving, too, leaves out the name of a single output.
    same(found if len(expected) > 1 else dict.fromkeys(expected, found), expected)


@pytest.mark.parametrize("task", IN_ROWS)
def test_v1_rows(server, given, task):
    tensors, parameters, expected = given[task]
    columns = lists(tensors)
    rows = [dict(zip(columns, row, strict=True)) for row in zip(*columns.values(), strict=True)]
    answer = server.v1(task, {"instances": rows, "parameters": parameters})
    found = answer.json()["predictions"]
    columns = {
        name: [row[name] if len(expected) > 1 else row for row in found] for name in expected
    }
    same(columns, expected)


def test_v1_rows_and_columns_of_a_single_input_need_no_name(server, given):
    tensors, parameters, expected = given["generate-y"]
    for key, answered in (("instances", "predictions"), ("inputs", "outputs")):
        body = {key: tensors["x"].tolist(), "parameters": parameters}
        same({"y": server.v1("generate-y", body).json()[answered]}, expected)


@pytest.mark.parametrize("task", TASKS)
def test_v2(server, given, task):
    tensors, parameters, expected = given[task]
    body = {"id": "7", "inputs": inputs_of(tensors), "parameters": parameters}
    answer = server.v2(task, body)
    assert answer.headers["content-type"] == "application/json"
    assert answer.json()["model_name"] == f"wyner-{task}" and answer.json()["id"] == "7"
    assert {output["datatype"] for output in answer.json()["outputs"]} == {"FP32"}
    same(values_of(answer), expected)


@pytest.mark.parametrize("task", TASKS)
def test_v2_binary(server, given, task):
    tensors, parameters, expected = given[task]
    inputs = [
        {
            "name": name,
            "shape": array.shape,
            "datatype": "FP32",
            "parameters": {"binary_data_size": array.nbytes},
        }
        for name, array in tensors.items()
    ]
    parameters = {**parameters, "binary_data_output": True}
    header = json.dumps({"inputs": inputs, "parameters": parameters}).encode()
    body = header + b"".join(array.tobytes() for array in tensors.values())
    length = {
        "inference-header-content-length": str(len(header)),
        "content-type": "application/octet-stream",
    }
    answer = server.v2(task, (body, length))
    assert answer.headers["content-type"] == "application/octet-stream"
    start = int(answer.headers["inference-header-content-length"])
    found = {}
    for output in json.loads(answer.content[:start])["outputs"]:
        end = start + output["parameters"]["binary_data_size"]
        values = np.frombuffer(answer.content[start:end], np.float32)
        found[output["name"]], start = values.reshape(output["shape"]), end
    assert start == len(answer.content)
    same(found, expected)


@pytest.mark.parametrize("task", TASKS)
def test_grpc(server, given, task):
    tensors, parameters, expected = given[task]
    same(rpc_values(server.rpc(task, tensors, parameters)), expected)


def test_grpc_with_typed_contents(server, given):
    tensors, parameters, expected = given["transfer-y"]
    request = pb.ModelInferRequest(model_name="wyner-transfer-y")
    for name, array in tensors.items():
        contents = pb.InferTensorContents(fp32_contents=array.ravel())
        request.inputs.add(name=name, datatype="FP32", shape=array.shape, contents=contents)
    request.parameters["seed"].int64_param = parameters["seed"]
    same(rpc_values(server.stub.ModelInfer(request)), expected)


def test_outputs_can_be_chosen(server, given):
    tensors, parameters, expected = given["encode-x"]
    body = {"inputs": inputs_of(tensors), "parameters": parameters, "outputs": [{"name": "u"}]}
    same(values_of(server.v2("encode-x", body)), {"u": expected["u"]})
    outputs = [pb.ModelInferRequest.InferRequestedOutputTensor(name="u")]
    answer = server.rpc("encode-x", tensors, parameters, outputs=outputs)
    same(rpc_values(answer), {"u": expected["u"]})


def test_the_seed_is_0_and_the_count_1_by_default(server, bundle, given):
    x = given["generate-y"][0]["x"]
    same(rpc_values(server.rpc("generate-y", {"x": x})), {"y": bundle.generate_y(x, seed=0)})
    expected = dict(zip("xy", bundle.generate_pairs(1, seed=0), strict=True))
    same(server.v1("generate-pairs", {"inputs": {}}).json()["outputs"], expected)


def test_eight_bit_images(server, bundle, given):
    pixels = np.round(255 * given["generate-y"][0]["x"]).astype(np.uint8)
    expected = {"y": bundle.generate_y(pixels, seed=0)}
    same(rpc_values(server.rpc("generate-y", {"x": pixels})), expected)
    inputs = [{**inputs_of({"x": pixels})[0], "datatype": "UINT8"}]
    same(values_of(server.v2("generate-y", {"inputs": inputs})), expected)
    rows = []
    for image in pixels:
        stream = io.BytesIO()
        PIL.Image.fromarray(image[..., 0]).save(stream, "PNG")
        rows.append({"b64": base64.b64encode(stream.getvalue()).decode()})
    same({"y": server.v1("generate-y", {"instances": rows}).json()["predictions"]}, expected)
    named = [{"x": row} for row in rows]
    same({"y": server.v1("generate-y", {"instances": named}).json()["predictions"]}, expected)


def test_metadata_is_the_bundles(server, bundle):
    names = [f"wyner-{task}" for task in TASKS]
    assert server.http.get("/v1/models").json() == {"models": names}
    for task in TASKS[:5]:
        graph = bundle.manifest["graphs"][task.replace("-", "_")]
        expected = {
            key: [
                (
                    info["name"],
                    "FP32",
                    [-1 if isinstance(size, str) else size for size in info["shape"]],
                )
                for info in graph[key]
                if info["latent"] is None
            ]
            for key in ("inputs", "outputs")
        }
        metadata = server.http.get(f"/v2/models/wyner-{task}").json()
        by_rpc = server.stub.ModelMetadata(pb.ModelMetadataRequest(name=f"wyner-{task}"))
        for key, tensors in expected.items():
            found = [(info["name"], info["datatype"], info["shape"]) for info in metadata[key]]
            assert found == tensors
            found = [(info.name, info.datatype, list(info.shape)) for info in getattr(by_rpc, key)]
            assert found == tensors


def test_health(server):
    for path in ("/", "/v2/health/live", "/v2/health/ready", "/v1/models/wyner-generate-y"):
        assert server.http.get(path).status_code == 200
    assert server.http.get("/v2/models/wyner-generate-y/ready").json()["ready"] is True
    assert server.stub.ServerLive(pb.ServerLiveRequest()).live
    assert server.stub.ServerReady(pb.ServerReadyRequest()).ready
    assert server.stub.ModelReady(pb.ModelReadyRequest(name="wyner-transfer-x")).ready
    assert "request_predict_seconds" in server.http.get("/metrics").text


def test_16_clients_at_once(server, bundle, given):
    x, y = given["generate-y"][0]["x"], given["generate-x"][0]["y"]
    seeds = range(12)
    expected = [
        ({"y": bundle.generate_y(x, seed=seed)}, {"x": bundle.generate_x(y, seed=seed)})
        for seed in seeds
    ]

    def work(client):
        for seed in seeds:
            parameters = {"seed": seed}
            if client % 3 == 0:
                same(rpc_values(server.rpc("generate-x", {"y": y}, parameters)), expected[seed][1])
            elif client % 3 == 1:
                body = {"inputs": inputs_of({"x": x}), "parameters": parameters}
                same(values_of(server.v2("generate-y", body)), expected[seed][0])
            else:
                body = {"instances": x.tolist(), "parameters": parameters}
                found = server.v1("generate-y", body).json()["predictions"]
                same({"y": found}, expected[seed][0])
        return client

    with ThreadPoolExecutor(16) as clients:
        assert list(clients.map(work, range(16))) == list(range(16))
