"""How progress is shown: bars for terminals and notebooks, lines for what keeps all it gets."""

from __future__ import annotations

import sys
from collections.abc import Iterable
from typing import Any


def no_bars() -> bool:
    """Whether stderr is neither a terminal nor a notebook's: a file would get every state of a bar.

    Example:
        >>> no_bars() in (True, False)
        True
    """
    return not sys.stderr.isatty() and "ipykernel" not in sys.modules


def verbosity(shown: bool) -> int:
    """Keras' `verbose`: bars, a line an epoch where there are none, or nothing.

    Example:
        >>> verbosity(False)
        0
    """
    if not shown:
        return 0
    return 2 if no_bars() else 1


def bar(items: Iterable[Any] | None, what: str, unit: str, total: int | None = None) -> Any:
    """A bar of tqdm over items, or of so many to be counted, for what takes longer than 3 seconds.

    Example:
        >>> list(bar([1, 2], "Counting", "number"))
        [1, 2]
    """
    # Here, because it is needed by few.
    from tqdm import tqdm

    return tqdm(items, what, total=total, unit=unit, delay=3, leave=False, disable=no_bars())
