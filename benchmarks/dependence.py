"""How often does the test of I(X;Y) = 0 raise false alarms, and what does it find?

Level: shuffled sets of 500 pairs, of which one in 20 should seem to depend. Power: sets of 2,000
pairs that share 0.1 nats. Sources, ten coordinates a side but for the images:

- gaussian: one coordinate of either side is correlated;
- square: one coordinate of y is the square of one of x, beside noise; no correlation;
- scale: how much one coordinate of y varies is what x tells; no correlation;
- label: MNIST images whose labels agree more often than by chance.

Run: python -m benchmarks.dependence [--level-sets 500] [--power-sets 50]
"""

from __future__ import annotations

import argparse
import json
import time
from collections.abc import Callable

import numpy as np
from scipy import integrate, stats
from scipy.optimize import brentq

from wyner_keras.data import Pairs, load
from wyner_keras.evaluation import dependence_test

NATS, SIZE, LEVEL_PAIRS, POWER_PAIRS = 0.1, 10, 500, 2000
Draw = Callable[[np.random.Generator, int], np.ndarray]


def information(mean: Callable, scale: Callable) -> float:
    """Nats between x ~ N(0, 1) and y ~ N(mean(x), scale(x)²), by quadrature."""
    x, y = np.linspace(-6, 6, 1201), np.linspace(-40, 40, 16001)
    weights = stats.norm.pdf(x) * (x[1] - x[0])
    density = np.zeros_like(y)
    for weight, centre, width in zip(weights, mean(x), scale(x), strict=True):
        density += weight * stats.norm.pdf(y, centre, width)
    entropy = integrate.trapezoid(-density * np.log(np.maximum(density, 1e-300)), y)
    conditional = np.log(scale(x)) + 0.5 * np.log(2 * np.pi * np.e)
    return float(entropy - weights @ conditional)


def coordinate(change: Callable[[np.ndarray, np.ndarray], np.ndarray]) -> Draw:
    """Pairs of normal vectors, in which one coordinate of y is made of one of x and of noise."""

    def draw(rng: np.random.Generator, count: int) -> np.ndarray:
        pairs = rng.normal(size=(2, count, SIZE))
        pairs[1, :, 3] = change(pairs[0, :, 6], pairs[1, :, 3])
        return pairs

    return draw


def sources() -> dict[str, Draw]:
    """Draws of pairs that share 0.1 nats, by name."""
    rho = np.sqrt(1 - np.exp(-2 * NATS))
    square = lambda x: (x**2 - 1) / np.sqrt(2)  # noqa: E731
    noise = brentq(
        lambda width: information(square, lambda x: np.full_like(x, width)) - NATS, 0.5, 5
    )
    rate = brentq(lambda c: information(np.zeros_like, lambda x: np.exp(c * x)) - NATS, 0.05, 1)
    digits = load("mnist").train
    agree = brentq(
        lambda p: np.log(10) + p * np.log(p) + (1 - p) * np.log((1 - p) / 9) - NATS, 0.11, 0.9
    )

    def label(rng: np.random.Generator, count: int) -> list[np.ndarray]:
        x = rng.choice(len(digits), count, replace=False)
        labels = digits.labels[x]
        other = (labels + rng.integers(1, 10, count)) % 10
        wanted = np.where(rng.random(count) < agree, labels, other)
        rest, y = np.setdiff1d(np.arange(len(digits)), x), np.empty(count, int)
        for each in range(10):
            at = np.flatnonzero(wanted == each)
            y[at] = rng.choice(rest[digits.labels[rest] == each], len(at), replace=False)
        return [digits.images[x], digits.images[y]]

    return {
        "gaussian": coordinate(lambda x, e: rho * x + np.sqrt(1 - rho**2) * e),
        "square": coordinate(lambda x, e: square(x) + noise * e),
        "scale": coordinate(lambda x, e: np.exp(rate * x) * e),
        "label": label,
    }


def rejected(draw: Draw, place: int, sets: int, count: int, shuffled: bool) -> tuple[float, float]:
    """Share of sets whose p value is at most 0.05, and seconds of processor time a set."""
    start, found = time.process_time(), []
    for seed in range(sets):
        rng = np.random.default_rng([place, seed, count])  # each source draws its own
        x, y = draw(rng, count)
        pairs = Pairs(x, y[rng.permutation(count)] if shuffled else y)
        found.append(dependence_test(pairs, permutations=199, seed=seed).p_value <= 0.05)
    return float(np.mean(found)), (time.process_time() - start) / sets


def main() -> None:
    """Measure level and power of each source and print them."""
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--level-sets", type=int, default=500)
    parser.add_argument("--power-sets", type=int, default=50)
    arguments = parser.parse_args()
    for place, (name, draw) in enumerate(sources().items()):
        level, level_seconds = rejected(draw, place, arguments.level_sets, LEVEL_PAIRS, True)
        power, power_seconds = rejected(draw, place, arguments.power_sets, POWER_PAIRS, False)
        measured = {
            "source": name,
            "false_alarms": round(level, 3),
            "power": round(power, 3),
            "seconds_of_500": round(level_seconds, 2),
            "seconds_of_2000": round(power_seconds, 2),
        }
        print(json.dumps(measured), flush=True)


if __name__ == "__main__":
    main()
