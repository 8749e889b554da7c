"""Tries a built wheel in an empty environment, by extra: `python release/smoke.py dist train`.

Each extra is installed alone, from the wheel, at the versions of requirements.lock; commands that
need it have to succeed away from the sources. What was installed is told in a CycloneDX file beside
the wheel.
"""

from __future__ import annotations

import argparse
import json
import os
import shlex
import subprocess
import sys
import tempfile
import time
from pathlib import Path

_ROOT = Path(__file__).parents[1]
_BULK = "wyner bulk {bundle} --task generate_pairs --count 5 --output pairs"
_READ = "python -c 'import numpy as np, wyner_keras as wk; {}'"
_FRAME = _READ.format(
    "import pandas; frame = pandas.DataFrame(dict(a=[1.5, 2, 3], b=[0.5, 1, 2])); "
    'print(wk.Pairs.from_frame(frame, x=["a"], y=["b"]))'
)
_MUDATA = _READ.format(
    "import anndata, mudata; cells = anndata.AnnData(np.eye(4) + 0.5); "
    "data = mudata.MuData(dict(a=cells, b=cells.copy())); "
    'print(wk.Pairs.from_mudata(data, "a", "b"))'
)
_DATASETS = _READ.format(
    "import datasets; columns = dict(a=[[1.5, 2], [2, 3.5], [0.5, 1]], b=[[0.5], [1.5], [2.5]]); "
    'print(wk.Pairs.from_dataset(datasets.Dataset.from_dict(columns), x="a", y="b"))'
)
_TORCH = _READ.format(
    "import torch; from torch.utils import data; rows = torch.rand(6, 3); "
    "print(wk.Pairs.from_dataset(data.DataLoader(data.TensorDataset(rows, 1 - rows))))"
)
_HUB = (
    "python -c 'from wyner_serving import presets; "
    'print(presets.hub_module("a/b").snapshot_download)\''
)
# What has to succeed, one after the other, in one folder.
CHECKS = {
    "base": (
        "wyner --version",
        "wyner generate {bundle} --from prior --count 3 --out pairs.npz",
    ),
    "sign": ("wyner export --new-key key",),
    "hub": (_HUB,),
    "bulk": (_BULK,),
    "ray": (f"{_BULK} --ray local --workers 1",),
    "train": (
        "wyner train --data digits --quick --no-evaluate --out run",
        "wyner generate run --from x --out samples.png",
    ),
    "export": ("wyner export {run} --out bundle", "wyner export --verify bundle"),
    "jax": ("wyner train --data digits --quick --no-evaluate --out run",),
    "pandas": (_FRAME,),
    "mudata": (_MUDATA,),
    "datasets": (_DATASETS,),
    "torch": (_TORCH,),
}
# Keras' backend of those extras that have Keras.
_READERS = ("pandas", "mudata", "datasets", "torch")
_BACKENDS = {"jax": "jax", **dict.fromkeys(("train", "export", *_READERS), "tensorflow")}


def main() -> None:
    """Try the extras that are named."""
    parser = argparse.ArgumentParser(description=__doc__.partition("\n")[0])
    parser.add_argument("dist", type=Path, help="folder of the wheel")
    parser.add_argument(
        "extras", nargs="+", choices=CHECKS, metavar="EXTRA", help=", ".join(CHECKS)
    )
    parser.add_argument("--bundle", type=Path, help="of tests/tools/tiny_bundle.py")
    parser.add_argument("--run", type=Path, help="of tests/tools/tiny_bundle.py FOLDER run")
    options = parser.parse_args()
    wheels = list(options.dist.glob("wyner_keras-*.whl"))
    if len(wheels) != 1:
        parser.error(f"{options.dist} should hold one wheel. Received: {len(wheels)}")
    inputs = {
        name: str(path.resolve())
        for name, path in (("bundle", options.bundle), ("run", options.run))
        if path
    }
    for extra in options.extras:
        start = time.monotonic()
        with tempfile.TemporaryDirectory() as folder:
            _try(extra, wheels[0].resolve(), Path(folder), inputs)
        print(f"{extra}: works, {time.monotonic() - start:.0f} s", flush=True)


def _try(extra: str, wheel: Path, folder: Path, inputs: dict[str, str]) -> None:
    environment = folder / "environment"
    _install(extra, wheel, environment)
    work = folder / "work"
    work.mkdir()
    variables = {name: value for name, value in os.environ.items() if name != "PYTHONPATH"}
    variables |= {"TF_CPP_MIN_LOG_LEVEL": "2"}
    if extra in _BACKENDS:
        variables["KERAS_BACKEND"] = _BACKENDS[extra]
    _check_doctor(extra, json.loads(_run("wyner doctor --json", environment, work, variables)))
    for check in CHECKS[extra]:
        needed = {name for name in ("bundle", "run") if f"{{{name}}}" in check}
        if needed <= set(inputs):
            _run(check.format(**inputs), environment, work, variables)
        else:
            print(f"{extra}: without {needed - set(inputs)}, not tried: {check}")
    told = wheel.with_name(f"{'-'.join(wheel.stem.split('-')[:2])}-{extra}.cdx.json")
    _carry_out(
        *(sys.executable, "-m", "cyclonedx_py", "environment", str(environment / "bin" / "python")),
        *("--pyproject", str(_ROOT / "pyproject.toml"), "--mc-type", "library"),
        *("--output-reproducible", "--output-file", str(told)),
    )


def _install(extra: str, wheel: Path, environment: Path) -> None:
    """Install the wheel, then what it needs; without pip, which is nothing that it needs."""
    _carry_out(sys.executable, "-m", "venv", "--without-pip", str(environment))
    pip = (sys.executable, "-m", "pip", "--python", str(environment / "bin" / "python"), "install")
    quiet = ("--quiet", "--disable-pip-version-check")
    name, version = "wyner-keras", wheel.stem.split("-")[1]
    # By name and not by path, so that no path of this machine is kept in the environment.
    folder = ("--no-deps", "--no-index", "-f", str(wheel.parent))
    _carry_out(*pip, *quiet, *folder, f"{name}=={version}")
    asked = name if extra == "base" else f"{name}[{extra}]"
    _carry_out(*pip, *quiet, "-c", str(_ROOT / "requirements.lock"), f"{asked}=={version}")


def _check_doctor(extra: str, found: dict) -> None:
    """What `wyner doctor` says has to be that all is there and works."""
    lacking = found["packages"][extra]["missing"]
    backend = found["engines"]["keras"].get("backend")
    if found["problems"] or lacking or backend != _BACKENDS.get(extra):
        sys.exit(
            f"{extra}: nothing should be missing or broken, on {_BACKENDS.get(extra)}. "
            f"Received: {found['problems']}, missing {lacking}, on {backend}"
        )


def _run(words: str, environment: Path, folder: Path, variables: dict[str, str]) -> str:
    command, *rest = shlex.split(words)
    return _carry_out(str(environment / "bin" / command), *rest, cwd=folder, env=variables)


def _carry_out(*words: str, **settings: object) -> str:
    done = subprocess.run(words, capture_output=True, text=True, **settings)
    if done.returncode:
        sys.exit(f"{' '.join(words)} should succeed. Received:\n{done.stdout}{done.stderr}")
    return done.stdout


if __name__ == "__main__":
    main()
