"""What a page is written from: all that is measured of a model on pairs, asked for once."""

from __future__ import annotations

import math
from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

import numpy as np

from wyner_keras.data import Pairs
from wyner_keras.evaluation.misfits import Misfits
from wyner_keras.evaluation.report import Report
from wyner_keras.model import WynerModel
from wyner_keras.sweeps import Sweep

_AT_ONCE = 1000  # pairs read at once
_MOST = 5000  # pairs that are read
_ROOM = 2**28  # bytes that one side's examples may take
LEAST_PAIRS = 20  # held out, or groups or rows of them, to say anything of
_SIGNIFICANT = 0.05  # p of the test of the pairs, up to which they may depend on one another
_CERTAIN = 0.01  # up to which they do: 0.05 comes of one in 20 sets that share nothing
LEAST_NATS = 0.01  # of a bound that says anything
_SILENT = 1e-3  # nats of every pair, which float32 may be off by
_SURE = 3.0  # standard errors by which partners must be ranked above chance


@dataclass(frozen=True)
class Findings:
    """All that is measured.

    Args:
        report: of `evaluate`.
        nats: of `information.measure`.
        held: fits of the held-out pairs.
        trained: those of the pairs trained on; None without them.
        sweeps: of z, on the held-out pairs.
        shares: of each stage the share of its recipe's epochs that it had, as far as is known.
    """

    report: Report
    nats: Mapping[str, float]
    held: Misfits
    trained: Misfits | None
    sweeps: tuple[Sweep, ...]
    shares: Mapping[str, float] = field(default_factory=dict)

    def figure(self, name: str) -> tuple[float, float] | None:
        """A figure and what stands beside it; None where it is not there."""
        figure = self.report.figures.get(name)
        return None if figure is None else (figure[0], figure[1])

    @property
    def too_few(self) -> bool:
        """Whether there are too few held-out pairs, or groups or rows of them, to say anything."""
        linked = (self.held.groups, self.held.rows)
        few = any(count is not None and count < LEAST_PAIRS for count in linked)
        return len(self.held.ranks) < LEAST_PAIRS or (few and self.held.significance < _SURE)

    @property
    def nothing(self) -> bool:
        """Whether held-out partners are ranked no better than chance has it.

        By three standard errors: of sets of pairs that share nothing one in 740, at most, is taken
        for more.
        """
        return not self.too_few and self.held.significance < _SURE

    @property
    def silent(self) -> bool:
        """Whether z tells nothing of any pair: no pmi differs from 0."""
        return bool(np.abs(self.held.pmi).max() < _SILENT)

    @property
    def dependence(self) -> float | None:
        """The p value of `dependence_test` on the held-out pairs; None where it was not run."""
        return self.report.p_values.get("dependence")

    @property
    def missed(self) -> bool:
        """Whether that test finds what the model does not."""
        return self.nothing and self.dependence is not None and self.dependence <= _SIGNIFICANT

    @property
    def certain(self) -> bool:
        """Whether it leaves no doubt, by the usual measure."""
        return self.dependence is not None and self.dependence <= _CERTAIN

    @property
    def shared_nats(self) -> float:
        """A lower bound of I(X;Y), by held-out pairs; 0 where it cannot be had.

        It is as it came out: other pairs would move it, see `least_nats`.
        """
        found = self.figure("partner_nats")
        return max(0.0, found[0]) if found and not math.isnan(found[0]) else 0.0

    @property
    def least_nats(self) -> float:
        """The least that the bound may be by other pairs, 95 %; as it is where that is unknown."""
        low = self.report.intervals.get("partner_nats", (self.shared_nats,))[0]
        return self.shared_nats if math.isnan(low) else max(0.0, low)

    @property
    def most_nats(self) -> float:
        """The most that the bound can come to on so many pairs."""
        found = self.figure("partner_nats")
        return found[1] if found else 0.0

    @property
    def largest_share(self) -> float:
        """The largest share of the pairs that one value of a kind holds; 0 without kinds."""
        return max((float(each.shares.max()) for each in self.kinds), default=0.0)

    @property
    def kinds(self) -> list[Any]:
        """Sweeps over kinds whose shares are known."""
        return [each for each in self.sweeps if not each.quantity and each.shares is not None]


@dataclass(frozen=True)
class Read:
    """Held-out pairs as the model reads them.

    Args:
        rows: by side, `(pairs, *shape)`.
        labels: by side, `(pairs,)`, or None.
        points: mean of samples of q(z|x,y), `(pairs, size)`.
        posteriors: what tells q(z|x,y).
    """

    rows: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray | None]
    points: np.ndarray
    posteriors: list[np.ndarray]

    @classmethod
    def of(cls, model: WynerModel, pairs: Pairs, seed: int) -> Read:
        """At most 5,000 pairs, or as many as fit into 256 MiB a side, drawn at random."""
        room = _ROOM // (4 * max(math.prod(side.modality.shape) for side in model.sides))
        pairs = pairs.take(min(len(pairs), _MOST, max(1, room)), seed=seed)
        rows = {
            side.name: side.modality.check(store.take(pairs.index[:, column]), side.name)
            for column, (side, store) in enumerate(zip(model.sides, pairs.stores, strict=True))
        }
        rng, points, outputs = np.random.default_rng(seed), [], []
        for start in range(0, len(pairs), _AT_ONCE):
            part = slice(start, start + _AT_ONCE)
            q = model.joint_z({side.name: rows[side.name][part] for side in model.sides})
            count = len(rows["x"][part])
            samples = [np.asarray(q.sample(model.z.draw_noise(rng, count))) for _ in range(8)]
            points.append(np.mean(samples, axis=0))
            outputs.append([np.asarray(each) for each in q.outputs()])
        return cls(
            rows,
            {"x": pairs.x_labels, "y": pairs.y_labels},
            np.concatenate(points),
            [np.concatenate(each) for each in zip(*outputs, strict=True)],
        )

    def nearest(self, sweep: Sweep) -> np.ndarray:
        """Of each pair the step of a sweep that it lies nearest to, and how far, `(2, pairs)`.

        Only those elements of z count that the sweep changes.
        """
        changed = sweep.values.std(axis=0) > 0
        points, values = self.points[:, changed], sweep.values[:, changed]
        far = np.linalg.norm(points[:, None] - values[None], axis=-1)
        return np.stack([far.argmin(axis=1), far.min(axis=1)])
