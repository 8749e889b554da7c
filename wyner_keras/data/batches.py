"""Batches (x, y) as NumPy arrays: of tf.data, PyTorch, Hugging Face, or any iterable of them.

None of these libraries is imported: what is there is told by what it can do.
"""

from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import refuse_masked
from wyner_keras.received import received

Parts = tuple[str | int | None, str | int | None]
"""Names of x and y in a batch that is a dict, or their places in one that is a tuple."""

_INFINITE = -1  # tf.data.INFINITE_CARDINALITY
_READ = 1000  # rows of a table of Hugging Face that are read at once
_MOST_CHANNELS = 4  # of images


def batches_of(
    dataset: Any, parts: Parts = (None, None), channels_first: bool = False, endless: bool = False
) -> Iterator[tuple[NDArray[Any], ...]]:
    """Batches `(x, y)` of a stream, each `(batch, ...)`.

    Args:
        dataset: a tf.data.Dataset, a DataLoader of PyTorch or another iterable, of batches that
            are tuples or dicts; or a Dataset or IterableDataset of Hugging Face.
        parts: which parts of a batch are x and y; None where batches are `(x, y)`.
        channels_first: whether images are `(batch, channels, h, w)`.
        endless: whether it need not end.

    Raises:
        ValueError: when it is no such stream; also while it is gone through.

    Example:
        >>> stream = [{"left": np.eye(2), "right": np.ones((2, 1))}]
        >>> [(x.shape, y.shape) for x, y in batches_of(stream, ("left", "right"))]
        [((2, 2), (2, 1))]
    """
    if (parts[0] is None) != (parts[1] is None):
        raise ValueError(
            f"x and y should both say which part of a batch they are, or neither. Received: {parts}"
        )
    found = _iterable(dataset, parts, endless)
    return (
        tuple(
            _array(part, name, channels_first)
            for name, part in zip("xy", _chosen(batch, parts), strict=True)
        )
        for batch in found
    )


def _iterable(dataset: Any, parts: Parts, endless: bool) -> Iterable[Any]:
    """The batches as the dataset has them."""
    if hasattr(dataset, "element_spec"):
        return _of_tensorflow(dataset, parts, endless)
    if hasattr(dataset, "with_format") and hasattr(dataset, "iter"):
        if parts == (None, None):
            raise ValueError(
                "x and y should name the columns of a Dataset of Hugging Face. Received: None"
            )
        batches: Iterable[Any] = dataset.with_format("numpy").iter(batch_size=_READ)
        return batches
    one_by_one = hasattr(dataset, "__getitem__") and not isinstance(dataset, list | tuple)
    if one_by_one or not hasattr(dataset, "__iter__"):
        raise ValueError(
            "dataset should be a tf.data.Dataset, a Dataset of Hugging Face, or an iterable such "
            "as PyTorch's DataLoader, of batches (x, y), each (batch, ...). "
            f"Received: {received(dataset)}"
        )
    stream: Iterable[Any] = dataset
    return stream


def _of_tensorflow(dataset: Any, parts: Parts, endless: bool) -> Iterable[Any]:
    try:
        specs = _chosen(dataset.element_spec, parts)
    except ValueError:
        specs = ()
    ranked = [hasattr(part, "shape") and part.shape.rank not in (0, 1) for part in specs]
    if not ranked or not all(ranked):
        raise ValueError(
            "dataset should be a tf.data.Dataset of batches (x, y), each (batch, ...). "
            f"Received: {received(dataset)}"
        )
    if not endless and dataset.cardinality().numpy() == _INFINITE:
        raise ValueError("dataset should end, or `count` say where. Received: an infinite dataset")
    batches: Iterable[Any] = dataset.as_numpy_iterator()
    return batches


def _chosen(batch: Any, parts: Parts) -> tuple[Any, ...]:
    """X and y of a batch."""
    if parts == (None, None):
        if isinstance(batch, list | tuple) and len(batch) == 2:
            return tuple(batch)
        raise ValueError(
            "dataset should be of batches (x, y), or x and y should say which part of a batch they "
            f"are. Received: {received(batch)}"
        )
    try:
        if isinstance(batch, Mapping | list | tuple):
            return tuple(batch[part] for part in parts)  # type: ignore[index]
    except (KeyError, IndexError, TypeError):
        pass
    raise ValueError(
        f"batches of the dataset should have the parts {parts}. Received: {received(batch)}"
    )


def _array(part: Any, name: str, channels_first: bool) -> NDArray[Any]:
    """A part of a batch as an array, images with their channels last."""
    refuse_masked(part, name)
    of_torch = hasattr(part, "detach")
    try:
        array = np.asarray(part.detach().cpu().numpy() if of_torch else part)
    except (TypeError, ValueError, RuntimeError) as error:
        raise ValueError(
            f"{name} should be an array (batch, ...) in each batch. "
            f"Received: {received(part)} ({str(error).partition(chr(10))[0]:.160})"
        ) from error
    if array.ndim != 4:
        return array
    if channels_first:
        return np.moveaxis(array, 1, -1)
    if of_torch and array.shape[1] <= _MOST_CHANNELS < array.shape[3]:
        raise ValueError(
            f"{name} should be images (batch, h, w, channels); channels_first=True takes them as "
            f"PyTorch has them. Received: shape {array.shape}"
        )
    return array
