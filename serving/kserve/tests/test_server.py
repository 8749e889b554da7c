"""Start, stop and the bundle between."""

import os
import shutil
import signal
import socket
import sys
import time

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import given as examples
from hypothesis import strategies as st
from kserve.errors import InvalidInput

from wyner_kserve import v1
from wyner_kserve.__main__ import main
from wyner_kserve.tasks import tasks_of
from wyner_serving.signature import new_key, read_secret_key, sign


def test_sigterm_lets_a_request_finish_and_ends_the_server(start, bundle):
    server = start().wait()
    body = b'{"inputs": {}, "parameters": {"count": 3}}'
    head = (
        "POST /v1/models/wyner-generate-pairs:predict HTTP/1.1\r\nhost: a\r\n"
        f"expect: 100-continue\r\ncontent-length: {len(body)}\r\n\r\n"
    )
    with socket.create_connection(("127.0.0.1", server.http_port), timeout=30) as connection:
        connection.sendall(head.encode())
        # The server has begun with the request, and waits for its body.
        assert connection.recv(1000).startswith(b"HTTP/1.1 100")
        server.process.send_signal(signal.SIGTERM)
        with pytest.raises(httpx.TransportError):
            for _ in range(600):
                httpx.get(f"http://127.0.0.1:{server.http_port}/")
                time.sleep(0.05)
        connection.sendall(body)
        answer = b"".join(iter(lambda: connection.recv(1 << 16), b""))
    assert answer.startswith(b"HTTP/1.1 200")
    expected = bundle.generate_pairs(3, seed=0)
    content = answer.split(b"\r\n\r\n", 1)[1]
    assert content == v1.write(dict(zip("xy", expected, strict=True)), rows=False)
    assert server.process.wait(timeout=30) == 0
    with pytest.raises(grpc.RpcError, match="UNAVAILABLE"):
        server.rpc("generate-pairs", {})


def test_sigint_ends_the_server_too(start):
    server = start("--model_name=other").wait()
    assert server.http.get("/v1/models/other-generate-y").status_code == 200
    server.process.send_signal(signal.SIGINT)
    assert server.process.wait(timeout=30) == 0


def test_a_port_that_is_taken_is_an_error(start, server):
    ports = {"--http_port": server.http_port, "--grpc_port": server.grpc_port}
    others = [start(f"{option}={port}") for option, port in ports.items()]
    for other, port in zip(others, ports.values(), strict=True):
        assert other.process.wait(timeout=60) > 0
        text = other.log.read_text()
        assert "127.0.0.1" in text and str(port) in text and "Traceback" not in text


def run(monkeypatch, *arguments):
    monkeypatch.setattr(sys, "argv", ["wyner-kserve", *arguments])
    with pytest.raises(SystemExit) as caught:
        main()
    return caught.value.code


def test_a_folder_that_is_no_bundle_is_an_error(monkeypatch, folder, tmp_path):
    assert "manifest.json" in run(monkeypatch, f"--model_dir={tmp_path}")
    copy = shutil.copytree(folder, tmp_path / "copy")
    os.truncate(copy / "onnx" / "transfer_y.onnx", 100)
    assert "transfer_y.onnx should have" in run(monkeypatch, f"--model_dir={copy}")


def test_with_a_key_a_bundle_that_it_signed_is_served_and_no_other(
    monkeypatch, folder, tmp_path, start
):
    secret, public = new_key(tmp_path / "key")
    assert "signed" in run(monkeypatch, f"--model_dir={folder}", f"--key={public}")
    copy = shutil.copytree(folder, tmp_path / "copy")
    content = (copy / "manifest.json").read_bytes()
    signature = sign(content, read_secret_key(secret), "of a test")
    (copy / "manifest.json.minisig").write_bytes(signature)
    _, other = new_key(tmp_path / "other")
    assert "signed" in run(monkeypatch, f"--model_dir={copy}", f"--key={other}")
    assert start(f"--key={public}", folder=copy).wait().stop() == 0


@pytest.mark.parametrize(
    "option",
    [
        *("--threads=0", "--max_results=-1", "--max_bytes=x", "--body_seconds=0", "--port=1"),
        "--http_port=65536",
    ],
)
def test_wrong_options_are_errors(monkeypatch, capsys, option):
    assert run(monkeypatch, "--model_dir=bundle", option) == 2
    assert option.split("=")[0] in capsys.readouterr().err


@pytest.fixture(scope="module")
def tasks(bundle):
    return {task.name: task for task in tasks_of(bundle.manifest, 64)}


JSON = st.recursive(
    st.none()
    | st.booleans()
    | st.integers(-(2**63), 2**64 - 1)
    | st.floats()
    | st.text(max_size=3),
    lambda inner: (
        st.lists(inner, max_size=4)
        | st.dictionaries(
            st.sampled_from(["x", "y", "style", "concept", "z", "u", "b64", "seed", "count"]), inner
        )
    ),
    max_leaves=20,
)


@examples(
    name=st.sampled_from(["generate_y", "generate_pairs", "transfer_x", "decode_x"]),
    key=st.sampled_from(["instances", "inputs"]),
    values=JSON,
    parameters=JSON,
)
def test_any_v1_body_is_read_or_refused(tasks, name, key, values, parameters):
    body = v1.orjson.dumps(
        {key: values, "parameters": parameters}, option=v1.orjson.OPT_NON_STR_KEYS
    )
    try:
        tensors, settings, rows = v1.read(body, tasks[name])
    except InvalidInput as error:
        assert "should" in str(error) and len(str(error)) < 1000
    else:
        assert set(tensors) == {tensor.name for tensor in tasks[name].inputs}
        assert all(array.dtype in (np.float64, np.uint8) for array in tensors.values())
        assert set(settings) == set(tasks[name].settings)
        assert rows == (key == "instances")
