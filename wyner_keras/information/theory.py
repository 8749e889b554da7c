"""The estimates of the base model beside closed forms, a numerical solution and bounds."""

from __future__ import annotations

import math
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

from tqdm import tqdm

from wyner_keras.information.solver import wyner_common_information
from wyner_keras.information.sources import (
    DiscreteSource,
    GaussianSource,
    Source,
    labels_beside_bits,
    noisy_bits,
)
from wyner_keras.information.variational import Point, trace
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent

# Below each source's own λ from which on the best Z is empty.
_WEIGHTS = (0.4, 0.2, 0.1, 0.05, 0.02, 0.01, 0.005)


@dataclass(frozen=True, kw_only=True)
class Curve:
    """A base model's points on one source as λ falls.

    Args:
        source: the source.
        z: the family of the common latent.
        points: one for each λ.
        main: whether its last point is the source's estimate.
    """

    source: Source
    z: Latent
    points: list[Point]
    main: bool

    @property
    def states(self) -> str:
        """|Z| for people."""
        return f"|Z| = {self.z.k}" if isinstance(self.z, Categorical) else "Gaussian Z"


@dataclass(frozen=True, kw_only=True)
class Row:
    """One source: what is known, and what was found. All in nats; None where there is none.

    Args:
        source: its name.
        closed_form: C(X;Y).
        solver: C(X;Y) by the solver for discrete tables.
        estimate: I(X,Y;Z) of the trained base model at its smallest λ.
        expected: I(X,Y;Z) that the theory gives for that λ.
        gap: (estimate − closed form) / closed form.
        slack: of the trained model, eq. (3).
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
class Theory:
    """The result: a row a source, and the curves behind the estimates."""

    rows: list[Row]
    curves: list[Curve]

    def to_dict(self) -> dict[str, Any]:
        """Plain values: `table`, and `curves` with a row for each point."""
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


def _plan(quick: bool) -> list[tuple[Source, list[Latent]]]:
    """Sources, each with its estimate's Z and then the others."""
    gaussian = DiagonalGaussian(dim=1)
    plan: list[tuple[Source, list[int | None]]] = [
        (noisy_bits(0.1), [2, 8]),
        (GaussianSource(0.5), [None, 2, 4, 16]),
        (GaussianSource(0.9), [None, 2, 4, 16]),
        (labels_beside_bits(10), [16, 4, 8]),
    ]
    return [
        (source, [Categorical(n=1, k=k) if k else gaussian for k in sizes[: 1 if quick else None]])
        for source, sizes in plan
    ]


def experiment(
    *, quick: bool = False, seed: int = 0, verbose: bool = True, steps: int | None = None
) -> Theory:
    """Train base models on four sources and compare what they find with what is known.

    Args:
        quick: one size of Z a source and fewer values of λ.
        seed: of samples, weights and noise.
        verbose: shows progress on stderr.
        steps: gradient steps for each λ; by default 300, or 200 for `quick`.

    Returns:
        The table and the curves.

    Raises:
        ValueError: if `steps` is below 60.
    """
    weights = (0.4, 0.1, 0.02, 0.005) if quick else _WEIGHTS
    plan = [
        (source, z, not place) for source, all_z in _plan(quick) for place, z in enumerate(all_z)
    ]
    curves = []
    for source, z, main in tqdm(plan, desc="theory", disable=not verbose, leave=False):
        points = trace(source, z, weights, steps=steps or (200 if quick else 300), seed=seed)
        curves.append(Curve(source=source, z=z, points=points, main=main))
    return Theory(rows=[_row(curve) for curve in curves if curve.main], curves=curves)


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
