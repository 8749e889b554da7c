"""Bundles in other processes: pickled, copied, forked."""

import copy
import multiprocessing
import os
import pickle
import shutil
import subprocess
import sys

import numpy as np
import pytest
from mutations import seal

from wyner_serving import Bundle, BundleError

WAYS = {
    "pickle": lambda bundle: pickle.loads(pickle.dumps(bundle)),
    "copy": copy.copy,
    "deepcopy": copy.deepcopy,
}
# Importable, so that processes that are not forked find its functions.
WORK = """
import numpy as np

X = np.random.default_rng(1).random((7, 8, 8, 1), dtype=np.float32)

def made(bundle, seed):
    return bundle.generate_y(X, seed=seed, samples=30), *bundle.encode_x(X, seed=seed)

def right(bundle, expected):
    return all(map(np.array_equal, made(bundle, 3), expected))
"""
WORKERS = """
import sys

from work import made, right
from wyner_serving import Bundle

if __name__ == "__main__":
    folder, kind, method = sys.argv[1:]
    bundle = Bundle.load(folder, threads=2)
    expected = made(bundle, 3)  # its sessions are open from here on
    given = [(bundle, expected)] * 4
    if kind == "joblib":
        import joblib

        jobs = [joblib.delayed(right)(*each) for each in given]
        found = joblib.Parallel(2, backend=method)(jobs)
    else:
        import multiprocessing

        with multiprocessing.get_context(method).Pool(2) as pool:
            found = pool.starmap(right, given)
    assert found == [True] * 4, found
    assert right(bundle, expected)
"""
FORKS = """
import os
import signal
import sys
import threading
import time

from wyner_serving import Bundle
from work import X, made, right
import onnxruntime

def use(bundle, expected):
    assert right(bundle, expected)

def leave(bundle, expected):
    pass

def again(bundle, expected):
    # A child of the child.
    use(bundle, expected)
    wait([fork(use, bundle, expected)])

def fork(do, bundle, expected):
    pid = os.fork()
    if pid:
        return pid
    signal.alarm(90)  # nothing that hangs outlives the test
    do(bundle, expected)
    del bundle
    sys.exit(0)

def wait(pids):
    end, left = time.monotonic() + 60, set(pids)
    while left and time.monotonic() < end:
        for pid in list(left):
            found, status = os.waitpid(pid, os.WNOHANG)
            if found:
                left.remove(pid)
                assert status == 0, status
        time.sleep(0.01)
    for pid in left:
        os.kill(pid, signal.SIGKILL)
    assert not left, "a child hangs"

bundle = Bundle.load(sys.argv[1], threads=2)
expected = made(bundle, 3)
wait([fork(do, bundle, expected) for do in (use, leave, use, again)])
assert right(bundle, expected)

# A thread of the parent opens a session, and holds what it must hold for that.
real, opening, go = onnxruntime.InferenceSession, threading.Event(), threading.Event()

def slow(*arguments, **options):
    opening.set()
    go.wait()
    return real(*arguments, **options)

onnxruntime.InferenceSession = slow
thread = threading.Thread(target=bundle.generate_x, args=(X,), kwargs={"seed": 0})
thread.start()
opening.wait()
onnxruntime.InferenceSession = real
wait([fork(lambda bundle, _: bundle.generate_x(X, seed=0), bundle, expected)])
go.set()
thread.join()
"""


def run(tmp_path, script, *words):
    """Runs a script beside the module `work`; a warning is an error in it."""
    (tmp_path / "work.py").write_text(WORK)
    (tmp_path / "script.py").write_text(script)
    # Of Python 3.12 on, that a fork copies no threads.
    warnings = ["-W", "error", "-W", "ignore:This process:DeprecationWarning"]
    command = [sys.executable, *warnings, tmp_path / "script.py", *words]
    # Not whatever pytest's own process has of it.
    environment = {key: value for key, value in os.environ.items() if key[:4] != "ORT_"}
    done = subprocess.run(
        command, cwd=tmp_path, env=environment, capture_output=True, text=True, timeout=300
    )
    assert done.returncode == 0, done.stderr[-3000:]


@pytest.mark.parametrize("way", WAYS)
def test_what_travelled_gives_the_same(bundle, tiny_images, tmp_path, monkeypatch, way):
    monkeypatch.chdir(bundle.parent)
    opened = Bundle.load(bundle.name, threads=1, batch_size=3)
    expected = opened.generate_y(tiny_images[0], seed=3, samples=4)
    monkeypatch.chdir(tmp_path)
    other = WAYS[way](opened)
    np.testing.assert_array_equal(other.generate_y(tiny_images[0], seed=3, samples=4), expected)
    assert other.manifest == opened.manifest
    # Also opened before and used from another folder.
    assert opened.generate_x(tiny_images[1], seed=0).shape == (7, 8, 8, 1)


def test_threads_and_batch_size_travel_and_no_graph_does(bundle):
    one, other = (pickle.dumps(Bundle.load(bundle, threads=n, batch_size=n)) for n in (1, 2))
    assert one != other and len(one) < 1000
    assert pickle.dumps(pickle.loads(other)) == other


@pytest.mark.parametrize("way", WAYS)
def test_a_bundle_that_changed_or_vanished_is_refused(bundle, tmp_path, way):
    folder = tmp_path / "bundle"
    shutil.copytree(bundle, folder)
    opened = Bundle.load(folder, threads=1)
    content = (folder / "manifest.json").read_bytes()
    (folder / "manifest.json").write_bytes(content + b" ")
    seal(folder, files=False)
    with pytest.raises(
        BundleError, match=r"SHA-256 (\w{64})\. Received: another one, (?!\1)\w{64}"
    ):
        WAYS[way](opened)
    (folder / "manifest.json").write_bytes(content)
    seal(folder, files=False)
    WAYS[way](opened)
    graph = folder / "onnx" / "generate_y.onnx"
    graph.write_bytes(graph.read_bytes()[::-1])
    with pytest.raises(BundleError, match=r"generate_y.onnx should have SHA-256"):
        WAYS[way](opened)
    shutil.rmtree(folder)
    with pytest.raises(BundleError, match=rf"SHA-256 \w{{64}}\. Received: {folder}"):
        WAYS[way](opened)


@pytest.mark.parametrize(
    ("kind", "method"),
    [("joblib", "loky"), ("joblib", "threading")]
    + [("multiprocessing", method) for method in multiprocessing.get_all_start_methods()],
)
def test_workers_give_the_same_bit_for_bit(bundle, tmp_path, kind, method):
    run(tmp_path, WORKERS, bundle, kind, method)


@pytest.mark.skipif(not hasattr(os, "fork"), reason="forks")
def test_forked_children_use_it_and_end(bundle, tmp_path):
    run(tmp_path, FORKS, bundle)
