"""Pairs from MuData and AnnData, and latents back into them; neither library is imported."""

from __future__ import annotations

from collections.abc import Mapping
from typing import TYPE_CHECKING, Any, NamedTuple

import numpy as np
from numpy.typing import NDArray

from wyner_keras.data.columns import kind_of, kinds_of
from wyner_keras.data.file_rows import HDF5Rows
from wyner_keras.data.rows import (
    ArrayRows,
    Rows,
    Subset,
    blocks,
    check_rows_array,
    small_in_memory,
)
from wyner_keras.means import mean_z
from wyner_keras.received import received

if TYPE_CHECKING:
    from wyner_keras.modality import Vector


class SparseRows:
    """Rows of a sparse matrix, made dense when asked for.

    Args:
        matrix: of scipy, `(n, columns)`.
        name: of the side, for the message.

    Raises:
        ValueError: when it does not hold real numbers.

    Example:
        >>> from scipy.sparse import csr_array
        >>> SparseRows(csr_array(np.eye(3)), "x").take(np.array([2, 0])).tolist()
        [[0.0, 0.0, 1.0], [1.0, 0.0, 0.0]]
    """

    def __init__(self, matrix: Any, name: str) -> None:
        self.matrix = check_rows_array(matrix, name).tocsr()

    @property
    def shape(self) -> tuple[int, ...]:
        """Shape of one example."""
        return (int(self.matrix.shape[1]),)

    @property
    def dtype(self) -> np.dtype[Any]:
        """Of the numbers."""
        return np.dtype(self.matrix.dtype)

    @property
    def array(self) -> None:
        """None: the rows lie in memory, but not as an array."""
        return None

    def __len__(self) -> int:
        """How many rows there are."""
        return int(self.matrix.shape[0])

    def take(self, positions: NDArray[np.int64]) -> NDArray[Any]:
        """A dense copy of rows."""
        found: NDArray[Any] = self.matrix[positions].toarray()
        return found


class _Side(NamedTuple):
    """One side's matrix, and what its rows and columns are called."""

    name: str
    annotated: Any
    matrix: Any
    columns: list[str]
    key: str
    """What is put behind a key of `obsm` to tell sides of one AnnData apart."""


def mudata_arguments(
    mdata: Any,
    names: tuple[str, str],
    layer: str | None,
    roles: tuple[str | None, str | None],
    kinds: Mapping[str, str] | None,
    missing: bool,
) -> dict[str, Any]:
    """Arguments of `Pairs` from MuData or AnnData; see `Pairs.from_mudata`.

    Args:
        mdata: a MuData, a mapping of AnnData, or an AnnData.
        names: of x and y.
        layer: in place of X.
        roles: columns of groups and of labels.
        kinds: of columns.
        missing: whether values may be absent.

    Raises:
        ValueError: when a name is not there, or observations are not named once.

    Example:
        >>> from types import SimpleNamespace
        >>> one = SimpleNamespace(X=np.eye(3), obs_names=["a", "b", "c"], var_names=["d", "e", "f"])
        >>> two = SimpleNamespace(X=np.eye(2), obs_names=["c", "b"], var_names=["d", "e"])
        >>> mudata = {"one": one, "two": two}
        >>> found = mudata_arguments(mudata, ("one", "two"), None, (None, None), None, False)
        >>> found["index"].tolist()
        [[1, 1], [2, 0]]
    """
    sides = _sides(mdata, names, layer)
    index, alone = _paired(sides)
    rows = [_rows(side) for side in sides]
    found: dict[str, Any] = {"index": index}
    for side, own, places in zip(sides, rows, alone, strict=True):
        found[side.name] = own
        found[f"extra_{side.name}"] = Subset(own, places) if len(places) else None
        found[f"{side.name}_modality"] = _modality(side, own, kinds, missing)
    group, label = roles
    if group is not None:
        if any(map(len, alone)):
            raise ValueError(
                "observations should have both modalities where they have groups: which group a "
                f"single is of is not looked at. Received: {sum(map(len, alone))} with one"
            )
        found["groups"] = _observed(sides[0], group)[index[:, 0]]
    if label is not None:
        found["x_labels"] = of_x = _observed(sides[0], label)
        # Of y alone no label is known: any will do, no pair has it.
        found["y_labels"] = of_y = np.resize(of_x[:1], len(rows[1]))
        of_y[index[:, 1]] = of_x[index[:, 0]]
    return found


def latents_to_obsm(
    model: Any, mdata: Any, x: str, y: str, *, key: str = "X_wyner", layer: str | None = None
) -> None:
    """Writes z of every observation into `obsm`, of each modality by its own q(z|x) or q(z|y).

    Args:
        model: a WynerModel or a bundle, of pairs that `Pairs.from_mudata` read.
        mdata: as `Pairs.from_mudata` takes it; its AnnData are written to.
        x: name of x.
        y: name of y.
        key: in `obsm` of either modality; of one AnnData with "_x" and "_y" behind.
        layer: in place of X.

    Raises:
        ValueError: when a name is not there, or the matrices are not what the model was trained
            on. Nothing is written then.

    Example:
        >>> latents_to_obsm(trained.model, mdata, "rna", "protein")  # doctest: +SKIP
    """
    found = []
    for side in _sides(mdata, (x, y), layer):
        rows = _rows(side)
        parts = [mean_z(model, block, side.name) for _, block in blocks(rows)]
        found.append((side.annotated.obsm, f"{key}{side.key}", np.concatenate(parts)))
    for obsm, name, latents in found:
        obsm[name] = latents


def _sides(mdata: Any, names: tuple[str, str], layer: str | None) -> list[_Side]:
    tables = mdata if isinstance(mdata, Mapping) else getattr(mdata, "mod", None)
    if names[0] == names[1]:
        raise ValueError(f"x and y should be different. Received: {names[0]!r} twice")
    if tables is None:
        if layer is not None:
            raise ValueError(
                "x and y should name the layers of an AnnData, and `layer` those of a MuData. "
                f"Received: layer={layer!r}"
            )
        return [_of_one(mdata, own, side) for side, own in zip("xy", names, strict=True)]
    sides = []
    for side, own in zip("xy", names, strict=True):
        if own not in tables:
            raise ValueError(
                f"{side} should be a modality of {received(list(tables))}. Received: {own!r}"
            )
        matrix = _matrix(tables[own], layer, f"layer of {own!r}")
        columns = [str(each) for each in tables[own].var_names]
        sides.append(_Side(side, tables[own], matrix, columns, ""))
    return sides


def _of_one(annotated: Any, own: str, side: str) -> _Side:
    """A side of one AnnData: its X, a layer, or a matrix beside."""
    if not all(hasattr(annotated, each) for each in ("X", "layers", "obsm", "obs_names")):
        raise ValueError(
            "mdata should be a MuData, a mapping of AnnData by name, or an AnnData. "
            f"Received: {received(annotated)}"
        )
    if own not in annotated.obsm:
        matrix = _matrix(annotated, None if own == "X" else own, f"{side} of an AnnData")
        return _Side(
            side, annotated, matrix, [str(each) for each in annotated.var_names], f"_{side}"
        )
    matrix = annotated.obsm[own]
    names = getattr(matrix, "columns", range(matrix.shape[1]))
    matrix = matrix.to_numpy() if hasattr(matrix, "to_numpy") else matrix
    return _Side(side, annotated, matrix, [str(each) for each in names], f"_{side}")


def _matrix(annotated: Any, layer: str | None, what: str) -> Any:
    """X, or a layer."""
    if layer is not None and layer not in annotated.layers:
        raise ValueError(
            f"{what} should be one of {received(list(annotated.layers))}. Received: {layer!r}"
        )
    matrix = annotated.X if layer is None else annotated.layers[layer]
    if matrix is None:
        raise ValueError(f"{what} should hold a matrix X. Received: None")
    return matrix


def _rows(side: _Side) -> Rows:
    """The store of a side's matrix: dense where that fits into 1 GiB."""
    # A sparse matrix in a file has no other way to be read by rows.
    matrix = side.matrix.to_memory() if hasattr(side.matrix, "to_memory") else side.matrix
    if hasattr(matrix, "tocsr"):
        return small_in_memory(SparseRows(matrix, side.name))
    if hasattr(matrix, "file") and hasattr(matrix, "chunks"):  # of h5py
        return small_in_memory(HDF5Rows(matrix.file.filename, matrix.name))
    return ArrayRows(np.asarray(matrix), side.name)


def _paired(sides: list[_Side]) -> tuple[NDArray[np.int64], list[NDArray[np.int64]]]:
    """Positions of observations with both modalities, in x's order; of either the others."""
    names = [list(map(str, side.annotated.obs_names)) for side in sides]
    for side, own in zip(sides, names, strict=True):
        if len(set(own)) < len(own):
            raise ValueError(
                f"obs_names of {side.name} should name each observation once. "
                f"Received: {len(own)} of {len(set(own))} names"
            )
    places = {name: place for place, name in enumerate(names[1])}
    partner = np.array([places.get(name, -1) for name in names[0]], np.int64)
    index = np.stack([np.flatnonzero(partner >= 0), partner[partner >= 0]], axis=1)
    if len(index) < 2:
        raise ValueError(
            "x and y should share observations, 2 or more, by obs_names. "
            f"Received: {len(index)} of {len(names[0])} and {len(names[1])}"
        )
    return index, [np.flatnonzero(partner < 0), np.setdiff1d(np.arange(len(names[1])), index[:, 1])]


def _modality(side: _Side, rows: Rows, kinds: Mapping[str, str] | None, missing: bool) -> Vector:
    """What a matrix's columns are: all of one kind, but those that `kinds` names."""
    from wyner_keras.modality import Vector

    told = {kind_of(block[~np.isnan(block)]) for _, block in blocks(rows)}
    usual = next(kind for kind in ("real", "count", "binary") if kind in told)
    own = kinds_of(kinds, side.name, side.columns)
    chosen = [own.get(name, usual) for name in side.columns]
    most = np.max([np.nanmax(block, axis=0) for _, block in blocks(rows)], axis=0)
    return Vector(
        kinds=tuple(chosen),
        names=tuple(side.columns),
        categories=tuple(
            int(high) + 1 if kind == "categorical" else 0
            for high, kind in zip(most, chosen, strict=True)
        ),
        missing=missing,
    )


def _observed(side: _Side, column: str) -> NDArray[Any]:
    """A column of `obs`, a value for each observation."""
    obs = side.annotated.obs
    if column not in obs:
        raise ValueError(
            f"obs of {side.name} should have the column, of {received(list(obs))}. "
            f"Received: {column!r}"
        )
    values = obs[column]
    absent = np.flatnonzero(np.asarray(values.isna()))
    if len(absent):
        raise ValueError(
            f"column {column!r} of obs should have a value in every row. "
            f"Received: {len(absent)} rows without, the first row {absent[0]}"
        )
    return np.asarray(values.tolist())
