"""Folders that appear whole or not at all, also where their writer is killed."""

import contextlib
import errno
import os
import stat
import subprocess
import sys
from pathlib import Path

import pytest

from wyner_serving.whole import NotWritten, beside, clear_leftovers, held, settle, whole_folder

WRITER = """
import sys
from pathlib import Path
from wyner_serving.whole import held, whole_folder

if sys.argv[2] == "hold":
    with held(Path(sys.argv[1])):
        print("writing", flush=True)
        sys.stdin.readline()
    sys.exit()
with whole_folder(sys.argv[1], replace=sys.argv[2] == "replace") as folder:
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

    def start(path, way="replace"):
        process = subprocess.Popen(
            [sys.executable, "-c", WRITER, path, way],
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


@pytest.mark.parametrize("way", ["new", "hold"])
def test_a_second_writer_is_refused_until_the_first_is_dead(tmp_path, writer, way):
    path = tmp_path / "a"
    if way == "hold":
        path.mkdir()

    def second():
        with held(path) if way == "hold" else whole_folder(path):
            pass

    first = writer(path, way)
    for _ in range(2):
        with pytest.raises(BlockingIOError, match="a should be written by one process at a time"):
            second()
    write(tmp_path / "b")  # another one is free
    first.kill()
    first.wait()
    second()
    assert {each.name for each in tmp_path.iterdir()} == {"a", "b"}


def test_a_folder_without_locks_is_refused_nobody(tmp_path, monkeypatch):
    def none(*_):
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr("fcntl.flock", none)
    (tmp_path / f".a.writing-{8 * '0'}").mkdir()  # which nobody can tell from a living one's
    write(tmp_path / "a")
    with held(tmp_path), held(tmp_path):
        assert (tmp_path / "a" / "file").read_text() == "new"


@pytest.mark.parametrize(
    "error",
    [
        OSError(errno.ENOSPC, "No space left on device"),
        OSError(errno.EROFS, "Read-only file system", "/tmp/x"),
        # As HDF5 says it, and TensorFlow.
        RuntimeError("Can't decrement id ref count (errno = 28, 'No space left on device')"),
    ],
    ids=["full", "read-only", "told otherwise"],
)
def test_a_disk_that_takes_nothing_is_told_once_by_the_path(tmp_path, error):
    said = "Read-only file system" if "Read" in str(error) else "No space left on device"
    told = rf"^{tmp_path}/a/b should be written\. Received: {said}$"
    (tmp_path / "a").mkdir()
    with pytest.raises(NotWritten, match=told) as raised:  # noqa: SIM117
        with beside(tmp_path / "a"), beside(tmp_path / "a" / "b"):
            raise error
    assert isinstance(raised.value, OSError)
    assert [path.name for path in tmp_path.rglob("*")] == ["a"]


def test_other_errors_are_as_they_were(tmp_path):
    with pytest.raises(FileNotFoundError, match="absent"), beside(tmp_path / "a"):
        Path(tmp_path / "absent").read_text()


def test_of_two_writers_of_the_same_who_comes_last_leaves_what_may_be_read(tmp_path):
    path = tmp_path / "a"
    with whole_folder(path, keep=True) as second:
        (second / "file").write_text("second")
        with whole_folder(path, keep=True) as first:
            (first / "file").write_text("first")
        before = path.stat().st_ino
    assert (path / "file").read_text() == "first" and path.stat().st_ino == before
    assert [*tmp_path.iterdir()] == [path]


@pytest.mark.skipif(not os.path.isdir("/proc/self/fd"), reason="no names of open files here")
def test_all_of_it_is_on_the_disk_before_it_has_its_name(tmp_path, monkeypatch):
    settled, sync = [], os.fsync

    def fsync(descriptor):
        settled.append((Path(os.readlink(f"/proc/self/fd/{descriptor}")), target.exists()))
        sync(descriptor)

    monkeypatch.setattr(os, "fsync", fsync)
    target = tmp_path / "run"
    with whole_folder(target) as folder:
        (folder / "inside").mkdir()
        for name in ("a", "inside/b"):
            (folder / name).write_text(name)
        (folder / "link").symlink_to("absent")
    before = [path for path, named in settled if not named]
    assert set(before) == {folder, folder / "inside", folder / "a", folder / "inside/b"}
    assert before[-1] == folder
    assert settled[-1] == (tmp_path, True)


@pytest.mark.parametrize(("number", "said"), [(errno.EINVAL, False), (errno.EIO, True)])
def test_a_disk_that_cannot_be_waited_for_is_not_and_one_that_fails_is_told(
    tmp_path, monkeypatch, number, said
):
    def fsync(descriptor):
        raise OSError(number, os.strerror(number))

    monkeypatch.setattr(os, "fsync", fsync)
    (tmp_path / "a").write_text("a")
    with pytest.raises(OSError, match=os.strerror(number)) if said else contextlib.nullcontext():
        settle(tmp_path)
