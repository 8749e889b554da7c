"""Pairs (x, y): two stores of rows, and which row of one goes with which of the other."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any, Self, overload

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.annotated import mudata_arguments
from wyner_keras.data.checks import as_array, check_labels, check_share, check_whole
from wyner_keras.data.door import as_index, as_rows, modality_for, row_labels, with_extra
from wyner_keras.data.frames import frame_arguments
from wyner_keras.data.images import shown_classes
from wyner_keras.data.rows import Rows, Subset, root
from wyner_keras.data.splits import held_out_pairs, linked_lots, validation_parts
from wyner_keras.data.spool import spool
from wyner_keras.data.stream import (
    Part,
    Worker,
    as_part,
    read_array,
    read_checked,
    read_rows,
    stream,
)

if TYPE_CHECKING:
    import tensorflow as tf

    from wyner_keras.modality import Modality


@dataclass(frozen=True, kw_only=True)
class Facts:
    """What is known of pairs before training; recipes follow it.

    Args:
        pairs: how many there are.
        rows: how many rows each side's store has, those without partner among them.
        modalities: of the sides.
        same_store: whether x and y are drawn from one store.
        classes: how many labels x has; None where it has none.
        singles: how many rows without partner each side has.
    """

    pairs: int
    rows: tuple[int, ...]
    modalities: tuple[Modality, ...]
    same_store: bool
    classes: int | None
    singles: tuple[int, ...] = (0, 0)


class Pairs:
    """Pairs (x, y), held as positions in two stores and gathered when asked for.

    Args:
        x: rows that x is drawn from: an array `(n, ...)`, a memory-mapped one, a store of rows or
            `LabelledImages`. Images are `(n, h, w, c)` in [0, 1] or bytes, series `(n, time,
            channels)`, vectors `(n, columns)`.
        y: likewise; the same object as `x` where both are drawn from one store.
        index: integers `(n, 2)`, positions in x and in y; None pairs row i with row i.
        extra_x: rows of x whose partner is not known, singles; what x may be, of its shape and
            dtype. None for none.
        extra_y: likewise.
        x_labels: a label for each row of x, integers or texts; for figures, and for the number of
            kinds that the default recipe gives z. No loss reads them.
        y_labels: likewise.
        groups: a group for each pair, integers or texts; `split` keeps a group together.
        x_modality: what x is; None to be told from its shape and dtype.
        y_modality: likewise.

    Attributes:
        stores: of x and of y, singles among them.
        modalities: of x and of y.
        index: int64 `(n, 2)`, read-only.
        groups: of the pairs, or None.
        singles: of x and of y, positions of the singles in the stores.
        partners: mask `(n,)`, False of strangers that `with_singles` put beside each other; None
            where all are partners.

    Raises:
        ValueError: when a side or the index is malformed, there are fewer than 2 pairs, a value
            is not as the modality says, or all rows of a side are the same.

    Example:
        >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
        >>> pairs = Pairs(x, 1 - x, x_labels=["a", "b", "a"])
        >>> pairs
        Pairs(3 pairs, x=3 images of shape (8, 8, 1), classes a, b; y=3 images of shape (8, 8, 1))
    """

    names = ("x", "y")

    def __init__(
        self,
        x: Any,
        y: Any,
        index: Any = None,
        *,
        extra_x: Any = None,
        extra_y: Any = None,
        x_labels: Any = None,
        y_labels: Any = None,
        groups: Any = None,
        x_modality: Modality | None = None,
        y_modality: Modality | None = None,
    ) -> None:
        first = as_rows(x, "x")
        # The same object twice stays one store: its rows are held, and encoded, once.
        second = first if y is x else as_rows(y, "y")
        self.index = as_index(index, (len(first), len(second)))
        of_x = row_labels(x, x_labels, first, "x_labels")
        same = second is first and y_labels is None
        self._labels = of_x, of_x if same else row_labels(y, y_labels, second, "y_labels")
        self.groups = None if groups is None else check_labels(groups, len(self), "groups")
        self.partners: NDArray[np.bool] | None = None
        shared = second is first
        first, of_first = with_extra(first, extra_x, "x")
        if not shared:
            second, of_second = with_extra(second, extra_y, "y")
        elif extra_y is extra_x:
            second, of_second = first, of_first
        else:
            second, of_second = with_extra(first, extra_y, "y")
            first = second
        self.singles: tuple[NDArray[np.int64], ...] = (of_first, of_second)
        self.stores: tuple[Rows, ...] = (first, second)
        told = modality_for(first, x_modality, "x")
        if second is first and y_modality is None:
            self.modalities: tuple[Modality, ...] = (told, told)
        else:
            self.modalities = (told, modality_for(second, y_modality, "y"))

    @classmethod
    def from_dataset(
        cls,
        dataset: Any,
        count: int | None = None,
        *,
        x: str | int | None = None,
        y: str | int | None = None,
        channels_first: bool = False,
        **kwargs: Any,
    ) -> Self:
        """Pairs from a stream, which is gone through once.

        What does not fit into 1 GiB a side is kept in a file of the folder for temporary files
        (`TMPDIR` says which) and goes with the pairs: epochs can then be shuffled anew.

        Args:
            dataset: of batches `(x, y)`, each `(batch, ...)`: a tf.data.Dataset, PyTorch's
                DataLoader, any iterable; or a Dataset of Hugging Face, with `x` and `y`.
            count: pairs to take, at most; None for all.
            x: which part of a batch is x, by its name, or its place in a tuple; None where
                batches are `(x, y)`.
            y: likewise.
            channels_first: whether images are `(batch, channels, h, w)`, as PyTorch has them.
            **kwargs: as of `Pairs`: labels, groups and modalities.

        Raises:
            ValueError: when it is no such stream, its batches differ in shape or dtype, it does not
                end, or does not fit on the disk.

        Example:
            >>> import tensorflow as tf
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> Pairs.from_dataset(tf.data.Dataset.from_tensor_slices((x, 1 - x)).batch(2))
            Pairs(3 pairs, x=3 images of shape (8, 8, 1); y=3 images of shape (8, 8, 1))
        """
        return cls(*spool(dataset, count, (x, y), channels_first), **kwargs)

    @overload
    @classmethod
    def from_frame(
        cls,
        frame: Any,
        x: Any,
        y: Any,
        *,
        group: str | None = None,
        split: None = None,
        label: str | None = None,
        kinds: Mapping[str, str] | None = None,
        missing: bool = False,
        singles: bool = False,
    ) -> Self: ...

    @overload
    @classmethod
    def from_frame(
        cls,
        frame: Any,
        x: Any,
        y: Any,
        *,
        group: str | None = None,
        split: str,
        label: str | None = None,
        kinds: Mapping[str, str] | None = None,
        missing: bool = False,
        singles: bool = False,
    ) -> tuple[Self, Self]: ...

    @classmethod
    def from_frame(
        cls,
        frame: Any,
        x: Any,
        y: Any,
        *,
        group: str | None = None,
        split: str | None = None,
        label: str | None = None,
        kinds: Mapping[str, str] | None = None,
        missing: bool = False,
        singles: bool = False,
    ) -> Self | tuple[Self, Self]:
        """Pairs of vectors from a frame, one pair a row.

        Numbers are told from their values, as of a table on disk: 0 and 1 alone are binary, whole
        numbers of 0 or more counts, others real; booleans are binary. Texts that occur again, and
        categories whatever they are of, are categorical, numbered in sorted order of their texts;
        texts of numbers with a decimal comma, thousands or a unit are refused.

        Args:
            frame: a pandas.DataFrame, or what has `to_pandas`: of polars, pyarrow, Hugging Face.
            x: names of the columns of x.
            y: likewise of y.
            group: name of a column of groups; `split` keeps a group together.
            split: name of a column of "train" and "test".
            label: name of a column of labels, see `x_labels` of `Pairs`.
            kinds: of columns, by name ("x.age") or by side ("x"), where they should not be told.
            missing: whether values may be absent: NaN, None, NA.
            singles: whether a row with nothing of one side is a single of the other.

        Returns:
            The pairs; with `split` those to train on, and those held out.

        Raises:
            ValueError: when a column is absent, or a value is not as it should be; the column is
                named.

        Example:
            >>> import pandas as pd
            >>> frame = pd.DataFrame({"age": [3, 4], "pet": ["cat", "ant"], "cm": [95.0, 102.5]})
            >>> Pairs.from_frame(frame, x=["age", "pet"], y=["cm"]).modalities[0].kinds
            ('count', 'categorical')
        """
        others = {"group": group, "split": split, "label": label}
        found, held_out = frame_arguments(frame, {"x": x, "y": y}, others, kinds, missing, singles)
        return cls(**found) if held_out is None else cls(**found).hold_out(held_out)

    @classmethod
    def from_mudata(
        cls,
        mdata: Any,
        x: str,
        y: str,
        *,
        layer: str | None = None,
        group: str | None = None,
        label: str | None = None,
        kinds: Mapping[str, str] | None = None,
        missing: bool = False,
    ) -> Self:
        """Pairs of the observations that two modalities share; others are singles.

        Sparse matrices stay sparse in memory where the rows would take more than 1 GiB. Where a
        matrix holds whole numbers of 0 or more its columns are counts, of 0 and 1 alone binary,
        else real.

        Args:
            mdata: a MuData, or a mapping of AnnData by name; or an AnnData.
            x: name of a modality; of an AnnData "X", or a name in its `layers` or `obsm`.
            y: likewise.
            layer: of both modalities, in place of X.
            group: name of a column of x's `obs`, of groups; `split` keeps a group together. All
                observations then should have both modalities.
            label: likewise of labels, see `x_labels` of `Pairs`.
            kinds: of columns, by name ("x.CD8") or by side ("x"), where they should not be told.
            missing: whether values may be absent (NaN).

        Raises:
            ValueError: when a name is not there, or a value is not as it should be; it is named.

        Example:
            >>> from types import SimpleNamespace
            >>> cells, genes = np.array(["a", "b"]), np.array(["one", "two"])
            >>> rna = SimpleNamespace(X=np.eye(2), obs_names=cells, var_names=genes)
            >>> dna = SimpleNamespace(X=3.5 * np.eye(2), obs_names=cells, var_names=genes)
            >>> Pairs.from_mudata({"rna": rna, "dna": dna}, "rna", "dna").modalities[0].kinds
            ('binary', 'binary')
        """
        return cls(**mudata_arguments(mdata, (x, y), layer, (group, label), kinds, missing))

    def _with(self, **changes: Any) -> Self:
        """The same pairs but for some attributes, which are right by construction."""
        result = object.__new__(type(self))
        result.__dict__.update(self.__dict__ | changes)
        result.index.flags.writeable = False
        return result

    def __len__(self) -> int:
        """How many pairs there are."""
        return len(self.index)

    def __received__(self) -> str:
        """What an error message says of the pairs."""
        return f"{len(self)} Pairs of {self.x.shape} and {self.y.shape}"

    def __repr__(self) -> str:
        """How many pairs there are and of what, without values and positions."""
        x, y = (
            _shown(rows, modality, labels)
            for rows, modality, labels in zip(
                self.stores, self.modalities, self._labels, strict=True
            )
        )
        singles = [
            f"{len(places)} of {name}"
            for name, places in zip(self.names, self.singles, strict=True)
            if len(places)
        ]
        alone = f"; singles: {', '.join(singles)}" if singles else ""
        return f"Pairs({len(self)} pairs, x={x}; y={'x' if self.y is self.x else y}{alone})"

    @property
    def x(self) -> Rows:
        """The store of x."""
        return self.stores[0]

    @property
    def y(self) -> Rows:
        """The store of y."""
        return self.stores[1]

    @property
    def x_labels(self) -> NDArray[Any] | None:
        """Label of x in each pair, `(n,)`; None without."""
        return self._labels_of(0)

    @property
    def y_labels(self) -> NDArray[Any] | None:
        """Label of y in each pair, `(n,)`; None without."""
        return self._labels_of(1)

    def _labels_of(self, column: int) -> NDArray[Any] | None:
        labels = self._labels[column]
        return None if labels is None else labels[self.index[:, column]]

    def facts(self) -> Facts:
        """What is known of the pairs before training."""
        labels = self._labels[0]
        return Facts(
            pairs=len(self),
            rows=tuple(map(len, self.stores)),
            modalities=self.modalities,
            same_store=self.x is self.y,
            classes=None if labels is None else len(np.unique(labels)),
            singles=tuple(map(len, self.singles)),
        )

    def arrays(self) -> tuple[NDArray[np.float32], ...]:
        """All pairs gathered into new arrays, in the order of `index`.

        Returns:
            x and y, float32 `(n, ...)`: images in [0, 1], all else in the user's units.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> Pairs(x, x, [[0, 1], [1, 2]]).arrays()[0].shape
            (2, 8, 8, 1)
        """
        return tuple(
            modality.check(rows.take(self.index[:, column]), name)
            for column, (rows, modality, name) in enumerate(
                zip(self.stores, self.modalities, self.names, strict=True)
            )
        )

    def select(self, positions: Any) -> Self:
        """The pairs at some positions, of the same stores, and all singles.

        Args:
            positions: integers, or a mask `(n,)`.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> Pairs(x, x).select([2, 0]).index.tolist()
            [[2, 2], [0, 0]]
        """
        groups, partners = (
            None if each is None else each[positions] for each in (self.groups, self.partners)
        )
        return self._with(index=self.index[positions], groups=groups, partners=partners)

    def with_singles(self, share: float = 0.0) -> Self:
        """What stages train on that need no partner: pairs, and strangers beside each other.

        A single of x comes with a single of y, and `partners` says that they are none; a side that
        has fewer gives its own several times, a side that has none the rows of its pairs.

        Args:
            share: of the pairs in what is returned, at least; fewer come several times.

        Returns:
            The pairs, then the strangers, without labels and groups; the same pairs where there
            are no singles.

        Example:
            >>> x = np.random.default_rng(0).random((6, 8, 8, 1))
            >>> Pairs(x[:2], x[:2], extra_x=x[2:]).with_singles().partners.tolist()
            [True, True, False, False, False, False]
        """
        count = max(map(len, self.singles))
        if not count or self.partners is not None:
            return self
        strangers = [
            np.resize(places if len(places) else self.index[:, column], count)
            for column, places in enumerate(self.singles)
        ]
        times = max(1, math.ceil(share * count / ((1 - share) * len(self))))
        partners = np.tile(self.index, (times, 1))
        return self._with(
            index=np.concatenate([partners, np.stack(strangers, axis=1)]),
            partners=np.arange(len(partners) + count) < len(partners),
            groups=None,
            _labels=(None, None),
        )

    def take(self, n: int, seed: int = 0) -> Self:
        """A random subset.

        Args:
            n: how many pairs, from 1 to all.
            seed: 0 or more; the same seed gives the same pairs in the same order.

        Returns:
            `n` different pairs of the same stores, in random order.

        Raises:
            ValueError: when there are not that many, or the seed is negative.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> len(Pairs(x, x).take(1, seed=0))
            1
        """
        n = check_whole(n, "n", minimum=1, maximum=len(self))
        rng = np.random.default_rng(check_whole(seed, "seed"))
        return self.select(rng.permutation(len(self))[:n])

    def split(self, fraction: float = 0.2, seed: int = 0) -> tuple[Self, Self]:
        """Pairs to train on and pairs held out, which share no row and no group.

        Args:
            fraction: share of the pairs that is held out, above 0 and below 1.
            seed: of the draw, 0 or more.

        Returns:
            Both in the order of the pairs, of stores of their own: what trains on the rows of one
            sees none of the other. Singles, and rows that no pair uses, stay with the first.

        Raises:
            ValueError: for a malformed argument, or when rows or groups link all pairs together.

        Example:
            >>> x = np.random.default_rng(0).random((10, 8, 8, 1))
            >>> [len(part) for part in Pairs(x, x).split()]
            [8, 2]
        """
        fraction = check_share(fraction, "fraction")
        seed = check_whole(seed, "seed")
        return self.hold_out(held_out_pairs(self.stores, self.index, self.groups, fraction, seed))

    def validation(self, fraction: float = 0.2, seed: int = 0) -> tuple[Self, Self]:
        """Pairs to train on and to choose settings by, which share no group and no row of a side.

        Args:
            fraction: share that is chosen by, above 0 and below 1.
            seed: of the draw, 0 or more.

        Returns:
            Both of the same stores. Where rows link many pairs, as label maps do, the share is of
            rows and groups, and pairs with one on each side are left out of both. Singles stay
            with the first.

        Raises:
            ValueError: for a malformed argument, or where either would have no pair.

        Example:
            >>> x = np.random.default_rng(0).random((10, 8, 8, 1))
            >>> [len(part) for part in Pairs(x, x).validation()]
            [8, 2]
        """
        fraction = check_share(fraction, "fraction")
        seed = check_whole(seed, "seed")
        parts = validation_parts(self.stores, self.index, self.groups, fraction, seed)
        if not all(part.any() for part in parts):
            raise ValueError(
                "pairs should be enough, and linked loosely enough, to choose settings by some. "
                f"Received: {len(self)} pairs, of which {parts[1].sum()} could be held apart"
            )
        nothing = (np.arange(0), np.arange(0))
        return self.select(parts[0]), self.select(parts[1])._with(singles=nothing)

    def hold_out(self, chosen: Any) -> tuple[Self, Self]:
        """Pairs to train on and the chosen ones, which are held out; see `split`.

        Args:
            chosen: mask `(n,)`.

        Raises:
            ValueError: when none or all are chosen, or one shares a row or a group with another
                that is not.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> [len(part) for part in Pairs(x, x).hold_out([True, False, False])]
            [2, 1]
        """
        chosen = as_array(chosen, "chosen", f"a mask ({len(self)},)")
        if chosen.dtype != bool or chosen.shape != (len(self),):
            raise ValueError(
                f"chosen should be a mask ({len(self)},). "
                f"Received: {chosen.dtype}, shape {chosen.shape}"
            )
        if chosen.all() or not chosen.any():
            raise ValueError(
                "some pairs should be held out and some left to train on. "
                f"Received: {chosen.sum()} of {len(self)} pairs chosen"
            )
        lots = linked_lots(self.stores, self.index, self.groups)
        both = np.flatnonzero(chosen & np.isin(lots, lots[~chosen]))
        if len(both):
            raise ValueError(
                "pairs held out should share no row and no group with others. "
                f"Received: {len(both)} that do, the first at place {both[0]}"
            )
        return self._apart(~chosen, complement=True), self._apart(chosen)

    def thinned(self, share: float, seed: int = 0) -> Self:
        """A random share of the pairs and of the singles, with stores of the rows that these use.

        Args:
            share: above 0 and below 1; at least 2 pairs stay.
            seed: of the draw, 0 or more.

        Returns:
            What is left, in the order of the pairs.

        Raises:
            ValueError: when an argument is malformed.

        Example:
            >>> x = np.random.default_rng(0).random((10, 8, 8, 1))
            >>> Pairs(x, x.copy()).thinned(0.3)
            Pairs(3 pairs, x=3 images of shape (8, 8, 1); y=3 images of shape (8, 8, 1))
        """
        share = check_share(share, "share")
        rng = np.random.default_rng(check_whole(seed, "seed"))
        chosen = np.zeros(len(self), bool)
        chosen[rng.permutation(len(self))[: max(2, round(share * len(self)))]] = True
        alone = [rng.permutation(each)[: round(share * len(each))] for each in self.singles]
        kept = self._used(chosen)
        for column, places in enumerate(alone):
            for mask in kept if self.x is self.y else kept[column : column + 1]:
                mask[places] = True
        return self._within(chosen, kept, alone)

    def _apart(self, chosen: NDArray[np.bool], complement: bool = False) -> Self:
        """Some pairs with stores of their own: the rows they use, or those that no other uses."""
        used = self._used(~chosen if complement else chosen)
        # Singles that are rows of held-out pairs, and have come by another way, go with those.
        alone = [
            places[~mask[places]] if complement else places[:0]
            for mask, places in zip(used, self.singles, strict=True)
        ]
        return self._within(chosen, [mask != complement for mask in used], alone)

    def _within(
        self,
        chosen: NDArray[np.bool],
        kept: Sequence[NDArray[np.bool]],
        alone: Sequence[NDArray[np.int64]],
    ) -> Self:
        """Some pairs and some singles, in stores of the rows that are kept of each."""
        index = self.index[chosen]
        stores: list[Rows] = []
        labels: list[NDArray[Any] | None] = []
        singles: list[NDArray[np.int64]] = []
        for column, (rows, mask) in enumerate(zip(self.stores, kept, strict=True)):
            places = np.flatnonzero(mask)
            index[:, column] = np.searchsorted(places, index[:, column])
            singles.append(np.searchsorted(places, np.sort(alone[column])))
            of_rows = self._labels[column]
            # Of rows that came as singles, which are last, no label is known.
            labels.append(None if of_rows is None else of_rows[places[places < len(of_rows)]])
            same = self.x is self.y and stores
            stores.append(stores[0] if same else Subset(rows, places))
        groups, partners = (
            None if each is None else each[chosen] for each in (self.groups, self.partners)
        )
        return self._with(
            index=index,
            stores=tuple(stores),
            singles=tuple(singles),
            _labels=tuple(labels),
            groups=groups,
            partners=partners,
        )

    def _used(self, chosen: NDArray[np.bool]) -> list[NDArray[np.bool]]:
        """Of each store a mask of the rows that some pairs use, on either side where it is one."""
        masks: dict[Rows, NDArray[np.bool]] = {}
        places = [root(rows) for rows in self.stores]
        for column, (store, within) in enumerate(places):
            own = self.index[chosen, column]
            mask = masks.setdefault(store, np.zeros(len(store), bool))
            mask[own if within is None else within[own]] = True
        return [
            masks[store] if within is None else masks[store][within] for store, within in places
        ]

    def dataset(
        self,
        batch_size: int,
        *,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        epoch: Callable[[], int] | None = None,
        worker: Worker | None = None,
    ) -> tf.data.Dataset:
        """A stream of batches `(x, y)` for `fit`; order as said in `batches`.

        Args:
            batch_size: pairs in a batch.
            shuffle: whether to reorder the pairs at each iteration; otherwise as in `index`.
            seed: of the order, 0 or more.
            drop_remainder: whether to leave out a last batch that is not full.
            epoch: gives the epoch, each time that it is iterated.
            worker: whose slice of each batch it is, where several train together.

        Returns:
            A dataset of known length whose elements are `(x, y)`, each float32
            `(batch_size, ...)`: images in [0, 1], all else in the user's units.

        Raises:
            ValueError: when a size or seed is malformed.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> [x.shape[0] for x, y in Pairs(x, x).dataset(batch_size=2)]
            [2, 1]
        """
        parts, calls_back = self._data_parts()
        return self._stream(
            lambda *rows: tuple(parts[name](*rows) for name in self.names),
            calls_back,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            epoch=epoch,
            worker=worker,
        )

    def batches(
        self,
        batch_size: int,
        *,
        data: bool = True,
        by_row: Mapping[str, tuple[Any, int]] | None = None,
        by_pair: Mapping[str, Any] | None = None,
        shuffle: bool = True,
        seed: int = 0,
        drop_remainder: bool = False,
        epoch: Callable[[], int] | None = None,
        worker: Worker | None = None,
    ) -> tf.data.Dataset:
        """A stream of batches by name: examples, and arrays that belong to rows or to pairs.

        In epoch e, the e-th time that it is iterated (from 0) unless `epoch` says otherwise, the
        pairs come in the order `np.random.default_rng([seed, e]).permutation(len(self))`, whatever
        TensorFlow's global seed is.

        Args:
            batch_size: pairs in a batch.
            data: whether batches hold the examples, "x" and "y".
            by_row: arrays with a row for each row of a store, and that store's place: 0 for x, 1
                for y.
            by_pair: arrays with a row for each pair.
            shuffle: whether to reorder the pairs at each iteration; otherwise as in `index`.
            seed: of the order, 0 or more.
            drop_remainder: whether to leave out a last batch that is not full.
            epoch: gives the epoch, each time that it is iterated.
            worker: whose slice of each batch it is, where several train together.

        Returns:
            A dataset of known length whose elements are dicts: examples float32, images in
            [0, 1]; the arrays' rows as they are; "partners", bool `(batch,)`, where there are
            strangers.

        Raises:
            ValueError: when a size or seed is malformed, or an array has another number of rows.

        Example:
            >>> x = np.random.default_rng(0).random((3, 8, 8, 1))
            >>> codes = {"x_codes": (np.arange(3.0), 0)}
            >>> (batch,) = Pairs(x, x).batches(3, data=False, by_row=codes, shuffle=False)
            >>> batch["x_codes"].numpy().tolist()
            [0.0, 1.0, 2.0]
        """
        parts, calls_back = self._data_parts() if data else ({}, False)
        arrays: list[tuple[str, Any, int | None, int]] = [
            *((n, a, at, len(self.stores[at])) for n, (a, at) in (by_row or {}).items()),
            *((name, array, None, len(self)) for name, array in (by_pair or {}).items()),
        ]
        if self.partners is not None:
            arrays.append(("partners", self.partners, None, len(self)))
        for name, array, column, count in arrays:
            read, own = read_checked(array, name, count)
            parts[name] = as_part(read, column)
            calls_back |= own
        if not parts:
            raise ValueError("batches should hold examples or arrays. Received: neither")
        return self._stream(
            lambda *rows: {name: part(*rows) for name, part in parts.items()},
            calls_back,
            batch_size=batch_size,
            shuffle=shuffle,
            seed=seed,
            drop_remainder=drop_remainder,
            epoch=epoch,
            worker=worker,
        )

    def _data_parts(self) -> tuple[dict[str, Part], bool]:
        """Of each side how its examples are read, and whether that calls back into Python."""
        parts, calls_back = {}, False
        for column, (name, rows, modality) in enumerate(
            zip(self.names, self.stores, self.modalities, strict=True)
        ):
            read, own = read_rows(rows)
            parts[name] = as_part(read, column, modality.prepare)
            calls_back |= own
        return parts, calls_back

    def _stream(
        self,
        gather: Callable[..., Any],
        calls_back: bool,
        *,
        batch_size: int,
        seed: int,
        drop_remainder: bool,
        **settings: Any,
    ) -> tf.data.Dataset:
        batch_size = check_whole(batch_size, "batch_size", minimum=1)
        seed = check_whole(seed, "seed")
        if drop_remainder and batch_size > len(self):
            raise ValueError(
                f"batch_size should be at most the {len(self)} pairs when drop_remainder is set. "
                f"Received: {batch_size}"
            )
        index, own = read_array(self.index)
        return stream(
            len(self),
            batch_size,
            lambda positions: gather(positions, index(positions)),
            calls_back=calls_back or own,
            seed=seed,
            drop_remainder=drop_remainder,
            **settings,
        )


def _shown(rows: Rows, modality: Modality, labels: NDArray[Any] | None) -> str:
    kind = str(modality.describe().get("kind", "row"))
    size = f"{len(rows)} {kind}{'' if kind.endswith('s') else 's'} of shape {rows.shape}"
    return size if labels is None else f"{size}, {shown_classes(np.unique(labels))}"
