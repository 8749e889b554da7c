"""Image sources: where labelled images come from, train and test apart."""

import os
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import check_share, check_whole
from wyner_keras.data.folder import Split, read_and_split, read_folder
from wyner_keras.data.images import LabelledImages
from wyner_keras.data.mnist import read_mnist
from wyner_keras.data.splits import split_classes
from wyner_serving.listing import list_folder, warn_left_out


@dataclass(frozen=True, eq=False, repr=False)
class ImageSource:
    """Labelled images to train on and others, of the same shape, to judge by.

    Args:
        name: what the source is called.
        train: the images to train on.
        test: the images held out.

    Raises:
        ValueError: when train and test images differ in shape.

    Example:
        >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
        >>> ImageSource("blank", train=digits, test=digits.take(1)).train.image_shape
        (8, 8, 1)
    """

    name: str
    train: LabelledImages
    test: LabelledImages

    def __repr__(self) -> str:
        """The name and what there is of each, without the pixels."""
        return f"ImageSource({self.name!r}, train={self.train!r}, test={self.test!r})"

    def __post_init__(self) -> None:
        if self.train.image_shape != self.test.image_shape:
            raise ValueError(
                f"test images should have the shape of train images, {self.train.image_shape}. "
                f"Received: {self.test.image_shape}"
            )


def load(source: Any, *, test_fraction: float = 0.2, seed: int = 0) -> ImageSource:
    """Loads labelled images, train and test apart.

    Args:
        source: one of

            - `"mnist"`: 70,000 digits, 28 x 28 x 1, with MNIST's own test set (LeCun, Cortes,
              Burges 1998), by tensorflow-datasets: from the folder in `TFDS_DATA_DIR` or its
              default folder, downloaded when absent;
            - `"digits"`: the 1,797 digits, 8 x 8 x 1, that ship with scikit-learn (Alpaydin,
              Kaynak 1998);
            - `"mnist-rotated"`, `"digits-rotated"`: the same images, train and test as there,
              `rotated` by 90° to the left;
            - the path of a folder of PNG, JPEG, BMP, WebP, TIFF or GIF images of one size, as
              `root/<label>/*.png`, or `root/train/<label>/*.png` beside
              `root/test/<label>/*.png`. Labels are the numbers that the folders are called, or,
              when any is not a number or two numbers are equal ("0" and "00"), the places of
              their names in sorted order. Images are turned upright by their EXIF orientation,
              what is transparent shows a white ground, 16-bit grey keeps its 16 bits. All are
              grey when every file is, else RGB;
            - `(images, labels)`: arrays `(n, height, width, channels)`, bytes or in [0, 1], and
              `(n,)`;
            - `((train_images, train_labels), (test_images, test_labels))`.
        test_fraction: share of each class that is held out, where the source does not say
            itself what its test set is; above 0 and below 1. Every class holds out 1 image at
            least and keeps 1 at least.
        seed: of that split, 0 or more.

    Returns:
        The source, images `(n, height, width, channels)`: bytes, or float32 in [0, 1] where they
        were given so, are the digits of scikit-learn, or a file has 16 bits.

    Raises:
        ValueError: when the source is unknown, malformed or cannot be had, or is to be split and
            has one image only of a class.

    Example:
        >>> digits = load("digits")
        >>> len(digits.train), len(digits.test), digits.train.image_shape
        (1437, 360, (8, 8, 1))
    """
    test_fraction = check_share(test_fraction, "test_fraction")
    seed = check_whole(seed, "seed")

    def positions(
        labels: NDArray[np.int64], names: Mapping[int, str] | None = None
    ) -> tuple[NDArray[np.int64], NDArray[np.int64]]:
        return split_classes(labels, test_fraction, seed, names)

    def split(images: LabelledImages) -> tuple[LabelledImages, LabelledImages]:
        train, test = positions(images.labels)
        return images.select(train), images.select(test)

    if isinstance(source, str) and source in _NAMED:
        return ImageSource(source, *_NAMED[source](split))
    # Unlike Path.is_dir, os.path.isdir is False for what cannot be looked at.
    if isinstance(source, (str, os.PathLike)) and os.path.isdir(source):
        return _from_folder(Path(source), positions)
    if isinstance(source, tuple) and len(source) == 2:
        first, second = source
        if isinstance(first, tuple) and isinstance(second, tuple):
            for part in source:
                if len(part) != 2:
                    raise ValueError(
                        "train and test should each be (images, labels). "
                        f"Received: a tuple of {len(part)}"
                    )
            return ImageSource("arrays", LabelledImages(*first), LabelledImages(*second))
        return ImageSource("arrays", *split(LabelledImages(first, second)))
    is_text = isinstance(source, (str, os.PathLike))
    found = f"{os.fspath(source)!r:.200}" if is_text else type(source).__name__
    raise ValueError(
        f"source should be one of {sorted(_NAMED)}, a folder that exists, (images, labels), or "
        f"((train_images, train_labels), (test_images, test_labels)). "
        f"Received: {found}"
    )


_Split = Callable[[LabelledImages], tuple[LabelledImages, LabelledImages]]


def _mnist(_: _Split) -> tuple[LabelledImages, LabelledImages]:
    return read_mnist()


def _digits(split: _Split) -> tuple[LabelledImages, LabelledImages]:
    from sklearn.datasets import load_digits

    digits = load_digits()
    # Each pixel counts the set dots of a 4x4 block: 0 to 16.
    return split(LabelledImages((digits.images / 16)[..., None], digits.target))


_Read = Callable[[_Split], tuple[LabelledImages, LabelledImages]]


def _turned(read: _Read) -> _Read:
    def turned(split: _Split) -> tuple[LabelledImages, LabelledImages]:
        train, test = read(split)
        return _turn(train, 1), _turn(test, 1)

    return turned


_NAMED: dict[str, _Read] = {
    "digits": _digits,
    "digits-rotated": _turned(_digits),
    "mnist": _mnist,
    "mnist-rotated": _turned(_mnist),
}


def whole_name(source: str) -> str:
    """What a source's text is kept as: a name as it is, the path of a folder made absolute.

    Args:
        source: a name or path, as `load` takes it.

    Example:
        >>> whole_name("mnist-rotated")
        'mnist-rotated'
    """
    return source if source in _NAMED else os.path.abspath(source)


def rotated(source: ImageSource, turns: int = 1) -> ImageSource:
    """A source whose every image is turned by quarter turns; labels and split stay.

    Args:
        source: the images as they are.
        turns: how many times 90° to the left (against the clock): 1, 2 or 3. An upright digit's
            top points to the left after one.

    Returns:
        The turned source, called as the source with "-rotated" after it. Odd turns exchange
        height and width.

    Raises:
        ValueError: when `turns` is none of these.

    Example:
        >>> upright = load("digits")
        >>> image = rotated(upright).test.images[0]
        >>> bool((image == np.rot90(upright.test.images[0])).all())
        True
    """
    turns = check_whole(turns, "turns", minimum=1, maximum=3)
    return ImageSource(
        f"{source.name}-rotated", _turn(source.train, turns), _turn(source.test, turns)
    )


def _turn(images: LabelledImages, turns: int) -> LabelledImages:
    # Copied: of a view with other strides, every later reader would make a copy of its own.
    turned = np.ascontiguousarray(np.rot90(images.images, turns, axes=(1, 2)))
    return LabelledImages(turned, images.labels, images.paths)


def _from_folder(root: Path, split: Split) -> ImageSource:
    train, test = root / "train", root / "test"
    has_train, has_test = os.path.isdir(train), os.path.isdir(test)
    if has_train != has_test:
        present, absent = (train, test) if has_train else (test, train)
        raise ValueError(
            f"a folder should hold both train and test, or neither. "
            f"Received: {str(present)!r} without {absent.name!r}"
        )
    if not has_train:
        return ImageSource(root.resolve().name, *read_and_split(root, split))
    found = list_folder(root, refuse_unread=False)
    beside = [path for path in found.folders if path not in (train, test)]
    warn_left_out([*beside, *found.images, *found.others], root)
    return ImageSource(root.resolve().name, *read_folder(train, test))
