"""Builds the sdist, and from it the wheel, twice: `python release/build.py dist`.

What is built is the last commit, in a folder of its own, dated by that commit. Both times have to
give the same bytes. Nothing is written to the folder before that is so.
"""

from __future__ import annotations

import gzip
import io
import os
import re
import shutil
import subprocess
import sys
import tarfile
import tempfile
from collections.abc import Iterable
from pathlib import Path

_ROOT = Path(__file__).parents[1]
# What an sdist may hold below its own folder: the packages' folders, and files of these names.
_FOLDERS = ("export", "serving", "wyner_keras", "wyner_keras.egg-info")
_FILES = (
    *("CHANGELOG.md", "CITATION.cff", "LICENSE", "MANIFEST.in", "PKG-INFO", "README.md"),
    *("pyproject.toml", "setup.cfg"),
)
_SUFFIXES = (
    ".py",
    ".pyi",
    ".typed",
    ".txt",
    ".config",
    ".yaml",
    ".md",
    "Dockerfile",
    "ignore",
    "PKG-INFO",
)


def repack(path: Path, seconds: int) -> None:
    """Write a .tar.gz anew, so that its bytes depend on its files' names and contents alone.

    setuptools dates what it generates by the clock, and gzip's header too.

    Args:
        path: of the archive.
        seconds: since 1970, the date of everything in it.
    """
    with tarfile.open(path) as archive:
        files = sorted(each.name for each in archive.getmembers() if each.isfile())
        contents = {name: archive.extractfile(name).read() for name in files}  # type: ignore[union-attr]
    packed = io.BytesIO()
    with (
        gzip.GzipFile(filename="", mode="wb", fileobj=packed, mtime=seconds) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for name, content in contents.items():
            # Of a new entry the owner is 0, without a name.
            entry = tarfile.TarInfo(name)
            entry.size, entry.mtime, entry.mode = len(content), seconds, 0o644
            archive.addfile(entry, io.BytesIO(content))
    path.write_bytes(packed.getvalue())


def strangers(names: Iterable[str]) -> list[str]:
    """Files of an sdist that no build needs: runs, data, pictures, tests, what lies about.

    Args:
        names: as in the archive, NAME-VERSION/path.
    """
    found = []
    for name in names:
        top, *inner = name.split("/")[1:]
        known = name.endswith(_SUFFIXES) and top in _FOLDERS if inner else top in _FILES
        if not known:
            found.append(name)
    return found


def main(folder: Path) -> None:
    """Build twice, compare, look at what is in it, and write the folder."""
    if _git("status", "--porcelain"):
        sys.exit("what is released should be committed. Received: changes that are not")
    os.umask(0o022)
    seconds = int(_git("log", "-1", "--format=%ct"))
    with tempfile.TemporaryDirectory() as first, tempfile.TemporaryDirectory() as second:
        built, again = _build(Path(first), seconds), _build(Path(second), seconds)
        differing = [a.name for a, b in zip(built, again, strict=True) if _differ(a, b)]
        if differing:
            sys.exit(f"two builds should be the same bytes. Received: others of {differing}")
        sdist, wheel = built
        with tarfile.open(sdist) as archive:
            unknown = strangers(archive.getnames())
        if unknown:
            sys.exit(f"the sdist should hold what a build needs. Received: {unknown} too")
        folder.mkdir(parents=True, exist_ok=True)
        for path in (sdist, wheel):
            shutil.copyfile(path, folder / path.name)
            print(f"{folder / path.name}: twice the same {path.stat().st_size} bytes")


def _git(*words: str) -> str:
    return subprocess.run(
        ["git", *words], cwd=_ROOT, check=True, capture_output=True, text=True
    ).stdout.strip()


def _differ(first: Path, second: Path) -> bool:
    return first.name != second.name or first.read_bytes() != second.read_bytes()


def _build(folder: Path, seconds: int) -> tuple[Path, Path]:
    """The sdist of the last commit, and the wheel of that sdist."""
    archive = subprocess.run(
        ["git", "archive", "HEAD"], cwd=_ROOT, check=True, capture_output=True
    ).stdout
    _extract(io.BytesIO(archive), folder / "source")
    (sdist,) = _run_build("--sdist", folder / "source", folder / "sdist", seconds)
    repack(sdist, seconds)
    _extract(io.BytesIO(gzip.decompress(sdist.read_bytes())), folder / "unpacked")
    (source,) = (folder / "unpacked").iterdir()
    (wheel,) = _run_build("--wheel", source, folder / "wheel", seconds)
    return sdist, wheel


def _extract(stream: io.BytesIO, folder: Path) -> None:
    with tarfile.open(fileobj=stream) as archive:
        archive.extractall(folder, filter="data")


def _run_build(what: str, source: Path, out: Path, seconds: int) -> list[Path]:
    environment = {**os.environ, "SOURCE_DATE_EPOCH": str(seconds), "PYTHONHASHSEED": "0"}
    done = subprocess.run(
        [sys.executable, "-m", "build", "--no-isolation", what, "--outdir", str(out), str(source)],
        env=environment,
        capture_output=True,
        text=True,
    )
    # setuptools tells in a box of asterisks of what it will refuse one day.
    if done.returncode or re.search(r"\*{20}", done.stdout + done.stderr):
        sys.exit(
            f"the build should succeed without a warning. Received:\n{done.stdout}{done.stderr}"
        )
    return list(out.iterdir())


if __name__ == "__main__":
    if len(sys.argv) != 2:
        sys.exit(f"usage: python release/build.py FOLDER. Received: {sys.argv[1:]}")
    main(Path(sys.argv[1]))
