"""Seconds to rank a gallery exactly for one query, and how far the nats are from float64's.

    python -m benchmarks.rank_gallery [--rows 100000] [--queries 50] [--bundle BUNDLE]

Posteriors are drawn as experts give them: of a categorical z of 64 values, of one of 20 variables
of 10 values, of a Gaussian z of 64 dimensions whose precisions differ by row and dimension, and of
both together. A query's time is from its posterior to the ten best rows and their nats, which
`rank` spends beside the encoding of the query. With a bundle, its held-out examples are ranked too,
and encoding counts. The BLAS library may use several threads (OMP_NUM_THREADS), all else uses one.
"""

from __future__ import annotations

import argparse
import time
from collections.abc import Callable
from typing import Any

import numpy as np

from wyner_serving import Bundle, Gallery
from wyner_serving.pmi import best

K = 10


def categorical(rng: np.random.Generator, rows: int, n: int, k: int) -> list[np.ndarray]:
    """Probabilities of n variables, from sure to undecided."""
    logits = rng.gamma(1.0, 3.0, (rows, n, 1)) * rng.standard_normal((rows, n, k))
    weights = np.exp(logits - logits.max(axis=2, keepdims=True))
    found: np.ndarray = weights / weights.sum(axis=2, keepdims=True)
    return [found.reshape(rows, n * k).astype(np.float32)]


def gaussian(rng: np.random.Generator, rows: int, dim: int) -> list[np.ndarray]:
    """Means and log variances of N(0, 1) times a factor of any precision."""
    precision = np.exp(rng.normal(1.0, 2.0, (rows, dim)))
    mean = precision / (1 + precision) * rng.normal(0, np.sqrt(1 + 1 / precision))
    return [mean.astype(np.float32), -np.log1p(precision).astype(np.float32)]


def exact_categorical(x: Any, y: Any, n: int, k: int) -> np.ndarray:
    """The pmi in float64, of one query."""
    q_x, q_y = (each[0].astype(np.float64).reshape(-1, n, k) for each in (x, y))
    found: np.ndarray = np.log(k * np.einsum("nk,ynk->yn", q_x[0], q_y)).sum(axis=1)
    return found


def exact_gaussian(x: Any, y: Any) -> np.ndarray:
    """The pmi in float64, of one query, in another arrangement: by precisions."""
    (m, s), (w, t) = ([each.astype(np.float64) for each in outputs] for outputs in (x, y))
    a, b = np.exp(-s), np.exp(-t)
    c = a + b - 1
    squares = a * m**2 + b * w**2 - (a * m + b * w) ** 2 / c
    found: np.ndarray = 0.5 * (np.log(a) + np.log(b) - np.log(c) - squares).sum(axis=1)
    return found


def scores(gallery: Gallery, queries: list[np.ndarray], place: int) -> np.ndarray:
    """The nats of one query with every row."""
    assert gallery.blocks is not None
    (nats,) = gallery.blocks.nats([each[place : place + 1] for each in queries])
    return nats[0]


def timed(call: Callable[[int], Any], queries: int) -> str:
    """Milliseconds: of the clock the least, median and 95th percentile; of processors the median.

    The clock counts what other processes take, the processors' time does not.
    """
    clock, used = [], []
    for place in range(queries):
        begin, before = time.perf_counter(), time.process_time()
        call(place)
        clock.append(time.perf_counter() - begin)
        used.append(time.process_time() - before)
    found = [min(clock), *np.quantile(clock, (0.5, 0.95)), np.median(used)]
    return "".join(f"{1e3 * seconds:8.1f}" for seconds in found)


def main() -> None:
    """Measure and print a line for each latent."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--rows", type=int, default=100_000)
    parser.add_argument("--queries", type=int, default=50)
    parser.add_argument("--bundle")
    options = parser.parse_args()
    rng, rows = np.random.default_rng(0), options.rows
    of_64, of_20, of_dims = (
        {"form": "categorical", "n": 1, "k": 64},
        {"form": "categorical", "n": 20, "k": 10},
        {"form": "gaussian", "dim": 64},
    )
    cases: dict[str, tuple[list[Any], Callable[[int], list[np.ndarray]], Any]] = {
        "categorical, 64 values": (
            [of_64],
            lambda count: categorical(rng, count, 1, 64),
            lambda x, y: exact_categorical(x, y, 1, 64),
        ),
        "categorical, 20 of 10 values": (
            [of_20],
            lambda count: categorical(rng, count, 20, 10),
            lambda x, y: exact_categorical(x, y, 20, 10),
        ),
        "Gaussian, 64 dimensions": (
            [of_dims],
            lambda count: gaussian(rng, count, 64),
            exact_gaussian,
        ),
        "64 values and 64 dimensions": (
            [of_64, of_dims],
            lambda count: [*categorical(rng, count, 1, 64), *gaussian(rng, count, 64)],
            lambda x, y: exact_categorical(x[:1], y[:1], 1, 64) + exact_gaussian(x[1:], y[1:]),
        ),
    }
    print(
        f"{rows} rows, ms a query: clock least, median, 95 %, processors median; nats off, of the "
        "ten best and of all"
    )
    for name, (parts, draw, exact) in cases.items():
        queries, outputs = draw(options.queries), draw(rows)
        gallery = Gallery("y", outputs, {"family": "drawn", "pmi": parts}, "drawn")

        found = timed(
            lambda place, gallery=gallery, queries=queries: best(
                scores(gallery, queries, place), K
            ),
            options.queries,
        )
        first = scores(gallery, queries, 0)
        off = np.abs(first - exact([each[:1] for each in queries], outputs))
        print(f"{name:30}{found}   {off[best(first, K)].max():.1e}  {off.max():.1e}")
    if options.bundle:
        bundle = Bundle.load(options.bundle)
        x, y = bundle.samples("x"), bundle.samples("y")
        begin = time.perf_counter()
        gallery = bundle.gallery_y(y[np.arange(rows) % len(y)])
        seconds = time.perf_counter() - begin
        found = timed(lambda place: bundle.rank(x[place % len(x)][None], gallery), options.queries)
        print(f"{'the bundle, with encoding':30}{found}   (gallery encoded in {seconds:.1f} s)")


if __name__ == "__main__":
    main()
