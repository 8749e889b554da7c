"""Pairs that have nothing to do with one another: what tests of significance may count."""

from __future__ import annotations

import numpy as np

from wyner_keras.data.pairs import Pairs
from wyner_keras.data.splits import linked_lots, rows_of_stores
from wyner_keras.received import received

LEAST = 20  # pairs that a test takes
NEEDS = f"{LEAST} held-out pairs or more, no two linked by a row or a group"


def pairs_apart(pairs: Pairs, *, rows: int | None = None, seed: int = 0) -> np.ndarray:
    """Draw pairs no two of which are linked by rows or groups, one of each lot.

    Two pairs are in one lot where they have a row of x, a row of y or a group in common, or both
    are in one lot with a third. Lots are independent where rows and groups are; pairs of one lot
    are not, and counting them all makes a chance find look sure. A row that is x of one pair and y
    of another links nothing, as among pairs (n, n + 1) of one store: which x goes with which y is
    then still open. But of (a, b) and (b, a), which say the same, one is drawn.

    Args:
        pairs: which may reuse rows and have groups.
        rows: the most pairs to draw; None for all.
        seed: of the draw.

    Returns:
        Positions in `pairs` in random order, at least 20.

    Raises:
        ValueError: where fewer than 20 are apart.

    Example:
        >>> index = np.repeat(np.arange(50)[:, None], 2, axis=0) % [[50, 25]]
        >>> len(pairs_apart(Pairs(np.eye(50), np.eye(50), index)))
        25

    Source: Good, Permutation, parametric and bootstrap tests of hypotheses, 2005, section 3.7, on
    what may be exchanged.
    """
    lots = linked_lots(pairs.stores, pairs.index, pairs.groups, by_side=True)
    order = np.random.default_rng(seed).permutation(len(pairs))
    chosen = order[np.sort(np.unique(lots[order], return_index=True)[1])]
    both = np.sort(rows_of_stores(pairs.stores, pairs.index[chosen]), axis=0)
    chosen = chosen[np.sort(np.unique(both, axis=1, return_index=True)[1])][:rows]
    if len(chosen) < LEAST:
        raise ValueError(
            f"`pairs` should hold {LEAST} pairs or more no two of which are linked by a row or a "
            "group: linked ones must not be exchanged. "
            f"Received: {received(pairs)}, {len(chosen)} of them apart"
        )
    return chosen
