"""Folders that appear whole or not at all, also where their writer is killed."""

import os
import stat
import subprocess
import sys

import pytest

from wyner_serving.whole import clear_leftovers, whole_folder

WRITER = """
import sys
from pathlib import Path
from wyner_serving.whole import whole_folder

with whole_folder(sys.argv[1], replace=True) as folder:
    (folder / "half").write_text("half")
    print("writing", flush=True)
    sys.stdin.readline()
"""
# Plain, with blanks and brackets that a glob would read, not ASCII, dots, hidden.
NAMES = ["b", "a [b]*? c", "Überblick 例", "b.writing-x", ".b", "b.c"]


@pytest.fixture
def writer():
    """Starts processes that write a folder until they are told to end."""
    started = []

    def start(path):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path],
            stdin=subprocess.PIPE,
            stdout=subprocess.PIPE,
            text=True,
        )
        started.append(process)
        assert process.stdout.readline() == "writing\n"
        return process

    yield start
    for process in started:
        process.kill()
        process.communicate()


def write(path, text="new", **options):
    with whole_folder(path, **options) as folder:
        assert not path.exists() or options
        (folder / "file").write_text(text)


@pytest.mark.parametrize("name", NAMES)
def test_what_a_killed_writer_left_goes_and_a_living_ones_stays(tmp_path, writer, name):
    path = tmp_path / name
    killed, living = writer(path), writer(path)
    other = writer(tmp_path / "other")
    killed.kill()
    killed.wait()
    assert len(list(tmp_path.iterdir())) == 3
    write(path)
    assert [file.name for file in path.iterdir()] == ["file"]
    assert len(list(tmp_path.iterdir())) == 3  # the living, the other, and what was written
    for process in (living, other):
        assert process.communicate("\n", timeout=60) == ("", None)
        assert process.returncode == 0
    assert {each.name for each in tmp_path.iterdir()} == {name, "other"}
    assert [file.name for file in path.iterdir()] == ["half"]


def test_nothing_else_is_taken_for_a_leftover(tmp_path, writer):
    dead = writer(tmp_path / "other")
    dead.kill()
    dead.wait()
    kept = [".a.writing-", ".a.writing-toolong99", "a.writing-abcd1234", ".a.abcd1234"]
    for name in kept:
        (tmp_path / name).mkdir()
    (tmp_path / ".a.writing-abcd1234").write_text("a file")
    (tmp_path / ".a.writing-abcd1235").symlink_to(tmp_path / kept[0])
    before = set(tmp_path.iterdir())
    write(tmp_path / "a")
    assert set(tmp_path.iterdir()) == {*before, tmp_path / "a"}
    clear_leftovers(tmp_path)  # of any name
    (gone,) = before - set(tmp_path.iterdir())
    assert gone.name.startswith(".other.writing-")


def test_it_is_new_whole_and_readable(tmp_path):
    path = tmp_path / "deep" / "er" / "a"
    mask = os.umask(0o077)
    try:
        write(path)
    finally:
        os.umask(mask)
    assert stat.S_IMODE(path.stat().st_mode) == 0o755
    with pytest.raises(FileExistsError, match="should not exist yet"):
        write(path, "other", replace=False)
    assert (path / "file").read_text() == "new"
    write(path, "other", replace=True)
    assert (path / "file").read_text() == "other"
    # Nor an empty folder that came meanwhile, which a rename would replace in silence.
    with pytest.raises(FileExistsError), whole_folder(tmp_path / "b"):
        (tmp_path / "b").mkdir()
    assert {each.name for each in tmp_path.iterdir()} == {"deep", "b"}
    assert list(path.parent.iterdir()) == [path]


@pytest.mark.parametrize("error", [OSError, KeyboardInterrupt, SystemExit])
def test_a_failure_leaves_nothing(tmp_path, error):
    with pytest.raises(error), whole_folder(tmp_path / "a") as folder:
        (folder / "file").write_text("half")
        raise error
    assert not list(tmp_path.iterdir())


def test_a_writer_killed_between_its_two_renames_loses_nothing(tmp_path):
    code = """
import os, pathlib, signal, sys
from wyner_serving.whole import whole_folder

rename = os.rename

def killed(source, target):
    if pathlib.Path(source).name == "new":
        os.kill(os.getpid(), signal.SIGKILL)
    rename(source, target)

with whole_folder(sys.argv[1], replace=True):
    os.rename = killed
"""
    path = tmp_path / "a"
    write(path)
    done = subprocess.run([sys.executable, "-c", code, path])
    assert done.returncode == -9 and not path.exists()
    clear_leftovers(tmp_path, "a")
    assert list(tmp_path.iterdir()) == [path]
    assert (path / "file").read_text() == "new"
