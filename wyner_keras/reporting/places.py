"""Where the rows of pairs lie in what the user brought: their numbers, and their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wyner_keras.data import Pairs
from wyner_keras.data.rows import root


class Places:
    """The user's own rows of pairs, whichever part was split off; rows count from 0.

    Args:
        pairs: all or some of the user's.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).random((3, 2))
        >>> _, held_out = Pairs(x, 1 - x).hold_out([False, False, True])
        >>> Places(held_out).title(0)
        'row 2'
    """

    def __init__(self, pairs: Pairs) -> None:
        self.pairs = pairs
        roots = [root(store) for store in pairs.stores]
        self._within = [within for _, within in roots]
        self._files: list[Any] = [getattr(store, "paths", None) for store, _ in roots]
        folders = [str(path.parent) for files in self._files for path in files or ()]
        self._folder = os.path.commonpath(folders) if folders else ""

    def row(self, place: int, column: int) -> int:
        """The row of a pair's x (column 0) or y (1) in the array, table or folder it came from."""
        return self._own(int(self.pairs.index[place, column]), column)

    def file(self, place: int, column: int) -> Path | None:
        """The file of a pair's x or y; None where a row is no file."""
        files = self._files[column]
        return None if files is None else files[self.row(place, column)]

    def called(self, place: int, column: int) -> str:
        """What a pair's x or y is called: its file below the folder of all, or its row."""
        return self.row_called(int(self.pairs.index[place, column]), column)

    def row_called(self, row: int, column: int) -> str:
        """What a row of the store of x or y is called, likewise."""
        files, own = self._files[column], self._own(row, column)
        return f"row {own}" if files is None else self._below(files[own])

    def title(self, place: int) -> str:
        """What a pair is called."""
        x, y = (self.called(place, column) for column in (0, 1))
        return x if x == y else f"x {x}, y {y}"

    def values(self, place: int) -> dict[str, Any]:
        """Rows and files of a pair, JSON-able."""
        found: dict[str, Any] = {}
        for column, name in enumerate(self.pairs.names):
            file = self.file(place, column)
            found[f"row_{name}"] = self.row(place, column)
            found |= {} if file is None else {f"file_{name}": str(file)}
        return found

    def _own(self, row: int, column: int) -> int:
        within = self._within[column]
        return row if within is None else int(within[row])

    def _below(self, file: Path) -> str:
        return os.path.relpath(file, self._folder)


def counted(pairs: Pairs, train: Pairs | None) -> str:
    """What the numbers of rows count, one sentence.

    Args:
        pairs: held out.
        train: those trained on, or None.
    """
    parts = [pairs] if train is None else [pairs, train]
    roots = [[root(store)[0] for store in part.stores] for part in parts]
    apart = any(first is not last for first, last in zip(roots[0], roots[-1], strict=True))
    of = "the data of their own part" if apart else "the data as you brought them"
    alone = any(len(places) for part in parts for places in part.singles)
    but = ", nor are its rows that have nothing of that side" if alone else ""
    return f"Rows count from 0 in {of}; a table's line of names is not counted{but}."
