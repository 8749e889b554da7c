"""Checks at the door: what images, labels, counts and seeds must be, before any work starts."""

import math
import numbers
from collections.abc import Sequence
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.received import received
from wyner_serving.rows import check_rows


def check_images(
    images: Any,
    name: str = "images",
    shape: tuple[int, int, int] | None = None,
    *,
    keep_bytes: bool = False,
) -> NDArray[Any]:
    """Checks a batch of images and returns it as float32.

    Args:
        images: array `(n, height, width, channels)`, bytes, or floating-point in [0, 1].
        name: what the caller calls the images, for the error message.
        shape: the `(height, width, channels)` that the images must have; any when None.
        keep_bytes: whether bytes are returned as they are.

    Returns:
        The same images as float32 `(n, height, width, channels)`, intensities in [0, 1]; not
        copied when they were float32 already.

    Raises:
        ValueError: when the images are masked, neither bytes nor floating-point, not of rank 4,
            empty, not finite, outside [0, 1] or of another shape.

    Example:
        >>> check_images(np.zeros((2, 8, 8, 1), "float64"), shape=(8, 8, 1)).dtype
        dtype('float32')
    """
    array = as_array(images, name, "an array (n, height, width, channels) of images")
    if array.ndim != 4:
        hint = "; add the channel axis with images[..., None]" if array.ndim == 3 else ""
        raise ValueError(
            f"{name} should have shape (n, height, width, channels){hint}. "
            f"Received: shape {array.shape}"
        )
    if array.size == 0:
        raise ValueError(f"{name} should not be empty. Received: shape {array.shape}")
    if keep_bytes and array.dtype == np.uint8 and shape is None:
        return array
    return check_rows(array, name, {"kind": "image", "shape": shape or array.shape[1:]})


def check_labels(labels: Any, count: int, name: str = "labels") -> NDArray[Any]:
    """Checks class labels and returns them as int64, or as texts.

    Args:
        labels: array `(count,)` of integers, each 0 or more, or of texts.
        count: how many examples the labels belong to.
        name: what the caller calls the labels, for the error message.

    Returns:
        The labels as int64 or texts `(count,)`.

    Raises:
        ValueError: when labels are absent, masked, neither integers nor texts, of another length,
            negative, or too large for int64.

    Example:
        >>> check_labels(np.array([3, 1], "uint8"), 2)
        array([3, 1])
        >>> check_labels(["cat", "ant"], 2).tolist()
        ['cat', 'ant']
    """
    array = as_array(labels, name, f"an array of integers or texts of shape ({count},)")
    if array.dtype.kind not in "iu" and not _are_texts(array):
        raise ValueError(
            f"{name} should be integers or texts{complex_hint(array)}. "
            f"Received: dtype {array.dtype}"
        )
    if array.shape != (count,):
        raise ValueError(
            f"{name} should have shape ({count},), one for each example. "
            f"Received: shape {array.shape}"
        )
    if array.dtype.kind not in "iu":
        return array.astype(str)
    if count and (array.min() < 0 or array.max() > np.iinfo(np.int64).max):
        raise ValueError(
            f"{name} should be 0 or more and fit into int64. "
            f"Received: values from {array.min()} to {array.max()}"
        )
    return array.astype(np.int64, copy=False)


def _are_texts(array: NDArray[Any]) -> bool:
    # Texts of a table's column are objects.
    return array.dtype.kind in "UT" or (
        array.dtype.kind == "O" and all(isinstance(each, str) for each in array.flat)
    )


def check_whole(value: Any, name: str, minimum: int = 0, maximum: int | None = None) -> int:
    """Checks a whole number, such as a count or a seed, and returns it as int.

    Args:
        value: a Python or NumPy integer; bool is refused.
        name: what the caller calls the number, for the error message.
        minimum: the smallest value allowed.
        maximum: the largest value allowed; any when None.

    Returns:
        The number.

    Raises:
        ValueError: when it is not a whole number within the bounds.

    Example:
        >>> check_whole(np.int32(5), "seed")
        5
    """
    whole = isinstance(value, int | np.integer) and not isinstance(value, bool)
    if whole and value >= minimum and (maximum is None or value <= maximum):
        return int(value)
    bounds = f"of {minimum} or more" if maximum is None else f"from {minimum} to {maximum}"
    expected = f"at least {minimum}" if whole and maximum is None else f"a whole number {bounds}"
    raise ValueError(f"{name} should be {expected}. Received: {received(value)}")


def check_sizes(value: Any, name: str, expected: str, count: int | None = None) -> tuple[int, ...]:
    """Checks several sizes, of a shape or of layers, and returns them as a tuple of int.

    Args:
        value: a list or tuple of whole numbers of 1 or more; bool is refused.
        name: what the caller calls it.
        expected: what it should be, for the error message.
        count: how many there are; one or more when None.

    Raises:
        ValueError: when it is anything else.

    Example:
        >>> check_sizes([8, np.int64(8), 1], "shape", "(height, width, channels)", 3)
        (8, 8, 1)
    """
    try:
        sizes = tuple(value) if isinstance(value, Sequence) and not isinstance(value, str) else ()
        if sizes and count in (None, len(sizes)):
            return tuple(check_whole(size, name, minimum=1) for size in sizes)
    except ValueError:
        pass  # the message of one says less than that of all
    raise ValueError(f"`{name}` should be {expected}. Received: {name}={received(value)}")


def as_array(value: Any, name: str, expected: str) -> NDArray[Any]:
    """An array of a value, or an error that says what it should be.

    Args:
        value: what the caller gave.
        name: what the caller calls it.
        expected: what it should be, for the error message.

    Raises:
        ValueError: when it is absent, masked, or no array can be made of it.

    Example:
        >>> as_array([1, 2], "labels", "an integer array")
        array([1, 2])
    """
    if value is None:
        raise ValueError(f"{name} should be {expected}. Received: None")
    refuse_masked(value, name)
    try:
        return np.asarray(value)
    # Ragged lists raise ValueError, foreign objects TypeError, symbolic tensors RuntimeError.
    except (TypeError, ValueError, RuntimeError) as error:
        reason = str(error).strip().partition("\n")[0]
        raise ValueError(
            f"{name} should be {expected}. Received: {type(value).__name__} ({reason:.160})"
        ) from error


def as_real(value: Any, name: str, expected: str) -> NDArray[np.float64]:
    """An array of real numbers as float64, or an error that says what it should be.

    Args:
        value: what the caller gave.
        name: what the caller calls it.
        expected: what it should be, for the error message.

    Raises:
        ValueError: when it is absent, masked, complex, or not made of numbers.

    Example:
        >>> as_real([1, 2], "weights", "an array of numbers")
        array([1., 2.])
    """
    array = as_array(value, name, expected)
    try:
        # "O": fractions and other numbers of Python's own.
        if array.dtype.kind in "biufO":
            return array.astype(np.float64, copy=False)
    except (TypeError, ValueError, OverflowError):
        pass
    raise ValueError(
        f"{name} should be {expected}{complex_hint(array)}. Received: {received(value)}"
    )


def check_number(value: Any, name: str, expected: str) -> float:
    """A real number, for a range that the caller then checks.

    Args:
        value: a number of Python's or NumPy's; bool is refused.
        name: what the caller calls it.
        expected: what it should be, for the error message.

    Returns:
        The number as float.

    Raises:
        ValueError: when it is anything else, an array for one.

    Example:
        >>> check_number(0.5, "rho", "in (-1, 1)")
        0.5
    """
    if isinstance(value, bool | np.bool) or not isinstance(value, numbers.Real):
        raise ValueError(f"{name} should be {expected}. Received: {received(value)}")
    try:
        return float(value)
    except OverflowError as error:
        raise ValueError(
            f"{name} should be {expected}. Received: a number beyond float64"
        ) from error


def check_not_negative(value: Any, name: str) -> float:
    """A finite number of at least 0: a weight, a deviation.

    Args:
        value: a number of Python's or NumPy's; bool is refused.
        name: what the caller calls it.

    Raises:
        ValueError: when it is anything else.

    Example:
        >>> check_not_negative(2, "weight")
        2.0
    """
    expected = "a finite number of at least 0"
    number = check_number(value, name, expected)
    if not 0 <= number < math.inf:
        raise ValueError(f"{name} should be {expected}. Received: {number}")
    return number


def check_share(value: Any, name: str) -> float:
    """A share of a whole, above 0 and below 1.

    Args:
        value: a number of Python's or NumPy's; bool is refused.
        name: what the caller calls it.

    Raises:
        ValueError: when it is anything else.

    Example:
        >>> check_share(0.2, "held_out")
        0.2
    """
    share = check_number(value, name, "a number")
    if not 0 < share < 1:
        raise ValueError(f"{name} should be above 0 and below 1. Received: {share}")
    return share


def refuse_masked(value: Any, name: str) -> None:
    """Refuses masked arrays, and lists of them: `np.asarray` would uncover what they mask.

    Raises:
        ValueError: when the value is or holds one.

    Example:
        >>> refuse_masked([np.zeros(3)], "images")
    """
    if _holds_masked(value):
        raise ValueError(
            f"{name} should have no masked values: fill them, with .filled(...), or drop them. "
            f"Received: {type(value).__name__}, masked"
        )


def complex_hint(array: NDArray[Any]) -> str:
    """What to add to an error about the dtype of complex numbers; nothing for others."""
    return "; imaginary parts would be lost" if array.dtype.kind == "c" else ""


def _holds_masked(value: Any, depth: int = 4) -> bool:
    # Lists in lists down to the pixels of images: (n, height, width, channels).
    if isinstance(value, (list, tuple)) and depth:
        return any(_holds_masked(each, depth - 1) for each in value)
    return isinstance(value, np.ma.MaskedArray)
