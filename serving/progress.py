"""Whether progress is shown as bars."""

from __future__ import annotations

import sys


def no_bars() -> bool:
    """Whether stderr is neither a terminal nor a notebook's: a file would get every state of a bar.

    Example:
        >>> no_bars() in (True, False)
        True
    """
    return not sys.stderr.isatty() and "ipykernel" not in sys.modules
