"""What griffe is told of this project's docstrings."""

from __future__ import annotations

import re
from typing import Any

from griffe import Extension


class Examples(Extension):
    """Reads "Example:" as the section that griffe calls "Examples:", of code and its answers."""

    def on_object(self, *, obj: Any, **_: Any) -> None:
        """Rename the section, where it holds code."""
        if obj.is_alias or obj.docstring is None:
            return
        value = obj.docstring.value
        obj.docstring.value = re.sub(
            r"^Example:(?=\n +>>>)", "Examples:", value, flags=re.MULTILINE
        )
