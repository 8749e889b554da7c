"""Bad requests are refused with what was expected and received, and the server lives on."""

import base64
import functools
import io
import json

import grpc
import numpy as np
import PIL.Image
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb


@pytest.fixture(scope="module")
def image(bundle):
    """One grey image of x."""
    return np.full((1, *bundle.example_shape("x")), 0.5, np.float32)


def refused(server, answer, status, *messages):
    assert answer.status_code == status, answer.text
    assert len(answer.content) < 1000
    for message in messages:
        assert message in answer.json()["error"]
    assert server.http.get("/v2/health/ready").status_code == 200
    assert server.process.poll() is None


def png(array, mode=None, cut=None):
    stream = io.BytesIO()
    PIL.Image.fromarray(array, mode).save(stream, "PNG")
    return {"b64": base64.b64encode(stream.getvalue()[:cut]).decode()}


GREY = [[[0.5]]]
V1 = {
    "no JSON": (b"{", "should be JSON"),
    "NaN": (b'{"instances": [NaN]}', "should be JSON"),
    "deep": (b"[" * 50000, "should be JSON"),
    "bytes": (b"\xff\xfe", "should be JSON"),
    "empty": (b"", "should be JSON"),
    "list": ([1], "should be an object", "Received: [1]"),
    "unknown": ({"instances": [], "seed": 1}, "and `parameters`", "'seed'"),
    "neither": ({"parameters": {}}, "either `instances` or `inputs`", "neither"),
    "both": ({"instances": [], "inputs": []}, "Received: both"),
    "none": ({"instances": []}, "n > 0", "Received: shape (0,)"),
    "no rows": ({"instances": "x"}, "`instances` should be a list", "'x'"),
    "shape": ({"instances": [GREY]}, "(n, ", "Received: shape (1, 1, 1, 1)"),
    "deeper": ({"inputs": json.loads("[" * 90 + "0.5" + "]" * 90)}, "`x` should be"),
    "ragged": ({"instances": [GREY, [0.5]]}, "lists of numbers of equal lengths"),
    "text": ({"instances": ["one"]}, "`x` should be lists of numbers", "'one'"),
    "truth": ({"instances": [True]}, "`x` should be lists of numbers"),
    "null": ({"instances": [None]}, "`x` should be lists of numbers"),
    "huge": ({"instances": [10**30]}, "`x` should be an array"),
    "names": ({"inputs": {"y": GREY}}, "should be ['x']", "['y']"),
    "row names": ({"instances": [{"x": 0, "z": 0}]}, "should be ['x']", "['x', 'z']"),
    "missing": ({"instances": [{}]}, "should be ['x']", "[]"),
    "no PNG": ({"instances": [{"b64": "AAAA"}]}, "8-bit PNG", "UnidentifiedImageError"),
    "no base64": ({"instances": [{"b64": "?"}]}, "8-bit PNG", "Error"),
    "no text": ({"instances": [{"b64": 1}]}, "8-bit PNG", "{'b64': 1}"),
    "mixed": ({"instances": [{"b64": "AAAA"}, GREY]}, "8-bit PNG"),
    "size": ({"instances": [png(np.zeros((9, 99), np.uint8))]}, "8-bit PNG", "99 by 9, mode L"),
    "seed": ({"instances": [GREY], "parameters": {"seed": "1"}}, "`seed` should be an integer"),
    "fraction": ({"instances": [GREY], "parameters": {"seed": 1.5}}, "an integer", "1.5"),
    "true seed": ({"instances": [GREY], "parameters": {"seed": True}}, "an integer", "True"),
    "count": ({"instances": [GREY], "parameters": {"count": 1}}, "should be `seed`", "'count'"),
    "parameters": ({"instances": [GREY], "parameters": [1]}, "should be `seed`", "[1]"),
}


@pytest.mark.parametrize("case", V1)
def test_v1(server, case):
    body, *messages = V1[case]
    refused(server, server.v1("generate-y", body), 400, *messages)


def test_v1_values(server, image):
    dark, bright, negative = image.tolist(), (image + 99).tolist(), {"seed": -1}
    answer = server.v1("generate-y", {"instances": bright})
    refused(server, answer, 400, "in [0, 1]", "from 99.5 to 99.5")
    answer = server.v1("generate-y", {"instances": dark, "parameters": negative})
    refused(server, answer, 400, "`seed` should be a non-negative integer", "seed=-1")
    pixels = np.zeros(image.shape[1:3], np.uint8)
    answer = server.v1("generate-y", {"instances": [png(pixels, cut=44)]})
    refused(server, answer, 400, "8-bit PNG", "Error")
    answer = server.v1("generate-y", {"instances": [png(np.dstack(3 * [pixels]))]})
    refused(server, answer, 400, "mode L", "mode RGB")


def test_v1_tasks(server, image):
    rows = {"instances": [{"style": image[0].tolist(), "concept": image[0].tolist()}]}
    refused(server, server.v1("transfer-x", rows), 400, "`inputs`", "styles and concepts")
    refused(server, server.v1("transfer-x", {"inputs": GREY}), 400, "named ['style', 'concept']")
    answer = server.v1("generate-pairs", {"instances": [{}]})
    refused(server, answer, 400, "`instances` should be empty")
    for count in (0, -1):
        answer = server.v1("generate-pairs", {"inputs": {}, "parameters": {"count": count}})
        refused(server, answer, 400, "`count` should be a positive integer", f"count={count}")
    refused(server, server.v1("decode-x", {"inputs": {"z": [[0]]}}), 400, "['z', 'u']", "['z']")
    answer = server.v1("decode-x", {"inputs": {"z": 1, "u": [[0]]}})
    refused(server, answer, 400, "`z` should have shape")


def body(**changes):
    given = {"name": "x", "shape": [1, 1, 1, 1], "datatype": "FP32", "data": [0.5]}
    return {"inputs": [given | changes]}


V2 = {
    "no JSON": (("{", {}), "an inference request", "JSON decode error"),
    "deep": (("[" * 50000, {}), ""),
    "NaN inputs": (('{"inputs": NaN}', {}), "should be a valid list", "inputs"),
    "list": ([], "an inference request"),
    "no inputs": ({}, "Field required", "inputs"),
    "no data": ({"inputs": [{"name": "x", "shape": [1], "datatype": "FP32"}]}, "Field required"),
    "two": ({"inputs": 2 * body()["inputs"]}, "should be ['x']", "['x', 'x']"),
    "name": (body(name="y"), "should be ['x']", "['y']"),
    "datatype": (body(datatype="INT64"), "of datatype FP16, FP32, FP64, UINT8", "'INT64'"),
    "strings": (body(datatype="BYTES", data=["a"]), "of datatype", "'BYTES'"),
    "bfloat": (body(datatype="BF16"), "of datatype", "'BF16'"),
    "shape": (body(), "`x` should be an array (n, ", "shape (1, 1, 1, 1)"),
    "size": (body(shape=[2, 2]), "4 values for its shape [2, 2]", "Received: 1"),
    "negative": (body(shape=[-1]), "should have a shape", "[-1]"),
    "huge": (body(shape=[2**62, 2**62]), "at most 64 results", "Received: 461168"),
    "axes": (body(shape=[1] * 100), "should have a shape"),
    "digits": (body(shape=[1, 10**4000, 10**4000]), "should have a shape"),
    "no bytes": (body(datatype="UINT8", shape=[0], data=[[]]), "`x` should be an array"),
    "no values": (body(shape=[0, 2**62, 2**62], data=[[]]), "should"),
    "text": (body(data=["a"]), "lists of numbers", "['a']"),
    "none": (body(data=[None]), "lists of numbers", "[None]"),
    "ragged": (body(data=[[1], [1, 2]]), "equal lengths"),
    "empty": (body(data=[]), "`x` should have data"),
    "too bright": (body(datatype="UINT8", data=[256]), "integers in 0-255", "256"),
    "too dark": (body(datatype="UINT8", data=[-1]), "integers in 0-255", "-1"),
    "fraction": (body(datatype="UINT8", data=[0.5]), "integers in 0-255", "0.5"),
    "parameter": (body() | {"parameters": {"sead": 1}}, "should be `seed`", "'sead'"),
    "seed": (body() | {"parameters": {"seed": 1.0}}, "an integer", "1.0"),
    "nest": (body() | {"parameters": {"seed": [1]}}, "an inference request"),
    "long seed": (body() | {"parameters": {"seed": 1 << 9999}}, "`x` should be an array"),
}


@pytest.mark.parametrize("case", V2)
def test_v2(server, case):
    sent, *messages = V2[case]
    refused(server, server.v2("generate-y", sent), 400, *messages)


def test_v2_values(server, image):
    shape = list(image.shape)
    size = image.size
    for data, message in (
        ("NaN", "`x` should be finite"),
        ("1e999", "`x` should be finite"),
        ("-0.25", "from -0.25 to -0.25"),
        ("1e40", "in [0, 1]"),
    ):
        text = json.dumps(body(shape=shape, data=["?"] * size)).replace('"?"', data)
        refused(server, server.v2("generate-y", (text, {})), 400, message)
    good = body(shape=shape, data=image.ravel().tolist())
    answer = server.v2("generate-y", good | {"parameters": {"seed": -1}})
    refused(server, answer, 400, "seed=-1")
    answer = server.v2("generate-y", good | {"outputs": [{"name": "x"}]})
    refused(server, answer, 400, "among ['y']", "['x']")


BINARY = {
    "no length": (b"{}", None, "header is missing"),
    "no number": (b"{}", "two", "an inference request", "'two'"),
    "no JSON": (b"{", "1", "Unrecognized request format"),
    "list": (b"[]", "2", "an inference request"),
    "no inputs": (b"{}", "2", "an inference request", "inputs"),
    "short": (
        b'{"inputs":[{"name":"x","shape":[9],"datatype":"FP32",'
        b'"parameters":{"binary_data_size":4}}]}\0\0\0\0',
        "91",
        "an inference request",
    ),
    "id": (b'{"inputs":[],"id":[]}', "21", "an inference request", "id"),
    "outputs": (b'{"inputs":[],"outputs":[{"name":[]}]}', "37", "an inference request", "name"),
    "parameters": (b'{"inputs":[],"parameters":[]}', "29", "an inference request"),
}


@pytest.mark.parametrize("case", BINARY)
def test_v2_binary(server, case):
    sent, length, *messages = BINARY[case]
    headers = {"content-type": "application/octet-stream"}
    if length is not None:
        headers["inference-header-content-length"] = length
    refused(server, server.v2("generate-y", (sent, headers)), 400, *messages)


def fails(server, code, *messages, call):
    with pytest.raises(grpc.RpcError) as caught:
        call()
    assert caught.value.code() == code, caught.value.details()
    for message in messages:
        assert message in caught.value.details()
    assert server.stub.ServerReady(pb.ServerReadyRequest()).ready


INVALID, MISSING = grpc.StatusCode.INVALID_ARGUMENT, grpc.StatusCode.NOT_FOUND
RPC = {
    "shape": (lambda x: {"x": x[:, :1]}, {}, "`x` should be an array"),
    "range": (lambda x: {"x": x + 9}, {}, "from 9.5 to 9.5"),
    "NaN": (lambda x: {"x": x * np.nan}, {}, "`x` should be finite"),
    "dtype": (lambda x: {"x": x.astype(int)}, {}, "of datatype FP16, FP32, FP64, UINT8"),
    "name": (lambda x: {"y": x}, {}, "should be ['x']", "['y']"),
    "none": (lambda x: {}, {}, "should be ['x']", "[]"),
    "no images": (lambda x: {"x": x[:0]}, {}, "n > 0"),
    "seed": (lambda x: {"x": x}, {"seed": -1}, "seed=-1"),
    "count": (lambda x: {"x": x}, {"count": 2}, "should be `seed`", "'count'"),
}


@pytest.mark.parametrize("case", RPC)
def test_grpc(server, image, case):
    change, parameters, *messages = RPC[case]
    fails(
        server,
        INVALID,
        *messages,
        call=lambda: server.rpc("generate-y", change(image), parameters),
    )


def test_grpc_messages(server, image):
    raw = image.tobytes()

    def ask(parameter=None, raw=raw, datatype="FP32"):
        request = pb.ModelInferRequest(model_name="wyner-generate-y", raw_input_contents=[raw])
        request.inputs.add(name="x", shape=image.shape, datatype=datatype)
        if parameter:
            request.parameters["seed"].CopyFrom(parameter)
        return lambda: server.stub.ModelInfer(request)

    assert ask(pb.InferParameter(int64_param=3))().outputs
    text = pb.InferParameter(string_param="3")
    fails(server, INVALID, "`seed` should be an integer", call=ask(text))
    fails(server, INVALID, "`seed` should be an integer", call=ask(pb.InferParameter()))
    fails(server, INVALID, "should have data for its shape", call=ask(raw=raw[:-1]))
    fails(server, INVALID, "", call=ask(datatype="NONE"))
    fails(
        server,
        INVALID,
        "number of inputs",
        call=lambda: server.rpc("generate-y", {}, raw_input_contents=[b"a"]),
    )


def test_what_is_not_there(server, image):
    error = "wyner-other does not exist"
    refused(server, server.v1("other", {"instances": []}), 404, error)
    refused(server, server.v2("other", body()), 404, error)
    refused(server, server.http.get("/v2/models/wyner-other"), 404, error)
    refused(server, server.http.get("/v1/models/wyner-other"), 404, error)
    refused(server, server.http.get("/elsewhere"), 404, "Not Found")
    refused(server, server.http.get("/v1/models/wyner-generate-y:predict"), 404, "")
    refused(server, server.http.get("/v2/models/wyner-generate-y/infer"), 405, "Not Allowed")
    refused(server, server.http.post("/v1/models/wyner-generate-y:explain"), 404, "explain")
    versioned = "/v2/models/wyner-generate-y/versions/1/infer"
    refused(server, server.http.post(versioned, json=body()), 404, "versioning")
    fails(server, MISSING, error, call=lambda: server.rpc("other", {"x": image}))
    request = pb.ModelMetadataRequest(name="wyner-other")
    fails(server, MISSING, error, call=lambda: server.stub.ModelMetadata(request))


@pytest.mark.parametrize("verb", ["load", "unload"])
def test_no_client_changes_the_models(server, verb):
    answer = server.http.post(f"/v2/repository/models/wyner-generate-y/{verb}")
    refused(server, answer, 400, "stay as they are")
    call = {
        "load": lambda: server.stub.RepositoryModelLoad(
            pb.RepositoryModelLoadRequest(model_name="wyner-generate-y")
        ),
        "unload": lambda: server.stub.RepositoryModelUnload(
            pb.RepositoryModelUnloadRequest(model_name="wyner-generate-y")
        ),
    }[verb]
    fails(server, INVALID, "stay as they are", call=call)
    assert server.http.get("/v2/models/wyner-generate-y/ready").status_code == 200


def test_cloud_events_are_no_protocol_here(server, image):
    headers = {"ce-specversion": "1.0", "ce-id": "1", "ce-source": "a", "ce-type": "b"}
    path, sent = "/v1/models/wyner-generate-y:predict", {"instances": image.tolist()}
    assert "predictions" in server.http.post(path, json=sent, headers=headers).json()
    headers = {"content-type": "application/cloudevents+json"}
    answer = server.http.post(path, content=json.dumps(sent), headers=headers)
    assert "predictions" in answer.json()


def test_what_a_request_asks_for_is_bounded(server, image):
    """The limit of the tests' server is 64."""
    asked = "at most 64 results"
    for count in (65, 10**9):
        parameters = {"count": count}
        sent = {"inputs": {}, "parameters": parameters}
        refused(server, server.v1("generate-pairs", sent), 400, asked, "(count)", str(count))
        ask = functools.partial(server.rpc, "generate-pairs", {}, parameters)
        fails(server, INVALID, asked, call=ask)
    # Counted before they are decoded: these are no PNG files.
    sent = {"instances": 65 * [{"b64": "AAAA"}]}
    refused(server, server.v1("generate-y", sent), 400, asked, "(n)", "65")
    many = np.repeat(image, 65, axis=0)
    fails(server, INVALID, asked, "(n)", call=lambda: server.rpc("generate-y", {"x": many}))
    grid = {"style": many[:13], "concept": many[:5]}
    fails(server, INVALID, "(styles × concepts)", call=lambda: server.rpc("transfer-x", grid))
    assert server.rpc("generate-y", {"x": many[:64]}).outputs[0].shape[0] == 64
    answer = server.rpc("transfer-x", {**grid, "style": many[:12]})
    assert list(answer.outputs[0].shape[:2]) == [12, 5]


def test_the_size_of_a_request_is_bounded(server):
    """The limit of the tests' server is 1,000,000 bytes."""
    most, one_more = b" " * 1_000_000, b" " * 1_000_001
    expected = "at most 1000000 bytes"
    for path in ("/v1/models/wyner-generate-y:predict", "/v2/models/wyner-generate-y/infer"):
        for kind in ("application/json", "application/octet-stream"):
            headers = {"content-type": kind}
            assert server.http.post(path, content=most, headers=headers).status_code == 400
            answer = server.http.post(path, content=one_more, headers=headers)
            refused(server, answer, 413, expected, "1000001 bytes")
            chunks = iter([one_more])
            answer = server.http.post(path, content=chunks, headers=headers)
            refused(server, answer, 413, expected, "more")
    with pytest.raises(grpc.RpcError) as caught:
        server.rpc("generate-y", {"x": np.zeros(1_000_001, np.uint8)})
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED
    assert server.stub.ServerReady(pb.ServerReadyRequest()).ready
