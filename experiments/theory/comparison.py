"""Estimates of the base model beside closed forms, a numerical solution and bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from experiments.theory.base_model import CommonLatent, Point, trade_off_curve
from experiments.theory.sources import (
    DiscreteSource,
    GaussianSource,
    Source,
    labels_beside_bits,
    noisy_bits,
)
from wyner_keras.information import wyner_common_information
from wyner_keras.latents import Categorical, DiagonalGaussian

# Values of λ, all below the one at which a source's best Z becomes empty.
_WEIGHTS = (0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)
_QUICK_WEIGHTS = (0.4, 0.1, 0.02, 0.005)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A base model's points on one source as λ falls.

    Args:
        source: the source.
        z: the common latent.
        points: one for each λ.
        main: whether its last point is the source's estimate.
    """

    source: Source
    z: CommonLatent
    points: list[Point]
    main: bool

    @property
    def states(self) -> str:
        """|Z| as text."""
        return f"|Z| = {self.z.k}" if isinstance(self.z, Categorical) else "Gaussian Z"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One source: what is known, and what was estimated, in nats; None where there is no value.

    Args:
        source: its name.
        closed_form: C(X;Y).
        solver: C(X;Y) by the solver for discrete tables.
        estimate: I(X,Y;Z) of the trained base model at its smallest λ.
        expected: I(X,Y;Z) that the theory gives for that λ.
        gap: (estimate − closed form) / closed form.
        slack: of the trained model, eq. (3); see `Point`.
        mutual_information: I(X;Y), the lower bound.
        entropy: the smaller of H(X), H(Y), the upper bound.
    """

    source: str
    closed_form: float
    solver: float | None
    estimate: float
    expected: float
    gap: float
    slack: float
    mutual_information: float
    entropy: float | None


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """The result: one row for each source, and the curves behind the estimates."""

    rows: list[Row]
    curves: list[Curve]

    def to_dict(self) -> dict[str, Any]:
        """JSON-able values: `table`, and `curves` with one row for each point."""
        return {"table": [asdict(row) for row in self.rows], "curves": list(self._points())}

    def _points(self) -> Iterator[dict[str, Any]]:
        for curve in self.curves:
            for point in curve.points:
                information, slack = curve.source.relaxed(point.weight)
                yield {
                    "source": curve.source.name,
                    "z": curve.states,
                    **asdict(point),
                    "theory_information": information,
                    "theory_slack": slack,
                }

    def table(self) -> str:
        """An aligned table in plain text, nats."""
        heads = ("closed form", "solver", "estimate", "gap", "slack", "I(X;Y)", "min H")
        width = max(len(row.source) for row in self.rows)
        lines = [f"{'nats':<{width}}" + "".join(f"  {head:>11}" for head in heads)]
        lines.append("-" * len(lines[0]))
        for row in self.rows:
            values = (row.closed_form, row.solver, row.estimate, row.gap, row.slack)
            cells = [
                "–" if value is None else f"{value:+.2%}" if head == "gap" else f"{value:.4f}"
                for head, value in zip(
                    heads, (*values, row.mutual_information, row.entropy), strict=True
                )
            ]
            lines.append(f"{row.source:<{width}}" + "".join(f"  {cell:>11}" for cell in cells))
        return "\n".join(lines)


def compare(
    *, quick: bool = False, seed: int = 0, verbose: bool = True, steps: int | None = None
) -> Comparison:
    """Train base models on four sources and compare their estimates with what is known.

    Args:
        quick: whether to try one Z for each source and fewer values of λ.
        seed: of samples, weights and noise.
        verbose: shows progress on stderr.
        steps: gradient steps for each λ; by default 300, or 200 for `quick`.

    Returns:
        The table and the curves.

    Raises:
        ValueError: if `steps` is below 60.
    """
    weights = _QUICK_WEIGHTS if quick else _WEIGHTS
    steps = steps or (200 if quick else 300)
    curves = []
    for source, z, main in tqdm(_plan(quick), desc="theory", disable=not verbose, leave=False):
        points = trade_off_curve(source, z, weights, steps=steps, seed=seed)
        curves.append(Curve(source=source, z=z, points=points, main=main))
    return Comparison(rows=[_row(curve) for curve in curves if curve.main], curves=curves)


def _plan(quick: bool) -> list[tuple[Source, CommonLatent, bool]]:
    """Source, Z and whether it gives the source's estimate, of each curve."""
    # Sizes of Z; None is a Gaussian one. The first gives the estimate.
    sizes: list[tuple[Source, list[int | None]]] = [
        (noisy_bits(0.1), [2, 8]),
        (GaussianSource(0.5), [None, 2, 4, 16]),
        (GaussianSource(0.9), [None, 2, 4, 16]),
        (labels_beside_bits(10), [16, 4, 8]),
    ]
    return [
        (source, Categorical(n=1, k=k) if k else DiagonalGaussian(dim=1), number == 0)
        for source, each in sizes
        for number, k in enumerate(each[:1] if quick else each)
    ]


def _row(curve: Curve) -> Row:
    source, last = curve.source, curve.points[-1]
    solver = None
    if isinstance(source, DiscreteSource):
        solver = wyner_common_information(source.p_xy).value
    return Row(
        source=source.title,
        closed_form=source.common_information,
        solver=solver,
        estimate=last.information,
        expected=source.relaxed(last.weight)[0],
        gap=last.information / source.common_information - 1,
        slack=last.slack,
        mutual_information=source.mutual_information,
        entropy=source.entropy if math.isfinite(source.entropy) else None,
    )
