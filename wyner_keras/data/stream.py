"""A tf.data stream of batches: order by seed and epoch, rows gathered by position."""

from __future__ import annotations

import itertools
import weakref
from collections.abc import Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.checks import as_array
from wyner_keras.data.rows import Rows, root

if TYPE_CHECKING:
    import tensorflow as tf

Read = Callable[[Any], Any]
"""From positions `(batch,)`, a tensor, to rows `(batch, ...)`."""

Part = Callable[[Any, Any], Any]
"""From positions of pairs `(batch,)`, and their rows `(batch, 2)`, to what a batch holds."""


@dataclass(frozen=True)
class Worker:
    """One of several processes that train together, each with its slice of every batch.

    Args:
        place: among them, from 0.
        count: of them.
        devices: of all of them; rows of a batch are a multiple.
    """

    place: int = 0
    count: int = 1
    devices: int = 1

    @property
    def first(self) -> bool:
        """Whether it is the one that writes."""
        return self.place == 0

    def divisible(self, rows: int) -> int:
        """The largest number of rows, up to `rows`, that a batch may have.

        Raises:
            ValueError: if there are fewer rows than devices.

        Example:
            >>> Worker(0, 2, devices=4).divisible(10)
            8
        """
        if rows < self.devices:
            raise ValueError(
                f"A batch should have a row for each of the workers' {self.devices} devices. "
                f"Received: {rows} rows"
            )
        return rows - rows % self.devices

    def slice_of(self, rows: int) -> slice:
        """Its rows of a batch; of one that does not divide, the last rows are nobody's.

        Example:
            >>> Worker(1, 2, devices=2).slice_of(7)
            slice(3, 6, None)
        """
        own = rows // self.devices * (self.devices // self.count)
        return slice(self.place * own, (self.place + 1) * own)


_COPIED = 2**27  # bytes of an array, at most, that TensorFlow gets a copy of
_PARALLEL = 2  # batches read at the same time, where that runs Python
_tensors: Any = weakref.WeakKeyDictionary()  # by store


def read_rows(rows: Rows) -> tuple[Read, bool]:
    """How a pipeline reads a store, and whether it calls back into Python for that.

    Args:
        rows: a store; of one in little memory TensorFlow holds a copy as long as the store lives.

    Example:
        >>> from wyner_keras.data.rows import ArrayRows
        >>> read, calls_back = read_rows(ArrayRows(np.eye(3)))
        >>> read([2]).numpy().tolist(), calls_back
        ([[0.0, 0.0, 1.0]], False)
    """
    store, within = root(rows)
    if store.array is None or store.array.nbytes > _COPIED:
        return _calling_back(rows.take, rows.dtype, rows.shape), True
    if store not in _tensors:
        _tensors[store], _ = read_array(store.array)
    read = _tensors[store]
    if within is None:
        return read, False
    places, _ = read_array(within)
    return lambda positions: read(places(positions)), False


def read_array(array: NDArray[Any]) -> tuple[Read, bool]:
    """How a pipeline reads an array, and whether it calls back into Python for that.

    Args:
        array: `(n, ...)`; of a small one TensorFlow has a copy of its own.

    Example:
        >>> read, calls_back = read_array(np.arange(3))
        >>> read([2, 0]).numpy().tolist(), calls_back
        ([2, 0], False)
    """
    import tensorflow as tf

    array = array.astype(array.dtype.newbyteorder("="), copy=False)
    if array.nbytes > _COPIED:
        return _calling_back(array.__getitem__, array.dtype, array.shape[1:]), True
    with tf.device("CPU:0"):
        tensor = tf.convert_to_tensor(array)
    return lambda positions: tf.gather(tensor, positions), False


def _calling_back(
    take: Callable[[NDArray[np.int64]], Any], dtype: Any, shape: tuple[int, ...]
) -> Read:
    import tensorflow as tf

    def read(positions: Any) -> Any:
        found = tf.numpy_function(take, [positions], dtype, stateful=False)
        return tf.ensure_shape(found, (positions.shape[0], *shape))

    return read


def read_checked(array: Any, name: str, count: int) -> tuple[Read, bool]:
    """As `read_array`, of an array that should have a row for each of `count`.

    Raises:
        ValueError: when it has another number of rows.

    Example:
        >>> read, _ = read_checked([5, 6], "codes", 2)
        >>> read([1]).numpy().tolist()
        [6]
    """
    values = as_array(array, name, f"an array of {count} rows")
    if values.ndim < 1 or len(values) != count:
        raise ValueError(f"{name} should have {count} rows. Received: shape {values.shape}")
    return read_array(values)


def as_part(
    read: Read, column: int | None = None, prepare: Callable[[Any], Any] | None = None
) -> Part:
    """A part of a batch, read for the rows of one side; for pairs where no column is given.

    Example:
        >>> read, _ = read_array(np.arange(9))
        >>> as_part(read, column=1)([0], np.array([[7, 8]])).numpy().tolist()
        [8]
    """
    # Here, because reading data needs no Keras.
    from wyner_keras.backend import in_pipeline

    def part(positions: Any, rows: Any) -> Any:
        found = read(positions if column is None else rows[:, column])
        return found if prepare is None else in_pipeline(prepare, found)

    return part


def stream(
    size: int,
    batch_size: int,
    gather: Callable[[Any], Any],
    *,
    calls_back: bool,
    shuffle: bool,
    seed: int,
    drop_remainder: bool,
    epoch: Callable[[], int] | None = None,
    worker: Worker | None = None,
) -> tf.data.Dataset:
    """Batches of what is gathered for pairs, in the order of their positions or shuffled.

    In epoch e, which is the e-th time that it is iterated (from 0) unless `epoch` says otherwise, a
    shuffled stream has the order `np.random.default_rng([seed, e]).permutation(size)`, whatever
    TensorFlow's global seed is.

    Args:
        size: how many pairs there are.
        batch_size: pairs in a batch.
        gather: from positions of pairs, int64 `(batch,)`, to an element.
        calls_back: whether `gather` runs Python; batches are then gathered a few at a time.
        shuffle: whether to reorder at each iteration.
        seed: of the order.
        drop_remainder: whether to leave out a last batch that is not full.
        epoch: gives the epoch, each time that it is iterated.
        worker: whose slice of each batch it is; None for whole batches.

    Returns:
        A dataset of known length.

    Example:
        >>> whole = stream(
        ...     3, 2, lambda p: p, calls_back=False, shuffle=False, seed=0, drop_remainder=False
        ... )
        >>> [batch.numpy().tolist() for batch in whole]
        [[0, 1], [2]]
    """
    import tensorflow as tf

    stop = size - size % batch_size if drop_remainder else size
    worker = worker or Worker()
    # A last batch with fewer rows than the workers have devices is left out.
    stop -= stop % batch_size if stop % batch_size < worker.devices else 0
    own = worker.slice_of(batch_size)
    static_size = None if stop % batch_size else own.stop - own.start

    # Dataset.shuffle would mix TensorFlow's global seed into ours.
    of_epoch = epoch or itertools.count().__next__

    def order() -> NDArray[np.int64]:
        return np.random.default_rng([seed, of_epoch()]).permutation(size)

    # Nothing here, nor in what `gather` calls, is for AutoGraph, which would read its source anew.
    @tf.autograph.experimental.do_not_convert
    def batches(_: Any) -> Any:
        positions = tf.range(size, dtype=tf.int64)
        if shuffle:
            positions = tf.ensure_shape(tf.numpy_function(order, [], tf.int64), (size,))
        full = stop - stop % batch_size
        rows = tf.reshape(positions[:full], (-1, batch_size))
        whole = tf.data.Dataset.from_tensor_slices(rows)
        if full == stop:
            return whole
        return whole.concatenate(tf.data.Dataset.from_tensors(positions[full:stop]))

    @tf.autograph.experimental.do_not_convert
    def gather_own(positions: Any) -> Any:
        own = positions[worker.slice_of(tf.size(positions))]
        return gather(tf.ensure_shape(own, (static_size,)))

    options = tf.data.Options()
    # Autotune makes whole epochs stall now and then on data that is in memory.
    options.autotune.enabled = False
    options.deterministic = True
    # One traced function for an epoch, and one for its batches: a stream is made for each stage.
    gathered = (
        tf.data.Dataset.from_tensors(0)
        .flat_map(batches)
        .map(gather_own, num_parallel_calls=_PARALLEL if calls_back else None)
    )
    gathered = gathered.apply(tf.data.experimental.assert_cardinality(-(-stop // batch_size)))
    return gathered.prefetch(2).with_options(options)
