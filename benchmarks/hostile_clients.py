"""What do hostile clients do to the KServe server, and to the good clients beside them?

Starts a server, asks it quietly, then asks the same while some clients send large bodies without
end and others send a byte a second. Every kind of client has a process of its own. The table says
how long liveness took, what the good clients' answers took and how many of them were lost or other
than in the quiet, how the hostile ones were answered, when the slow ones were let go, and how much
memory the server and its children had resident.

Run: .venv-serving/bin/python -m benchmarks.hostile_clients BUNDLE [--seconds S] [-- OPTIONS]
OPTIONS go to the server, such as --max_bytes=16777216. Of Linux: memory is read from /proc.
"""

from __future__ import annotations

import argparse
import collections
import gzip
import http.client
import itertools
import json
import multiprocessing
import os
import random
import select
import signal
import socket
import statistics
import subprocess
import sys
import threading
import time
from collections.abc import Callable, Iterator
from multiprocessing.queues import Queue
from pathlib import Path
from typing import Any

from benchmarks.resident import family_mb

_V1, _V2 = "/v1/models/wyner-generate-y:predict", "/v2/models/wyner-generate-y/infer"
_HOSTILE, _HOSTILE_RPC, _SLOW, _GOOD = 8, 2, 50, 2


def bodies(size: int) -> dict[str, tuple[str, bytes, dict[str, str]]]:
    """By kind the path, a body of about `size` bytes that means no good, and headers."""

    def fill(head: bytes, unit: bytes, tail: bytes) -> bytes:
        return head + unit * ((size - len(head) - len(tail)) // len(unit)) + tail

    v2 = b'{"inputs": [{"name": "x", "shape": [1], "datatype": "FP32", "data": ['
    return {
        "floats": (_V1, fill(b'{"instances": [0.5', b",0.5", b"]}"), {}),
        "lists": (_V1, fill(b'{"instances": [[]', b",[]", b"]}"), {}),
        "objects": (_V1, fill(b'{"instances": [{}', b",{}", b"]}"), {}),
        "deep": (_V1, b"[" * size, {}),
        "noise": (_V1, random.Random(0).randbytes(size), {}),
        "V2 floats": (_V2, fill(v2 + b"0.5", b",0.5", b"]}]}"), {}),
        "V2 lists": (_V2, fill(v2 + b"[]", b",[]", b"]}]}"), {}),
        "gzip": (_V1, gzip.compress(bytes(size)), {"content-encoding": "gzip"}),
    }


def attack(port: int, kinds: list[Any], first: int, told: Queue[Any]) -> None:
    """Send bodies without end, beginning with another kind in each client."""
    os.nice(5)
    for name, (path, body, headers) in itertools.cycle(kinds[first:] + kinds[:first]):
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            headers = {"content-type": "application/json", **headers}
            connection.request("POST", path, body, headers)
            said = str(connection.getresponse().status)
        except OSError as error:
            said = type(error).__name__
            time.sleep(0.01)
        connection.close()
        told.put(("hostile", f"{name}: {said}"))


def attack_rpc(port: int, size: int, told: Queue[Any]) -> None:
    """Send long messages by gRPC without end: as they are, packed, and of many small parts."""
    import grpc

    os.nice(5)
    channel = grpc.insecure_channel(f"127.0.0.1:{port}")
    infer = channel.unary_unary("/inference.GRPCInferenceService/ModelInfer")
    # Field 5, the inputs: empty ones.
    kinds = {"zeros": bytes(size), "inputs": b"\x2a\x00" * (size // 2)}
    compressions = grpc.Compression.NoCompression, grpc.Compression.Gzip
    for name, compression in itertools.cycle(itertools.product(kinds, compressions)):
        try:
            infer(kinds[name], compression=compression, timeout=300)
            said = "OK"
        except grpc.RpcError as error:
            said = error.code().name
        told.put(("hostile", f"gRPC {name}: {said}"))


def trickle(port: int, told: Queue[Any]) -> None:
    """Hold connections that send a byte a second, half of them in the headers."""
    begun = {}
    text = f"POST {_V1} HTTP/1.1\r\nhost: a\r\ncontent-length: 10000\r\n".encode()
    for number in range(_SLOW):
        sock = socket.create_connection(("127.0.0.1", port), timeout=60)
        sock.sendall(text + b"\r\n{" if number % 2 else text)
        begun[sock] = (time.monotonic(), "body" if number % 2 else "headers")
    while True:
        for sock, (since, kind) in list(begun.items()):
            try:
                readable = select.select([sock], [], [], 0)[0]
                answer = sock.recv(1000) if readable else None
                sock.sendall(b" " if kind == "body" else b"a")
            except OSError:
                answer = b""
            if answer is not None:
                said = answer[9:12].decode() or "closed"
                told.put(("slow", (f"{kind}: {said}", time.monotonic() - since)))
                sock.close()
                del begun[sock]
        time.sleep(1)


def ask(port: int, name: str, request: tuple[str, str, bytes | None], told: Queue[Any]) -> None:
    """Ask the same again and again, 20 times a second, and tell how long each answer took."""
    method, path, body = request
    expected = None
    while True:
        begun = time.monotonic()
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=300)
        try:
            connection.request(method, path, body, {"content-type": "application/json"})
            response = connection.getresponse()
            content = response.read()
            expected = expected or content
            right = response.status == 200 and content == expected
        except (OSError, http.client.HTTPException):
            right = False
        connection.close()
        told.put((name, (begun, time.monotonic() - begun, right)))
        time.sleep(0.05)


def start(folder: Path, options: list[str]) -> tuple[subprocess.Popen[bytes], tuple[int, int]]:
    """A server that is ready, and its ports by REST and gRPC."""
    with socket.socket() as first, socket.socket() as second:
        for listener in (first, second):
            listener.bind(("127.0.0.1", 0))
        ports = first.getsockname()[1], second.getsockname()[1]
    addresses = ["--host=127.0.0.1", f"--http_port={ports[0]}", f"--grpc_port={ports[1]}"]
    command = [sys.executable, "-m", "wyner_kserve", f"--model_dir={folder}", *addresses, *options]
    process = subprocess.Popen(command, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)
    for _ in range(1200):
        connection = http.client.HTTPConnection("127.0.0.1", ports[0], timeout=60)
        try:
            connection.request("GET", "/v2/health/ready")
            if connection.getresponse().status == 200:
                return process, ports
        except OSError:
            pass
        if process.poll() is not None:
            break
        time.sleep(0.1)
    raise RuntimeError(f"The server should be ready. Received: {process.poll()}")


def good_request(folder: Path) -> tuple[str, str, bytes]:
    """One row of zeros for the task x → y."""
    manifest = json.loads((folder / "manifest.json").read_text())
    row: Any = 0.0
    for size in reversed(manifest["sides"]["x"]["shape"]):
        row = [row] * size
    return "POST", _V1, json.dumps({"instances": [row]}).encode()


def told_by(queue: Queue[Any], until: float) -> Iterator[tuple[str, Any]]:
    """What the clients tell, until then."""
    while (left := until - time.monotonic()) > 0:
        try:
            yield queue.get(timeout=left)
        except Exception:
            return


def _row(name: str, answers: list[tuple[float, float, bool]], storm: float) -> str:
    times = {
        phase: [took for begun, took, _ in answers if (begun >= storm) == phase]
        for phase in (False, True)
    }
    lost = sum(not right for *_, right in answers)
    said = [
        f"{1e3 * statistics.median(took):8.1f} ms median {1e3 * max(took):9.1f} ms at most"
        for took in times.values()
    ]
    return f"{name:<10} quiet {said[0]}, storm {said[1]}, {len(times[True])} asked, {lost} lost"


def measure(folder: Path, seconds: float, size: int, options: list[str]) -> None:
    """Ask in the quiet and in the storm, and print the table."""
    context, kinds = multiprocessing.get_context("fork"), list(bodies(size).items())
    queue: Queue[Any] = context.Queue()
    server, ports = start(folder, options)
    clients: list[Any] = []

    def begin(work: Callable[..., None], *arguments: Any, port: int = ports[0]) -> None:
        clients.append(context.Process(target=work, args=(port, *arguments, queue), daemon=True))
        clients[-1].start()

    most, ended = [family_mb(server.pid)], threading.Event()

    def watch() -> None:
        while not ended.wait(0.05):
            most.append(max(most[-1], family_mb(server.pid)))

    watcher = threading.Thread(target=watch)
    found = collections.defaultdict(list)
    try:
        watcher.start()
        begin(ask, "liveness", ("GET", "/v2/health/live", None))
        for _ in range(_GOOD):
            begin(ask, "good", good_request(folder))
        for name, value in told_by(queue, time.monotonic() + seconds / 3):
            found[name].append(value)
        quiet_most, storm = most[-1], time.monotonic()
        begin(trickle)
        for number in range(_HOSTILE):
            begin(attack, kinds, number)
        for _ in range(_HOSTILE_RPC):
            begin(attack_rpc, size, port=ports[1])
        for name, value in told_by(queue, time.monotonic() + seconds):
            found[name].append(value)
        # What was asked in the storm is waited for, as long as it takes.
        for client in clients[3:]:
            client.kill()
        for name, value in told_by(queue, time.monotonic() + 5):
            found[name].append(value)
        alive = server.poll() is None
    finally:
        ended.set()
        watcher.join()
        for client in clients:
            client.kill()
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    for name in ("liveness", "good"):
        print(_row(name, found[name], storm))
    print("hostile   ", dict(sorted(collections.Counter(found["hostile"]).items())))
    for kind in sorted({kind for kind, _ in found["slow"]}):
        took = [took for each, took in found["slow"] if each == kind]
        print(f"slow       {kind}: {len(took)}, after {min(took):.1f} to {max(took):.1f} s")
    print(f"slow       still there: {_SLOW - len(found['slow'])} of {_SLOW}")
    print(f"resident   quiet {quiet_most:.0f} MB, storm {most[-1]:.0f} MB; server alive: {alive}")


def main() -> None:
    """Parse and measure."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=30.0, help="of the storm")
    parser.add_argument("--megabytes", type=float, default=16.0, help="of a hostile body")
    arguments = sys.argv[1:]
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = parser.parse_args(own)
    size = int(options.megabytes * 2**20)
    measure(options.bundle, options.seconds, size, arguments[len(own) + 1 :])


if __name__ == "__main__":
    main()
