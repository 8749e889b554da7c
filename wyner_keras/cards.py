"""What a model card says of a model, in Markdown: its sides, its latents, how well it does."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from wyner_keras.evaluation.report import NAMED, TITLES

_WORDS = {"image": "images", "vector": "vectors", "series": "series"}
# How the names begin of figures that a classifier reads off.
_OF_A_CLASSIFIER = ("conditional_accuracy", "joint_coherence", "style_accuracy")
_OF_EVERY_LATENT = ("family", "size", "noise", "pmi")
_MOST_COLUMNS = 20  # that are named


def words(entry: Mapping[str, Any]) -> str:
    """What the examples of a side are called, by what a model says of the side."""
    return _WORDS.get(entry["kind"], "examples")


def side_text(name: str, side: Mapping[str, Any]) -> str:
    """What the examples of a side are."""
    shape, columns = " × ".join(map(str, side["shape"])), side.get("columns")
    if columns is None:
        how = {
            "image": f"{shape}, height × width × channels, intensities in [0, 1]",
            "series": f"{shape}, time × channels",
        }.get(side["kind"], f"of kind {side['kind']}, {shape}")
        return f"- {name}: {words(side)}, {how}"
    named = [f"{column['name']} ({column['kind']})" for column in columns[:_MOST_COLUMNS]]
    rest = ", …" if len(columns) > _MOST_COLUMNS else ""
    missing = ", of which any may be missing" if side.get("missing") else ""
    return f"- {name}: {words(side)} of {shape} columns{missing}: {', '.join(named)}{rest}"


def latent_text(name: str, latent: Mapping[str, Any] | None) -> str:
    """What a latent is."""
    if latent is None:
        return f"- {name}: none"
    own = [f"{key} {value}" for key, value in latent.items() if key not in _OF_EVERY_LATENT]
    return f"- {name}: {latent['family']}, {', '.join(own) or latent['size']}"


def nats_text(nats: Mapping[str, float | None] | None) -> list[str]:
    """What z holds; nothing where that is not known."""
    names = ("i_xy_z", "i_x_z", "i_y_z")
    # None stands for a number that was not finite.
    values = [(nats or {}).get(name) for name in names]
    if None in values:
        return []
    # Of a continuous z they are bounds from below.
    bound = " or more" if "i_xy_z_upper" in (nats or {}) else ""
    pair, x, y = (f"{value:.2f}{bound}" for value in values)
    return [f"- on held-out pairs, z holds {pair} nats of x and y, {x} of x alone, {y} of y alone"]


def figures_text(metrics: Mapping[str, Any] | None) -> list[str]:
    """The table of figures, how they were come by, and which are not there."""
    metrics = metrics or {}
    figures: Mapping[str, Any] = metrics.get("figures") or {}
    left_out: Mapping[str, str] = metrics.get("left_out") or {}
    if not figures and not left_out:
        return ["This model was exported without judged figures."]
    lines: list[str] = []
    if figures:
        lines += ["| figure | unit | model | beside it | which is |", "|---|---|---|---|---|"]
        lines += [_row(name, figure) for name, figure in figures.items()]
        lines += ["", _how_judged(figures)]
        values = [_of(figure, of) for figure in figures.values() for of in ("model", "beside")]
        if None in values:
            lines += ["", "A – stands for what came out as no finite number."]
    for reason in dict.fromkeys(left_out.values()):
        titles = [TITLES.get(name, name) for name, why in left_out.items() if why == reason]
        lines += [*([""] if lines else []), f"Left out, which needs {reason}:", ""]
        lines += [f"- {title}" for title in titles]
    return lines


def _row(name: str, figure: Any) -> str:
    """A figure, of a later version's by its own name."""
    kind = NAMED.get(name)
    title, unit, what, digits = (name, "", "", 3)
    if kind is not None:
        ends = [_of(figure, "low"), _of(figure, "high")]
        what = kind.stands_beside(None if None in ends else ends, _of(figure, "p_value"))
        title, unit, digits = kind.title, kind.unit, kind.digits
    values = (_of(figure, of) for of in ("model", "beside"))
    model, beside = ("–" if value is None else f"{value:.{digits}f}" for value in values)
    return f"| {title} | {unit} | {model} | {beside} | {what} |"


def _how_judged(figures: Mapping[str, Any]) -> str:
    if not any(name.startswith(_OF_A_CLASSIFIER) for name in figures):
        return "Measured on held-out pairs, without a classifier of labels."
    return (
        "Measured on held-out pairs; accuracies and coherence are read by a classifier that was "
        "trained on training data only."
    )


def _of(figure: Any, of: str) -> Any:
    return figure.get(of) if isinstance(figure, Mapping) else None
