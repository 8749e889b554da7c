"""The model card of a bundle, in Markdown."""

from __future__ import annotations

from typing import Any

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


def _latent_text(name: str, latent: dict[str, Any] | None) -> str:
    if latent is None:
        return f"- {name}: none"
    if latent["family"] == "categorical":
        one = latent["n"] == 1
        count = "one categorical variable" if one else f"{latent['n']} categorical variables"
        return f"- {name}: {count} with {latent['k']} values" + ("" if one else " each")
    return f"- {name}: Gaussian with {latent['dim']} dimensions"


def _nats_text(nats: dict[str, float] | None) -> list[str]:
    names = ("i_xy_z", "i_x_z", "i_y_z")
    if nats is None or not all(name in nats for name in names):
        return []
    pair, x, y = (f"{nats[name]:.2f}" for name in names)
    return [f"- on held-out pairs, z holds {pair} nats of x and y, {x} of x alone, {y} of y alone"]


def model_card(manifest: dict[str, Any]) -> str:
    """What the model is, what it was trained on, how well it does, and how to use the bundle."""
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
    ]
    figures = (manifest["metrics"] or {}).get("figures")
    if figures:
        lines += ["| figure | model | real images |", "|---|---|---|"]
        lines += [
            f"| {title} | {figures[name]['model']:.3f} | {figures[name]['real']:.3f} |"
            for name, title in _FIGURES.items()
            if name in figures
        ]
        lines += ["", "Judged on held-out images by a classifier trained on training images only."]
    else:
        lines.append("This model was exported without judged figures.")
    worst = max(manifest["parity"].values())
    lines += [
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
        "Serving, `samples/` images to try it on. Noise is an input everywhere. Keras, SavedModel "
        f"and ONNX differed by at most {worst:.1e} when this was written.",
        "",
    ]
    return "\n".join(lines)
