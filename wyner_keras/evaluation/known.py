"""Which pairs a model was trained on, told by their rows."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator

import numpy as np

from wyner_keras.data import Pairs

_AT_ONCE = 1000  # pairs read at once


def trained_on(pairs: Pairs, train: Pairs) -> np.ndarray:
    """Which pairs have the rows of a pair that was trained on, wherever either was read from.

    Args:
        pairs: to be judged on.
        train: those that a model was trained on.

    Returns:
        A mask `(pairs,)`. Pairs of few different values may be alike by chance.

    Example:
        >>> x = np.random.default_rng(0).random((3, 2))
        >>> trained_on(Pairs(x, x), Pairs(x[1:], x[1:])).tolist()
        [False, True, True]
    """
    known = set(_digests(train))
    return np.array([each in known for each in _digests(pairs)])


def _digests(pairs: Pairs) -> Iterator[bytes]:
    """Of each pair a checksum of its rows, as they are after all conversions."""
    for start in range(0, len(pairs), _AT_ONCE):
        sides = pairs.select(slice(start, start + _AT_ONCE)).arrays()
        # −0 is 0.
        flat = [np.ascontiguousarray(side + np.float32(0)) for side in sides]
        for x, y in zip(*flat, strict=True):
            yield hashlib.sha256(x.tobytes() + b"|" + y.tobytes()).digest()
