"""The figures of an evaluation, each beside what it is to be compared with."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from typing import TYPE_CHECKING, Any, NamedTuple

if TYPE_CHECKING:
    from wyner_keras.evaluation.memory import Memory

IMPORTANCE_SAMPLES = 64  # K of the bounds of log-likelihood


class Kind(NamedTuple):
    """What a figure is, and what stands beside it; its title names {made} and {given} sides.

    {local} is the local latent of {made}.
    """

    title: str
    unit: str
    beside: str
    digits: int = 3  # after the point, in a table

    def stands_beside(self, interval: Sequence[float] | None, p_value: float | None) -> str:
        """What stands beside it in a table, its interval and its p value where it has them."""
        said = self.beside
        if interval is not None:
            low, high = (f"{end:z.{self.digits}f}" for end in interval)
            said += f"; 95 %: {low} to {high}"
        return said if p_value is None else f"{said}; p = {p_value:.3f}"


KINDS = {
    "conditional_accuracy": Kind("conditional accuracy, {made} from {given}", "share", "ceiling"),
    "joint_coherence": Kind("joint coherence", "share", "ceiling"),
    "style_accuracy": Kind("style transfer accuracy, {made}", "share", "ceiling"),
    "found_first": Kind("own {made} ranked first by {given} (R@1)", "share", "chance"),
    "found_in_5": Kind("own {made} in the first 5 by {given} (R@5)", "share", "chance"),
    "median_rank": Kind("median rank of own {made} by {given}", "rank", "chance", 1),
    "partner_nats": Kind("what z tells of the partner (InfoNCE)", "nats", "most", 2),
    "dependence": Kind("x and y depend on one another", "deviations", "shuffled, 95 %", 1),
    "two_sample_joint": Kind("joint pairs told from real ones", "share", "perfect"),
    "two_sample": Kind("{made} from {given} told from real {made}", "share", "perfect"),
    "two_sample_shuffled": Kind(
        "generated x and y of different z told from real pairs", "share", "real x and y, shuffled"
    ),
    "leakage_z": Kind("what {local} tells of z (InfoNCE)", "nats", "shuffled, 95 %"),
    "leakage_z_variance": Kind("variance of z that {local} explains", "share", "shuffled, 95 %"),
    "leakage_partner": Kind("what {local} tells of {given} (InfoNCE)", "nats", "shuffled, 95 %"),
    "leakage_partner_variance": Kind(
        "variance of {given} that {local} explains", "share", "shuffled, 95 %"
    ),
    "memory": Kind(
        "nearer to training rows than held-out rows are, {made} from {given}", "share", "no copies"
    ),
    "memory_joint": Kind(
        "nearer to training rows than held-out rows are, {made} of joint pairs",
        "share",
        "no copies",
    ),
    "fit": Kind("conditional fit, {made}: gain on a shuffled {given}", "share", "no use of it"),
    "fit_joint": Kind("conditional fit, {made}: gain on joint samples", "share", "no use of it"),
    "reconstruction": Kind("variance of {made} reconstructed", "share", "ceiling"),
    "reconstruction_binary": Kind("binary columns of {made} right", "share", "commonest value"),
    "reconstruction_categorical": Kind("categories of {made} right", "share", "commonest value"),
    **{
        f"{name}{which}": Kind(f"{title} of {of}, K = {IMPORTANCE_SAMPLES}", *rest)
        for which, of in (
            ("", "{made} given {given}"),
            ("_marginal", "{made}"),
            ("_joint", "x and y"),
        )
        for name, title, *rest in (
            ("log_likelihood", "log-likelihood, at least,", "nats", "standard error", 2),
            ("bits", "code length, at most,", "bits a value", "standard error"),
        )
    },
    "noise_scale": Kind(
        "noise of {made}: of an image's range, else of deviations", "share", "no use of latents"
    ),
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
    if "{" not in kind.title:
        return {name: kind}
    return {
        f"{name}_{made}": kind._replace(
            title=kind.title.format(made=made, given=given, local=local)
        )
        for made, given, local in (("y", "x", "v"), ("x", "y", "u"))
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
        intervals: of figures that have one, 95 %.
        p_values: of figures that are tests: how often shuffled examples give as much.
        nearest: by figure ("memory_y" say) the samples that lie nearest to training rows, and
            the positions of those rows in their store; see `wyner_keras.evaluation.Memory`.
    """

    figures: Mapping[str, Figure]
    counts: Mapping[str, int]
    seed: int
    left_out: Mapping[str, str] = field(default_factory=dict)
    intervals: Mapping[str, tuple[float, float]] = field(default_factory=dict)
    p_values: Mapping[str, float] = field(default_factory=dict)
    nearest: Mapping[str, Memory] = field(default_factory=dict, compare=False)

    def __getitem__(self, name: str) -> float:
        """The model's figure of that name."""
        return self.figures[name].model

    def to_dict(self) -> dict[str, Any]:
        """Plain values, ready for JSON; `left_out` and `nearest` are there where something is.

        A figure that has an interval has "low" and "high" too, and "p_value" if it is a test.
        """
        figures: dict[str, Any] = {}
        for name, figure in self.figures.items():
            figures[name] = figure._asdict()
            if name in self.intervals:
                figures[name] |= zip(("low", "high"), self.intervals[name], strict=True)
            if name in self.p_values:
                figures[name]["p_value"] = self.p_values[name]
        extra: dict[str, Any] = {"left_out": dict(self.left_out)} if self.left_out else {}
        if self.nearest:
            extra["nearest"] = {name: each.to_dict() for name, each in self.nearest.items()}
        return {"figures": figures, "counts": dict(self.counts), "seed": self.seed, **extra}

    @classmethod
    def from_dict(cls, values: Mapping[str, Any]) -> Report:
        """The report again, from `to_dict`'s values, but for `nearest`; None is NaN there.

        Raises:
            KeyError, TypeError, ValueError, AttributeError: if they are not such values.
        """

        def number(value: Any) -> float:
            return float("nan") if value is None else float(value)

        figures = values["figures"]
        unknown = sorted({*figures, *values.get("left_out", {})} - {*NAMED})
        if unknown:
            raise ValueError(f"figures should be known by name. Received: {unknown[0]!r:.80}")
        return cls(
            figures={
                name: Figure(number(each["model"]), number(each["beside"]))
                for name, each in figures.items()
            },
            counts=dict(values["counts"]),
            seed=values["seed"],
            left_out=dict(values.get("left_out", {})),
            intervals={
                name: (number(each["low"]), number(each["high"]))
                for name, each in figures.items()
                if "low" in each
            },
            p_values={
                name: number(each["p_value"]) for name, each in figures.items() if "p_value" in each
            },
        )

    def table(self) -> str:
        """An aligned table in plain text, then what was left out and what that needs."""
        rows = [("figure", "unit", "model", "beside", "")]
        for name, figure in self.figures.items():
            kind = NAMED[name]
            model, beside = (f"{value:z.{kind.digits}f}" for value in figure)
            said = kind.stands_beside(self.intervals.get(name), self.p_values.get(name))
            rows.append((kind.title, kind.unit, model, beside, said))
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
