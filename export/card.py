"""The model card of a bundle, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wyner_export.rounding import UNITS
from wyner_keras.cards import figures_text, latent_text, nats_text, side_text


def _engines_text(parity: Mapping[str, float]) -> str:
    worst = max(parity.values(), default=0.0)
    return (
        "Keras, SavedModel and ONNX were compared on the same data and noise when this was "
        f"written. They differed by at most {worst:.1e} (of a column's or channel's deviation, "
        "where data have units), and in no row by more than rounding does: "
        f"by how much this model's answers change when inputs and weights move by {UNITS} units in "
        "the last place (float32). Rows that rounding alone would visibly change were left out. "
        "Kernels and biases are the same, bit for bit where no normalisation scales them."
    )


def model_card(manifest: dict[str, Any]) -> str:
    """What the model is, what it was trained on, how well it does, and how to use the bundle.

    Args:
        manifest: of the bundle; its `metrics` may lack figures, and hold None for those that are
            not finite.
    """
    lines = [
        f"# {manifest['name']}",
        "",
        "A W-model: a common latent z of pairs (x, y) and local latents u of x, v of y.",
        "",
        f"- pairs: {manifest['pairing']['meaning']}",
        *(side_text(name, side) for name, side in manifest["sides"].items()),
        *(latent_text(name, latent) for name, latent in manifest["latents"].items()),
        *nats_text(manifest["nats"]),
        "",
        "## How well it does",
        "",
        *figures_text(manifest["metrics"]),
        "",
        "## What it is not for",
        "",
        "It generates data like those it was trained on, and reads a concept into whatever it is "
        "given: anything else gets an answer too, and a wrong one.",
        "",
        "## Files",
        "",
        "`onnx/` holds a graph a task and a part (opset "
        f"{manifest['opset']}), whose large weights lie beside in `weights.bin`, "
        "`saved_model/wyner/1` the same as signatures for TensorFlow "
        "Serving, `samples/` examples to try it on. Noise is an input everywhere. "
        f"{_engines_text(manifest['parity'])}",
        "",
    ]
    return "\n".join(lines)
