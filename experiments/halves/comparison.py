"""Held-out conditional log-likelihood of halves of the 8×8 digits, of every model."""

from __future__ import annotations

from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any

import numpy as np
from sklearn.datasets import load_digits

from experiments.halves.linear import baselines
from wyner_keras import recipes
from wyner_keras.data import Pairs
from wyner_keras.evaluation import fit_noise, log_likelihood
from wyner_keras.training import train

_HELD_OUT, _VALIDATION = 0.2, 0.15
_QUICK = 0.05  # share of the recipe's epochs


@dataclass(frozen=True, kw_only=True)
class Row:
    """One model's log p(made | given) on held-out pairs.

    Args:
        model: its name.
        made: "y" or "x".
        nats: a pair, mean.
        error: standard error of it.
        bits: −log₂ p a value.
        ahead: nats ahead of the linear-Gaussian conditional, pair by pair, mean.
        ahead_error: standard error of it.
        settings: what the validation part chose.
    """

    model: str
    made: str
    nats: float
    error: float
    bits: float
    ahead: float
    ahead_error: float
    settings: dict[str, Any]


@dataclass(frozen=True, kw_only=True)
class Comparison:
    """All rows, and how many pairs each part has."""

    rows: list[Row]
    pairs: dict[str, int]
    samples: int

    def to_dict(self) -> dict[str, Any]:
        """Plain values."""
        return asdict(self)

    def table(self) -> str:
        """An aligned table in plain text."""
        width = max(len(row.model) for row in self.rows)
        lines = [f"{'log p(made | given)':<{width}}  made  nats            bits   ahead of linear"]
        for row in self.rows:
            lines.append(
                f"{row.model:<{width}}  {row.made:<4}  {row.nats:7.2f} ± {row.error:4.2f}  "
                f"{row.bits:5.3f}  {row.ahead:+7.2f} ± {row.ahead_error:4.2f}"
            )
        counts = ", ".join(f"{count} {name}" for name, count in self.pairs.items())
        return "\n".join([*lines, "", f"pairs: {counts}; W-model: bound, K = {self.samples}"])


def halves(seed: int) -> Pairs:
    """Rows 0 to 3 (x) and 4 to 7 (y) of all 1,797 digits, 32 columns each, dequantised.

    The grey levels 0 to 16 are whole numbers and some columns are always 0: a density of such
    values has no bound. With noise uniform on [0, 1) added, whoever models it, a density of the
    sums is a probability of levels or less: log p of the level is at least the mean of log p.

    Source: Theis, van den Oord and Bethge, A note on the evaluation of generative models, 2016,
    section 3.1.
    """
    levels = load_digits().images.reshape(-1, 64)
    rows = levels + np.random.default_rng(seed).random(levels.shape)
    return Pairs(rows[:, :32].astype(np.float32), rows[:, 32:].astype(np.float32))


def compare(
    *, seed: int = 0, samples: int = 512, quick: bool = False, verbose: Any = "auto"
) -> Comparison:
    """Train the W-model by its default recipe, fit the baselines, and score all on held-out pairs.

    A validation part chooses what the baselines leave open, which are then fitted to it as well;
    the W-model is not trained on it, and has its noise fitted to it. Each direction has baselines
    of its own.

    Args:
        seed: of noise, parts, weights and samples.
        samples: K of the W-model's bound.
        quick: whether to train for a twentieth of the epochs.
        verbose: of Keras' progress bars.
    """
    rest, held_out = halves(seed).split(_HELD_OUT, seed=seed)
    learnt, validation = rest.split(_VALIDATION, seed=seed)
    recipe = recipes.default(learnt.facts(), seed=seed)
    trained = train(learnt, recipe.scaled(_QUICK) if quick else recipe, verbose=verbose)
    noise = fit_noise(trained.model, validation, seed=seed)
    bounds = log_likelihood(trained.model, held_out, noise, samples=samples, seed=seed)
    rows = []
    for made, given in (("y", "x"), ("x", "y")):
        parts = [_from(part, given) for part in (learnt, validation, held_out)]
        found = {
            name: (chosen.model.log_prob(*parts[2]), dict(chosen.settings))
            for name, chosen in baselines(*parts[:2])
        }
        linear, _ = found["linear-Gaussian conditional"]
        share = float(np.sqrt(np.square(noise.scale[made]).mean()))
        found["W-model"] = (bounds[f"{made}_given_{given}"].nats, {"noise": share})
        rows += list(_rows(found, linear, made, parts[2][1].shape[1]))
    counts = {"trained on": len(learnt), "validation": len(validation), "held out": len(held_out)}
    return Comparison(rows=rows, pairs=counts, samples=samples)


def _from(pairs: Pairs, given: str) -> tuple[np.ndarray, np.ndarray]:
    x, y = (rows.astype(np.float64) for rows in pairs.arrays())
    return (x, y) if given == "x" else (y, x)


def _rows(
    found: dict[str, tuple[np.ndarray, dict[str, Any]]], linear: np.ndarray, made: str, width: int
) -> Iterator[Row]:
    for name, (nats, settings) in found.items():
        ahead = nats - linear
        yield Row(
            model=name,
            made=made,
            nats=float(nats.mean()),
            error=_error(nats),
            bits=float(-nats.mean() / width / np.log(2)),
            ahead=float(ahead.mean()),
            ahead_error=_error(ahead),
            settings=settings,
        )


def _error(values: np.ndarray) -> float:
    return float(values.std(ddof=1) / np.sqrt(len(values)))
