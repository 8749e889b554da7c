"""How many nats a row of x and a row of y tell of each other, by their posteriors of z.

The pointwise mutual information log ∫ q(z|x) q(z|y) / p(z) dz is log p(x,y) / p(x) p(y) where
X − Z − Y holds. Independent parts of z add up. A latent's manifest entry lists its parts under
`pmi`, in the order of the posterior's outputs; the list of a product of latents is its factors'
lists, one after the other. Kinds may have `shares`, p(z) of each; without, they are equally common.

A form takes `ops`, NumPy or `keras.ops`: a bundle runs the lines that a graph is traced of.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

Part = Mapping[str, Any]
Tensor = Any
# Keeps a logarithm finite; and large beside all that an engine may take for 0, float32's
# subnormal numbers, or engines would differ.
_LEAST_AGREEMENT = 1e-30
_LEAST_LOG_VARIANCE = -60.0  # 1e-13 of the prior's deviation: float32 has no such means
_LEAST_SHARE = 0.01  # of 1 / k: what hardly any z is, a q(z|x) that is not quite sure would find
_LEAST_SHRINKAGE = 1e-6  # of a posterior as wide as the prior, which is divided by
_LARGE = 64.0  # terms up to here cancel in float32 to some 1e-6 nats
_AT_ONCE = 2**16  # numbers that an operation makes: they stay in a core's cache
_LEAST_ROWS, _MOST_ROWS = 256, 8192  # rows of a block
_QUERIES = 16  # numbers of a row at which several queries share a matrix product


class Form(NamedTuple):
    """A part of z whose pmi is known in closed form.

    Args:
        sizes: names of its sizes in the manifest; the first counts independent variables.
        outputs: how many of the posterior's outputs it reads.
        given: of outputs `(rows, ...)`, what `nats` reads of a query, rows on the axis before last.
        held: the same of a gallery, rows on the last axis.
        nats: every pmi, `(queries, rows)`.
    """

    sizes: tuple[str, ...]
    outputs: int
    given: Callable[[Part, Sequence[Tensor], Any], list[Tensor]]
    held: Callable[[Part, Sequence[Tensor], Any], list[Tensor]]
    nats: Callable[[Sequence[Tensor], Sequence[Tensor], Any], Tensor]


def _categorical_given(part: Part, outputs: Sequence[Tensor], ops: Any) -> list[Tensor]:
    (probabilities,) = outputs
    q = ops.reshape(probabilities, (-1, part["n"], part["k"]))
    if "shares" in part:
        # Over k p(z), since `nats` has p(z) = 1 / k.
        q = q / ops.maximum(part["k"] * ops.reshape(part["shares"], (1, 1, -1)), _LEAST_SHARE)
    return [ops.transpose(q, (1, 0, 2))]  # (n, queries, k)


def _categorical_held(part: Part, outputs: Sequence[Tensor], ops: Any) -> list[Tensor]:
    (probabilities,) = outputs
    q = ops.reshape(probabilities, (-1, part["n"], part["k"]))
    return [ops.transpose(q, (1, 2, 0))]  # (n, k, rows)


def _categorical_nats(given: Sequence[Tensor], held: Sequence[Tensor], ops: Any) -> Tensor:
    """The sum over the n variables of log Σ_z q(z|x) q(z|y) / p(z), of q(z|x) over k p(z)."""
    (q_x,), (q_y,) = given, held
    n, _, k = q_x.shape
    agreement = ops.matmul(q_x, q_y)  # (n, queries, rows)
    logs = ops.log(ops.maximum(agreement, _LEAST_AGREEMENT))
    return ops.sum(logs, axis=0) + n * math.log(k)


def _gaussian_given(_: Part, outputs: Sequence[Tensor], ops: Any) -> list[Tensor]:
    mean, log_variance = (ops.expand_dims(ops.transpose(each), 2) for each in outputs)
    variance = ops.where(
        ops.abs(log_variance) < _LEAST_SHRINKAGE,
        1.0 - _LEAST_SHRINKAGE,
        ops.exp(ops.maximum(log_variance, _LEAST_LOG_VARIANCE)),
    )
    shrinkage = 1.0 - variance
    centre = mean / shrinkage  # of the factor that made this posterior of the prior
    return [centre, shrinkage, variance, shrinkage * ops.square(centre)]  # each (dim, queries, 1)


def _gaussian_held(_: Part, outputs: Sequence[Tensor], ops: Any) -> list[Tensor]:
    mean, log_variance = (ops.expand_dims(ops.transpose(each), 1) for each in outputs)
    return [mean, ops.exp(ops.maximum(log_variance, _LEAST_LOG_VARIANCE))]  # each (dim, 1, rows)


def _gaussian_nats(given: Sequence[Tensor], held: Sequence[Tensor], ops: Any) -> Tensor:
    """Of N(m, s) and N(w, t) under the prior N(0, 1), summed over dimensions.

    With α = 1 − s and v = s + α t the integral is ½ [m²/α − α (w − m/α)²/v − log v]. All but w and
    t is known of a query, so that a row costs few operations.
    """
    (centre, shrinkage, variance, most), (mean, other) = given, held
    wide = shrinkage * other + variance  # v, (dim, queries, rows)
    less = shrinkage * ops.square(mean - centre) / wide + ops.log(wide)
    return 0.5 * (ops.sum(most, axis=0) - ops.sum(less, axis=0))


FORMS = {
    "categorical": Form(("n", "k"), 1, _categorical_given, _categorical_held, _categorical_nats),
    "gaussian": Form(("dim",), 2, _gaussian_given, _gaussian_held, _gaussian_nats),
}


def parts_of(entry: Mapping[str, Any]) -> list[Part] | None:
    """The independent parts of a latent; None where the pmi of one is of no form known here.

    Args:
        entry: what the latent says of itself. One without `pmi`, of an earlier bundle, is a part
            by itself, its family the form.

    Example:
        >>> parts_of({"family": "categorical", "n": 2, "k": 3, "size": 6, "noise": "uniform"})
        [{'form': 'categorical', 'n': 2, 'k': 3}]
    """
    found: list[Part] = []
    for part in entry.get("pmi") or [{**entry, "form": entry["family"]}]:
        form = FORMS.get(part["form"])
        if form is None:
            return None
        own = {size: part[size] for size in form.sizes}
        shares = {"shares": part["shares"]} if "shares" in part else {}
        found.append({"form": part["form"], **own, **shares})
    return found


def with_shares(parts: Sequence[Part], shares: Any) -> list[Part]:
    """Parts of a z as `describe` names them, kinds with their p(z), unless that is None.

    Example:
        >>> with_shares([{"form": "categorical", "n": 1, "k": 2}], [0.5, 0.5])[0]["shares"]
        [0.5, 0.5]
    """
    kinds = {"shares": shares} if shares is not None else {}
    return [{**part, **(kinds if part["form"] == "categorical" else {})} for part in parts]


def sizes_of(parts: Sequence[Part]) -> list[int]:
    """Width of each part's outputs.

    Raises:
        ValueError: if a size is no positive integer.

    Example:
        >>> sizes_of([{"form": "categorical", "n": 2, "k": 3}, {"form": "gaussian", "dim": 4}])
        [6, 4]
    """
    found = []
    for part in parts:
        sizes = [part[name] for name in FORMS[part["form"]].sizes]
        if not all(type(size) is int and size > 0 for size in sizes):
            raise ValueError(f"Sizes should be positive integers. Received: {dict(part)}")
        found.append(math.prod(sizes))
    return found


def log_pmi(
    parts: Sequence[Part], outputs_x: Sequence[Tensor], outputs_y: Sequence[Tensor], ops: Any = np
) -> Tensor:
    """The pmi of every x with every y, nats, `(rows_x, rows_y)`.

    Args:
        parts: of z, see `parts_of`.
        outputs_x: what tells q(z|x), each `(rows_x, ...)`.
        outputs_y: likewise.
        ops: NumPy or `keras.ops`.

    Example:
        >>> part = {"form": "categorical", "n": 1, "k": 2}
        >>> certain = np.eye(2, dtype=np.float32)
        >>> log_pmi([part], [certain], [certain[:1]]).round(2)
        array([[  0.69],
               [-68.38]], dtype=float32)
        >>> unequal = {**part, "shares": [0.9, 0.1]}
        >>> log_pmi([unequal], [certain], [certain]).diagonal().round(2)
        array([0.11, 2.3 ])
    """
    return sum(
        form.nats(form.given(part, x, ops), form.held(part, y, ops), ops)
        for (form, part, x), (_, _, y) in zip(
            _split(parts, outputs_x), _split(parts, outputs_y), strict=True
        )
    )


def _split(
    parts: Sequence[Part], outputs: Sequence[Tensor]
) -> Iterator[tuple[Form, Part, Sequence[Tensor]]]:
    """Each part with its form and the outputs that it reads."""
    start = 0
    for part in parts:
        form = FORMS[part["form"]]
        yield form, part, outputs[start : start + form.outputs]
        start += form.outputs


class Blocks:
    """The posteriors of a gallery's rows, laid out so that a query meets them quickly.

    Args:
        parts: of z, see `parts_of`.
        outputs: what tells q(z|y) of each row, float32, each `(rows, size)`.

    Raises:
        ValueError: if there are other outputs than the parts have.
    """

    def __init__(self, parts: Sequence[Part], outputs: Sequence[np.ndarray]) -> None:
        self._parts = parts
        wanted = [
            size
            for part, size in zip(parts, sizes_of(parts), strict=True)
            for _ in range(FORMS[part["form"]].outputs)
        ]
        widths = [each.shape[1] for each in outputs]
        if widths != wanted:
            raise ValueError(f"Posteriors should be of widths {wanted}. Received: {widths}")
        # Variables of z: numbers that an operation makes of a query and a row.
        self._width = sum(part[FORMS[part["form"]].sizes[0]] for part in parts)
        self._rows = len(outputs[0])
        step = min(_MOST_ROWS, max(_LEAST_ROWS, _AT_ONCE // self._width))
        self._blocks = [
            [
                [np.ascontiguousarray(each) for each in form.held(part, told, np)]
                for form, part, told in _split(
                    parts, [each[start : start + step] for each in outputs]
                )
            ]
            for start in range(0, self._rows, step)
        ]

    def nats(self, outputs: Sequence[np.ndarray]) -> Iterator[np.ndarray]:
        """The pmi of queries with every row, float32 `(some queries, rows)`, queries in order.

        Args:
            outputs: what tells q(z|x) of each query, each `(queries, ...)`.
        """
        step = max(1, _QUERIES // self._width)
        for start in range(0, len(outputs[0]), step):
            yield self._nats([each[start : start + step] for each in outputs])

    def _nats(self, outputs: Sequence[np.ndarray]) -> np.ndarray:
        told = [np.asarray(each, np.float64) for each in outputs]
        given = [
            (form, _narrow(form.given(part, own, np)))
            for form, part, own in _split(self._parts, told)
        ]
        found = np.empty((len(told[0]), self._rows), np.float32)
        start = 0
        for block in self._blocks:
            nats = sum(
                form.nats(query, held, np) for (form, query), held in zip(given, block, strict=True)
            )
            stop = start + nats.shape[1]
            found[:, start:stop] = nats
            start = stop
        return found


def _narrow(given: Sequence[np.ndarray]) -> list[np.ndarray]:
    """In float32, or float64 where large terms would cancel."""
    large = max(np.abs(each).max() for each in given) > _LARGE
    return [each if large else each.astype(np.float32) for each in given]


def best(nats: np.ndarray, k: int) -> np.ndarray:
    """Positions of the k highest of `(rows,)`, the highest first; of equal ones the first rows.

    Example:
        >>> best(np.array([1.0, 3.0, 3.0, 2.0, 3.0]), 2).tolist()
        [1, 2]
    """
    if k < len(nats):
        least = np.partition(nats, len(nats) - k)[len(nats) - k]
        above = np.flatnonzero(nats > least)
        chosen = np.concatenate([above, np.flatnonzero(nats == least)[: k - len(above)]])
    else:
        chosen = np.arange(len(nats))
    return chosen[np.lexsort((chosen, -nats[chosen]))]
