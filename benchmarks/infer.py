"""How long do generation, transfer and ranking take by each engine?

    python -m benchmarks.infer [BUNDLE MODEL | --run RUN] [--rounds 3] [--peers-python PYTHON]
        [--without ENGINE ...] [--json FILE]

MODEL is a `.keras` file and BUNDLE its export; RUN is a run folder, whose model is exported; of
28×28 digits, labels told.
Without any, a model of the default recipe's sizes for 28×28 digits is made and exported: speed does
not depend on what weights were trained to. `generate_y` is of 1, 64 and 1,024 rows, `transfer_x`
of as many styles and one concept, `rank` of as many queries in a gallery of 1,024 encoded before.

Each engine has a process of its own, and rounds alternate. Its start is from before the process to
its first answer; memory is what is resident then. Answers of 64 rows from the same noise have to be
the bundle's within 1e-4. Keras' `predict` is no engine here: of a W-model it reconstructs pairs.
"""

from __future__ import annotations

import argparse
import json
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand.serving import TASKS
from benchmarks.by_hand.talk import Peer, threads

BATCHES = {1: 100, 64: 20, 1024: 4}  # calls of a round
KINDS = {
    "bundle": "bundle",
    "signature": "SavedModel signature",
    "model": "model's own methods",
    "openvino": "OpenVINO",
    "eager": "PyTorch",
    "compiled": "torch.compile",
}
_CHECKED, _EXACT, _WARM = 64, 1e-4, 2


def made(run: str | None, folder: Path) -> tuple[Path, Path]:
    """The bundle and the model of a run folder, or of the default recipe's sizes."""
    from benchmarks.stages import built, default_recipe, drawn_pairs
    from wyner_export.bundle import write_bundle
    from wyner_keras import runs

    if run is None:
        pairs = drawn_pairs(2000)
        model = built(pairs, default_recipe(pairs))
    else:
        opened = runs.Run.open(run)
        model, (_, pairs) = opened.load_model(), opened.pairs()
    model.save(folder / "model.keras")
    x, y = pairs.take(min(32, len(pairs)), seed=0).arrays()
    bundle = write_bundle(model, folder / "bundle", examples={"x": x, "y": y})
    return bundle, folder / "model.keras"


def write_inputs(bundle: Path, model: Path, folder: Path) -> tuple[Path, Path]:
    """Examples and noise for every engine, and weights for those by hand."""
    import keras

    import wyner_keras  # noqa: F401 - registers what the file is of
    from benchmarks.stages import drawn_images
    from benchmarks.weights import weights_of
    from wyner_serving.manifest import read_manifest
    from wyner_serving.noise import NoiseStreams

    most = max(BATCHES)
    opened: Any = keras.models.load_model(model)
    shapes = [side.modality.shape for side in opened.sides]
    readers = [side.settings.reader for side in opened.sides]
    if {*shapes} != {(28, 28, 1)} or {*readers} != {"data"}:
        raise ValueError(
            "The engines by hand are of the default recipe's model of 28×28 digits. "
            f"Received: shapes {shapes}, readers {readers}"
        )
    latents = read_manifest(bundle)["latents"]
    generated, transferred = NoiseStreams(0, latents), NoiseStreams(0, latents)
    images = drawn_images(2 * most).astype(np.float32) / 255
    inputs = {
        "x": images[:most],
        "y": images[most:],
        "noise_z": generated.draw("z", most),
        "noise_v": generated.draw("v", most),
        "noise_concept_z": transferred.draw("z", 1),
        "noise_style_z": transferred.draw("z", most),
        "noise_u": transferred.draw("u", most),
    }
    np.savez(folder / "inputs.npz", **inputs)  # type: ignore[arg-type]
    weights = {f"p/{key}": value for key, value in weights_of(opened, None, "all").items()}
    weights["b/steps"] = np.asarray(opened.sides[0].settings.flow_steps)
    np.savez(folder / "weights.npz", **weights)  # type: ignore[arg-type]
    return folder / "inputs.npz", folder / "weights.npz"


class Engine:
    """An engine's process, and what is measured of it.

    Args:
        kind: which.
        python: PyTorch's interpreter.
        paths: of bundle, model, inputs and weights.
    """

    def __init__(self, kind: str, python: str | None, paths: dict[str, str]) -> None:
        self.kind, self.times = kind, dict[tuple[str, int], list[float]]()
        self.cannot: dict[str, str] = {}
        begin = time.perf_counter()
        if kind in ("eager", "compiled"):
            module, given = "benchmarks.by_hand.torch_infer", [paths["weights"], paths["inputs"]]
            self.peer = Peer(str(python), module, *given, kind)
        else:
            given = [paths["bundle"], paths["model"], paths["inputs"]]
            self.peer = Peer(sys.executable, "benchmarks.engines", kind, *given)
        self.memory = self.peer.ask("start")
        self.start = time.perf_counter() - begin

    def answers(self, folder: Path) -> dict[str, np.ndarray]:
        """Of each task, by the recorded noise."""
        found = {}
        for task in TASKS:
            file = folder / f"{self.kind}_{task}.npy"
            self.peer.ask("save", task_name=task, rows=_CHECKED, file=str(file))
            found[task] = np.load(file)
        return found

    def round(self, task: str, rows: int) -> None:
        """Time one task."""
        count = BATCHES[rows]
        if task in self.cannot:
            return
        try:
            given = {"task_name": task, "rows": rows, "count": count, "warm": _WARM}
            self.times.setdefault((task, rows), []).extend(self.peer.ask("times", **given))
        except RuntimeError as error:
            self.cannot[task] = str(error)


def measured(kinds: list[str], python: str | None, folder: Path, options: Any) -> list[Engine]:
    """The engines, started one by one, checked, and timed in alternate rounds."""
    given = [Path(each).resolve() for each in options.model]
    bundle, model = given or made(options.run, folder)
    inputs, weights = write_inputs(bundle, model, folder)
    paths = {"bundle": bundle, "model": model, "inputs": inputs, "weights": weights}
    named = {name: str(path) for name, path in paths.items()}
    engines, expected = [], dict[str, np.ndarray]()
    for kind in kinds:
        engine = Engine(kind, python, named)
        answers = engine.answers(folder)
        expected = expected or answers
        for task, values in answers.items():
            off = float(np.abs(values - expected[task]).max())
            if off > _EXACT:
                raise RuntimeError(f"{task} by {kind} is {off:.1e} off the bundle's")
        engines.append(engine)
    for _ in range(options.rounds):
        for task in TASKS:
            for rows in BATCHES:
                for engine in engines:
                    engine.round(task, rows)
    return engines


def markdown(engines: list[Engine]) -> Iterator[str]:
    """The table: median and 99th percentile, ms, then rows a second of a core at 1,024."""
    heads = ["engine", "start, s", "memory, MB"]
    heads += [f"{task}, {rows}" for task in TASKS for rows in BATCHES]
    yield "Milliseconds, median / 99th percentile; in brackets rows a second of a core."
    yield ""
    yield f"| {' | '.join(heads)} |"
    yield f"|{'---|' * len(heads)}"
    for engine in engines:
        cells = [KINDS[engine.kind], f"{engine.start:.2f}", f"{engine.memory:.0f}"]
        for task in TASKS:
            for rows in BATCHES:
                times = engine.times.get((task, rows))
                if not times or task in engine.cannot:
                    cells.append("cannot")
                    continue
                middle, most = np.quantile(times, (0.5, 0.99))
                rate = 1e3 * rows / middle / threads()
                cells.append(f"{middle:.2f} / {most:.2f} ({rate:,.0f})")
        yield f"| {' | '.join(cells)} |"
    for engine in engines:
        for task, reason in engine.cannot.items():
            yield f"\n{KINDS[engine.kind]}, {task}: cannot: {reason}"


def main() -> None:
    """Measure and print the table."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("model", nargs="*", help="a bundle's folder and the model's .keras file")
    parser.add_argument("--run", help="a run folder")
    parser.add_argument("--rounds", type=int, default=3)
    parser.add_argument("--peers-python", help="an interpreter that has PyTorch; none goes without")
    parser.add_argument("--without", nargs="+", choices=KINDS, default=[], help="left out")
    parser.add_argument("--json", type=Path, help="a file for all figures")
    options = parser.parse_args()
    if len(options.model) not in (0, 2) or (options.model and options.run):
        parser.error("a bundle and its model, or --run, or neither")
    absent = [] if options.peers_python else ["eager", "compiled"]
    kinds = [kind for kind in KINDS if kind not in (*absent, *options.without)]
    with tempfile.TemporaryDirectory() as folder:
        engines = measured(kinds, options.peers_python, Path(folder), options)
    print("\n".join(markdown(engines)))
    if options.json:
        told = [
            {
                "engine": engine.kind,
                "start_s": engine.start,
                "memory_mb": engine.memory,
                "ms": {f"{task} {rows}": v for (task, rows), v in engine.times.items()},
            }
            for engine in engines
        ]
        options.json.write_text(json.dumps(told, indent=1))
    for engine in engines:
        engine.peer.close()


if __name__ == "__main__":
    main()
