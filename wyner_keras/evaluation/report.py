"""The figures of an evaluation, each beside what it is to be compared with."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any, NamedTuple


class Kind(NamedTuple):
    """What a figure is, and what stands beside it; its title names {made} and {given} sides."""

    title: str
    unit: str
    beside: str
    digits: int = 3  # after the point, in a table


KINDS = {
    "conditional_accuracy": Kind("conditional accuracy, {made} from {given}", "share", "ceiling"),
    "joint_coherence": Kind("joint coherence", "share", "ceiling"),
    "style_accuracy": Kind("style transfer accuracy, {made}", "share", "ceiling"),
    "found_first": Kind("own {made} ranked first by {given} (R@1)", "share", "chance"),
    "found_in_5": Kind("own {made} in the first 5 by {given} (R@5)", "share", "chance"),
    "partner_nats": Kind("what z tells of the partner (InfoNCE)", "nats", "most, log n", 2),
    "fit": Kind("conditional fit, {made}: gain on a shuffled {given}", "share", "no use of it"),
    "fit_joint": Kind("conditional fit, {made}: gain on joint samples", "share", "no use of it"),
    "reconstruction": Kind("variance of {made} reconstructed", "share", "ceiling"),
    "reconstruction_binary": Kind("binary columns of {made} right", "share", "commonest value"),
    "reconstruction_categorical": Kind("categories of {made} right", "share", "commonest value"),
    "slant_correlation": Kind("slant kept, {made}, in class", "correlation", "ceiling"),
    "slant_correlation_pooled": Kind("slant kept, {made}", "correlation", "ceiling"),
    "thickness_correlation": Kind("thickness kept, {made}, in class", "correlation", "ceiling"),
    "thickness_correlation_pooled": Kind("thickness kept, {made}", "correlation", "ceiling"),
    "diversity": Kind("within-input variance, {made}: of a class's", "ratio", "ceiling"),
    "spread": Kind("within-input variance, {made}: of all", "ratio", "no use of input"),
    "frechet": Kind("Fréchet distance, {made} from {given}", "square", "ceiling", 1),
    "frechet_joint": Kind("Fréchet distance, {made} of joint pairs", "square", "ceiling", 1),
    "precision": Kind("precision, {made} from {given}", "share", "ceiling"),
    "precision_joint": Kind("precision, {made} of joint pairs", "share", "ceiling"),
    "recall": Kind("recall, {made} from {given}", "share", "ceiling"),
    "recall_joint": Kind("recall, {made} of joint pairs", "share", "ceiling"),
}


def _of_sides(name: str, kind: Kind) -> dict[str, Kind]:
    """The figure of either side by its name, "frechet_joint_y" say."""
    if "{made}" not in kind.title:
        return {name: kind}
    return {
        f"{name}_{made}": kind._replace(title=kind.title.format(made=made, given=given))
        for made, given in (("y", "x"), ("x", "y"))
    }


NAMED = {name: each for kind in KINDS for name, each in _of_sides(kind, KINDS[kind]).items()}
TITLES = {name: kind.title for name, kind in NAMED.items()}


class Figure(NamedTuple):
    """One figure: the model's, and what stands beside it, see `Kind.beside`."""

    model: float
    beside: float


@dataclass(frozen=True, kw_only=True)
class Report:
    """What `evaluate` found.

    Args:
        figures: by name; `figures["conditional_accuracy_y"].model`. Units are in `KINDS`.
        counts: how many examples each group of figures rests on.
        seed: of the evaluation.
        left_out: what a figure that is not there needs, by the figure's name.
    """

    figures: Mapping[str, Figure]
    counts: Mapping[str, int]
    seed: int
    left_out: Mapping[str, str] = field(default_factory=dict)

    def __getitem__(self, name: str) -> float:
        """The model's figure of that name."""
        return self.figures[name].model

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `left_out` is there where something was."""
        figures = {name: figure._asdict() for name, figure in self.figures.items()}
        left_out = {"left_out": dict(self.left_out)} if self.left_out else {}
        return {"figures": figures, "counts": dict(self.counts), "seed": self.seed, **left_out}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report again, from `to_dict`'s values; what JSON cannot hold is NaN.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if they are not such values.
        """
        nan = float("nan")
        return cls(
            figures={
                name: Figure(
                    **{key: nan if value is None else float(value) for key, value in each.items()}
                )
                for name, each in values["figures"].items()
            },
            counts=dict(values["counts"]),
            seed=values["seed"],
            left_out=dict(values.get("left_out", {})),
        )

    def table(self) -> str:
        """An aligned table in plain text, then what was left out and what that needs."""
        rows = [("figure", "unit", "model", "beside", "")]
        for name, figure in self.figures.items():
            kind = NAMED[name]
            model, beside = (f"{value:.{kind.digits}f}" for value in figure)
            rows.append((kind.title, kind.unit, model, beside, kind.beside))
        wide = [max(map(len, column)) for column in zip(*rows, strict=True)]
        lines = [
            f"{a:<{wide[0]}}  {b:<{wide[1]}}  {c:>{wide[2]}}  {d:>{wide[3]}}  {e:<{wide[4]}}"
            for a, b, c, d, e in rows
        ]
        lines.insert(1, "-" * len(lines[0]))
        for reason in dict.fromkeys(self.left_out.values()):
            titles = [TITLES[name] for name, why in self.left_out.items() if why == reason]
            lines += ["", f"Left out, which needs {reason}:", *(f"- {title}" for title in titles)]
        return "\n".join(line.rstrip() for line in lines)
