"""Several processes that train one model are one that has the whole batch."""

import contextlib
import functools
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from pathlib import Path

import keras
import numpy as np
import pytest
import tensorflow as tf

import wyner_keras as wk
from wyner_keras.backend import workers
from wyner_keras.cli import main
from wyner_keras.data.stream import Worker

TOOL = Path(__file__).parents[1] / "tools/on_workers.py"
HOSTS = "127.0.0.1:7001,127.0.0.1:7002"
# What may pass until all have stopped, on a busy machine: JAX notices a closed connection at once.
STOPPED_SECONDS = 20


def pairs(count=64):
    rng = np.random.default_rng(0)
    return wk.Pairs(rng.normal(size=(count, 3)), rng.normal(size=(count, 2)))


@pytest.mark.parametrize("count", [1, 2, 3])
@pytest.mark.parametrize(("size", "drop"), [(64, False), (64, True), (66, False), (61, False)])
def test_slices_of_a_batch_put_together_are_the_batch(count, size, drop):
    def batches(worker):
        parts = pairs(size).batches(12, seed=3, drop_remainder=drop, worker=worker)
        assert len(parts) == len(list(parts))
        return [batch["x"].numpy() for batch in parts]

    devices = 2 * count
    sliced = [batches(Worker(place, count, devices)) for place in range(count)]
    together = [np.concatenate(each) for each in zip(*sliced, strict=True)]
    whole = [batch[: len(batch) - len(batch) % devices] for batch in batches(None)]
    whole = [batch for batch in whole if len(batch)]
    assert len(together) == len(whole)
    for found, expected in zip(together, whole, strict=True):
        np.testing.assert_array_equal(found, expected)


@pytest.mark.parametrize(
    ("addresses", "place", "environment", "said"),
    [
        ("127.0.0.1:7001", 0, {}, "at least 2 workers"),
        ("127.0.0.1,127.0.0.1:7002", 0, {}, "host:port"),
        (HOSTS, 2, {}, "from 0 to 1"),
        (HOSTS, None, {}, "from 0 to 1"),
        (None, 1, {}, "beside `addresses`"),
        (None, None, {"JAX_COORDINATOR_ADDRESS": "127.0.0.1:7001"}, "two whole numbers"),
        (HOSTS, 1, {}, "KERAS_BACKEND=jax"),
    ],
)
def test_workers_are_refused_before_any_work(addresses, place, environment, said):
    with pytest.raises(ValueError, match=said):
        workers.join(addresses, place, environment)


def test_a_launcher_says_who_the_workers_are():
    names = ("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID")
    told = workers.asked(None, None, dict(zip(names, ("a:1", "4", "3"), strict=True)))
    assert told == {"coordinator_address": "a:1", "num_processes": 4, "process_id": 3}
    assert workers.asked(None, None, {}) == {}  # JAX looks for Slurm and Open MPI by itself


def test_strategies_that_share_a_step_are_refused_before_any_work(make_model, tmp_path):
    stage = wk.Stage(make_model(), wk.losses.Joint())
    shared = tf.distribute.experimental.CentralStorageStrategy(["CPU:0"])
    stage.compile("adam")
    for fails in (
        lambda: wk.Stage(stage.model, stage.objective),
        lambda: stage.fit(pairs()),
        lambda: wk.train(pairs(), folder=tmp_path / "run"),
    ):
        with shared.scope(), pytest.raises(ValueError, match="Received: CentralStorageStrategy"):
            fails()
    assert not list(tmp_path.iterdir())
    with tf.distribute.OneDeviceStrategy("CPU:0").scope():
        wk.Stage(stage.model, stage.objective)


def test_what_workers_cannot_share_is_refused(monkeypatch, make_model):
    monkeypatch.setattr(workers, "worker", lambda: Worker(1, 2, 4))
    stage = wk.Stage(make_model(), wk.losses.Joint())
    with pytest.raises(ValueError, match="multiple of the workers' 4 devices"):
        stage.fit(pairs(), batch_size=30)
    with pytest.raises(ValueError, match="where several workers train"):
        stage.fit(pairs().dataset(32), batch_size=32)
    with pytest.raises(ValueError, match="a clock of its own"):
        wk.train(pairs(), budget="5min")


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (["--workers", HOSTS, "--worker", "1"], "KERAS_BACKEND=jax"),
        (["--workers", HOSTS, "--worker", "1", "--budget", "5min"], "a clock of its own"),
        (["--worker", "1"], "beside `addresses`"),
    ],
)
def test_the_command_refuses_workers_and_leaves_nothing(words, message, tmp_path, capsys):
    assert main(["train", "--data", "digits", "--out", str(tmp_path / "run"), *words]) == 2
    assert message in capsys.readouterr().err
    assert list(tmp_path.iterdir()) == []


@contextlib.contextmanager
def started(folder, count, *words):
    """Processes of `wyner train` into a folder's run: one, or several workers."""
    # Columns of four kinds that both sides show.
    rng, kind = np.random.default_rng(1), np.arange(200) % 4
    x, y = (rng.normal(size=(200, 2)) + 4 * np.eye(4, 2)[kind] for _ in range(2))
    rows, header = np.column_stack([x, y, rng.poisson(3, 200)]), "x.a,x.b,y.a,y.c,y.b"
    np.savetxt(folder / "pairs.csv", rows, "%.6g", ",", header=header, comments="")
    ports = []
    with contextlib.ExitStack() as stack:
        for _ in range(count):
            free = stack.enter_context(socket.socket())
            free.bind(("127.0.0.1", 0))
            ports.append(free.getsockname()[1])
    hosts = ",".join(f"127.0.0.1:{port}" for port in ports)
    environment = {**os.environ, "KERAS_BACKEND": "jax", "JAX_PLATFORMS": "cpu"}
    common = ["--pairs", folder / "pairs.csv", "--no-evaluate", "--out", folder / "run"]
    processes = []
    for place in range(count):
        own = ["--workers", hosts, "--worker", str(place)] if count > 1 else []
        with (folder / f"{place}.txt").open("w") as log:
            processes.append(
                subprocess.Popen(
                    [sys.executable, TOOL, "train", *common, *own, *words],
                    env=environment,
                    stdout=log,
                    stderr=log,
                )
            )
    try:
        yield processes
    finally:
        for process in processes:
            process.kill()
            process.wait()


def said(folder, place):
    return (folder / f"{place}.txt").read_text()


def trained(folder, count, *words):
    """Weights and histories of a run that is trained to its end."""
    with started(folder, count, *words) as processes:
        for place, process in enumerate(processes):
            assert process.wait(500) == 0, said(folder, place)[-3000:]
    return values(folder / "run")


def values(run):
    model = keras.models.load_model(run / "model.keras")
    # Keras numbers names through the process.
    found = {f"weight {place}": np.asarray(each) for place, each in enumerate(model.weights)}
    history = json.loads((run / "history.json").read_text())["history"]
    for stage, metrics in history.items():
        found |= {f"{stage}/{name}": np.asarray(each) for name, each in metrics.items()}
    return found


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    """What so many processes train of columns of a kind, each run once."""

    @functools.cache
    def of(count, kind):
        return trained(tmp_path_factory.mktemp("run"), count, "--kinds", f"y.b={kind}")

    return of


def assert_same(found, expected, tolerance):
    assert set(found) == set(expected)
    for name, value in expected.items():
        np.testing.assert_allclose(found[name], value, rtol=tolerance, atol=tolerance, err_msg=name)


@pytest.mark.slow
@pytest.mark.parametrize("count", [2, 4])
def test_workers_train_what_one_process_trains(run, count):
    assert_same(run(count, "real"), run(1, "real"), 1e-4)


@pytest.mark.slow
def test_workers_train_the_codec_that_one_process_trains(run):
    # What follows differs by more: Adam makes steps of roundings where its codec's gradient is 0.
    found, expected = (
        {name: value for name, value in run(count, "count").items() if name.startswith("codec/")}
        for count in (2, 1)
    )
    assert len(found["codec/loss_y"]) == 2
    assert_same(found, expected, 1e-5)


@pytest.mark.slow
@pytest.mark.parametrize("killed", [0, 1])
def test_a_killed_worker_stops_the_others_and_the_command_goes_on(run, tmp_path, killed):
    kept = tmp_path / "run.partial/checkpoints/joint.backup.npz"
    with started(tmp_path, 2, "--kinds", "y.b=count") as processes:
        while not kept.exists():
            assert [process.poll() for process in processes] == [None, None], said(tmp_path, 0)
            time.sleep(0.05)
        processes[killed].send_signal(signal.SIGKILL)
        begun = time.monotonic()
        assert processes[1 - killed].wait(120) not in (None, 0)
        seconds = time.monotonic() - begun
    print(f"stopped after {seconds:.1f} s: {said(tmp_path, 1 - killed)[-600:]}")
    assert seconds < STOPPED_SECONDS
    # Where the first is gone, JAX may abort the others before they have said so themselves.
    lines = "workers stopped" if killed else "workers stopped|another task died"
    assert re.search(lines, said(tmp_path, 1 - killed))
    assert not (tmp_path / "run").exists()
    assert_same(trained(tmp_path, 2, "--resume"), run(2, "count"), 1e-6)
