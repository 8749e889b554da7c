"""`wyner doctor`."""

from __future__ import annotations

import argparse
import importlib
import importlib.metadata
import os
import platform
import re
import shutil
from collections.abc import Callable, Iterable, Mapping
from importlib.util import find_spec
from pathlib import Path
from typing import Any

from wyner_keras import runs
from wyner_keras.cli import options as shared
from wyner_keras.cli import probe
from wyner_keras.cli.options import Result
from wyner_keras.runs.machine import machine
from wyner_serving import memory

_NAME = "wyner-keras"
_DESCRIPTION = """\
Say what is installed here, on what machine, and what is missing and how to get it.

Versions, Keras' backend, devices, the speed of a matrix product, free memory and disk, data sets:
what an issue report needs. It works where TensorFlow is not installed, or does not start.
"""
# Beside those that change a result's last digits.
_VARIABLES = (
    *("KERAS_BACKEND", "TFDS_DATA_DIR", "WYNER_CACHE_DIR", "CUDA_VISIBLE_DEVICES", "XLA_FLAGS"),
    *("JAX_PLATFORMS", "TF_USE_LEGACY_KERAS", "TF_CPP_MIN_LOG_LEVEL", "ORT_DISABLE_TELEMETRY"),
    *("JAX_COORDINATOR_ADDRESS", "JAX_NUM_PROCESSES", "JAX_PROCESS_ID"),
)
# What a requirement in a distribution's metadata is, with the extra that asks for it.
_REQUIREMENT = re.compile(
    r"""(?P<name>[\w.-]+) (\[[^]]*\])? \s* (>=(?P<least>[\w.]+))?
        [^;]* (;.*extra\s*==\s*["'](?P<extra>[\w-]+)["'])?""",
    re.VERBOSE,
)


def add_parser(commands: Any) -> None:
    """Add the command to `wyner`."""
    parser: argparse.ArgumentParser = commands.add_parser(
        "doctor",
        help="say what is installed here, and what is missing",
        description=_DESCRIPTION,
        epilog=shared.examples("wyner doctor", "wyner doctor --json > doctor.json"),
    )
    shared.add_output(parser)
    parser.set_defaults(run=run)


def run(options: argparse.Namespace) -> Result:
    """Look at everything, and say it."""
    told = machine()
    values: dict[str, Any] = {
        "version": runs.version(),
        "python": f"{platform.python_implementation()} {platform.python_version()}",
        "machine": {
            "system": platform.platform(),
            "processor": told["processor"],
            "architecture": told["architecture"],
            "cores": told["cores"],
            "memory_free_bytes": memory.available(),
            "disk_free_bytes": shutil.disk_usage(Path.cwd()).free,
        },
        "engines": {
            "numpy": _tried(lambda: {"product": probe.numpy_speed()}),
            "onnxruntime": _tried(_onnxruntime),
            "keras": probe.ask_keras(),
        },
        "packages": packages(_requires()),
        "data": _data_sets(),
        "environment": {
            **told["environment"],
            **{name: _homeless(os.environ[name]) for name in _VARIABLES if name in os.environ},
        },
    }
    values["problems"] = _problems(values)
    return Result(_text(values), values)


def _tried(look: Callable[[], dict[str, Any]]) -> dict[str, Any]:
    """What is found, or the error: whatever is broken here, the rest is to be told."""
    try:
        return look()
    except Exception as error:
        return {"error": f"{type(error).__name__}: {error!s:.300}"}


def _onnxruntime() -> dict[str, Any]:
    runtime = importlib.import_module("onnxruntime")
    return {"providers": runtime.get_available_providers()}


def _requires() -> list[str]:
    try:
        return importlib.metadata.requires(_NAME) or []
    except importlib.metadata.PackageNotFoundError:
        return []


def packages(requirements: Iterable[str]) -> dict[str, dict[str, Any]]:
    """What is installed of what the base install ("base") and each extra need.

    Args:
        requirements: as a distribution's metadata list them.

    Returns:
        For "base" and each extra for users: `installed`, versions by name; `missing`, names;
        `older`, by name the least version, where what is installed is older; and `get`, the command
        that installs all of it.
    """
    found: dict[str, dict[str, Any]] = {}
    for text in requirements:
        match = _REQUIREMENT.match(text)
        if match is None or match["name"] == _NAME or match["extra"] == "dev":
            continue
        extra, name = match["extra"] or "base", match["name"]
        get = f"pip install {_NAME}" if extra == "base" else f"pip install '{_NAME}[{extra}]'"
        of = found.setdefault(extra, {"installed": {}, "missing": [], "older": {}, "get": get})
        try:
            installed = importlib.metadata.version(name)
        except importlib.metadata.PackageNotFoundError:
            of["missing"].append(name)
            continue
        of["installed"][name] = installed
        if match["least"] and _release(installed) < _release(match["least"]):
            of["older"][name] = match["least"]
    return found


def _release(version: str) -> tuple[int, ...]:
    """The numbers that a version begins with, without zeros at the end: 3.14 is 3.14.0."""
    numbers = re.split(r"[^\d.]", version)[0].strip(".")
    return tuple(map(int, re.sub(r"(\.0+)+$", "", numbers).split("."))) if numbers else ()


def _data_sets() -> dict[str, Any]:
    """Which of the named data sets are on this machine."""
    named = os.environ.get("TFDS_DATA_DIR") or "~/tensorflow_datasets"
    folder = Path(os.path.expanduser(named)) / "mnist"
    return {
        "digits": {"there": find_spec("sklearn") is not None},
        "mnist": {
            "there": any(folder.glob("*/dataset_info.json")),
            "folder": _homeless(str(folder)),
        },
    }


def _homeless(text: str) -> str:
    """A text without the user's name in it, which is nobody's business."""
    home = os.path.expanduser("~")
    # A container may have no user, or one whose home is the root: in neither is there a name.
    return text if home in ("~", "/") else text.replace(home, "~")


def _problems(values: Mapping[str, Any]) -> list[str]:
    """What is broken; what is merely not installed is none."""
    found = [
        f"{name} is installed but does not work: {of['error']}"
        for name, of in values["engines"].items()
        if "error" in of
    ]
    if not values["packages"]:
        found.append(f"{_NAME} is not installed as a distribution, so what it needs is not known")
    for extra, of in values["packages"].items():
        needed = [f"{name} {least} or later" for name, least in of["older"].items()]
        needed += of["missing"] if extra == "base" else []
        if needed:
            found.append(f"{extra} needs {', '.join(needed)}: {of['get']} --upgrade")
    return found


def _text(values: Mapping[str, Any]) -> str:
    of = values["machine"]
    free = {"memory": of["memory_free_bytes"], "disk": of["disk_free_bytes"]}
    sizes = ", ".join(
        f"{name} unknown" if size is None else f"{name} {size / 1e9:.1f} GB"
        for name, size in free.items()
    )
    parts = {
        "machine": {
            "system": of["system"],
            "processor": f"{of['processor']} ({of['architecture']}), cores to use: {of['cores']}",
            "free": sizes,
        },
        "engines": {name: _engine(found) for name, found in values["engines"].items()},
        "packages": {extra: _packages(found) for extra, found in values["packages"].items()},
        "data sets": _told_data(values["data"]),
        "environment": values["environment"],
        "problems": {str(place): text for place, text in enumerate(values["problems"], 1)},
    }
    blocks = [f"{_NAME} {values['version']} on {values['python']}"]
    for title, rows in parts.items():
        if rows:
            blocks.append(f"{title}\n  " + shared.lines(rows).replace("\n", "\n  "))
    blocks.append("In an issue report: all of this, the command that failed, and what it printed.")
    return "\n\n".join(blocks)


def _engine(found: Mapping[str, Any]) -> str:
    if "missing" in found:
        return f"{', '.join(found['missing'])} not installed: pip install '{_NAME}[train]'"
    if "error" in found:
        return found["error"]
    said = [f"on {found['backend']}"] if "backend" in found else []
    said += [", ".join(found.get("devices", found.get("providers", [])))]
    if "product" in found:
        speed = found["product"]
        said.append(
            "a product of 1024×1024 matrices in "
            f"{speed['milliseconds']:.1f} ms, {speed['gflops']:.0f} GFLOP/s"
        )
    return "; ".join(part for part in said if part)


def _packages(found: Mapping[str, Any]) -> str:
    if not found["installed"]:
        return f"not installed: {found['get']}"
    said = ", ".join(f"{name} {version}" for name, version in found["installed"].items())
    if found["missing"]:
        said += f"; not installed: {', '.join(found['missing'])} ({found['get']})"
    return said


def _told_data(found: Mapping[str, Any]) -> dict[str, str]:
    mnist = found["mnist"]
    return {
        "digits": "there" if found["digits"]["there"] else f"come with '{_NAME}[train]'",
        "mnist": f"there, in {mnist['folder']}"
        if mnist["there"]
        else f"not in {mnist['folder']}: downloaded at first use, or set TFDS_DATA_DIR",
    }
