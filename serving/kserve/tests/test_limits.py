"""Clients that mean no good, against real servers: the others lose nothing."""

import contextlib
import json
import os
import shutil
import signal
import socket
import time

import grpc
import httpx
import numpy as np
import pytest
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb

PREDICT = "/v1/models/wyner-generate-pairs:predict"


@pytest.fixture(scope="module")
def strict(start):
    """A server of little patience."""
    return start(
        "--max_bytes=200000",
        "--max_buffer=250000",
        "--max_connections=8",
        "--header_seconds=1",
        "--body_seconds=1",
    ).wait()


def connect(server, text=""):
    connection = socket.create_connection(("127.0.0.1", server.http_port), timeout=20)
    connection.sendall(text.encode())
    return connection


def head(length):
    return f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\ncontent-length: {length}\r\n\r\n"


def answer(connection):
    with connection:
        return b"".join(iter(lambda: connection.recv(1 << 16), b"")).decode()


def good(server):
    return server.v1("generate-pairs", {"inputs": {}}).status_code == 200


@pytest.mark.parametrize("text", ["", "POST / HTTP/1.1\r\nhost: ", head(10) + "{"])
def test_slow_clients_are_let_go(strict, text):
    begun = time.monotonic()
    connection = connect(strict, text)
    assert good(strict)
    found = answer(connection)
    assert found.startswith("HTTP/1.1 408 ") and "should be there within 1 s" in found
    assert 0.5 < time.monotonic() - begun < 10


def test_endless_headers_are_refused(strict):
    connection = connect(strict, "POST / HTTP/1.1\r\na: ")
    with connection:
        connection.sendall(b"a" * 70_000)
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
    assert good(strict)


LIVE = "GET /v2/health/live HTTP/1.1\r\nhost: a\r\n"


@pytest.mark.parametrize(
    "text",
    [
        LIVE + "a: " + "a" * 70_000 + "\r\n\r\n",
        LIVE + "a: b\r\n" * 300 + "\r\n",
        f"POST {PREDICT}?" + "a" * 70_000 + " HTTP/1.1\r\nhost: a\r\n\r\n",
    ],
)
def test_long_headers_that_come_all_at_once_are_refused(strict, text):
    with connect(strict, text) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 431 ")
    assert good(strict)


@pytest.mark.parametrize("more", ["a: b\r\n" * 300, "a: " + "a" * 400_000, "1;" + "a" * 400_000])
def test_what_is_beside_a_body_is_bounded_too(strict, more):
    """Trailers, and what extends a part."""
    text = f"POST {PREDICT} HTTP/1.1\r\nhost: a\r\ntransfer-encoding: chunked\r\n\r\n1\r\n \r\n"
    with connect(strict, text) as connection:
        time.sleep(0.1)
        with contextlib.suppress(OSError):
            connection.sendall((more if ";" in more else f"0\r\n{more}").encode())
        with contextlib.suppress(ConnectionResetError):
            assert connection.recv(100).startswith((b"HTTP/1.1 431 ", b"HTTP/1.1 400 "))
    assert good(strict)


def test_blank_lines_hold_no_connection_open(strict):
    with connect(strict, f"{LIVE}\r\n") as connection:
        connection.settimeout(0.1)
        begun, found = time.monotonic(), b""
        while b"HTTP/1.1 408 " not in found:
            assert time.monotonic() - begun < 10
            connection.sendall(b"\r\n")
            with contextlib.suppress(TimeoutError):
                found += connection.recv(1000)
        assert found.startswith(b"HTTP/1.1 200 ")
    # Old clients send one behind a body.
    text = head(13) + '{"inputs":{}}' + f"\r\n{LIVE}connection: close\r\n\r\n"
    assert answer(connect(strict, text)).count("HTTP/1.1 200 ") == 2


def test_requests_that_wait_on_one_connection_are_bounded(strict):
    last = f"{LIVE}connection: close\r\n\r\n"
    assert answer(connect(strict, f"{LIVE}\r\n" * 8 + last)).count("HTTP/1.1 200 ") == 9
    with connect(strict, f"{LIVE}\r\n" * 5000) as connection:
        assert connection.recv(100).startswith(b"HTTP/1.1 429 ")
    assert good(strict)


def test_a_client_that_takes_no_answer_is_let_go(strict):
    count = 200
    body = json.dumps({"inputs": {}, "parameters": {"count": count}})
    with socket.socket() as connection:
        connection.setsockopt(socket.SOL_SOCKET, socket.SO_RCVBUF, 4096)
        connection.connect(("127.0.0.1", strict.http_port))
        for _ in range(40):
            connection.sendall((head(len(body)) + body).encode())
        for _ in range(200):
            time.sleep(0.1)
            text = strict.http.get("/metrics").text
            # This client's own.
            if "wyner_connections 1.0" in text:
                break
        else:
            pytest.fail(text)
    assert good(strict)


def test_bodies_at_once_are_bounded_and_short_ones_find_room(strict):
    first, second = (connect(strict, head(190_000) + " " * 150_000) for _ in range(2))
    with first, second:
        assert second.recv(100).startswith(b"HTTP/1.1 429 ")
        assert good(strict)
        first.sendall(b" " * 40_000)
        assert first.recv(100).startswith(b"HTTP/1.1 400 ")


def test_a_client_of_a_body_that_is_too_long_hears_of_it(strict):
    for content in (b" " * 1_000_000, iter([b" " * 250_000] * 4)):
        found = httpx.post(f"{strict.http.base_url}{PREDICT}", content=content, timeout=20)
        assert found.status_code == 413 and "at most 200000 bytes" in found.json()["error"]


def test_connections_are_bounded(strict):
    assert good(strict)
    held = [connect(strict) for _ in range(7)]
    found = answer(connect(strict))
    assert found.startswith("HTTP/1.1 429 ") and "retry-after: 1" in found
    assert good(strict)
    for connection in held:
        connection.close()


def test_a_message_is_as_long_as_it_is_when_unpacked(server):
    request = pb.ModelInferRequest(model_name="wyner-generate-y")
    request.raw_input_contents.append(bytes(2_000_000))
    with pytest.raises(grpc.RpcError) as caught:
        server.stub.ModelInfer(request, compression=grpc.Compression.Gzip, timeout=20)
    assert caught.value.code() == grpc.StatusCode.RESOURCE_EXHAUSTED


def test_a_message_that_is_none_is_refused(server):
    ask = server.channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    with pytest.raises(grpc.RpcError) as caught:
        ask(b"\xff" * 100, timeout=20)
    assert caught.value.code() == grpc.StatusCode.INVALID_ARGUMENT


def test_the_server_is_live_before_it_is_ready_and_an_answer_has_so_much_time(start):
    server = start("--model_name=early", "--request_seconds=0.0001")
    for _ in range(600):
        try:
            assert server.http.get("/v2/health/live").status_code == 200
            break
        except httpx.TransportError:
            time.sleep(0.02)
    # The first of its processes has yet to start.
    assert server.http.get("/v2/health/ready").status_code == 503
    assert server.http.get("/v1/models/early-generate-y").status_code == 503
    found = server.http.post("/v1/models/early-generate-pairs:predict", content=b"{}")
    assert found.status_code == 503 and "should be ready" in found.json()["error"]
    assert not server.stub.ServerReady(pb.ServerReadyRequest()).ready
    server.wait()
    assert server.stub.ServerReady(pb.ServerReadyRequest()).ready
    found = server.http.post("/v1/models/early-generate-pairs:predict", content=b'{"inputs": {}}')
    assert found.status_code == 503 and found.headers["retry-after"] == "1"
    with pytest.raises(grpc.RpcError) as caught:
        server.stub.ModelInfer(pb.ModelInferRequest(model_name="early-generate-pairs"))
    assert caught.value.code() == grpc.StatusCode.DEADLINE_EXCEEDED


def test_a_bundle_one_of_whose_files_is_another_is_never_ready(start, folder, tmp_path):
    copy = shutil.copytree(folder, tmp_path / "copy")
    file = copy / "samples" / "x" / "00.png"
    content = bytearray(file.read_bytes())
    content[-1] ^= 1
    file.write_bytes(content)
    server = start(folder=copy)
    assert server.process.wait(timeout=60) == 1
    text = server.log.read_text()
    assert "00.png should have SHA-256" in text and "Traceback" not in text
    assert '"path": "/v2/health/ready", "model": "", "code": "200"' not in text


@pytest.fixture(scope="module")
def own(start, folder, tmp_path_factory):
    """A server for the tests below, in their order, and its own copy of the bundle."""
    copy = shutil.copytree(folder, tmp_path_factory.mktemp("own") / "copy")
    return start(folder=copy).wait(), copy


def test_logs_and_metrics_tell_of_requests_and_hold_no_data(own, bundle):
    server, _ = own
    pixel = 0.123456789
    image = np.full((2, *bundle.example_shape("x")), pixel).tolist()
    assert server.v1("generate-y", {"instances": image}).status_code == 200
    image[1][0] = [[7.123456789]] * len(image[1][0])
    assert server.v1("generate-y", {"instances": image}).status_code == 400
    assert server.v1("generate-y", {"instances": ["0.123456789"]}).status_code == 400
    assert server.v1(f"other{pixel}", {"instances": []}).status_code == 404
    server.rpc("generate-pairs", {}, {"count": 3})
    metrics = server.http.get("/metrics").text
    for line in (
        'wyner_requests_total{code="200",model="wyner-generate-y",protocol="v1"} 1.0',
        'wyner_requests_total{code="400",model="wyner-generate-y",protocol="v1"} 2.0',
        'wyner_requests_total{code="404",model="",protocol="v1"} 1.0',
        'wyner_requests_total{code="OK",model="wyner-generate-pairs",protocol="grpc"} 1.0',
        'wyner_request_seconds_count{model="wyner-generate-y",protocol="v1"} 3.0',
        'wyner_rows_total{model="wyner-generate-pairs"} 3.0',
        "wyner_requests_inside 0.0",
        "wyner_body_bytes 0.0",
        "wyner_ready 1.0",
    ):
        assert line in metrics
    lines = [json.loads(line) for line in server.log.read_text().splitlines()]
    asked = [line for line in lines if line["logger"] == "wyner_kserve.requests"]
    codes = [line["code"] for line in asked if line["protocol"] in ("v1", "grpc")]
    assert codes == ["200", "400", "400", "404", "OK"]
    (first,) = (line for line in asked if line["code"] == "200" and line["protocol"] == "v1")
    assert first["rows"] == 2 and first["bytes"] > 100 and 0 < first["seconds"] < 10
    # But for the path that the client chose.
    text = server.log.read_text().replace(f"other{pixel}", "")
    assert "123456789" not in text and "[[" not in text


def test_a_bundle_that_is_replaced_on_disk_is_not_taken_in_part(own, given):
    server, copy = own
    for file in (copy / "onnx").iterdir():
        file.write_bytes(bytes(file.stat().st_size))
    os.remove(copy / "manifest.json")
    for task, (tensors, parameters, expected) in given.items():
        found = server.rpc(task, tensors, parameters)
        for raw, array in zip(found.raw_output_contents, expected.values(), strict=True):
            np.testing.assert_array_equal(np.frombuffer(raw, np.float32), array.ravel())
    assert server.http.get("/v2/health/ready").status_code == 200


def test_sigterm_lets_grpc_finish_too(own):
    server, _ = own
    request = pb.ModelInferRequest(model_name="wyner-generate-pairs")
    request.parameters["count"].int64_param = 200
    asked = [server.stub.ModelInfer.future(request, timeout=60) for _ in range(12)]
    asked[0].result()
    server.process.send_signal(signal.SIGTERM)
    codes = {each.code() for each in asked}
    assert codes <= {grpc.StatusCode.OK, grpc.StatusCode.UNAVAILABLE}
    assert server.process.wait(timeout=30) == 0
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        server.rpc("generate-pairs", {})
