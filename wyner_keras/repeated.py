"""Distributions so many times over: to be asked about many values by one call."""

from __future__ import annotations

from dataclasses import fields, is_dataclass, replace
from typing import Any

import numpy as np
from keras import ops


def can_be_repeated(part: Any, rows: int) -> bool:
    """Whether a distribution has nothing but tensors of so many rows, and distributions of such."""
    if is_dataclass(part):
        return all(can_be_repeated(getattr(part, each.name), rows) for each in fields(part))
    return np.shape(part)[:1] == (rows,)


def repeated(part: Any, count: int) -> Any:
    """All rows of a distribution, or of a tensor, so many times; once is itself."""
    if count == 1:
        return part
    if is_dataclass(part) and not isinstance(part, type):
        of_fields = {each.name: repeated(getattr(part, each.name), count) for each in fields(part)}
        return replace(part, **of_fields)
    return ops.tile(part, (count, *[1] * (len(part.shape) - 1)))
