"""The figures of an evaluation, each with that of real digits beside it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple

TITLES = {
    "conditional_accuracy_y": "conditional accuracy, y from x",
    "conditional_accuracy_x": "conditional accuracy, x from y",
    "joint_coherence": "joint coherence",
    "style_accuracy_x": "style transfer accuracy, x",
    "style_accuracy_y": "style transfer accuracy, y",
    "slant_correlation_x": "slant kept, x (correlation within class)",
    "slant_correlation_y": "slant kept, y (correlation within class)",
    "slant_correlation_pooled_x": "slant kept, x (pooled)",
    "slant_correlation_pooled_y": "slant kept, y (pooled)",
    "thickness_correlation_x": "stroke thickness kept, x (within class)",
    "thickness_correlation_y": "stroke thickness kept, y (within class)",
    "thickness_correlation_pooled_x": "stroke thickness kept, x (pooled)",
    "thickness_correlation_pooled_y": "stroke thickness kept, y (pooled)",
    "diversity_y": "within-input diversity, y from x",
    "diversity_x": "within-input diversity, x from y",
    "frechet_y": "Fréchet distance, y from x (lower is better)",
    "frechet_x": "Fréchet distance, x from y",
    "frechet_joint_y": "Fréchet distance, y of joint pairs",
    "frechet_joint_x": "Fréchet distance, x of joint pairs",
    "precision_y": "precision, y from x",
    "precision_x": "precision, x from y",
    "precision_joint_y": "precision, y of joint pairs",
    "precision_joint_x": "precision, x of joint pairs",
    "recall_y": "recall, y from x",
    "recall_x": "recall, x from y",
    "recall_joint_y": "recall, y of joint pairs",
    "recall_joint_x": "recall, x of joint pairs",
}


class Figure(NamedTuple):
    """One figure: the model's, and that of real digits, the ceiling."""

    model: float
    real: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `evaluate` found.

    Args:
        figures: by name; `figures["conditional_accuracy_y"].model`. Accuracies, precision, recall
            are shares in [0, 1]; distances are squared feature units; the rest has no unit.
        counts: how many images each group of figures rests on.
        seed: the seed of the evaluation.
        left_out: why a figure of the model's tasks is not there, by the figure's name: what the
            images would have to be.
    """

    figures: Mapping[str, Figure]
    counts: Mapping[str, int]
    seed: int
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """The model's figure of that name."""
        return self.figures[name].model

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON: `figures` (each `model` and `real`), `counts`, `seed`.

        `left_out` is there where something was.
        """
        figures = {name: figure._asdict() for name, figure in self.figures.items()}
        left_out = {"left_out": dict(self.left_out)} if self.left_out else {}
        return {"figures": figures, "counts": dict(self.counts), "seed": self.seed, **left_out}

    def table(self) -> str:
        """An aligned table in plain text: figure, model, real digits; then what was left out."""
        width = max((len(TITLES[name]) for name in self.figures), default=len("figure"))
        lines = [f"{'figure':<{width}}  {'model':>8}  {'real digits':>11}"]
        lines.append("-" * len(lines[0]))
        for name, (model, real) in self.figures.items():
            digits = 1 if name.startswith("frechet") else 3
            row = f"{TITLES[name]:<{width}}  {model:>8.{digits}f}  {real:>11.{digits}f}"
            lines.append(row)
        for reason in dict.fromkeys(self.left_out.values()):
            titles = [TITLES[name] for name, why in self.left_out.items() if why == reason]
            lines += ["", f"Left out, which needs {reason}:", *(f"- {title}" for title in titles)]
        return "\n".join(lines)
