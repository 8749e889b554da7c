"""Held-out examples that a run folder keeps."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np

from wyner_keras.data.images import in_turn
from wyner_serving.regular_file import open_regular

SIDES = ("x", "y")


@dataclass(frozen=True)
class Examples:
    """Examples of x and y in pairs, with labels where they are known.

    Args:
        rows: by side, `(n, ...)` of as many rows; images may be bytes.
        labels: by side, `(n,)`, or None.
    """

    rows: Mapping[str, np.ndarray]
    labels: Mapping[str, np.ndarray | None]

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.rows["x"])

    def positions(self, side: str, count: int | None, seed: int, default: int = 10) -> np.ndarray:
        """Positions of examples, one of each class of a side in turn.

        Args:
            side: whose classes.
            count: how many; None takes one of each class, or `default` without labels.
            seed: of the draw.
            default: how many at most where none are asked for.
        """
        labels = self.labels[side]
        if count is None:
            classes = default if labels is None else len(np.unique(labels))
            count = min(default, classes, len(self))
        return in_turn(labels, len(self), count, seed)

    @classmethod
    def of(cls, pairs: Any, count: int, seed: int = 0) -> Examples:
        """Some of `Pairs`: one of each class of x in turn, as they are stored."""
        labels = {"x": pairs.x_labels, "y": pairs.y_labels}
        chosen = in_turn(labels["x"], len(pairs), min(count, len(pairs)), seed)
        index = pairs.index[chosen]
        rows = {
            side: store.take(index[:, column])
            for column, (side, store) in enumerate(zip(SIDES, pairs.stores, strict=True))
        }
        of_chosen = {side: None if of is None else of[chosen] for side, of in labels.items()}
        return cls(rows, of_chosen)

    def to_arrays(self) -> dict[str, np.ndarray]:
        """Arrays by name, for a file; `read` reads them."""
        named = {f"{side}_labels": labels for side, labels in self.labels.items()}
        return {**self.rows, **{name: of for name, of in named.items() if of is not None}}

    @classmethod
    def read(cls, path: Path) -> Examples:
        """The examples of a file.

        Raises:
            ValueError: if it is damaged.
        """
        try:
            with (
                open_regular(path, links=True) as file,
                np.load(file, allow_pickle=False) as arrays,
            ):
                rows = {side: arrays[side] for side in SIDES}
                labels = {side: arrays.get(f"{side}_labels") for side in SIDES}
        except Exception as error:  # a damaged archive fails in its zip, its header or its arrays
            raise ValueError(
                f"{path} should hold held-out pairs. Received: {type(error).__name__}: {error}"
            ) from error
        counts = [len(each) for each in (*rows.values(), *labels.values()) if each is not None]
        if len(set(counts)) > 1:
            raise ValueError(f"{path} should hold as many of each. Received: {counts}")
        return cls(rows, labels)
