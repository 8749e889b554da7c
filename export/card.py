"""The model card of a bundle, in Markdown."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wyner_export.rounding import UNITS
from wyner_keras.evaluation.report import TITLES

_FIGURES = {
    "conditional_accuracy_y": "conditional accuracy, y from x",
    "conditional_accuracy_x": "conditional accuracy, x from y",
    "joint_coherence": "joint coherence",
    "style_accuracy_x": "style transfer accuracy, x",
    "style_accuracy_y": "style transfer accuracy, y",
    "slant_correlation_x": "slant kept, x",
    "slant_correlation_y": "slant kept, y",
    "diversity_y": "within-input diversity, y from x",
    "diversity_x": "within-input diversity, x from y",
    "frechet_y": "Fréchet distance, y from x",
    "frechet_x": "Fréchet distance, x from y",
}
# How the names begin of figures that take a classifier.
_OF_A_CLASSIFIER = ("conditional_accuracy", "joint_coherence", "style_accuracy", "frechet")


def _latent_text(name: str, latent: dict[str, Any] | None) -> str:
    if latent is None:
        return f"- {name}: none"
    if latent["family"] == "categorical":
        one = latent["n"] == 1
        count = "one categorical variable" if one else f"{latent['n']} categorical variables"
        return f"- {name}: {count} with {latent['k']} values" + ("" if one else " each")
    return f"- {name}: Gaussian with {latent['dim']} dimensions"


def _nats_text(nats: dict[str, float | None] | None) -> list[str]:
    names = ("i_xy_z", "i_x_z", "i_y_z")
    # None stands for a number that was not finite.
    values = [(nats or {}).get(name) for name in names]
    if None in values:
        return []
    pair, x, y = (f"{value:.2f}" for value in values)
    return [f"- on held-out pairs, z holds {pair} nats of x and y, {x} of x alone, {y} of y alone"]


def _figures_text(metrics: Mapping[str, Any] | None) -> list[str]:
    """The table of figures, how they were come by, and which are not there."""
    metrics = metrics or {}
    figures: Mapping[str, Any] = metrics.get("figures") or {}
    left_out: Mapping[str, str] = metrics.get("left_out") or {}
    shown = {name: figures[name] for name in _FIGURES if name in figures}
    if not shown and not left_out:
        return ["This model was exported without judged figures."]
    lines: list[str] = []
    if shown:
        lines += ["| figure | model | real images |", "|---|---|---|"]
        lines += [
            f"| {_FIGURES[name]} | {_cell(figure, 'model')} | {_cell(figure, 'real')} |"
            for name, figure in shown.items()
        ]
        lines += ["", _how_judged(shown)]
        if any(_value(figure, of) is None for figure in shown.values() for of in ("model", "real")):
            lines += ["", "A – stands for what came out as no finite number."]
    for reason in dict.fromkeys(left_out.values()):
        titles = [TITLES.get(name, name) for name, why in left_out.items() if why == reason]
        lines += [*([""] if lines else []), f"Left out, which needs {reason}:", ""]
        lines += [f"- {title}" for title in titles]
    return lines


def _how_judged(shown: Mapping[str, Any]) -> str:
    read = [name for name in shown if name.startswith(_OF_A_CLASSIFIER)]
    if not read:
        return "Measured on held-out images, without a classifier."
    if len(read) == len(shown):
        return "Judged on held-out images by a classifier trained on training images only."
    return (
        "Judged on held-out images; accuracies, coherence and distances by a classifier trained on "
        "training images only."
    )


def _value(figure: Any, of: str) -> float | None:
    return figure.get(of) if isinstance(figure, Mapping) else None


def _cell(figure: Any, of: str) -> str:
    value = _value(figure, of)
    return "–" if value is None else f"{value:.3f}"


def _engines_text(parity: Mapping[str, float]) -> str:
    worst = max(parity.values(), default=0.0)
    return (
        "Keras, SavedModel and ONNX were compared on the same images and noise when this was "
        f"written. They differed by at most {worst:.1e}, and in no row by more than rounding does: "
        f"by how much this model's answers change when inputs and weights move by {UNITS} units in "
        "the last place (float32). Rows that rounding alone would visibly change were left out. "
        "The weights are the same, bit for bit."
    )


def model_card(manifest: dict[str, Any]) -> str:
    """What the model is, what it was trained on, how well it does, and how to use the bundle.

    Args:
        manifest: of the bundle; its `metrics` may lack figures, and hold None for those that are
            not finite.
    """
    shapes = manifest["images"]
    lines = [
        f"# {manifest['name']}",
        "",
        "A W-model: a common latent z of pairs (x, y) and local latents u of x, v of y.",
        "",
        f"- pairs: {manifest['pairing']['meaning']}",
        f"- x: images {tuple(shapes['x'])}, y: images {tuple(shapes['y'])}, height × width × "
        "channels, intensities in [0, 1]",
        *(_latent_text(name, latent) for name, latent in manifest["latents"].items()),
        *_nats_text(manifest["nats"]),
        "",
        "## How well it does",
        "",
        *_figures_text(manifest["metrics"]),
        "",
        "## What it is not for",
        "",
        "It generates images like those it was trained on, and reads a concept into whatever it is "
        "given: an image of anything else gets an answer too, and a wrong one.",
        "",
        "## Files",
        "",
        "`onnx/` holds a graph a task and a part (opset "
        f"{manifest['opset']}), `saved_model/wyner/1` the same as signatures for TensorFlow "
        "Serving, `samples/` images to try it on. Noise is an input everywhere. "
        f"{_engines_text(manifest['parity'])}",
        "",
    ]
    return "\n".join(lines)
