"""Pairs of images, held as positions in their sets and gathered when asked for."""

import itertools
from collections.abc import Iterator
from dataclasses import dataclass, replace
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import as_array, check_whole, complex_hint
from wyner_keras.data.images import LabelledImages

if TYPE_CHECKING:
    import tensorflow as tf


@dataclass(frozen=True, eq=False, repr=False)
class Pairs:
    """Pairs (x, y): two sets of images and which image of one goes with which of the other.

    Args:
        x: the images that x is drawn from.
        y: the images that y is drawn from; may be the same set.
        index: integer array `(n, 2)` of positions, the first column in `x`, the second in `y`;
            held as int64.

    Raises:
        ValueError: when the sets are not `LabelledImages` or the index is empty, of another
            shape or dtype, or points outside them.

    Example:
        >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
        >>> pairs = Pairs(digits, digits, np.array([[0, 1], [1, 2]]))
        >>> len(pairs), pairs.x_labels.tolist(), pairs.y_labels.tolist()
        (2, [0, 1], [1, 2])
        >>> pairs
        Pairs(2 pairs, x=LabelledImages(3 images of shape (8, 8, 1), classes 0, 1, 2), y=x)
    """

    x: LabelledImages
    y: LabelledImages
    index: NDArray[np.int64]

    def __post_init__(self) -> None:
        for name, images in (("x", self.x), ("y", self.y)):
            if not isinstance(images, LabelledImages):
                raise ValueError(
                    f"{name} should be LabelledImages. Received: {type(images).__name__}"
                )
        object.__setattr__(self, "index", _check_index(self.index, len(self.x), len(self.y)))

    @classmethod
    def diagonal(cls, images: LabelledImages) -> "Pairs":
        """Each image with itself, in their order: for what trains on images one by one.

        Args:
            images: the set.

        Example:
            >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
            >>> Pairs.diagonal(digits).index.tolist()
            [[0, 0], [1, 1], [2, 2]]
        """
        return cls(images, images, np.repeat(np.arange(len(images))[:, None], 2, axis=1))

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.index)

    def __repr__(self) -> str:
        """How many pairs there are and of what, without pixels and positions."""
        y = "x" if self.y is self.x else repr(self.y)
        return f"Pairs({len(self)} pairs, x={self.x!r}, y={y})"

    @property
    def x_labels(self) -> NDArray[np.int64]:
        """Label of x in each pair, `(n,)`."""
        return self.x.labels[self.index[:, 0]]

    @property
    def y_labels(self) -> NDArray[np.int64]:
        """Label of y in each pair, `(n,)`."""
        return self.y.labels[self.index[:, 1]]

    def arrays(self) -> tuple[NDArray[np.float32], NDArray[np.float32]]:
        """All pairs gathered into new arrays, in the order of `index`.

        Returns:
            x and y, each float32 `(n, height, width, channels)`, intensities in [0, 1].

        Example:
            >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
            >>> x, y = Pairs(digits, digits, np.array([[0, 1]])).arrays()
            >>> x.shape
            (1, 8, 8, 1)
        """
        return self.x.images[self.index[:, 0]], self.y.images[self.index[:, 1]]

    def take(self, n: int, seed: int = 0) -> "Pairs":
        """A random subset.

        Args:
            n: how many pairs, from 1 to all.
            seed: 0 or more; the same seed gives the same pairs in the same order.

        Returns:
            `n` different pairs of the same sets, in random order.

        Raises:
            ValueError: when there are not that many, or the seed is negative.

        Example:
            >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
            >>> len(Pairs(digits, digits, np.array([[0, 1], [1, 2]])).take(1, seed=0))
            1
        """
        n = check_whole(n, "n", minimum=1, maximum=len(self))
        rng = np.random.default_rng(check_whole(seed, "seed"))
        return replace(self, index=rng.permutation(self.index)[:n])

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        x_values: Any = None,
        y_values: Any = None,
    ) -> "tf.data.Dataset":
        """A stream of batches `(x, y)` for `fit`, gathered whole inside the pipeline.

        The e-th time that the dataset is iterated (from 0), the pairs come in the order
        `np.random.default_rng([seed, e]).permutation(len(self))`, whatever TensorFlow's global
        seed is.

        Args:
            batch_size: pairs in a batch.
            shuffle: whether to reorder the pairs at each iteration; otherwise as in `index`.
            seed: of the order, 0 or more.
            drop_remainder: whether to leave out a last batch that is not full.
            x_values: array `(len(x), ...)` to gather instead of `x.images`, such as cached
                features of the same images.
            y_values: array `(len(y), ...)` to gather instead of `y.images`.

        Returns:
            A dataset of known length whose elements are `(x, y)`, each
            `(batch_size, height, width, channels)` with intensities in [0, 1], or
            `(batch_size, ...)` in the units of the values given.

        Raises:
            ValueError: when a size or seed is malformed, or values do not match their images.

        Example:
            >>> digits = LabelledImages(np.zeros((3, 8, 8, 1), "float32"), [0, 1, 2])
            >>> pairs = Pairs(digits, digits, np.array([[0, 1], [1, 2], [2, 0]]))
            >>> [x.shape[0] for x, y in pairs.dataset(batch_size=2)]
            [2, 1]
        """
        batch_size = check_whole(batch_size, "batch_size", minimum=1)
        seed = check_whole(seed, "seed")
        if drop_remainder and batch_size > len(self):
            raise ValueError(
                f"batch_size should be at most the {len(self)} pairs when drop_remainder is set. "
                f"Received: {batch_size}"
            )
        x_array = self.x.images if x_values is None else _check_values(x_values, "x", len(self.x))
        y_array = self.y.images if y_values is None else _check_values(y_values, "y", len(self.y))

        import tensorflow as tf

        with tf.device("CPU:0"):
            x_tensor = tf.convert_to_tensor(x_array)
            y_tensor = x_tensor if y_array is x_array else tf.convert_to_tensor(y_array)
        size = len(self)
        stop = size - size % batch_size if drop_remainder else size
        static_size = batch_size if stop % batch_size == 0 else None

        def batches(order: Any) -> Any:
            starts = tf.data.Dataset.range(0, stop, batch_size)
            return starts.map(lambda start: order[start : start + batch_size])

        def gather(rows: Any) -> tuple[Any, Any]:
            rows = tf.ensure_shape(rows, (static_size, 2))
            return tf.gather(x_tensor, rows[:, 0]), tf.gather(y_tensor, rows[:, 1])

        if shuffle:
            # Dataset.shuffle would mix TensorFlow's global seed into ours.
            epochs = itertools.count()

            def orders() -> Iterator[NDArray[np.int64]]:
                rng = np.random.default_rng([seed, next(epochs)])
                yield self.index[rng.permutation(size)]

            whole = tf.data.Dataset.from_generator(
                orders, output_signature=tf.TensorSpec((size, 2), tf.int64)
            )
        else:
            whole = tf.data.Dataset.from_tensors(self.index)
        options = tf.data.Options()
        # Autotune makes whole epochs stall now and then on data that is in memory.
        options.autotune.enabled = False
        options.deterministic = True
        steps = -(-stop // batch_size)
        stream = whole.flat_map(batches).map(gather)
        stream = stream.apply(tf.data.experimental.assert_cardinality(steps))
        return stream.prefetch(2).with_options(options)


def _check_index(index: Any, x_count: int, y_count: int) -> NDArray[np.int64]:
    array = as_array(index, "index", "an array (n, 2)")
    if array.ndim != 2 or array.shape[1] != 2 or len(array) == 0:
        raise ValueError(
            f"index should have shape (n, 2) with n of 1 or more. Received: shape {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.integer):
        raise ValueError(
            f"index should be integers{complex_hint(array)}. Received: dtype {array.dtype}"
        )
    for column, name, count in ((0, "x", x_count), (1, "y", y_count)):
        low, high = array[:, column].min(), array[:, column].max()
        if low < 0 or high >= count:
            raise ValueError(
                f"index should point into the {count} images of {name}, from 0 to {count - 1}. "
                f"Received: values from {low} to {high}"
            )
    # A copy of its own: a caller who reuses the array must not change pairs already made.
    result = array.astype(np.int64)
    result.flags.writeable = False
    return result


def _check_values(values: Any, name: str, count: int) -> NDArray[Any]:
    array = as_array(values, f"{name}_values", f"an array of {count} rows")
    if array.ndim < 1 or len(array) != count or array.size == 0:
        raise ValueError(
            f"{name}_values should have {count} rows, one for each image of {name}. "
            f"Received: shape {array.shape}"
        )
    if not np.issubdtype(array.dtype, np.floating):
        raise ValueError(
            f"{name}_values should be floating-point{complex_hint(array)}. "
            f"Received: dtype {array.dtype}"
        )
    if not np.isfinite(array).all():
        raise ValueError(
            f"{name}_values should be finite. "
            f"Received: {np.count_nonzero(~np.isfinite(array))} values that are not"
        )
    return array
