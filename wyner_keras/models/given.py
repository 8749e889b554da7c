"""What a model of pairs is given to reconstruct: pairs, checked before any work."""

from __future__ import annotations

from typing import Any

import numpy as np
import tensorflow as tf

from wyner_keras.data import Pairs, check_images
from wyner_keras.received import received

Tensor = Any
_OTHER = {"x": "y", "y": "x"}
# Written where an argument was left out: None is something that a user may give.
NOTHING = object()


def check_pair(model: Any, given: Any) -> tuple[Tensor, Tensor]:
    """Checks that something is one pair (x, y) of batches, by shapes and dtypes alone.

    Args:
        model: the model of pairs that is to reconstruct it.
        given: what a user gave.

    Returns:
        x and y, as they were.

    Raises:
        ValueError: if it is anything else; the message says which method takes it.
    """
    if _is_array(given):
        raise ValueError(f"{_wanted(model)}; {_method_for(model, given)}. Received: {_say(given)}")
    if isinstance(given, Pairs | tf.data.Dataset):
        raise ValueError(
            f"{_wanted(model)}; for all of them call predict(pairs). Received: {_say(given)}"
        )
    if not (isinstance(given, tuple | list) and len(given) == 2 and all(map(_is_array, given))):
        raise ValueError(f"{_wanted(model)}. Received: {_say(given)}")
    for side, batch in zip("xy", given, strict=True):
        _check_batch(model, side, batch)
    x, y = given
    if any(getattr(batch.shape, "rank", 0) is None for batch in given):
        return x, y
    if len(x.shape) != len(y.shape):
        raise ValueError(f"x and y should both be images or both features. Received: {_say(given)}")
    if None not in (x.shape[0], y.shape[0]) and x.shape[0] != y.shape[0]:
        raise ValueError(f"x and y should have the same length. Received: {_say(given)}")
    return x, y


def check_dataset(model: Any, data: tf.data.Dataset) -> None:
    """Checks that a dataset's elements are batches (x, y), by shapes and dtypes alone.

    Args:
        model: the model of pairs.
        data: the dataset.

    Raises:
        ValueError: if its elements are anything else.
    """
    spec = data.element_spec
    if not isinstance(spec, tuple) or len(spec) not in (2, 3):
        raise ValueError(f"A dataset should hold batches (x, y). Received: {_say(data)}")
    check_pair(model, spec[:2])


def to_predict(model: Any, given: Any, batch_size: int) -> tf.data.Dataset:
    """What `keras.Model.predict` takes, of what a user gave to reconstruct.

    Args:
        model: the model of pairs.
        given: `Pairs`, a dataset of batches (x, y), or a tuple (x, y).
        batch_size: pairs in a batch, where it is not a dataset.

    Returns:
        A dataset of batches ((x, y),).

    Raises:
        ValueError: if it is anything else; the message says which method takes it.
    """
    whole = isinstance(batch_size, int | np.integer) and not isinstance(batch_size, bool)
    if not whole or batch_size < 1:
        raise ValueError(
            "`batch_size` should be a positive integer, and a pair is given as one tuple: "
            f"predict((x, y)). Received: batch_size={_say(batch_size)}"
        )
    if isinstance(given, Pairs):
        for side, images in (("x", given.x), ("y", given.y)):
            _check_batch(model, side, images.images)
        data = given.dataset(batch_size, shuffle=False)
    elif isinstance(given, tf.data.Dataset):
        check_dataset(model, given)
        data = given.map(lambda *batch: batch[:2])
    else:
        x, y = (np.asarray(batch) for batch in check_pair(model, given))
        if x.ndim == 4:
            x, y = (
                check_images(images, name=side, shape=model.image_shape(side))
                for side, images in (("x", x), ("y", y))
            )
        data = tf.data.Dataset.from_tensor_slices((x, y)).batch(batch_size)
    if not model.built:
        model.build(tuple(spec.shape for spec in data.element_spec))
    return data.map(lambda x, y: ((x, y),))


def _check_batch(model: Any, side: str, batch: Any) -> None:
    """Images of the side's shape, or the features of such images."""
    shape, dtype = batch.shape, batch.dtype
    name = str(getattr(dtype, "name", dtype))
    if "float" not in name:
        hint = "; divide integer intensities by 255" if "int" in name else ""
        raise ValueError(
            f"{side} should be floating-point with intensities in [0, 1]{hint}. "
            f"Received: {_say(batch)}"
        )
    if getattr(shape, "rank", 0) is None:
        # A tensor of unknown rank, inside a graph: nothing is known before the work.
        return
    found, expected = tuple(shape), model.image_shape(side)
    features = model.feature_size(side) if model.built else None
    if len(found) == 2 and features is not None and found[1] in (None, features):
        return
    fits = len(found) == 4 and (
        expected is None
        or all(size in (None, want) for size, want in zip(found[1:], expected, strict=True))
    )
    if fits and found[0] != 0:
        return
    wanted = "n, height, width, channels" if expected is None else f"n, {_sizes(expected)}"
    hint = ""
    if len(found) == 3 and (expected is None or (*found[1:], 1) == expected):
        hint = "; add the channel axis with images[..., None]"
    elif len(found) == 4 and expected and found[1:] == tuple(model.image_shape(_OTHER[side])):
        hint = "; a pair is (x, y), x first"
    raise ValueError(f"{side} should have shape ({wanted}){hint}. Received: {_say(batch)}")


def _sizes(shape: Any) -> str:
    return ", ".join(map(str, shape))


def _is_array(value: Any) -> bool:
    return hasattr(value, "shape") and hasattr(value, "dtype")


def _say(value: Any) -> str:
    return "no argument" if value is NOTHING else received(value)


def _wanted(model: Any) -> str:
    return f"A {type(model).__name__} reconstructs a pair (x, y)"


def _method_for(model: Any, given: Any) -> str:
    """Which method takes images of one side."""
    shapes = [model.image_shape(side) for side in "xy"]
    found = tuple(given.shape[1:]) if len(given.shape) == 4 else None
    if found is not None and found == shapes[1] != shapes[0]:
        return "for x from y call generate_x(y, seed=0)"
    return "for y from x call generate_y(x, seed=0)"
