"""Public names that were others: the old ones work for one release, with a warning."""

from __future__ import annotations

import warnings

RENAMED: dict[str, str] = {}
"""By old name of `wyner_keras` the new one; an entry lasts for one release."""


def new_name(old: str) -> str | None:
    """The name that took the place of an old one, told by a warning; None where none did.

    Args:
        old: a name of `wyner_keras` that is not there.

    Example:
        >>> new_name("Trainer") is None
        True
    """
    new = RENAMED.get(old)
    if new is not None:
        warnings.warn(
            f"wyner_keras.{old} is called wyner_keras.{new} now; the next release has the new name "
            "alone",
            DeprecationWarning,
            # Who asked, past this function and the module's.
            stacklevel=3,
        )
    return new
