"""Columns whose values spread over orders of magnitude, which are best read as logarithms."""

from __future__ import annotations

from collections.abc import Sequence

import numpy as np
from numpy.typing import NDArray

_LEAST = 50  # rows; of fewer the quantiles are the extremes
_SHARE = 0.02  # of the values on either side that are not looked at
# What a logarithm gains at least, in nats, and by how much more in few rows: among a thousand
# columns of exponential values hardly one gains so much, of log-normal ones of a spread of 1 most.
_GAIN, _GAIN_BY_ROOT = 0.3, 4.0
_NAMED = 3  # columns


class Tails:
    """Finds columns that are nowhere negative and so skewed that a logarithm mends it.

    Values of 0, of half of the rows at most, are not judged: no logarithm is there.

    A logarithm stretches as much as it shrinks at the median m. It gains where it shrinks the
    range of the values' middle, q to Q, beyond that: by log((Q - q) / m) - log(log(Q / q)) nats.

    Args:
        columns: places of the columns looked at.
        values: first rows, `(n, all columns)`, by which they are judged; NaN where absent.

    Example:
        >>> values = np.exp(2 * np.random.default_rng(0).normal(size=(500, 1)))
        >>> Tails([0], values).told(["income"])
        "'income' (median 0.90447, 98 % below 54.435)"
    """

    def __init__(self, columns: Sequence[int], values: NDArray[np.floating]) -> None:
        self._of: dict[int, tuple[float, float]] = {}
        for place in columns:
            known = values[:, place]
            known = known[~np.isnan(known)].astype(np.float64)
            if (known < 0).any():
                continue
            some = known[known > 0]
            if len(some) < max(_LEAST, len(known) / 2):
                continue
            known = some
            low, middle, high = np.quantile(known, (_SHARE, 0.5, 1 - _SHARE))
            if low == high:
                continue
            gain = np.log((high - low) / middle) - np.log(np.log(high / low))
            if gain > _GAIN + _GAIN_BY_ROOT / np.sqrt(len(known)):
                self._of[place] = float(middle), float(high)

    def see(self, values: NDArray[np.floating]) -> None:
        """Leaves out columns that have a negative value in more rows `(n, all columns)`."""
        self._of = {at: of for at, of in self._of.items() if not (values[:, at] < 0).any()}

    def told(self, names: Sequence[str]) -> str:
        """What is found, in a few words; nothing where nothing is.

        Args:
            names: of all columns.
        """
        parts = [
            f"{names[place]!r} (median {middle:.5g}, 98 % below {high:.5g})"
            for place, (middle, high) in list(self._of.items())[:_NAMED]
        ]
        more = len(self._of) - len(parts)
        return ", ".join([*parts, *([f"… and {more} more"] if more else [])])
