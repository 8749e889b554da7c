"""Several processes that train one model, on JAX: each has its slice of every batch.

Only a `fit` is shared: its variables are then one on all workers, its batches the slices of all put
together, so that what a step computes, noise included, is what one process computes of the whole
batch. Before and after, each worker has arrays of its own, and does the same as the others.
"""

from __future__ import annotations

import atexit
import contextlib
import json
import logging
import os
import re
import sys
import zlib
from collections.abc import Iterator, Mapping
from typing import Any

import keras
import numpy as np

from wyner_keras.data.stream import Worker

logger = logging.getLogger(__name__)

HEARTBEAT_SECONDS = 20  # after which a worker that says nothing is dead
_VARIABLES = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")


class WorkersStopped(ConnectionError):
    """Training with others stopped in the midst of a `fit`, because one of them did."""


def join(
    addresses: str | None = None,
    place: int | None = None,
    environment: Mapping[str, str] | None = None,
) -> Worker:
    """Become one of several workers, before anything is computed; returns when all have joined.

    Args:
        addresses: "host:port,host:port,…", one a worker; the first is where they meet. None takes
            what a launcher's variables say: JAX_COORDINATOR_ADDRESS with JAX_NUM_PROCESSES and
            JAX_PROCESS_ID, else those of Slurm or Open MPI.
        place: of this worker among them, from 0; beside addresses alone.
        environment: the variables; None for those of the process.

    Returns:
        The worker that this process is.

    Raises:
        ValueError: if Keras' backend is not JAX, or nothing says who the workers are.

    Example:
        >>> join("a:1234,b:1234", 2)
        Traceback (most recent call last):
        ValueError: `place` should be a whole number from 0 to 1. Received: place=2
    """
    told = asked(addresses, place, os.environ if environment is None else environment)
    if keras.backend.backend() != "jax":
        raise ValueError(
            "Several workers should train on JAX: set KERAS_BACKEND=jax. "
            f"Received: {keras.backend.backend()}"
        )
    import jax

    try:
        jax.distributed.initialize(
            **told,
            heartbeat_timeout_seconds=HEARTBEAT_SECONDS,
            shutdown_timeout_seconds=HEARTBEAT_SECONDS,
        )
    except (ValueError, RuntimeError) as error:
        raise ValueError(
            "Workers should be told by addresses or by a launcher, be all there, and be joined "
            f"before anything is computed. Received: {error}"
        ) from error
    found = worker()
    logger.info("Worker %d of %d, %d devices in all", found.place, found.count, found.devices)
    return found


def asked(
    addresses: str | None, place: int | None, environment: Mapping[str, str]
) -> dict[str, Any]:
    """What `jax.distributed.initialize` is told; nothing where a launcher's variables say it.

    Raises:
        ValueError: if addresses and place are not as `join` says, or JAX's variables incomplete.

    Example:
        >>> asked("a:1234,b:1234", 1, {})
        {'coordinator_address': 'a:1234', 'num_processes': 2, 'process_id': 1}
    """
    if addresses is not None:
        hosts = [each.strip() for each in addresses.split(",")]
        ports = [host.rpartition(":")[::2] for host in hosts]
        if len(hosts) < 2 or not all(name and port.isdecimal() for name, port in ports):
            raise ValueError(
                "`addresses` should be host:port,host:port,…, one for each of at least 2 workers. "
                f"Received: {addresses!r}"
            )
        if type(place) is not int or not 0 <= place < len(hosts):
            raise ValueError(
                f"`place` should be a whole number from 0 to {len(hosts) - 1}. "
                f"Received: place={place!r}"
            )
        return _told(hosts[0], len(hosts), place)
    if place is not None:
        raise ValueError(
            f"`place` should stand beside `addresses`. Received: place={place!r} alone"
        )
    address, *numbers = (environment.get(name) for name in _VARIABLES)
    if address is None:
        return {}
    if not all(number and number.isdecimal() for number in numbers):
        raise ValueError(
            f"{', '.join(_VARIABLES)} should be an address and two whole numbers. "
            f"Received: {[address, *numbers]}"
        )
    return _told(address, *map(int, filter(None, numbers)))


def _told(address: str, count: int, place: int) -> dict[str, Any]:
    return {"coordinator_address": address, "num_processes": count, "process_id": place}


def worker() -> Worker:
    """The worker that this process is; the only one where it has joined no others."""
    if keras.backend.backend() != "jax":
        return Worker()
    import jax

    if not jax.distributed.is_initialized():
        return Worker()
    return Worker(jax.process_index(), jax.process_count(), jax.device_count())


def refuse_strategies() -> None:
    """Raise a ValueError inside of a tf.distribute strategy that shares a step among replicas.

    Each replica would draw the noise of the others, and tell partners from strangers in its own
    share of a batch alone; JAX computes a step of the whole batch, whoever holds which rows.
    """
    if keras.backend.backend() != "tensorflow":
        return
    import tensorflow as tf

    strategy = tf.distribute.get_strategy()
    alone = (tf.distribute.OneDeviceStrategy, tf.distribute.MirroredStrategy)
    shares = strategy.num_replicas_in_sync > 1 or not isinstance(strategy, alone)
    if tf.distribute.has_strategy() and shares:
        raise ValueError(
            "A model should be trained outside of tf.distribute strategies: with several devices, "
            "train by a worker for each on JAX, KERAS_BACKEND=jax and `workers.join` or "
            f"`wyner train --workers`. Received: {type(strategy).__name__} of "
            f"{strategy.num_replicas_in_sync} replicas"
        )


def leave() -> None:
    """Part from the others when all do; what is computed afterwards is computed alone."""
    if worker().count > 1:
        import jax

        # JAX would wait for the last one no longer than it waits for a heartbeat.
        agree("end", True)
        jax.distributed.shutdown()


def agree(what: str, value: Any) -> None:
    """Wait for all workers, and see to it that they have the same.

    Args:
        what: they should have the same of, for the message.
        value: of JSON.

    Raises:
        ValueError: on all of them, if one has another value.
        WorkersStopped: if one of them stopped.
    """
    if worker().count == 1:
        return
    from jax.experimental import multihost_utils

    sums = np.asarray([zlib.crc32(json.dumps(each).encode()) for each in (what, value)], np.uint32)
    with _said():
        try:
            multihost_utils.assert_equal(sums)
        except AssertionError as error:
            raise ValueError(
                f"All workers should have the same {what}. Received: {value!r:.200} on worker "
                f"{worker().place}, something else on another"
            ) from error


@contextlib.contextmanager
def together(model: keras.Model) -> Iterator[None]:
    """Inside, a `fit` of a model is that of all workers; it begins with the first one's variables.

    Raises:
        WorkersStopped: if one of them stopped.
    """
    if worker().count == 1:
        yield
        return
    variables = _variables_of(model)
    agree("variables", [[*each.shape, str(each.dtype)] for each in variables])
    with _said():
        for variable, value in zip(variables, _of_the_first(variables), strict=True):
            variable.assign(value)
        distribution = keras.distribution.DataParallel(auto_shard_dataset=False)
        with distribution.scope():
            _share(model)
            try:
                yield
            finally:
                _unshare(model)


@contextlib.contextmanager
def apart(model: keras.Model) -> Iterator[None]:
    """Inside, what is inside of `together` is computed by each worker alone, of whole batches."""
    distribution = keras.distribution.distribution()
    if distribution is None or worker().count == 1:
        yield
        return
    _unshare(model)
    keras.distribution.set_distribution(None)
    try:
        yield
    finally:
        keras.distribution.set_distribution(distribution)
        _share(model)


def _variables_of(model: Any) -> list[Any]:
    """All variables of a `fit`, each once."""
    optimizer = getattr(model, "optimizer", None)
    found = [*model.variables, *model.metrics_variables]
    found += [] if optimizer is None else optimizer.variables
    return list({id(variable): variable for variable in found}.values())


def _of_the_first(variables: list[Any]) -> list[np.ndarray]:
    """Values of the first worker's variables."""
    from jax.experimental import multihost_utils

    own = [np.asarray(variable.value) for variable in variables]
    # One array, as JAX compiles a function of its own for each list of shapes.
    sent = multihost_utils.broadcast_one_to_all(
        np.frombuffer(b"".join(value.tobytes() for value in own), np.uint8)
    )
    ends = np.cumsum([value.nbytes for value in own])
    parts = np.split(np.asarray(sent), ends[:-1])
    return [
        np.frombuffer(part.tobytes(), value.dtype).reshape(value.shape)
        for part, value in zip(parts, own, strict=True)
    ]


def _share(model: Any) -> None:
    """Make variables, which have the same values on all workers, one."""
    import jax

    distribution = keras.distribution.distribution()
    for variable in _variables_of(model):
        layout = distribution.get_variable_layout(variable)
        sharding = layout.backend_layout
        # Nothing is sent: each worker has the values.
        local = [jax.device_put(variable.value, each) for each in sharding.addressable_devices]
        whole = jax.make_array_from_single_device_arrays(variable.shape, sharding, local)
        variable._layout = layout  # which Keras gives to variables that are made afterwards
        variable.assign(whole)


def _unshare(model: Any) -> None:
    """Give each worker its variables back."""
    for variable in _variables_of(model):
        variable._layout = None
        variable.assign(variable.value.addressable_data(0))


def _end() -> None:
    """End the process as failed."""
    sys.stdout.flush()
    sys.stderr.flush()
    os._exit(1)


@contextlib.contextmanager
def _said() -> Iterator[None]:
    """What JAX says of workers that do not answer, as an error of this library."""
    import jax

    try:
        yield
    except (jax.errors.JaxRuntimeError, ValueError) as error:
        # Where arrays are read, what Gloo and NCCL say comes as a ValueError.
        if not re.match(r"[A-Z_]{5,}: ", str(error)):
            raise
        own = worker()
        # At the end JAX would wait for those that have stopped, and then abort the process.
        atexit.register(_end)
        raise WorkersStopped(
            f"Training by {own.count} workers stopped on worker {own.place}: where one of them has "
            "stopped, the others do. What was kept is there, and the same command goes on from it. "
            f"Received: {str(error).strip().splitlines()[0]:.300}"
        ) from error
