"""`wyner bulk`: rows in, numbered rows out, without TensorFlow."""

import json
import os
import signal
import subprocess
import sys
import time

import numpy as np
import pyarrow.parquet as pq
import pytest

from wyner_keras.cli import main
from wyner_serving import Bundle
from wyner_serving.bulk import Work
from wyner_serving.whole import held


@pytest.fixture
def rows(tmp_path):
    """A file of 50 images."""
    np.save(tmp_path / "x.npy", np.random.default_rng(0).random((50, 8, 8), np.float32))
    return tmp_path / "x.npy"


def test_bulk_writes_parts_and_goes_on_with_them(bundle, rows, call, tmp_path):
    words = ("bulk", bundle, "--task", "generate_y", "--input", rows, "--output", tmp_path / "y")
    words = (*words, "--rows-per-part", 20, "--seed", 3)
    code, out, err = call(*words)
    assert (code, out) == (0, f"50 rows in 3 parts in {tmp_path / 'y'}\n")
    assert "50 of 50 rows" in err
    (tmp_path / "y" / "part-000001.parquet").unlink()
    code, out, _ = call(*words, "--json")
    assert code == 0
    assert json.loads(out) == {
        "output": str(tmp_path / "y"),
        "task": "generate_y",
        "seed": 3,
        "rows": 50,
        "parts": 3,
        "written": 1,
    }
    assert call(*words)[1].endswith("3 of which were there before\n")
    assert pq.read_table(tmp_path / "y")["row"].to_pylist() == list(range(50))


def test_a_gallery_of_wyner_rank_is_ranked_in(bundle, rows, call, tmp_path):
    kept = tmp_path / "y.gallery"
    words = ("rank", bundle, "--from", "x", "--input", rows, "--top", 2, "--gallery", rows)
    assert call(*words, "--save-gallery", kept, "--out", tmp_path / "a.json")[0] == 0
    words = ("bulk", bundle, "--task", "rank_y", "--input", rows, "--gallery", kept, "--top", 2)
    assert call(*words, "--output", tmp_path / "out")[0] == 0
    expected = json.loads((tmp_path / "a.json").read_text())
    found = pq.read_table(tmp_path / "out")["nats"].combine_chunks().to_numpy_ndarray()
    np.testing.assert_allclose(found.ravel(), [each["nats"] for each in expected], atol=1e-4)


def test_ctrl_c_sigterm_and_another_process_are_told(
    bundle, rows, refused, call, tmp_path, monkeypatch
):
    out = tmp_path / "y"
    words = ("bulk", bundle, "--task", "generate_y", "--input", rows, "--output", out)
    words = (*words, "--rows-per-part", 20, "--quiet")
    write = Work.write

    def ended(number):
        def end(work, part):
            if part == 1:
                os.kill(os.getpid(), number)
                time.sleep(10)
            return write(work, part)

        return end

    for number, code in ((signal.SIGINT, 130), (signal.SIGTERM, 143)):
        with monkeypatch.context() as patch:
            patch.setattr(Work, "write", ended(number))
            assert "The same command goes on with what is missing" in refused(*words, code=code)
        assert sorted(os.listdir(out)) == ["_bulk.json", "part-000000.parquet"]
    with held(out):
        assert "y should be written by one process at a time" in refused(*words, code=1)
    assert call(*words)[1].endswith("1 of which were there before\n")


def test_memory_that_does_not_suffice_is_told(bundle, rows, tmp_path):
    code = (
        "import resource, sys\n"
        "from wyner_keras.cli import main\n"
        "import wyner_serving.sessions, pyarrow.parquet\n"
        "used = int(open('/proc/self/statm').read().split()[0]) * resource.getpagesize()\n"
        "resource.setrlimit(resource.RLIMIT_AS, (used + 2**21,) * 2)\n"
        "sys.exit(main(sys.argv[1:]))"
    )
    words = ("--task", "generate_y", "--input", rows, "--output", tmp_path / "y")
    command = [sys.executable, "-c", code, "bulk", bundle, *words]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1, done.stderr
    (line,) = done.stderr.splitlines()
    assert "memory" in line


@pytest.mark.parametrize(
    ("words", "message"),
    [
        (("--task", "generate_y"), "`input` should be given"),
        (("--task", "generate_pairs", "--count", 10**15), "1000000 parts"),
        (("--task", "generate_pairs", "--count", 5, "--workers", 2), "--workers should go with"),
        (("--task", "generate_pairs", "--count", 5, "--ray", "auto"), "wyner-keras[ray]"),
        (("--task", "rank_x", "--input", "x.npy"), "`gallery` should be given"),
    ],
)
def test_bad_words_are_refused_before_anything_is_written(
    bundle, refused, tmp_path, words, message
):
    assert message in refused("bulk", bundle, *words, "--output", tmp_path / "out")
    assert not (tmp_path / "out").exists()


def test_where_nothing_but_the_base_install_is_arrays_are_written(bundle, rows, tmp_path):
    """Without TensorFlow, pyarrow and threadpoolctl; what needs them says how to install them."""
    script = """
import sys

for name in ("keras", "pyarrow", "ray", "tensorflow", "threadpoolctl"):
    sys.modules[name] = None
from wyner_keras.cli import main

sys.exit(main(sys.argv[1:]))
"""

    def run(*words):
        words = ("bulk", bundle, "--task", "encode_x", "--input", rows, *words)
        command = [sys.executable, "-c", script, *map(str, words)]
        return subprocess.run(command, capture_output=True, text=True, env=os.environ)

    found = run("--output", tmp_path / "z", "--format", "npz")
    assert (found.returncode, found.stderr) == (0, "50 of 50 rows\n")
    with np.load(tmp_path / "z" / "part-000000.npz") as arrays:
        assert arrays["z"].shape == (50, Bundle.load(bundle).latent_entries["z"]["size"])
    found = run("--output", tmp_path / "w")
    assert found.returncode == 2
    assert "pip install 'wyner-keras[bulk]'" in found.stderr


def test_interrupted_it_says_that_the_same_command_goes_on(
    bundle, rows, capsys, tmp_path, monkeypatch
):
    def stop(*_):
        raise KeyboardInterrupt

    monkeypatch.setattr("wyner_serving.bulk.job.write_part", stop)
    words = ["bulk", bundle, "--task", "encode_x", "--input", rows, "--output", tmp_path / "z"]
    assert main([*map(str, words)]) == 130
    assert "The same command goes on" in capsys.readouterr().err
