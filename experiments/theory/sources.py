"""Pairs whose Wyner common information is known, to try estimates on."""

from __future__ import annotations

import functools
import math
from collections.abc import Callable
from dataclasses import dataclass
from typing import ClassVar, Protocol

import numpy as np

from wyner_keras.data.checks import as_real
from wyner_keras.information import closed_forms
from wyner_keras.information.shannon import Array, bounds, check_probabilities


class Source(Protocol):
    """A pair (X, Y) with a known answer."""

    @property
    def name(self) -> str:
        """One word."""

    @property
    def title(self) -> str:
        """For people."""

    @property
    def likelihood(self) -> str:
        """What its features are: "bernoulli" for bits, "gaussian" for real numbers."""

    @property
    def common_information(self) -> float:
        """C(X;Y) in closed form, nats."""

    @property
    def mutual_information(self) -> float:
        """I(X;Y), nats: C(X;Y) is not below it."""

    @property
    def entropy(self) -> float:
        """The smaller of H(X), H(Y), nats, an upper bound; infinite for continuous ones."""

    @property
    def widths(self) -> tuple[int, int]:
        """Numbers of features of x and of y."""

    def relaxed(self, weight: float) -> tuple[float, float]:
        """I(X,Y;Z) and I(X;Y|Z) at the optimum of I(X;Y|Z) + λ I(X,Y;Z), nats."""

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Independent pairs, each `(count, width)` float32."""

    def rows(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Array, Array]:
        """Pairs to take means over, their weights, and log q(x, y) of each, nats.

        All that occur and their probabilities, if they are few; else `count` drawn ones.
        """


@dataclass(frozen=True)
class DiscreteSource:
    """A pair of discrete variables, each value shown as a vector of bits.

    Args:
        name: of the source, one word.
        title: for people.
        p_xy: joint distribution, `(values of x, values of y)`.
        bits_x: what stands for each value of x, `(values of x, width)`, zeros and ones.
        bits_y: the same of y.
        trade_off: from λ to I(X,Y;Z) and I(X;Y|Z) at the optimum, nats; at 0 it is C(X;Y) and 0.

    Raises:
        ValueError: if the table is no distribution, or bits are not one row a value.
    """

    name: str
    title: str
    p_xy: Array
    bits_x: np.ndarray
    bits_y: np.ndarray
    trade_off: Callable[[float], tuple[float, float]]
    likelihood: ClassVar[str] = "bernoulli"

    def __post_init__(self) -> None:
        object.__setattr__(self, "p_xy", check_probabilities(self.p_xy, "p_xy", rank=2))
        for axis, name in enumerate(("bits_x", "bits_y")):
            bits = as_real(getattr(self, name), f"`{name}`", "an array of zeros and ones")
            object.__setattr__(self, name, bits)
            if (
                bits.ndim != 2
                or len(bits) != self.p_xy.shape[axis]
                or not np.isin(bits, (0, 1)).all()
            ):
                raise ValueError(
                    f"`{name}` should have one row of zeros and ones for each of "
                    f"{self.p_xy.shape[axis]} values. Received: shape={bits.shape}"
                )

    @property
    def common_information(self) -> float:
        """C(X;Y), nats."""
        return self.trade_off(0.0)[0]

    def relaxed(self, weight: float) -> tuple[float, float]:
        """I(X,Y;Z) and I(X;Y|Z) at the optimum of I(X;Y|Z) + λ I(X,Y;Z), nats."""
        return self.trade_off(weight)

    @property
    def mutual_information(self) -> float:
        """I(X;Y), nats."""
        return bounds(self.p_xy)[0]

    @property
    def entropy(self) -> float:
        """The smaller of H(X), H(Y), nats."""
        return bounds(self.p_xy)[1]

    @property
    def widths(self) -> tuple[int, int]:
        """Numbers of bits of x and of y."""
        return self.bits_x.shape[1], self.bits_y.shape[1]

    def rows(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Array, Array]:
        """Every pair that occurs, its probability and the logarithm of that."""
        x, y = np.nonzero(self.p_xy)
        p = self.p_xy[x, y]
        return self.bits_x[x].astype(np.float32), self.bits_y[y].astype(np.float32), p, np.log(p)

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Independent pairs, each `(count, width)` float32."""
        x, y, p, _ = self.rows(count, seed)
        chosen = np.random.default_rng(seed).choice(len(p), size=count, p=p)
        return x[chosen], y[chosen]


@dataclass(frozen=True)
class GaussianSource:
    """Two standard normal variables with a correlation.

    Args:
        rho: correlation, in (−1, 1).

    Raises:
        ValueError: if it is outside.
    """

    rho: float
    likelihood: ClassVar[str] = "gaussian"
    entropy: ClassVar[float] = math.inf
    widths: ClassVar[tuple[int, int]] = (1, 1)

    def __post_init__(self) -> None:
        closed_forms.gaussian(self.rho)

    @property
    def name(self) -> str:
        """One word."""
        return f"gaussian-{self.rho:g}"

    @property
    def title(self) -> str:
        """For people."""
        return f"Gaussian pair, ρ = {self.rho:g}"

    @property
    def common_information(self) -> float:
        """C(X;Y), nats."""
        return closed_forms.gaussian(self.rho)

    @property
    def mutual_information(self) -> float:
        """I(X;Y) = −½ log(1 − ρ²), nats."""
        return -0.5 * math.log(1 - self.rho**2)

    def relaxed(self, weight: float) -> tuple[float, float]:
        """I(X,Y;Z) and I(X;Y|Z) at the optimum of I(X;Y|Z) + λ I(X,Y;Z), nats."""
        return closed_forms.relaxed_gaussian(self.rho, weight)

    def rows(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray, Array, Array]:
        """`count` drawn pairs of equal weight, and log q(x, y) of each."""
        x, y = self.draw(count, seed)
        return x, y, np.full(count, 1 / count), self.log_density(x, y)

    def log_density(self, x: np.ndarray, y: np.ndarray) -> Array:
        """Log q(x, y) of pairs `(count, 1)` each, nats, `(count,)`."""
        a, b = x[:, 0].astype(np.float64), y[:, 0].astype(np.float64)
        left = 1 - self.rho**2
        quadratic = (a * a - 2 * self.rho * a * b + b * b) / left
        return -0.5 * quadratic - 0.5 * math.log(left) - math.log(2 * math.pi)

    def draw(self, count: int, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Independent pairs, each `(count, 1)` float32."""
        x, noise = np.random.default_rng(seed).standard_normal((2, count, 1))
        y = self.rho * x + math.sqrt(1 - self.rho**2) * noise
        return x.astype(np.float32), y.astype(np.float32)


def noisy_bits(a0: float) -> DiscreteSource:
    """The doubly symmetric binary source: a fair bit and its copy, flipped with probability a0."""
    p = np.array([[1 - a0, a0], [a0, 1 - a0]]) / 2
    return DiscreteSource(
        name=f"dsbs-{a0:g}",
        title=f"noisy bit, a₀ = {a0:g}",
        p_xy=p,
        bits_x=np.array([[0], [1]]),
        bits_y=np.array([[0], [1]]),
        trade_off=functools.partial(closed_forms.relaxed_doubly_symmetric_binary, a0),
    )


def labels_beside_bits(labels: int = 10) -> DiscreteSource:
    """The paper's pairs in small: X = (label, a private bit), Y = (label + 1, another).

    The label is one-hot, so that bits are independent given it and the likelihood of bits is exact.
    """
    x = np.arange(2 * labels)
    same = (x[:, None] // 2 + 1) % labels == x[None] // 2
    bits = np.concatenate([np.eye(labels, dtype=int)[x // 2], (x % 2)[:, None]], axis=1)
    return DiscreteSource(
        name=f"labels-{labels}",
        title=f"{labels} labels, private bits",
        p_xy=same / (4.0 * labels),
        bits_x=bits,
        bits_y=bits,
        trade_off=functools.partial(closed_forms.relaxed_label, np.full(labels, 1 / labels)),
    )
