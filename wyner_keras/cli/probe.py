"""What Keras finds on this machine, told by `python -m wyner_keras.cli.probe`.

A library that does not fit the processor or the driver ends its process without a Python error. So
`wyner doctor` asks another process.
"""

from __future__ import annotations

import json
import subprocess
import sys
import time
from collections.abc import Callable
from importlib.util import find_spec
from typing import Any

_SIZE = 1024  # of the square matrices that are multiplied
_SECONDS = 180  # that importing and measuring may take


def product_speed(multiply: Callable[[], object]) -> dict[str, float]:
    """The shortest of five products of two square float32 matrices of 1024 rows, after a first one.

    Args:
        multiply: computes a product, and returns when it is there.

    Returns:
        `milliseconds` and `gflops`, 10⁹ floating-point operations a second.
    """
    multiply()
    seconds = []
    for _ in range(5):
        start = time.perf_counter()
        multiply()
        seconds.append(time.perf_counter() - start)
    best = max(min(seconds), 1e-9)
    return {"milliseconds": round(1e3 * best, 3), "gflops": round(2e-9 * _SIZE**3 / best, 1)}


def numpy_speed() -> dict[str, float]:
    """`product_speed` of NumPy."""
    import numpy as np

    matrix = np.ones((_SIZE, _SIZE), np.float32)
    return product_speed(lambda: matrix @ matrix)


def keras_here() -> dict[str, Any]:
    """Keras' backend in this process, its devices, and the speed of a product on the first."""
    from wyner_keras.cli.engine import import_tensorflow

    import_tensorflow()
    import keras

    backend = keras.backend.backend()
    matrix = keras.ops.ones((_SIZE, _SIZE), "float32")

    def multiply() -> float:
        # A number on the host: devices answer before they have computed.
        return float(keras.ops.matmul(matrix, matrix)[0, 0])

    return {"backend": backend, "devices": _devices(backend), "product": product_speed(multiply)}


def _devices(backend: str) -> list[str]:
    if backend == "jax":
        import jax

        return [f"{each.platform.upper()}:{each.id} {each.device_kind}" for each in jax.devices()]
    import tensorflow as tf

    found = []
    for device in tf.config.list_physical_devices():
        details = tf.config.experimental.get_device_details(device)
        name = device.name.removeprefix("/physical_device:")
        found.append(f"{name} {details.get('device_name', '')}".rstrip())
    return found


def ask_keras() -> dict[str, Any]:
    """What `keras_here` tells in a process of its own.

    Returns:
        That, or `missing`, a list of what is not installed, or `error`, how the process ended.
    """
    missing = [name for name in ("keras", "tensorflow") if find_spec(name) is None]
    if missing:
        return {"missing": missing}
    try:
        done = subprocess.run(
            [sys.executable, "-P", "-m", "wyner_keras.cli.probe"],
            capture_output=True,
            text=True,
            errors="replace",
            timeout=_SECONDS,
        )
        if done.returncode == 0:
            answer: dict[str, Any] = json.loads(done.stdout)
            return answer
    except (OSError, ValueError, subprocess.TimeoutExpired) as error:
        return {"error": f"{type(error).__name__}: {error!s:.300}"}
    if done.returncode < 0:
        return {"error": f"its process was ended by signal {-done.returncode}"}
    return {"error": (done.stderr.strip().splitlines() or ["no message"])[-1][:300]}


if __name__ == "__main__":
    print(json.dumps(keras_here()))
