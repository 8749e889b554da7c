import json
import subprocess
import sys
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import numpy as np
import pytest

from wyner_keras.files import to_json, write_arrays, write_json


def test_numbers_that_json_has_not_become_null() -> None:
    values = {"a": [1.5, float("nan")], 2: (float("inf"), "ü")}
    assert json.loads(to_json(values)) == {"a": [1.5, None], "2": [None, "ü"]}


def test_a_failed_write_leaves_the_old_file_and_nothing_else(tmp_path: Path) -> None:
    path = write_json(tmp_path / "a.json", {"kept": 1})
    with pytest.raises(TypeError):
        write_json(path, {"bad": object()})
    assert json.loads(path.read_text()) == {"kept": 1}
    assert list(tmp_path.iterdir()) == [path]


WRITER = """
import sys
from pathlib import Path
from wyner_serving.whole import whole_file

with whole_file(Path(sys.argv[1])) as temporary:
    temporary.write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""


def start(path: Path) -> subprocess.Popen[str]:
    process = subprocess.Popen(
        [sys.executable, "-c", WRITER, path],
        stdin=subprocess.PIPE,
        stdout=subprocess.PIPE,
        text=True,
    )
    assert process.stdout is not None
    assert process.stdout.readline() == "writing\n"
    return process


@pytest.mark.parametrize("name", ["a.json", "a [b]* é.weights.h5", ".hidden"])
def test_what_a_killed_writer_left_goes_and_a_living_ones_stays(tmp_path: Path, name: str) -> None:
    path = write_json(tmp_path / name, {"kept": 1})
    killed, living = start(path), start(path)
    try:
        killed.kill()
        killed.communicate()
        assert json.loads(path.read_text()) == {"kept": 1}
        assert len(list(tmp_path.iterdir())) == 3
        write_json(path, {"new": 1})
        assert json.loads(path.read_text()) == {"new": 1}
        assert len(list(tmp_path.iterdir())) == 2
        living.communicate("\n", timeout=60)
        assert living.returncode == 0
    finally:
        living.kill()
        living.communicate()
    assert path.read_text() == "half"
    assert list(tmp_path.iterdir()) == [path]


def test_threads_may_write_one_file(tmp_path: Path) -> None:
    path = tmp_path / "a.npz"

    def write(number: int) -> None:
        for _ in range(5):
            write_arrays(path, a=np.full(1000, number))

    with ThreadPoolExecutor(4) as pool:
        list(pool.map(write, range(4)))
    with np.load(path) as found:
        assert len(set(found["a"])) == 1
    assert list(tmp_path.iterdir()) == [path]
