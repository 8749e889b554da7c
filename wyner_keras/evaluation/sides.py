"""The two sides of an evaluation: real test images of x and of y, and who judges them."""

from __future__ import annotations

import functools
from collections.abc import Callable, Mapping
from typing import Any

import numpy as np

from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.evaluation.classifier import Judge
from wyner_keras.received import received

LabelMap = Mapping[int, int] | Callable[[int], int]
_NO_CLASS = np.iinfo(np.int64).min  # what a label becomes that the label map leaves out


def add_one(label: int) -> int:
    """The paper's label map: the next digit, and 0 after 9."""
    return (label + 1) % 10


def _mapped(labels: np.ndarray, label_map: LabelMap) -> np.ndarray:
    """The y labels that x labels imply."""
    found, place = np.unique(labels, return_inverse=True)
    if isinstance(label_map, Mapping):
        images = [label_map.get(int(label), _NO_CLASS) for label in found]
    else:
        images = [label_map(int(label)) for label in found]
    for image in images:
        # NumPy would cut 1.5 to 1.
        if isinstance(image, bool) or not isinstance(image, int | np.integer):
            raise ValueError(
                f"`label_map` should lead to whole numbers. Received: {received(image)}"
            )
    return np.asarray(images, dtype=np.int64)[place]


class Side:
    """x or y: its real test images, their labels and the judge's, all as labels of y.

    Args:
        real: test images with the labels of y that they imply.
        judge: of images like these; None where none can be had.
        relabel: from the judge's labels to those of y.
    """

    def __init__(
        self, real: LabelledImages, judge: Judge | None, relabel: Callable[..., Any]
    ) -> None:
        self.real, self.judge, self.relabel = real, judge, relabel
        if judge is not None:
            labels, self.features = judge.read(real.images)
            self.accuracy = float(np.mean(relabel(labels) == real.labels))

    @property
    def judged(self) -> bool:
        """Whether there is a judge."""
        return self.judge is not None

    def read(self, images: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Labels of y that images stand for, and the judge's features of them; if `judged`."""
        judge: Any = self.judge
        labels, features = judge.read(images)
        return self.relabel(labels), features

    def sets(self, order: np.ndarray) -> tuple[np.ndarray, np.ndarray]:
        """Features of two halves of the real images in this order: reference and ceiling."""
        half = len(order) // 2
        return self.features[order[:half]], self.features[order[half : 2 * half]]


def partnered(
    source: ImageSource, label_map: LabelMap, target: ImageSource | None = None
) -> tuple[np.ndarray, np.ndarray]:
    """Which test images serve as x and which as y: those with a partner on the other side.

    Args:
        source: of x.
        label_map: from x label to y label.
        target: of y; None for `source`.

    Returns:
        Two masks, bool `(n,)`: of the source's test images, and of the target's.

    Raises:
        ValueError: a label map that leads nowhere, or to what is no whole number.
    """
    x, y = source.test, (target or source).test
    implied = _mapped(x.labels, label_map)
    with_y = np.isin(implied, y.classes)
    with_x = np.isin(y.labels, implied)
    if not with_y.any():
        raise ValueError(
            "`label_map` should lead from labels of x's test images to labels of y's. "
            f"Received: {received(list(x.classes))} to {received(np.unique(implied).tolist())}, "
            f"and images of {received(list(y.classes))}"
        )
    return with_y, with_x


def sides(
    source: ImageSource,
    target: ImageSource | None,
    label_map: LabelMap,
    judges: tuple[Judge | None, Judge | None],
) -> tuple[Side, Side]:
    """Test images of either side that have a partner on the other, each with its judge."""
    with_y, with_x = partnered(source, label_map, target)
    x, y = source.test, (target or source).test
    implied = _mapped(x.labels[with_y], label_map)
    real_x = LabelledImages(images=x.images[with_y], labels=implied)
    real_y = LabelledImages(images=y.images[with_x], labels=y.labels[with_x])
    relabel = functools.partial(_mapped, label_map=label_map)
    return Side(real_x, judges[0], relabel), Side(real_y, judges[1], np.asarray)
