"""Where examples are compared: vectors of standardised values, or a codec's features."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

import numpy as np
from keras import ops
from sklearn.decomposition import PCA

from wyner_keras.networks.likelihoods import LIKELIHOODS

Space = Callable[[np.ndarray], np.ndarray]
"""From examples `(n, *shape)` to vectors `(n, features)`, float32."""
_AT_ONCE = 1000  # examples encoded at once
_LEAST_SPREAD = 1e-7  # of what varies, as a share of its size: float32 tells no less apart


class Standard:
    """Examples as vectors of mean 0 and deviation 1.

    Pixels have one deviation in common, so that one that hardly varies counts for little; a
    series has one a channel, a vector one a column. Counts are taken as log(1 + n), a category as
    0s and a 1, what is not known as the mean.

    Args:
        examples: that mean and deviation are taken of, `(n, *shape)`.
        entry: what their modality's `describe` says.

    Example:
        >>> entry = {"kind": "series", "shape": [2, 1]}
        >>> Standard(np.array([[[1.0], [3.0]], [[3.0], [1.0]]]), entry)(np.full((1, 2, 1), 2.0))
        array([[0., 0.]], dtype=float32)
    """

    def __init__(self, examples: np.ndarray, entry: Mapping[str, Any]) -> None:
        self.columns = entry.get("columns")
        values = self._values(examples)
        known = ~np.isnan(values)
        count = np.maximum(known.sum(axis=0), 1)
        mean = np.where(known, values, 0).sum(axis=0, dtype=np.float64) / count
        self.mean = mean.astype(np.float32)
        centred = np.where(known, values - self.mean, 0)
        # In float32 the squares of small units would be 0, and of large ones infinite.
        variance = np.einsum("ni,ni->i", centred, centred, dtype=np.float64) / count
        if entry["kind"] == "image":
            variance[:] = variance.mean()
        elif entry["kind"] == "series":
            variance = np.tile(variance.reshape(entry["shape"]).mean(axis=0), entry["shape"][0])
        self.deviation = np.where(variance > 0, np.sqrt(variance), 1).astype(np.float32)

    def __call__(self, examples: np.ndarray) -> np.ndarray:
        """Vectors `(n, features)` of examples `(n, *shape)`."""
        return np.nan_to_num((self._values(examples) - self.mean) / self.deviation)

    def _values(self, examples: np.ndarray) -> np.ndarray:
        flat = np.asarray(examples, np.float32).reshape(len(examples), -1)
        parts = [] if self.columns else [flat]
        for column, value in zip(self.columns or (), flat.T[:, :, None], strict=False):
            if column["kind"] == "categorical":
                value = (value == np.arange(column["categories"])).astype(np.float32)
            takes_log = LIKELIHOODS[column["kind"]].takes_log
            parts.append(np.log1p(np.maximum(value, 0)) if takes_log else value)
        return np.concatenate(parts, axis=1)


def chunked(function: Callable[[Any], Any], examples: np.ndarray) -> np.ndarray:
    """A function of examples, computed for 1,000 at a time and put together."""
    parts = np.array_split(examples, -(-len(examples) // _AT_ONCE))
    return np.concatenate([np.asarray(function(ops.convert_to_tensor(part))) for part in parts])


def scores(vectors: np.ndarray, most: int) -> np.ndarray:
    """Few uncorrelated columns of deviation 1 in place of many; columns that do not vary go.

    Whether a column varies is told by itself, whatever its units and those of others.

    Args:
        vectors: `(n, features)`.
        most: columns that are kept as they are, but for their scale; of more, the first so many
            principal components are taken.

    Returns:
        float64 `(n, columns)`, of mean 0, at most `most` columns and at least one.

    Example:
        >>> scores(np.array([[1.0, 5.0], [3.0, 5.0]]), 4).tolist()
        [[-1.0], [1.0]]
    """
    centred = vectors.astype(np.float64) - vectors.mean(axis=0, dtype=np.float64)
    varying = varies(vectors)
    if not varying.any():
        return np.zeros((len(centred), 1))
    centred = centred[:, varying]
    if centred.shape[1] > most:
        size = min(most, len(centred) - 1)
        centred = PCA(size, random_state=0).fit_transform(centred)
        # Components beyond the rank are rounding.
        deviation = centred.std(axis=0)
        centred = centred[:, deviation > _LEAST_SPREAD * deviation.max()]
    return centred / centred.std(axis=0)


def varies(values: np.ndarray) -> Any:
    """Whether each column differs from row to row by more than rounding, in any units.

    Args:
        values: `(n, columns)`, or `(n,)` of one.

    Returns:
        bool `(columns,)`, or one.

    Example:
        >>> varies(np.array([[1e-9, 5.0, 1e9], [3e-9, 5.0, 1e9 + 1]])).tolist()
        [True, False, False]
    """
    values = np.asarray(values, np.float64)
    return values.std(axis=0) > _LEAST_SPREAD * np.abs(values).max(axis=0)
