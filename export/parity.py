"""Proof that Keras, SavedModel and ONNX give the same answers."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import tensorflow as tf

from wyner_export.errors import ExportError
from wyner_export.functions import Graph
from wyner_export.onnx_files import run_onnx
from wyner_export.saved_model import run_saved_model
from wyner_keras.latents import Categorical
from wyner_keras.models import WynerModel

# Images are in [0, 1]; Gaussian latents are of unit variance.
IMAGE_TOLERANCE, LATENT_TOLERANCE = 1e-5, 1e-4


def check_parity(
    model: WynerModel,
    graphs: tuple[Graph, ...],
    onnx_folder: Path,
    saved_model: Path,
    images: dict[str, np.ndarray],
    seed: int = 0,
) -> dict[str, float]:
    """Run every graph in three engines on the same images and noise.

    Args:
        model: the Keras model.
        graphs: of the model.
        onnx_folder: holds `<graph>.onnx`.
        saved_model: the version's folder.
        images: of x and y, `(n, h, w, c)`.
        seed: of the noise.

    Returns:
        The largest difference by graph; 0 for one-hot samples, which must be identical.

    Raises:
        ExportError: if engines differ by more than the tolerance, or an output is not finite.
    """
    loaded = tf.saved_model.load(str(saved_model))
    largest = {}
    for graph in graphs:
        values = graph.example(model, images, seed)
        expected = {name: value.numpy() for name, value in graph.traced(*values).items()}
        found = {
            "SavedModel": run_saved_model(loaded, graph, values),
            "ONNX": run_onnx(onnx_folder / f"{graph.name}.onnx", graph, values),
        }
        largest[graph.name] = 0.0
        for info in graph.outputs:
            family = getattr(model.config, info.latent) if info.latent else None
            tolerance = IMAGE_TOLERANCE if family is None else LATENT_TOLERANCE
            if isinstance(family, Categorical):
                tolerance = 0.0
            if not np.isfinite(expected[info.name]).all():
                raise ExportError(f"{graph.name} gives {info.name} that is not finite")
            for engine, results in found.items():
                difference = float(np.abs(results[info.name] - expected[info.name]).max())
                largest[graph.name] = max(largest[graph.name], difference)
                if not difference <= tolerance:
                    raise ExportError(
                        f"{graph.name}: {info.name} should be the same in Keras and {engine}, "
                        f"within {tolerance:g}. Received: a difference of {difference:g}"
                    )
    return largest
