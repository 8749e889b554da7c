import json
import os
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import grpc
import httpx
import numpy as np
import pytest
from hypothesis import settings
from kserve.protocol.grpc import grpc_predict_v2_pb2 as pb
from kserve.protocol.grpc.grpc_predict_v2_pb2_grpc import GRPCInferenceServiceStub

from wyner_serving import Bundle

# A shared machine stalls now and then; that is no property of the code.
settings.register_profile("no_deadline", deadline=None)
settings.load_profile("no_deadline")

DATATYPES = {"f": "FP32", "u": "UINT8", "i": "INT64"}


class Server:
    """A server of its own process, and the ways to ask it."""

    def __init__(self, folder, log, *options):
        with socket.socket() as first, socket.socket() as second:
            for listener in (first, second):
                listener.bind(("127.0.0.1", 0))
            self.http_port, self.grpc_port = first.getsockname()[1], second.getsockname()[1]
        self.log = log
        ports = [f"--http_port={self.http_port}", f"--grpc_port={self.grpc_port}"]
        command = [sys.executable, "-m", "wyner_kserve", f"--model_dir={folder}"]
        with log.open("w") as stream:
            self.process = subprocess.Popen(
                [*command, "--host=127.0.0.1", *ports, *options],
                stdout=stream,
                stderr=subprocess.STDOUT,
            )
        self.http = httpx.Client(base_url=f"http://127.0.0.1:{self.http_port}", timeout=60)
        self.channel = grpc.insecure_channel(
            f"127.0.0.1:{self.grpc_port}", [("grpc.max_receive_message_length", -1)]
        )
        self.stub = GRPCInferenceServiceStub(self.channel)

    def wait(self):
        for _ in range(1200):
            if self.process.poll() is not None:
                break
            try:
                if self.http.get("/v2/health/ready").status_code == 200:
                    return self
            except httpx.TransportError:
                time.sleep(0.1)
        pytest.fail(f"The server should be ready. Received: {self.log.read_text()}")

    def stop(self):
        self.http.close()
        self.channel.close()
        if self.process.poll() is None:
            self.process.send_signal(signal.SIGTERM)
        return self.process.wait(timeout=30)

    def v1(self, task, body):
        content = body if isinstance(body, bytes) else json.dumps(body)
        return self.http.post(f"/v1/models/wyner-{task}:predict", content=content)

    def v2(self, task, body):
        path = f"/v2/models/wyner-{task}/infer"
        content, headers = body if isinstance(body, tuple) else (json.dumps(body), {})
        return self.http.post(
            path, content=content, headers={"content-type": "application/json", **headers}
        )

    def rpc(self, task, inputs, parameters=None, **more):
        request = pb.ModelInferRequest(model_name=f"wyner-{task}", **more)
        for name, array in inputs.items():
            datatype = DATATYPES[array.dtype.kind]
            request.inputs.add(name=name, datatype=datatype, shape=array.shape)
            request.raw_input_contents.append(array.tobytes())
        for name, value in (parameters or {}).items():
            request.parameters[name].int64_param = value
        return self.stub.ModelInfer(request, timeout=60)


@pytest.fixture(scope="session")
def folder():
    """Of the bundle that `make test-serving` writes."""
    return Path(os.environ["WYNER_BUNDLE"]).resolve()


@pytest.fixture(scope="session")
def bundle(folder):
    return Bundle.load(folder, threads=1)


@pytest.fixture(scope="session")
def start(folder, tmp_path_factory):
    """Starts servers, and stops them at the end."""
    servers = []

    def start(*options, folder=folder):
        server = Server(folder, tmp_path_factory.mktemp("server") / "log", *options)
        servers.append(server)
        return server

    yield start
    for server in servers:
        server.stop()


@pytest.fixture(scope="session")
def server(start):
    """The server that most tests share, with small limits."""
    return start("--max_results=64", "--max_bytes=1000000").wait()


@pytest.fixture(scope="session")
def given(bundle):
    """Inputs and parameters of a call of every task, and the results of `Bundle`."""
    rng = np.random.default_rng(0)
    x, y = (rng.random((3, *bundle.example_shape(side)), dtype=np.float32) for side in "xy")
    seed = {"seed": 5}
    coded_x, coded_y = bundle.encode_x(x, **seed), bundle.encode_y(y, **seed)
    pair_x, pair_y = bundle.generate_pairs(4, **seed)
    transfer_x, transfer_y = {"style": x[:2], "concept": y}, {"style": y[:2], "concept": x}
    u, v = coded_x.local, coded_y.local
    return {
        "generate-y": ({"x": x}, seed, {"y": bundle.generate_y(x, **seed)}),
        "generate-x": ({"y": y}, seed, {"x": bundle.generate_x(y, **seed)}),
        "generate-pairs": ({}, {"count": 4, **seed}, {"x": pair_x, "y": pair_y}),
        "transfer-x": (transfer_x, seed, {"x": bundle.transfer_x(**transfer_x, **seed)}),
        "transfer-y": (transfer_y, seed, {"y": bundle.transfer_y(**transfer_y, **seed)}),
        "encode-x": ({"x": x}, seed, {"z": coded_x.z, "u": u}),
        "encode-y": ({"y": y}, seed, {"z": coded_y.z, "v": v}),
        "decode-x": ({"z": coded_x.z, "u": u}, {}, {"x": bundle.decode_x(coded_x.z, u)}),
        "decode-y": ({"z": coded_y.z, "v": v}, {}, {"y": bundle.decode_y(coded_y.z, v)}),
    }
