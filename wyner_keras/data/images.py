"""A set of images with one class label each."""

import functools
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import check_images, check_labels, check_whole
from wyner_keras.data.rows import ArrayRows

Label = int | str
_NAMED_CLASSES = 10  # as many as `repr` names one by one


@dataclass(frozen=True, eq=False, repr=False)
class LabelledImages:
    """Images with one class label each, checked when made; the arrays are read-only views.

    Args:
        images: array `(n, height, width, channels)`, bytes, or floating-point in [0, 1]; bytes
            are held as they are, all else as float32.
        labels: array `(n,)` of integers, each 0 or more, held as int64; or of texts.
        paths: the file of each image, by which reports name it; None where they are no files.

    Raises:
        ValueError: when either is malformed or their lengths differ.

    Example:
        >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 2, 4])
        >>> len(digits), digits.image_shape, digits.classes, digits.of_class(4).tolist()
        (3, (8, 8, 1), (2, 4), [0, 2])
        >>> digits
        LabelledImages(3 images of shape (8, 8, 1), classes 2, 4)
    """

    images: NDArray[Any]
    labels: NDArray[Any]
    paths: tuple[Path, ...] | None = None

    def __post_init__(self) -> None:
        images = check_images(self.images, keep_bytes=True)
        labels = check_labels(self.labels, len(images))
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def __received__(self) -> str:
        """What an error message says of the images."""
        return f"{len(self)} LabelledImages of {self.image_shape}"

    def __repr__(self) -> str:
        """How many images there are, their shape and classes, without the pixels."""
        size = f"{len(self)} images of shape {self.image_shape}"
        return f"LabelledImages({size}, {shown_classes(np.unique(self.labels))})"

    @functools.cached_property
    def rows(self) -> ArrayRows:
        """The images as one store: pairs that are made of them share it, and what it caches."""
        return ArrayRows(self.images, "images", paths=self.paths)

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image, `(height, width, channels)`."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def classes(self) -> tuple[Label, ...]:
        """The labels that occur, ascending."""
        return tuple(np.unique(self.labels).tolist())

    def of_class(self, label: Label) -> NDArray[np.int64]:
        """Where the images of one class are.

        Args:
            label: the class.

        Returns:
            Positions in `images`, ascending, `(count,)`; empty when the class does not occur.

        Example:
            >>> LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 2, 4]).of_class(2)
            array([1])
        """
        return np.flatnonzero(self.labels == label).astype(np.int64, copy=False)

    def unit(self) -> NDArray[np.float32]:
        """The images as float32 in [0, 1]; a copy where they are bytes.

        Example:
            >>> LabelledImages(np.full((1, 1, 1, 1), 51, "uint8"), [0]).unit().ravel()
            array([0.2], dtype=float32)
        """
        return check_images(self.images)

    def select(self, positions: NDArray[Any] | slice) -> "LabelledImages":
        """The images at some positions, with their labels.

        Args:
            positions: integers, a mask, or a slice, which copies nothing.

        Example:
            >>> LabelledImages(np.zeros((3, 8, 8, 1), "uint8"), ["a", "b", "c"]).select([2]).classes
            ('c',)
        """
        kept = np.arange(len(self))[positions]
        paths = self.paths and tuple(self.paths[place] for place in kept)
        return LabelledImages(self.images[positions], self.labels[positions], paths)

    def take(self, n: int) -> "LabelledImages":
        """The first images, without a copy.

        Args:
            n: how many, from 1 to all.

        Returns:
            The first `n` images and their labels.

        Raises:
            ValueError: when there are not that many.

        Example:
            >>> len(LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 2, 4]).take(2))
            2
        """
        return self.select(slice(check_whole(n, "n", minimum=1, maximum=len(self))))

    def by_class(self, count: int, seed: int = 0) -> "LabelledImages":
        """Images drawn at random, one of each class in turn.

        Args:
            count: how many, from 1 to all.
            seed: of the draw, 0 or more.

        Returns:
            The images with their labels; of a smaller count the same ones, fewer.

        Raises:
            ValueError: when there are not that many.

        Example:
            >>> LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 4, 2]).by_class(2).labels
            array([2, 4])
        """
        count = check_whole(count, "count", minimum=1, maximum=len(self))
        return self.select(in_turn(self.labels, len(self), count, check_whole(seed, "seed")))


def in_turn(labels: NDArray[Any] | None, total: int, count: int, seed: int = 0) -> NDArray[Any]:
    """Positions drawn at random, one of each class in turn; of a smaller count the same, fewer.

    Args:
        labels: `(total,)`; None where there are none.
        total: how many positions there are.
        count: how many are drawn, at most `total`.
        seed: of the draw.

    Example:
        >>> in_turn(np.array([4, 4, 2]), 3, 2).tolist()[0]
        2
    """
    generator = np.random.default_rng(seed)
    if labels is None:
        return generator.permutation(total)[:count]
    columns = [generator.permutation(np.flatnonzero(labels == each)) for each in np.unique(labels)]
    longest = max(map(len, columns))
    order = [column[row] for row in range(longest) for column in columns if row < len(column)]
    return np.asarray(order[:count])


def shown_classes(classes: NDArray[Any]) -> str:
    """Classes in a few words, for one line about a set.

    Args:
        classes: ascending.

    Example:
        >>> shown_classes(np.arange(26))
        '26 classes from 0 to 25'
    """
    if len(classes) > _NAMED_CLASSES:
        return f"{len(classes)} classes from {classes[0]} to {classes[-1]}"
    return f"classes {', '.join(map(str, classes))}"


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # A view, so that the caller's own array stays as writable as it was.
    view = array.view()
    view.flags.writeable = False
    return view
