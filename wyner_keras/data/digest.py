"""What tells pairs from others, without all of their rows being read."""

from __future__ import annotations

import hashlib
from typing import Any

import numpy as np

from wyner_keras.data.pairs import Pairs

_LOOKED_AT = 64  # rows of a store


def digest_of(pairs: Pairs) -> dict[str, Any]:
    """How many pairs there are, and a checksum of which and of some of their rows, JSON-able.

    The order of the pairs, rows that they use, groups and singles count, and 64 rows of each side:
    pairs that were left out, added or split in another way have another checksum.

    Args:
        pairs: of any store.

    Example:
        >>> pairs, others = (Pairs(np.eye(4), y) for y in (np.eye(4), 1 - np.eye(4)))
        >>> digest_of(pairs)["pairs"], digest_of(pairs) == digest_of(others)
        (4, False)
    """
    found = hashlib.sha256()
    for values in (pairs.index, *pairs.singles):
        found.update(np.ascontiguousarray(values, "<i8").tobytes())
    if pairs.groups is not None:
        found.update("\n".join(map(str, pairs.groups.tolist())).encode())
    for store in pairs.stores:
        places = np.unique(np.linspace(0, len(store) - 1, _LOOKED_AT).astype(int))
        rows = np.ascontiguousarray(store.take(places))
        found.update(f"{len(store)} {rows.dtype.str} {rows.shape}".encode())
        found.update(rows.tobytes())
    return {"pairs": len(pairs), "sha256": found.hexdigest()}
