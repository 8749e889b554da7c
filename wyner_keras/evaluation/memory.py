"""Whether samples are copies of training rows."""

from __future__ import annotations

import dataclasses
from collections.abc import Callable, Iterable, Iterator
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.stats import rankdata

from wyner_keras.data import Pairs
from wyner_keras.data.apart import NEEDS
from wyner_keras.data.checks import as_real, check_whole
from wyner_keras.evaluation.held import Evaluation, Held
from wyner_keras.evaluation.report import Figure
from wyner_keras.intervals import mann_whitney
from wyner_keras.received import received

Blocks = Callable[[], Iterable[np.ndarray]]

_MOST = 1000  # samples, and held-out rows
_ROWS = 60_000  # of training
_AT_ONCE = 1000  # rows compared at once
_SHOWN = 16  # samples that are named


@dataclass(frozen=True, kw_only=True, eq=False)
class Memory:
    """What `memory_test` found.

    Args:
        share: how often a sample lies nearer to a training row than a held-out row does; 0.5 where
            nothing is copied.
        interval: of the share, 95 %.
        count: how many samples, and how many held-out rows, were compared.
        samples: positions of the samples that lie nearest to training rows, nearest first.
        rows: of each the position of that row.
        distances: of each from that row, in units of the features.
        usual: the median distance of a held-out row from its nearest training row.
        examples: those samples as examples `(n, *shape)`, where `evaluate` made them.
    """

    share: float
    interval: tuple[float, float]
    count: int
    samples: np.ndarray
    rows: np.ndarray
    distances: np.ndarray
    usual: float
    examples: np.ndarray | None = None

    def to_dict(self) -> dict[str, Any]:
        """Which samples and rows, and their distances, as plain values."""
        named = {name: getattr(self, name).tolist() for name in ("samples", "rows", "distances")}
        return {**named, "usual": self.usual}


def memory_test(
    samples: np.ndarray,
    held_out: np.ndarray,
    train: np.ndarray | Blocks,
    *,
    shown: int = _SHOWN,
    seed: int = 0,
) -> Memory:
    """Test whether samples lie nearer to training rows than held-out rows do.

    Of every sample and every held-out row, equally many, two distances are taken: to the nearest
    training row, and to the nearest of the other held-out rows, equally many for both. What counts
    is the first as a share of their sum. The figure is how often a sample's is less than a held-out
    row's, ties counting half. The null: samples are drawn as held-out rows are, 0.5. Copies of
    training rows reach 1. Blurred samples lie near to everything, to both kinds of rows alike: that
    alone is no copy.

    Args:
        samples: features `(n, features)`, 2 rows or more.
        held_out: of independent rows that the model was not trained on.
        train: of those that it was trained on, or a function that gives them block by block.
        shown: how many of the samples nearest to training rows are named.
        seed: of the draw where there are more of samples or of held-out rows.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> train, held_out = np.random.default_rng(0).normal(size=(2, 200, 3))
        >>> memory_test(train, held_out, train).share
        1.0

    Source: Meehan, Chaudhuri and Dasgupta, A non-parametric test to detect data-copying in
    generative models, 2020; distances beside others as in Carlini et al., Extracting training data
    from diffusion models, 2023.
    """
    samples, held_out = (
        _checked(rows, name) for name, rows in (("samples", samples), ("held_out", held_out))
    )
    _same_width(samples, held_out=held_out)
    if not callable(train):
        rows = _checked(train, "train")
        _same_width(samples, train=rows)
        train = lambda: _cut(rows)  # noqa: E731
    check_whole(shown, "`shown`", minimum=1)
    draw = np.random.default_rng(check_whole(seed, "`seed`"))
    count = min(len(samples), len(held_out))
    some = draw.permutation(len(samples))[:count]
    samples, held_out = samples[some], held_out[draw.permutation(len(held_out))[:count]]
    near, place = nearest_rows(np.concatenate([samples, held_out]), train())
    # A held-out row is no neighbour of its own, so each sample does without one, too.
    beside = [nearest_rows(each, _cut(held_out), but_own=True)[0] for each in (samples, held_out)]
    total = near + np.concatenate(beside)
    share = np.divide(near, total, out=np.full(2 * count, 0.5), where=total > 0)
    # Mann and Whitney's U of the held-out rows: how often theirs is the larger.
    larger = rankdata(share)[count:].sum() - count * (count + 1) / 2
    found, first = float(larger / count**2), np.argsort(share[:count], kind="stable")[:shown]
    return Memory(
        share=found,
        interval=mann_whitney(found, count, count),
        count=count,
        samples=some[first],
        rows=place[first],
        distances=near[first],
        usual=float(np.median(near[count:])),
    )


def nearest_rows(
    vectors: np.ndarray, blocks: Iterable[np.ndarray], *, but_own: bool = False
) -> tuple[np.ndarray, np.ndarray]:
    """Find of each vector the nearest row among many, which come in blocks.

    Args:
        vectors: `(n, features)`.
        blocks: of rows, `(rows, features)` each.
        but_own: whether the i-th vector is not compared with the i-th row.

    Returns:
        Distances `(n,)` and the rows' positions `(n,)`, counted over all blocks.

    Example:
        >>> blocks = [np.array([[5.0]]), np.array([[2.0]])]
        >>> distances, rows = nearest_rows(np.array([[1.0]]), blocks)
        >>> distances.tolist(), rows.tolist()
        ([1.0], [1])
    """
    # Far from 0, float32 would lose in its squares what tells neighbours apart.
    centre = np.mean(vectors, axis=0, dtype=np.float64)
    vectors = (vectors - centre).astype(np.float32)
    least, place = np.full(len(vectors), np.inf), np.zeros(len(vectors), np.int64)
    start, each = 0, np.arange(len(vectors))
    for block in blocks:
        rows = (block - centre).astype(np.float32)
        squares = np.square(rows).sum(axis=1) - 2 * vectors @ rows.T  # less |vector|²
        if but_own:
            own = each[(each >= start) & (each < start + len(rows))]
            squares[own, own - start] = np.inf
        best = squares.argmin(axis=1)
        # By differences: in dot products what is near to nothing is rounding.
        found = np.linalg.norm(vectors - rows[best], axis=1).astype(np.float64)
        found[np.isinf(squares[each, best])] = np.inf
        place = np.where(found < least, start + best, place)
        least, start = np.minimum(least, found), start + len(rows)
    return least, place


def _checked(rows: Any, name: str) -> np.ndarray:
    expected = "finite features (n, features), 2 rows or more"
    array = as_real(rows, f"`{name}`", expected)
    if array.ndim != 2 or len(array) < 2 or not np.isfinite(array).all():
        raise ValueError(f"`{name}` should be {expected}. Received: {received(array)}")
    return array


def _same_width(samples: np.ndarray, **others: np.ndarray) -> None:
    for name, rows in others.items():
        if rows.shape[1] != samples.shape[1]:
            raise ValueError(
                f"`samples` and `{name}` should have equally many features. "
                f"Received: {samples.shape[1]} and {rows.shape[1]}"
            )


def _cut(rows: np.ndarray) -> Iterator[np.ndarray]:
    return (rows[start : start + _AT_ONCE] for start in range(0, len(rows), _AT_ONCE))


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """The share for conditional and for joint samples of each side, where `train` is given."""
    found: dict[str, Figure | str] = {}
    for task, kind in (("conditional", "memory"), ("joint", "memory_joint")):
        for made in evaluation.made(task):
            name = f"{kind}_{made.name}"
            if evaluation.train is None or evaluation.apart is None:
                found[name] = "the pairs that it was trained on, `train`"
                if evaluation.train is not None:
                    found[name] = NEEDS
                continue
            test = _tested(evaluation, made, task, evaluation.train, evaluation.apart)
            found[name] = Figure(test.share, 0.5)
            evaluation.counts[name] = test.count
            evaluation.intervals[name] = test.interval
            evaluation.nearest[name] = test
    return found


def nearest_samples(
    model: Any, held_out: Pairs, train: Pairs, *, seed: int = 0
) -> dict[str, Memory]:
    """What `memory_test` finds of a model's conditional samples, by side.

    Args:
        model: as of `evaluate`.
        held_out: pairs that it was not trained on; none is found where too few are independent.
        train: pairs that it was trained on.
        seed: of the draws and of the model's noise.
    """
    evaluation = Evaluation(
        model,
        held_out,
        {},
        train=train,
        inputs=min(_MOST, len(held_out)),
        samples=2,
        styles=3,
        concepts=1,
        bounds=False,
        seed=seed,
    )
    if evaluation.apart is None:
        return {}
    return {
        made.name: _tested(evaluation, made, "conditional", train, evaluation.apart)
        for made in evaluation.made("conditional")
    }


def _tested(
    evaluation: Evaluation, made: Held, task: str, train: Pairs, apart: dict[str, np.ndarray]
) -> Memory:
    samples = made.ask(task)[:_MOST]
    rows, blocks = _training(evaluation, made, train)
    test = memory_test(
        made.space(samples),
        made.space(made.examples[apart[made.name][:_MOST]]),
        blocks,
        seed=evaluation.seed,
    )
    return dataclasses.replace(test, rows=rows[test.rows], examples=samples[test.samples])


def _training(evaluation: Evaluation, made: Held, train: Pairs) -> tuple[np.ndarray, Blocks]:
    """Positions of training rows in their store, and their features in blocks."""
    column = train.names.index(made.name)
    rows = np.union1d(train.index[:, column], train.singles[column])
    store = train.stores[column]
    draw = np.random.default_rng(evaluation.seed)
    rows = np.sort(draw.permutation(rows)[:_ROWS])
    features = getattr(evaluation.model, "features", None)
    if made.side is not None and features is not None:
        # The features of a store's rows are kept: training has them at hand.
        return rows, lambda: _cut(features(made.side, store)[rows])
    check = made.modality.check
    return rows, lambda: (made.space(check(store.take(part), made.name)) for part in _cut(rows))
