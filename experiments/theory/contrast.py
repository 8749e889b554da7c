"""Wyner's common information of pairs without decoders, by the alignment's objective.

Run: python -m experiments.theory.contrast --out contrast.json
"""

from __future__ import annotations

import argparse
import sys
import time
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import keras
import numpy as np
import tensorflow as tf

from experiments.command import Command
from wyner_keras import objectives
from wyner_keras.cli import options as shared
from wyner_keras.cli.options import Result
from wyner_keras.files import refuse_existing, write_json
from wyner_keras.information import closed_forms
from wyner_keras.networks import MLP
from wyner_keras.networks.critic import GaussianCritic

PRICES = (0.05, 0.1, 0.2)
_BATCH, _STEPS = 500, 3000
_MEASURED = 100_000  # fresh pairs
_OFFERED = 2  # kinds for each label
_TINY = 1e-12  # keeps logarithms finite


@dataclass(frozen=True)
class Pairs:
    """A source of pairs that share Gaussian quantities, and perhaps a label beside them.

    Args:
        name: of the source.
        correlations: of each shared quantity between the sides.
        mixed: whether each side is seen through fixed nonlinear functions.
        labels: how many equally likely labels both sides show, as one-hot columns; 1 for none.
    """

    name: str
    correlations: tuple[float, ...]
    mixed: bool = False
    labels: int = 1

    @property
    def common_information(self) -> float:
        """C(X;Y) in nats, by its closed form; a bijection of a side does not change it."""
        return closed_forms.label_beside_gaussians(
            np.full(self.labels, 1.0 / self.labels), self.correlations
        )

    @property
    def mutual_information(self) -> float:
        """I(X;Y) in nats."""
        of_quantities = sum(-0.5 * float(np.log(1.0 - rho**2)) for rho in self.correlations)
        return float(np.log(self.labels)) + of_quantities

    def draw(self, count: int, rng: np.random.Generator) -> tuple[np.ndarray, np.ndarray]:
        """Pairs, x and y each float32 `(count, columns)`."""
        rho = np.array(self.correlations)
        x, noise = rng.standard_normal((2, count, len(rho)))
        sides = [_seen(x, self.mixed), _seen(rho * x + np.sqrt(1.0 - rho**2) * noise, self.mixed)]
        if self.labels > 1:
            label = np.eye(self.labels, dtype=np.float32)[rng.integers(self.labels, size=count)]
            sides = [np.concatenate([label, side], axis=1) for side in sides]
        return sides[0], sides[1]


def _seen(values: np.ndarray, mixed: bool) -> np.ndarray:
    if mixed:
        values = np.concatenate([np.tanh(values), values**3 / 5.0, np.sin(values)], axis=1)
    return values.astype(np.float32)


SOURCES = (
    Pairs("Gaussian, ρ = 0.5", (0.5,)),
    Pairs("Gaussian, ρ = 0.9", (0.9,)),
    Pairs("three at once, ρ = 0.9, 0.7, 0.5", (0.9, 0.7, 0.5)),
    Pairs("ρ = 0.9, through tanh, cube and sine", (0.9,), mixed=True),
    Pairs("5 labels beside ρ = 0.9", (0.9,), labels=5),
)


class _Critic:
    """The pmi of a z of kinds, if there are any, and a Gaussian, and what z holds.

    Experts put out logits of q(k|x), then natural parameters of the Gaussian. Kinds are offered in
    plenty, or two labels fall into one that neither leaves; so p(k) is how often they are had.

    Args:
        kinds: how many are offered; 0 for none.
        size: dimensions of the Gaussian.
    """

    def __init__(self, kinds: int, size: int) -> None:
        self.gaussian = GaussianCritic(size)
        self.gaussian.build(None)
        self.kinds, self.parameters = kinds, kinds + size

    def pmi(self, x: Any, y: Any) -> Any:
        """Nats of every x with every y, `(rows_x, rows_y)`."""
        scores = self.gaussian.pmi(x[:, self.kinds :], y[:, self.kinds :])
        if not self.kinds:
            return scores
        (q_x, q_y), p = self._kinds_of(x, y)
        return scores + tf.math.log(tf.matmul(q_x / p, q_y, transpose_b=True) + _TINY)

    def kl(self, x: Any, y: Any) -> Any:
        """D(q(z|x,y) ‖ p(z)), nats, `(rows,)`."""
        held = self.gaussian.kl(x[:, self.kinds :], y[:, self.kinds :])
        if not self.kinds:
            return held
        (q_x, q_y), p = self._kinds_of(x, y)
        q = q_x * q_y / p
        q = q / tf.reduce_sum(q, axis=1, keepdims=True)  # q(k|x,y) of both experts
        return held + tf.reduce_sum(q * tf.math.log(q / p + _TINY), axis=1)

    def _kinds_of(self, x: Any, y: Any) -> tuple[list[Any], Any]:
        """q(k|x) and q(k|y), `(rows, kinds)`, and p(k)."""
        each = [tf.nn.softmax(side[:, : self.kinds]) + _TINY for side in (x, y)]
        return each, tf.reduce_mean(sum(each) / 2.0, axis=0)


def held_nats(source: Pairs, price: float, *, steps: int = _STEPS, seed: int = 0) -> float:
    """E D(q(z|x,y) ‖ p(z)) of the experts that minimise −InfoNCE + λ E D, in nats.

    Args:
        source: of the pairs, each drawn anew.
        price: λ.
        steps: of training.
        seed: of pairs and weights.
    """
    rng = np.random.default_rng(seed)
    width = source.draw(1, rng)[0].shape[1]
    kinds = _OFFERED * source.labels if source.labels > 1 else 0
    critic = _Critic(kinds, len(source.correlations))
    networks = [MLP(critic.parameters, (64, 64), seed=10 * seed + place) for place in range(2)]
    for network in networks:
        network.build((None, width))
    precisions = critic.gaussian.trainable_variables
    variables = [*precisions, *(v for n in networks for v in n.trainable_variables)]
    optimizer = keras.optimizers.Adam(keras.optimizers.schedules.CosineDecay(3e-3, steps))
    optimizer.build(variables)

    @tf.function(autograph=False)
    def step(x: Any, y: Any, price: Any) -> None:
        with tf.GradientTape() as tape:
            e = networks[0](x), networks[1](y)
            told = objectives.info_nce(critic.pmi(*e))
            loss = price * tf.reduce_mean(critic.kl(*e)) - told
        optimizer.apply_gradients(zip(tape.gradient(loss, variables), variables, strict=True))

    # Labels that several kinds share at first would stay split at a low price, which falls to λ.
    start = max(price, *PRICES) if kinds else price
    for place in range(steps):
        ahead = max(0.0, 1.0 - 2.0 * place / steps)
        step(*source.draw(_BATCH, rng), tf.constant(price + ahead * (start - price), tf.float32))
    x, y = source.draw(_MEASURED, rng)
    return float(np.mean(critic.kl(networks[0](x), networks[1](y))))


def extrapolated(nats: Mapping[float, float]) -> float:
    """What nats by λ tend to as λ falls to 0: a parabola through three, a line through two."""
    prices, values = np.array(list(nats)), np.array(list(nats.values()))
    return float(np.polyfit(prices, values, min(2, len(prices) - 1))[-1])


def compare(steps: int, seed: int, told: Callable[[str], None]) -> list[dict[str, Any]]:
    """A row a source: C and I by their closed forms, nats by λ, their limit, seconds."""
    rows = []
    for source in SOURCES:
        start = time.perf_counter()
        nats = {price: held_nats(source, price, steps=steps, seed=seed) for price in PRICES}
        rows.append(
            {
                "source": source.name,
                "common_information": source.common_information,
                "mutual_information": source.mutual_information,
                "nats": {str(price): value for price, value in nats.items()},
                "extrapolated": extrapolated(nats),
                "seconds": round(time.perf_counter() - start, 1),
            }
        )
        told(_line(rows[-1]))
    return rows


def _line(row: Mapping[str, Any]) -> str:
    by_price = ", ".join(f"λ={price}: {value:.4f}" for price, value in row["nats"].items())
    error = row["extrapolated"] / row["common_information"] - 1.0
    return (
        f"{row['source']}: C = {row['common_information']:.4f}; {by_price}; "
        f"λ→0: {row['extrapolated']:.4f} ({error:+.1%}), {row['seconds']} s"
    )


def main(arguments: Sequence[str] | None = None) -> int:
    """Write the comparison; return the exit code."""
    command = Command("theory.contrast", (__doc__ or "").splitlines()[0], _run)
    command.add_argument("--out", required=True, metavar="FILE", help="JSON to write; must be new")
    command.add_argument("--steps", type=int, default=_STEPS, help=f"default: {_STEPS}")
    shared.add_common(command, "of pairs and weights (default: 0)")
    return command.main(arguments)


def _run(options: argparse.Namespace) -> Result:
    out = refuse_existing(options.out)
    rows = compare(options.steps, options.seed or 0, lambda line: print(line, file=sys.stderr))
    write_json(out, rows)
    return Result("\n".join(map(_line, rows)), {"rows": rows, "file": str(out)})


if __name__ == "__main__":
    sys.exit(main())
