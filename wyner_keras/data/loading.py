"""Pairs of one's own, from a folder, a table, files of arrays or arrays: train and held out."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Any

from wyner_keras.data.array_file import ARRAY_SUFFIXES, read_array_file, split_key
from wyner_keras.data.checks import check_share, check_whole
from wyner_keras.data.columns import columns_to_vectors, kinds_of
from wyner_keras.data.door import LEAST_PAIRS, as_rows, told_modality
from wyner_keras.data.images import LabelledImages
from wyner_keras.data.pair_folder import read_pair_folder
from wyner_keras.data.pair_table import read_pair_table
from wyner_keras.data.pairs import Pairs
from wyner_keras.data.table import TABLE_SUFFIXES, Table, read_table
from wyner_keras.received import received

if TYPE_CHECKING:
    from wyner_keras.modality import Modality


def load_pairs(
    source: Any,
    y: Any = None,
    *,
    extra_x: Any = None,
    extra_y: Any = None,
    held_out: float = 0.2,
    seed: int = 0,
    kinds: Mapping[str, str] | None = None,
    missing: bool = False,
) -> tuple[Pairs, Pairs]:
    """Loads pairs, those to train on and those held out; they share no row and no group.

    Args:
        source: one of

            - a folder: `DIR/x/NAME.png` with `DIR/y/NAME.png`, or `DIR/train/x`, `DIR/train/y`
              beside `DIR/test/x`, `DIR/test/y`; names without suffix pair the images. Images
              without partner, singles, are in `extra_x` and `extra_y` beside x and y;
            - a CSV, TSV or Parquet file: for each side a column of paths of images, `x` and `y`,
              relative to the file; or columns of numbers or texts, `x.NAME` and `y.NAME`. Columns
              `split` ("train" or "test"), `group` and `label` (or `x_label`, `y_label`) are
              optional. A row with nothing of one side is a single of the other;
            - what x is drawn from, beside `y`: an array, a store of rows, `LabelledImages`, or the
              path of a .npy, .npz, HDF5 file ("a.h5:images" names an array in it) or of a table,
              all of whose columns are x. Row i of x goes with row i of y.
        y: what y is drawn from, in the last case.
        extra_x: singles of x, in the last case; what x may be.
        extra_y: likewise.
        held_out: share of the pairs that is held out, where the source does not say which are.
        seed: of that draw, 0 or more.
        kinds: of columns of vectors, "real", "binary", "categorical" or "count", by name
            ("x.age") or by side ("x"). Of others they are told: of a table from the values, of an
            array from its dtype.
        missing: whether values of vectors may be absent (NaN).

    Returns:
        Pairs to train on, and those held out.

    Raises:
        ValueError: when the source is malformed; nothing has been trained then. The error says
            what was expected and received, and names the file, column or line.

    Example:
        >>> import numpy as np
        >>> x = np.random.default_rng(0).random((10, 8, 8, 1))
        >>> [len(part) for part in load_pairs(x, 1 - x)]
        [8, 2]
    """
    check_share(held_out, "held_out")
    seed = check_whole(seed, "seed")
    chosen = None
    if y is not None:
        pairs = _from_sides({"x": (source, extra_x), "y": (y, extra_y)}, kinds, missing)
    elif extra_x is not None or extra_y is not None:
        raise ValueError(
            "extra_x and extra_y should come beside x and y: a folder of pairs holds them in "
            "extra_x and extra_y, a table in rows with one side. "
            f"Received: source={received(source)}, y=None"
        )
    elif isinstance(source, str | os.PathLike) and os.path.isdir(source):
        pairs, chosen = read_pair_folder(Path(source))
    elif isinstance(source, str | os.PathLike) and _ends(source, TABLE_SUFFIXES):
        pairs, chosen = read_pair_table(Path(source), kinds, missing)
    else:
        raise ValueError(
            f"pairs should come from a folder that exists, a {', '.join(TABLE_SUFFIXES)} file, or "
            f"from what x and y are each drawn from. Received: {received(source)}, y=None"
        )
    _refuse_kinds(pairs, kinds)
    parts = pairs.split(held_out, seed) if chosen is None else pairs.hold_out(chosen)
    if len(parts[0]) < LEAST_PAIRS:
        raise ValueError(
            f"there should be {LEAST_PAIRS} pairs or more to train on beside those held out, "
            f"{LEAST_PAIRS + 1} in all. Received: {len(pairs)}, of which {len(parts[1])} held out"
        )
    return parts


def _ends(path: Any, suffixes: tuple[str, ...]) -> bool:
    return Path(path).suffix.lower() in suffixes


def _from_sides(
    given: Mapping[str, tuple[Any, Any]], kinds: Mapping[str, str] | None, missing: bool
) -> Pairs:
    """Pairs of what each side and its singles are drawn from."""
    (x, extra_x), (y, extra_y) = given.values()
    sides = {"x": _side(x, extra_x, "x", kinds, missing)}
    one = y is x and extra_y is extra_x
    sides["y"] = sides["x"] if one else _side(y, extra_y, "y", kinds, missing)
    modalities = {f"{name}_modality": modality for name, (_, _, modality) in sides.items()}
    extra = {f"extra_{name}": singles for name, (_, singles, _) in sides.items()}
    return Pairs(sides["x"][0], sides["y"][0], **extra, **modalities)


def _side(
    value: Any, extra: Any, name: str, kinds: Mapping[str, str] | None, missing: bool
) -> tuple[Any, Any, Modality | None]:
    """What a side and its singles are drawn from; its modality where it has kinds of columns."""
    if _is_table(value):
        table = read_table(value)
        count = len(next(iter(table.values())))
        if _is_table(extra):
            # Together: of both the kinds and categories of columns are told.
            table = _below(table, read_table(extra), name)
            extra = None
        own = kinds_of(kinds, name, list(table))
        array, vector = columns_to_vectors(table, own, missing, side=name)
        singles = array[count:] if len(array) > count else _read(extra, f"extra_{name}")
        return array[:count], singles, vector
    value, extra = _read(value, name), _read(extra, f"extra_{name}")
    if isinstance(value, LabelledImages):
        return value, extra, None
    rows = as_rows(value, name)
    return rows, extra, told_modality(rows, name, kinds, missing)


def _is_table(value: Any) -> bool:
    return isinstance(value, str | os.PathLike) and _ends(value, TABLE_SUFFIXES)


def _below(table: Table, extra: Table, name: str) -> Table:
    """A table with the rows of another below, which has the same columns in any order."""
    if set(table) != set(extra):
        raise ValueError(
            f"extra_{name} should have the columns of {name}, {received(list(table))}. "
            f"Received: {received(list(extra))}"
        )
    return {column: [*values, *extra[column]] for column, values in table.items()}


def _read(value: Any, name: str) -> Any:
    """The array of a file; anything else as it is."""
    if not isinstance(value, str | os.PathLike):
        return value
    if not _ends(split_key(value)[0], ARRAY_SUFFIXES):
        raise ValueError(
            f"{name} should be an array, or the path of a file that ends in "
            f"{', '.join((*ARRAY_SUFFIXES, *TABLE_SUFFIXES))}. Received: {received(value)}"
        )
    return read_array_file(value, name)


def _refuse_kinds(pairs: Pairs, kinds: Mapping[str, str] | None) -> None:
    """Refuse kinds of columns of what has no columns; `kinds_of` saw to those of vectors."""
    of_vectors = {
        name
        for name, modality in zip(pairs.names, pairs.modalities, strict=True)
        if modality.describe().get("kind") == "vector"
    }
    others = [key for key in kinds or {} if str(key).partition(".")[0] not in of_vectors]
    if others:
        raise ValueError(
            f"`kinds` should be of columns of vectors, of {sorted(of_vectors) or 'no side'} here. "
            f"Received: {received(others)}"
        )
