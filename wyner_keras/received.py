"""What an error message says of a value: its type, shape and dtype, never what an array holds."""

from __future__ import annotations

import dataclasses
import numbers
from collections.abc import Callable, Mapping
from typing import Any

_LONGEST = 80  # characters of a value's own text
_SHORT = (str, bytes, numbers.Number)
_MOST = 3  # elements of a list that are named


def received(value: Any) -> str:
    """Says in a few words what a value is, for the end of an error message.

    Args:
        value: anything.

    Returns:
        One short line: numbers, strings and short lists of them as they are written; of arrays,
        tensors, datasets, images and pairs the type, shape and dtype; of anything else the type.

    Example:
        >>> import numpy as np
        >>> received(np.zeros((10, 28, 28, 1), "float32"))
        'an array (10, 28, 28, 1) float32'
        >>> received([1, "two", None])
        "[1, 'two', None]"
        >>> received((np.zeros((2, 3)), {"a": 1}))
        'a tuple of 2: an array (2, 3) float64, a dict of 1: a: 1'
    """
    text = _plain(value)
    if text is not None:
        return _cut(text)
    if isinstance(value, type):
        return f"the class {value.__name__}"
    name = type(value).__name__
    if isinstance(value, Mapping):
        say = _sayer(value)
        parts = [f"{_cut(str(key), 20)}: {say(each)}" for key, each in _first(value.items())]
        return _listed(name, len(value), parts)
    if isinstance(value, list | tuple | set | frozenset):
        return _listed(name, len(value), [*map(_sayer(value), _first(value))])
    if hasattr(value, "element_spec"):
        # Of a tf.data.Dataset, which is not asked for an element.
        return f"a dataset of {received(value.element_spec)}"
    if hasattr(type(value), "__received__"):
        return str(value.__received__())
    shape, dtype = getattr(value, "shape", None), getattr(value, "dtype", None)
    if shape is not None and dtype is not None:
        kind = "an array" if "array" in name.lower() else "a tensor"
        return f"{kind} {_shape(shape)} {_name(dtype)}"
    return f"{'an' if name[:1].upper() in 'AEIOU' else 'a'} {name}"


def _plain(value: Any) -> str | None:
    """The text of what is short by nature, or None."""
    if value is None or isinstance(value, _SHORT):
        return repr(value)
    listed = type(value) in (list, tuple) and len(value) <= 2 * _MOST
    if listed and all(each is None or isinstance(each, _SHORT) for each in value):
        return repr(value)
    if dataclasses.is_dataclass(value) and not isinstance(value, type):
        # A latent says its sizes.
        fields = [getattr(value, field.name) for field in dataclasses.fields(value)]
        if all(_plain(each) is not None for each in fields):
            return repr(value)
    return None


def _cut(text: str, longest: int = _LONGEST) -> str:
    return text if len(text) <= longest else f"{text[: longest - 1]}…"


def _sayer(values: Any) -> Callable[[Any], str]:
    """What says an element: of what is in a long list, lists are not opened."""
    return received if len(values) <= 2 * _MOST else _closed


def _closed(value: Any) -> str:
    if isinstance(value, Mapping | list | tuple | set | frozenset):
        return _listed(type(value).__name__, len(value), [])
    return received(value)


def _first(values: Any) -> list[Any]:
    return [each for _, each in zip(range(_MOST), values, strict=False)]


def _listed(name: str, count: int, parts: list[str]) -> str:
    rest = ", …" if count > len(parts) else ""
    return f"a {name} of {count}" + (f": {', '.join(parts)}{rest}" if parts else "")


def _shape(shape: Any) -> str:
    try:
        return str(tuple(shape))
    except (TypeError, ValueError):  # a tensor of unknown rank
        return "of unknown shape"


def _name(dtype: Any) -> str:
    return str(getattr(dtype, "name", dtype))
