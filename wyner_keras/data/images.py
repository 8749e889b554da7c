"""A set of images with one class label each."""

from dataclasses import dataclass
from typing import Any, Self

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import check_images, check_labels, check_whole

# Stands in every place of `labels` when a set has none (see `LabelledImages.unlabelled`).
_UNLABELLED = -1
# As many as `repr` names one by one.
_NAMED_CLASSES = 10


@dataclass(frozen=True, eq=False, repr=False)
class LabelledImages:
    """Images with one class label each, checked when made; the arrays are read-only views.

    Args:
        images: floating-point array `(n, height, width, channels)`, intensities in [0, 1];
            held as float32.
        labels: array `(n,)` of any integer dtype, each 0 or more; held as int64.

    Raises:
        ValueError: when either is malformed or their lengths differ.

    Example:
        >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 2, 4])
        >>> len(digits), digits.image_shape, digits.classes, digits.of_class(4).tolist()
        (3, (8, 8, 1), (2, 4), [0, 2])
        >>> digits
        LabelledImages(3 images of shape (8, 8, 1), classes 2, 4)
    """

    images: NDArray[np.float32]
    labels: NDArray[np.int64]

    def __post_init__(self) -> None:
        images = check_images(self.images)
        labels = check_labels(self.labels, len(images))
        object.__setattr__(self, "images", _read_only(images))
        object.__setattr__(self, "labels", _read_only(labels))

    @classmethod
    def unlabelled(cls, images: Any) -> Self:
        """Images that have no labels, for pairs that users make by index.

        Args:
            images: floating-point array `(n, height, width, channels)`, intensities in [0, 1].

        Returns:
            A set whose `has_labels` is False, whose `labels` are all -1, and whose `classes` and
            `of_class` raise.

        Raises:
            ValueError: when the images are malformed.

        Example:
            >>> LabelledImages.unlabelled(np.zeros((3, 8, 8, 1), "float32")).has_labels
            False
        """
        result = cls(images, np.zeros(len(check_images(images)), np.int64))
        object.__setattr__(
            result, "labels", _read_only(np.full(len(result), _UNLABELLED, np.int64))
        )
        return result

    def __len__(self) -> int:
        """How many images there are."""
        return len(self.images)

    def __repr__(self) -> str:
        """How many images there are, their shape and classes, without the pixels."""
        size = f"{len(self)} images of shape {self.image_shape}"
        return f"LabelledImages({size}, {self._classes_text()})"

    @property
    def image_shape(self) -> tuple[int, int, int]:
        """Shape of one image, `(height, width, channels)`."""
        height, width, channels = self.images.shape[1:]
        return height, width, channels

    @property
    def has_labels(self) -> bool:
        """Whether the images carry labels."""
        return bool(self.labels[0] != _UNLABELLED)

    @property
    def classes(self) -> tuple[int, ...]:
        """The labels that occur, ascending; `ValueError` when the set is unlabelled."""
        self._require_labels()
        return tuple(int(label) for label in np.unique(self.labels))

    def of_class(self, label: int) -> NDArray[np.int64]:
        """Where the images of one class are.

        Args:
            label: the class.

        Returns:
            Positions in `images`, ascending, `(count,)`; empty when the class does not occur.

        Raises:
            ValueError: when the set is unlabelled.

        Example:
            >>> LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 2, 4]).of_class(2)
            array([1])
        """
        self._require_labels()
        return np.flatnonzero(self.labels == label).astype(np.int64, copy=False)

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
        n = check_whole(n, "n", minimum=1, maximum=len(self))
        if not self.has_labels:
            return LabelledImages.unlabelled(self.images[:n])
        return LabelledImages(self.images[:n], self.labels[:n])

    def by_class(self, count: int, seed: int = 0) -> "LabelledImages":
        """Images drawn at random, one of each class in turn.

        Args:
            count: how many, from 1 to all.
            seed: of the draw, 0 or more.

        Returns:
            The images with their labels; of a smaller count the same ones, fewer.

        Raises:
            ValueError: when there are not that many, or the set is unlabelled.

        Example:
            >>> LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [4, 4, 2]).by_class(2).labels
            array([2, 4])
        """
        count = check_whole(count, "count", minimum=1, maximum=len(self))
        generator = np.random.default_rng(check_whole(seed, "seed"))
        columns = [generator.permutation(self.of_class(label)) for label in self.classes]
        longest = max(map(len, columns))
        order = [column[row] for row in range(longest) for column in columns if row < len(column)]
        chosen = np.asarray(order[:count])
        return LabelledImages(self.images[chosen], self.labels[chosen])

    def _classes_text(self) -> str:
        if not self.has_labels:
            return "no labels"
        classes = self.classes
        if len(classes) > _NAMED_CLASSES:
            return f"{len(classes)} classes from {classes[0]} to {classes[-1]}"
        return f"classes {', '.join(map(str, classes))}"

    def _require_labels(self) -> None:
        if not self.has_labels:
            raise ValueError(
                "images should carry labels: make them with LabelledImages(images, labels). "
                f"Received: {len(self)} images without labels"
            )


def _read_only(array: NDArray[Any]) -> NDArray[Any]:
    # A view, so that the caller's own array stays as writable as it was.
    view = array.view()
    view.flags.writeable = False
    return view
