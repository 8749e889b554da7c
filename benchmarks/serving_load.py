"""How many requests a second does the KServe server answer, and how long does each take?

Clients keep a connection each and ask for one row again and again, as fast as they are answered.
Every answer is compared with the first. Beside it stands what a row costs the bundle itself, alone
and among 32: what joining requests into one pass could save at most.

Run: .venv-serving/bin/python -m benchmarks.serving_load BUNDLE [--seconds S] [--clients N]
         [-- OPTIONS of the server]
"""

from __future__ import annotations

import argparse
import http.client
import signal
import sys
import threading
import time
from pathlib import Path

import numpy as np

from benchmarks.hostile_clients import good_request, start
from benchmarks.resident import family_mb
from wyner_serving import Bundle


class Client(threading.Thread):
    """One client, until its time is up."""

    def __init__(self, port: int, request: tuple[str, str, bytes], until: float) -> None:
        super().__init__()
        self._port, self._request, self._until = port, request, until
        self.seconds: list[float] = []
        self.lost: list[str] = []

    def run(self) -> None:
        """Ask, and keep how long each answer took and what went wrong."""
        method, path, body = self._request
        connection = http.client.HTTPConnection("127.0.0.1", self._port, timeout=60)
        expected = None
        while (begun := time.monotonic()) < self._until:
            try:
                connection.request(method, path, body, {"content-type": "application/json"})
                response = connection.getresponse()
                content = response.read()
            except (OSError, http.client.HTTPException) as error:
                self.lost.append(type(error).__name__)
                connection.close()
                continue
            expected = expected or content
            if response.status != 200:
                self.lost.append(str(response.status))
            elif content != expected:
                self.lost.append("another answer")
            else:
                self.seconds.append(time.monotonic() - begun)
        connection.close()


def row_costs(folder: Path) -> dict[int, float]:
    """Milliseconds of a row of the task x → y, by how many are asked at once."""
    bundle, found = Bundle.load(folder, threads=1), {}
    for rows in (1, 32):
        x = np.zeros((rows, *bundle.example_shape("x")), np.float32)
        took = []
        for _ in range(100):
            begun = time.perf_counter()
            bundle.generate_y(x, seed=0)
            took.append(time.perf_counter() - begun)
        found[rows] = 1e3 * float(np.median(took)) / rows
    return found


def main() -> None:
    """Ask for so long, and print the table."""
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("bundle", type=Path)
    parser.add_argument("--seconds", type=float, default=600.0)
    parser.add_argument("--clients", type=int, default=64)
    arguments = sys.argv[1:]
    own = arguments[: arguments.index("--")] if "--" in arguments else arguments
    options = parser.parse_args(own)
    costs = row_costs(options.bundle)
    server, (port, _) = start(options.bundle, arguments[len(own) + 1 :])
    try:
        before, until = family_mb(server.pid), time.monotonic() + options.seconds
        request = good_request(options.bundle)
        clients = [Client(port, request, until) for _ in range(options.clients)]
        for client in clients:
            client.start()
        for client in clients:
            client.join()
        after = family_mb(server.pid)
    finally:
        server.send_signal(signal.SIGTERM)
        server.wait(60)
    seconds = np.concatenate([client.seconds for client in clients])
    lost = [each for client in clients for each in client.lost]
    shares = np.percentile(1e3 * seconds, (50, 90, 99, 99.9, 100))
    rate = len(seconds) / options.seconds
    print(f"{options.clients} clients, {options.seconds:g} s: {rate:.0f} requests a second")
    print("ms at 50, 90, 99, 99.9, 100%:", ", ".join(f"{share:.1f}" for share in shares))
    print(f"lost: {len(lost)} {sorted(set(lost))}; resident {before:.0f} MB, then {after:.0f} MB")
    told = ", ".join(f"{cost:.3f} ms of {rows}" for rows, cost in costs.items())
    print(f"a row costs the bundle {told} at once; a request takes {1e3 / rate:.2f} ms in all")


if __name__ == "__main__":
    main()
