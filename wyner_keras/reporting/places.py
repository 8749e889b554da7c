"""Where the rows of pairs lie in what the user brought: their numbers, and their files."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Any

from wyner_keras.data import Pairs
from wyner_keras.data.rows import line_of, root


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
        return line_of(self.pairs.stores[column], int(self.pairs.index[place, column]))

    def file(self, place: int, column: int) -> Path | None:
        """The file of a pair's x or y; None where a row is no file."""
        return self._file(int(self.pairs.index[place, column]), column)

    def called(self, place: int, column: int) -> str:
        """What a pair's x or y is called: its file below the folder of all, or its row."""
        return self.row_called(int(self.pairs.index[place, column]), column)

    def row_called(self, row: int, column: int) -> str:
        """What a row of the store of x or y is called, likewise."""
        file = self._file(row, column)
        line = line_of(self.pairs.stores[column], row)
        return f"row {line}" if file is None else os.path.relpath(file, self._folder)

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

    def _file(self, row: int, column: int) -> Path | None:
        files, within = self._files[column], self._within[column]
        return None if files is None else files[row if within is None else within[row]]


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
    return f"Rows count from 0 in {of}; a table's line of names is not counted."
