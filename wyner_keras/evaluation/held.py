"""What is held out, and what a model makes of it; each question is asked once."""

from __future__ import annotations

import functools
import math
from collections.abc import Mapping
from typing import Any

import numpy as np

from wyner_keras.data import Pairs
from wyner_keras.data.apart import pairs_apart
from wyner_keras.evaluation.judge import Judge
from wyner_keras.evaluation.plan import Plan, plans
from wyner_keras.evaluation.spaces import Space, Standard, chunked
from wyner_keras.received import received

TASKS = ("conditional", "joint", "transfer")
_MOST = 10_000  # held-out pairs that are looked at
_DIVERSE = 500  # inputs at most of which several samples are drawn
_ROOM = 2**28  # bytes that one array of examples may take


class Held:
    """Held-out examples of one side, each once, and the model's of that side.

    Attributes:
        name: of the side, "x" or "y".
        modality: what the examples are.
        entry: what the model, or else the modality, says of them.
        examples: float32 `(n, *shape)`.
        partner: of each the position, among the other side's, of one that it is paired with.
        pair: of each the position of the first held-out pair that it is in.
        of_pair: of each held-out pair the position of its example.
        labels: `(n,)`, or None.
        judge: of examples like these; None where none can be had.
        side: the model's; None of a model that shows none.
        other: the other side, whose examples are given to make examples of this one.
        plan: what the model is asked for.
    """

    other: Held
    plan: Plan

    def __init__(
        self, evaluation: Evaluation, pairs: Pairs, column: int, judge: Judge | None
    ) -> None:
        self.evaluation, self.judge, self.name = evaluation, judge, pairs.names[column]
        self.modality: Any = pairs.modalities[column]
        # Its rows, ascending, and of each the first pair that it is in.
        rows, self.pair, self.of_pair = np.unique(
            pairs.index[:, column], return_index=True, return_inverse=True
        )
        self.examples = self.modality.check(pairs.stores[column].take(rows), self.name)
        others = np.unique(pairs.index[:, 1 - column])
        self.partner = np.searchsorted(others, pairs.index[self.pair, 1 - column])
        labels = (pairs.x_labels, pairs.y_labels)[column]
        self.labels = None if labels is None else labels[self.pair]
        entries, sides = (getattr(evaluation.model, name, {}) for name in ("side_entries", "sides"))
        self.entry = entries.get(self.name) or self.modality.describe()
        self.side: Any = {side.name: side for side in sides}.get(self.name)
        self._kept: dict[str, Any] = {}

    def flat(self, examples: np.ndarray) -> np.ndarray:
        """Examples `(n, *shape)` of any `(..., *shape)`."""
        return examples.reshape(-1, *self.modality.shape)

    @functools.cached_property
    def standard(self) -> Standard:
        """Vectors of standardised values, by the mean and deviation of these examples."""
        return Standard(self.examples, self.entry)

    @property
    def space(self) -> Space:
        """The codec's features, or standardised values of a model that shows no codec."""
        if self.side is None:
            return self.standard
        return functools.partial(chunked, self.side.encode)

    def ask(self, question: str) -> np.ndarray:
        """What there is, or what the model makes, of this side.

        Args:
            question: "real", the examples; "conditional", a sample for each input, `(inputs,
                *shape)`; "diverse", several, `(inputs, samples, *shape)`; "joint", `(pairs,
                *shape)`; "transfer", every style with every concept, `(styles, concepts, *shape)`.
        """
        if question not in self._kept:
            self._answer(question)
            if question != "real" and not np.isfinite(self._kept[question]).all():
                raise ValueError(
                    f"The model should make finite examples of {self.name}. Received: NaN or "
                    f"infinity in an answer of the kind {question!r}"
                )
        return self._kept[question]

    def _answer(self, question: str) -> None:
        run, plan, given = self.evaluation, self.plan, self.other.examples
        if question == "real":
            self._kept[question] = self.examples
        elif question == "joint":
            pairs = run.model.generate_pairs(len(plan.joint), seed=run.seed)
            for name, examples in zip(run.sides, pairs, strict=True):
                run.sides[name]._kept[question] = examples
        elif question == "transfer":
            transfer = getattr(run.model, f"transfer_{self.name}")
            style, concept = self.examples[plan.styles], given[plan.concepts]
            self._kept[question] = transfer(style=style, concept=concept, seed=run.seed)
        else:
            generate = getattr(run.model, f"generate_{self.name}")
            inputs, how = given[plan.inputs], {"seed": run.seed}
            if question == "diverse":
                inputs, how = given[plan.diverse], {"seed": run.seed + 1, "samples": run.samples}
            self._kept[question] = generate(inputs, **how)

    def read(self, question: str) -> tuple[np.ndarray, np.ndarray]:
        """Labels and features that the judge reads off an answer; see `ask`."""
        key, judge = f"read {question}", self.judge
        if key not in self._kept and judge is not None:
            self._kept[key] = judge.read(self.flat(self.ask(question)))
        return self._kept[key]

    def features(self, question: str) -> np.ndarray:
        """What an answer is compared on: the judge's features, or else those of its `space`."""
        return self.space(self.ask(question)) if self.judge is None else self.read(question)[1]


class Evaluation:
    """A model, held-out pairs by side, and what is drawn of them.

    Arguments are those of `evaluate`. Of more than 10,000 pairs, or more than fit into 256 MiB, a
    random part is used.

    Attributes:
        sides: x and y, by name.
        tasks: what the model can do.
        pairs: those held out that are looked at.
        train: pairs that the model was trained on, or None.
        counts: how many examples figures rest on; figures add theirs, and so to the next three.
        intervals: of figures, 95 %.
        p_values: of figures that are tests.
        nearest: by side, what samples lie nearest to training rows.
    """

    def __init__(
        self,
        model: Any,
        pairs: Pairs,
        judges: Mapping[str, Judge],
        *,
        train: Pairs | None = None,
        inputs: int | None,
        samples: int,
        styles: int,
        concepts: int,
        bounds: bool,
        seed: int,
    ) -> None:
        self.model, self.samples, self.seed, self.bounds = model, samples, seed, bounds
        self.tasks = tuple(getattr(model, "tasks", TASKS))
        if not self.tasks or not set(self.tasks) <= set(TASKS):
            raise ValueError(
                f"`tasks` of the model should be some of {TASKS}. Received: {received(self.tasks)}"
            )
        self.train = train
        self.counts: dict[str, int] = {}
        self.intervals: dict[str, tuple[float, float]] = {}
        self.p_values: dict[str, float] = {}
        self.nearest: dict[str, Any] = {}
        room = _ROOM // (4 * max(math.prod(modality.shape) for modality in pairs.modalities))
        if len(pairs) > max(2, min(_MOST, room)):
            pairs = pairs.take(max(2, min(_MOST, room)), seed=seed)
        self.pairs = pairs
        self.sides = {
            name: Held(self, pairs, column, judges.get(name))
            for column, name in enumerate(pairs.names)
        }
        drawn = plans(
            {name: len(side.examples) for name, side in self.sides.items()},
            inputs=inputs,
            diverse=max(2, min(_DIVERSE, room // samples)),
            styles=styles,
            concepts=max(1, min(concepts, room // styles)),
            seed=seed,
        )
        for side, other in zip(self.sides.values(), reversed(self.sides.values()), strict=True):
            side.other, side.plan = other, drawn[side.name]

    @functools.cached_property
    def apart(self) -> dict[str, np.ndarray] | None:
        """Of pairs that nothing links the places of x and of y; None where there are too few."""
        try:
            chosen = pairs_apart(self.pairs, seed=self.seed)
        except ValueError:
            return None
        return {name: side.of_pair[chosen] for name, side in self.sides.items()}

    def made(self, task: str) -> list[Held]:
        """The sides that a task makes, y first; none if the model cannot do it."""
        return list(reversed(self.sides.values())) if task in self.tasks else []
