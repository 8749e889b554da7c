"""The engines of a bundle and a model, each in a process of its own; see `benchmarks.infer`.

python -m benchmarks.engines KIND BUNDLE MODEL INPUTS
"""

from __future__ import annotations

import functools
import json
import sys
from pathlib import Path
from typing import Any

import numpy as np

from benchmarks.by_hand.serving import serve
from benchmarks.by_hand.talk import threads

_K = 10
_BY_GRAPH = ("generate_y", "transfer_x", "posterior_x_z", "posterior_y_z", "score_pairs")


class _Tasks:
    """A bundle or a model through its public methods."""

    draws = True

    def __init__(self, opened: Any) -> None:
        self._opened = opened

    def generate_y(self, x: np.ndarray) -> np.ndarray:
        """Images y."""
        found: np.ndarray = self._opened.generate_y(x, seed=0)
        return found

    def transfer_x(self, style: np.ndarray, concept: np.ndarray) -> np.ndarray:
        """Images x."""
        found: np.ndarray = self._opened.transfer_x(style=style, concept=concept, seed=0)
        return found

    def gallery(self, y: np.ndarray) -> Any:
        """Of y."""
        return self._opened.gallery_y(y)

    def rank(self, x: np.ndarray, gallery: Any) -> Any:
        """Rows and nats of the best."""
        return tuple(self._opened.rank(x, gallery, k=_K))


class _Graphs:
    """Graphs that are run by name, with noise."""

    def run(self, name: str, **given: np.ndarray) -> list[np.ndarray]:
        """The outputs of a graph."""
        raise NotImplementedError

    def generate_y(self, **given: np.ndarray) -> np.ndarray:
        """Images y."""
        return self.run("generate_y", **given)[0]

    def transfer_x(self, **given: np.ndarray) -> np.ndarray:
        """Images x."""
        return self.run("transfer_x", **given)[0]

    def gallery(self, y: np.ndarray) -> np.ndarray:
        """Posteriors of y."""
        return self.run("posterior_y_z", y=y)[0]

    def rank(self, x: np.ndarray, gallery: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Rows and nats of the best, by the graphs of posteriors and of scores."""
        (queries,) = self.run("posterior_x_z", x=x)
        (nats,) = self.run("score_pairs", x_probabilities=queries, y_probabilities=gallery)
        best = np.argpartition(-nats, _K, axis=1)[:, :_K]
        found = np.take_along_axis(nats, best, 1)
        order = np.argsort(-found, axis=1, kind="stable")
        return np.take_along_axis(best, order, 1), np.take_along_axis(found, order, 1)


class _Signatures(_Graphs):
    """A SavedModel in TensorFlow."""

    def __init__(self, folder: Path) -> None:
        import tensorflow as tf

        manifest = json.loads((folder / "manifest.json").read_text())
        path = folder / manifest["saved_model"]["path"]
        # TensorFlow Serving's folders are of versions.
        path = path if (path / "saved_model.pb").exists() else next(path.glob("[0-9]*"))
        self._loaded, self._constant = tf.saved_model.load(str(path)), tf.constant

    def run(self, name: str, **given: np.ndarray) -> list[np.ndarray]:
        """By the signature."""
        inputs = {key: self._constant(value) for key, value in given.items()}
        return [each.numpy() for each in self._loaded.signatures[name](**inputs).values()]


class _OpenVINO(_Graphs):
    """The bundle's ONNX files in OpenVINO, without the bundle's checks."""

    def __init__(self, folder: Path) -> None:
        import openvino

        manifest, core = json.loads((folder / "manifest.json").read_text()), openvino.Core()
        # Float32 all through, as the others compute.
        how = {
            "INFERENCE_NUM_THREADS": threads(),
            "PERFORMANCE_HINT": "LATENCY",
            "INFERENCE_PRECISION_HINT": "f32",
        }
        self._requests: dict[str, Any] = {}
        self._opened = lambda name: core.compile_model(
            str(folder / manifest["graphs"][name]["file"]), "CPU", how
        ).create_infer_request()

    def run(self, name: str, **given: np.ndarray) -> list[np.ndarray]:
        """By an inference request, made at the graph's first use."""
        if name not in self._requests:
            self._requests[name] = self._opened(name)
        return [np.array(each) for each in self._requests[name].infer(given).values()]


def opened(kind: str, bundle: Path, model: Path) -> Any:
    """The engine of a kind; libraries are imported here, for the time it takes to count."""
    if kind == "signature":
        return _Signatures(bundle)
    if kind == "openvino":
        return _OpenVINO(bundle)
    if kind == "model":
        import keras

        import wyner_keras as wk  # noqa: F401 - registers what the file is of

        return _Tasks(keras.models.load_model(model))
    from wyner_serving import Bundle

    return _Tasks(Bundle.load(bundle, threads=threads()))


if __name__ == "__main__":
    _, name, *paths, inputs = sys.argv
    serve(functools.partial(opened, name, *map(Path, paths)), inputs)
