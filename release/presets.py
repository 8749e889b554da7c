"""Presets, and the data wheel that holds them: `python release/presets.py build/presets NAME …`.

Each preset named is trained by the default recipe, unless its run is there, judged and written as a
folder, unless that is there. The wheel `wyner-keras-models` is then built of all presets in the
folder, twice: both times have to give the same bytes.
"""

from __future__ import annotations

import argparse
import io
import lzma
import os
import re
import subprocess
import sys
import tarfile
import tempfile
import tomllib
from dataclasses import dataclass
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_SUFFIX = ".tar.xz"
_PACKAGE = "wyner_keras_models"
# Graphs of a bundle share their weights: the second copy costs nothing where the first is in reach.
# Weights are words of four bytes.
_FILTERS = [
    {
        **{"id": lzma.FILTER_LZMA2, "preset": 9, "dict_size": 2**26},
        **{"lc": 2, "lp": 2, "pb": 2},
    }
]


@dataclass(frozen=True, kw_only=True)
class Made:
    """How a preset is made.

    Args:
        train: words of `wyner train`; {folder} is where the files of pairs lie.
        about: what the pairs are.
        data: which data, and whose.
        data_licence: theirs.
    """

    train: tuple[str, ...]
    about: str
    data: str
    data_licence: str


PRESETS = {
    "digits_add_one": Made(
        train=("--data", "digits"),
        about="Handwritten digits of 8×8 pixels: x shows a digit, y the next one (9 goes with "
        "0), each in a hand of its own.",
        data="Optical Recognition of Handwritten Digits (E. Alpaydin, C. Kaynak, 1998), as it "
        "ships with scikit-learn",
        data_licence="CC-BY-4.0",
    ),
    "mnist_add_one": Made(
        train=("--data", "mnist"),
        about="Handwritten digits of 28×28 pixels: x shows a digit, y the next one (9 goes with "
        "0), each in a hand of its own.",
        data="MNIST (Y. LeCun, C. Cortes, C. Burges, 1998), by tensorflow-datasets",
        data_licence="CC-BY-SA-3.0",
    ),
    "letters": Made(
        train=("--x", "{folder}/letters.npz:u", "--y", "{folder}/letters.npz:l"),
        about="Letters of one typeface, 28×28 pixels: x is the upper case, y the lower case.",
        data="fonts of 25 Debian packages, rendered by Pillow",
        data_licence="those of the fonts, as their Debian packages say",
    ),
    "icons": Made(
        train=("--x", "{folder}/icons.npz:thin", "--y", "{folder}/icons.npz:fill"),
        about="One icon in two styles, 32×32 pixels: x is drawn in thin lines, y filled.",
        data="Phosphor icons, by @iconify-json/ph 1.2.2",
        data_licence="MIT",
    ),
    "emoji": Made(
        train=("--x", "{folder}/emoji.npz:google", "--y", "{folder}/emoji.npz:twitter"),
        about="One emoji by two vendors, 32×32 pixels in colour: x is Google's, y Twitter's.",
        data="emoji-datasource-google and emoji-datasource-twitter 16.0.0",
        data_licence="Apache-2.0 (Google), CC-BY-4.0 (Twitter)",
    ),
}


def make(name: str, folder: Path, pairs: Path) -> Path:
    """The folder of a preset, made where absent."""
    made, run, preset = PRESETS[name], folder / "runs" / name, folder / name
    train = [word.format(folder=pairs) for word in made.train]
    if not run.exists():
        started = run.with_name(f"{run.name}.partial").exists()
        # What it was begun with is known.
        words = ["--resume"] if started else train
        _wyner("train", *words, "--no-evaluate", "--out", str(run))
    if not preset.exists():
        _wyner(
            *("card", str(run), "--out", str(preset), "--about", made.about),
            *("--licence", "Apache-2.0", "--data-name", made.data),
            *("--data-licence", made.data_licence, "--steps", "16"),
        )
    return preset


def pack(folder: Path, seconds: int) -> bytes:
    """A folder as .tar.xz, whose bytes depend on its files' names and contents alone.

    Args:
        folder: of a preset.
        seconds: since 1970, the date of everything in it.
    """
    packed = io.BytesIO()
    with (
        lzma.open(packed, "wb", format=lzma.FORMAT_XZ, filters=_FILTERS) as stream,
        tarfile.open(fileobj=stream, mode="w", format=tarfile.PAX_FORMAT) as archive,
    ):
        for path in sorted(folder.rglob("*")):
            if path.is_file():
                # Of a new entry the owner is 0, without a name.
                entry = tarfile.TarInfo(path.relative_to(folder).as_posix())
                content = path.read_bytes()
                entry.size, entry.mtime, entry.mode = len(content), seconds, 0o644
                archive.addfile(entry, io.BytesIO(content))
    return packed.getvalue()


def build(folder: Path, out: Path) -> Path:
    """The wheel of all presets in a folder, built twice.

    Args:
        folder: of presets, each a folder in it.
        out: folder of the wheel.
    """
    seconds = int(os.environ.get("SOURCE_DATE_EPOCH") or _git_seconds())
    presets = sorted(path.parent for path in folder.glob("*/preset.json"))
    if not presets:
        sys.exit(f"{folder} should hold presets. Received: none")
    os.umask(0o022)
    wheels = []
    for _ in range(2):
        with tempfile.TemporaryDirectory() as place:
            wheels.append(_wheel(presets, Path(place), seconds))
    (name, content), again = wheels
    if (name, content) != again:
        sys.exit(f"two builds should be the same bytes. Received: others of {name}")
    out.mkdir(parents=True, exist_ok=True)
    for old in out.glob(f"{_PACKAGE}-*.whl"):
        old.unlink()
    (out / name).write_bytes(content)
    return out / name


def _wheel(presets: list[Path], place: Path, seconds: int) -> tuple[str, bytes]:
    project = tomllib.loads((_ROOT / "pyproject.toml").read_text(encoding="utf-8"))["project"]
    package = place / "project" / _PACKAGE
    package.mkdir(parents=True)
    (package / "__init__.py").write_text('"""Presets of wyner-keras, a file each."""\n')
    cards = []
    for preset in presets:
        (package / f"{preset.name}{_SUFFIX}").write_bytes(pack(preset, seconds))
        card = (preset / "README.md").read_text(encoding="utf-8")
        # Without the hub's lines.
        cards.append(re.sub(r"\A---\n.*?\n---\n", "", card, flags=re.DOTALL).strip())
    files = {
        "README.md": "\n\n".join(cards) + "\n",
        "LICENSE": (_ROOT / "LICENSE").read_text(encoding="utf-8"),
        "pyproject.toml": _PROJECT.format(
            version=project["version"], python=project["requires-python"], package=_PACKAGE
        ),
    }
    for name, text in files.items():
        (package.parent / name).write_text(text, encoding="utf-8")
    command = f"from setuptools import build_meta; build_meta.build_wheel({str(place)!r})"
    done = subprocess.run(
        [sys.executable, "-c", command],
        cwd=package.parent,
        env={**os.environ, "SOURCE_DATE_EPOCH": str(seconds), "PYTHONHASHSEED": "0"},
        capture_output=True,
        text=True,
    )
    if done.returncode:
        sys.exit(f"the wheel should build. Received:\n{done.stdout}{done.stderr}")
    (wheel,) = place.glob("*.whl")
    return wheel.name, wheel.read_bytes()


_PROJECT = """\
[build-system]
requires = ["setuptools>=80"]
build-backend = "setuptools.build_meta"

[project]
name = "wyner-keras-models"
version = "{version}"
description = "Trained models of wyner-keras, with their cards."
readme = "README.md"
license = "Apache-2.0"
license-files = ["LICENSE"]
requires-python = "{python}"

[tool.setuptools]
packages = ["{package}"]

[tool.setuptools.package-data]
{package} = ["*.tar.xz"]
"""


def _git_seconds() -> str:
    """The date of the last commit."""
    command = ["git", "log", "-1", "--format=%ct"]
    return subprocess.run(command, cwd=_ROOT, check=True, capture_output=True, text=True).stdout


def _wyner(*words: str) -> None:
    """Carry out a command of this checkout."""
    code = "import sys; from wyner_keras.cli import main; sys.exit(main())"
    done = subprocess.run([sys.executable, "-c", code, *words])
    if done.returncode:
        sys.exit(f"wyner {' '.join(words)} should succeed. Received: exit code {done.returncode}")


def main() -> None:
    """Make the presets that are named, and the wheel of all."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("folder", type=Path, help="of presets, runs and the wheel")
    parser.add_argument("names", nargs="*", metavar="NAME", help=", ".join(PRESETS))
    parser.add_argument("--pairs", type=Path, default=_ROOT.parent / "shared" / "pairs")
    options = parser.parse_args()
    unknown = sorted(set(options.names) - set(PRESETS))
    if unknown:
        parser.error(f"presets should be of {', '.join(PRESETS)}. Received: {', '.join(unknown)}")
    for name in options.names:
        make(name, options.folder, options.pairs.resolve())
    wheel = build(options.folder, options.folder)
    print(f"{wheel}: twice the same {wheel.stat().st_size} bytes")


if __name__ == "__main__":
    main()
