"""How much a local latent tells of z and of the other side, which it should tell nothing of."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy import linalg
from sklearn.metrics.pairwise import rbf_kernel

from wyner_keras.data.apart import LEAST, NEEDS
from wyner_keras.data.checks import as_real, check_whole
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.evaluation.spaces import scores
from wyner_keras.evaluation.two_sample import folds
from wyner_keras.intervals import permutation_p
from wyner_keras.received import received

_PENALTIES = (1.0, 10.0, 100.0)  # of the regression
_COORDINATES = 32  # of what is told of
_MOST = 1000  # examples, whose work is their square


@dataclass(frozen=True, kw_only=True)
class Leakage:
    """What `leakage_test` found.

    Args:
        nats: lower bound of the mutual information, 0 where there is none.
        nats_shuffled: what one of 20 shufflings exceeds.
        nats_p: how often shuffled targets give as much, the true ones counted in.
        variance: share of the target's variance that is predicted, 0 where none is.
        variance_shuffled: as `nats_shuffled`.
        variance_p: as `nats_p`.
        examples: how many were used.
    """

    nats: float
    nats_shuffled: float
    nats_p: float
    variance: float
    variance_shuffled: float
    variance_p: float
    examples: int


def leakage_test(
    latent: np.ndarray, target: np.ndarray, *, permutations: int = 99, seed: int = 0
) -> Leakage:
    """Measure what a latent tells of a target, and test whether that is more than chance.

    Kernel ridge regression (a linear kernel and a Gaussian one) predicts the target, at most 32
    coordinates of it, five times from four fifths of the rows for the rest. Predictions m_i give
    the share of variance that is told, and by the critic Σ log N(t_j; m_i, σ²) − log N(t_j; 0, 1),
    σ² the error of prediction in a coordinate, the InfoNCE bound among the rows of a fold:
    I(latent; target) is at least that, and the bound is at most log (rows / 5). Of three strengths
    of the penalty, or no prediction at all, each coordinate takes what does best in the other
    folds. Shuffled targets go the same way: the p values are exact.

    Args:
        latent: independent rows `(n, size)`, at least 20.
        target: their targets `(n, features)`; a category as a one-hot vector.
        permutations: at least 19.
        seed: of the shuffling.

    Returns:
        Nats and share of variance, both beside those of shuffled targets.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> u = np.random.default_rng(0).normal(size=(200, 2))
        >>> leakage_test(u, u[:, :1] > 0).nats > 0.4
        True

    Source: van den Oord et al., Representation learning with contrastive predictive coding, 2018
    (InfoNCE); Poole et al., On variational bounds of mutual information, 2019, section 2.
    """
    expected = f"finite numbers (n, features), {LEAST} rows or more"
    latent, target = as_real(latent, "`latent`", expected), as_real(target, "`target`", expected)
    for name, rows in (("latent", latent), ("target", target)):
        if rows.ndim != 2 or len(rows) < LEAST or not np.isfinite(rows).all():
            raise ValueError(f"`{name}` should be {expected}. Received: {received(rows)}")
    if len(latent) != len(target):
        raise ValueError(
            "`latent` and `target` should have equally many rows. "
            f"Received: {len(latent)} and {len(target)}"
        )
    check_whole(permutations, "`permutations`", minimum=19)
    rng = np.random.default_rng(check_whole(seed, "`seed`"))
    order = rng.permutation(len(latent))  # folds are stretches of it
    smoothers = _smoothers(scores(latent[order], latent.shape[1]))
    aim = scores(target[order], _COORDINATES).astype(np.float32)
    found = [_told(smoothers, aim)]
    found += [_told(smoothers, aim[rng.permutation(len(aim))]) for _ in range(permutations)]
    (nats, nats_p, nats_95), (variance, variance_p, variance_95) = (
        (
            max(0.0, float(column[0])),
            permutation_p(column),
            max(0.0, float(np.quantile(column[1:], 0.95))),
        )
        for column in np.transpose(found)
    )
    return Leakage(
        nats=nats,
        nats_shuffled=nats_95,
        nats_p=nats_p,
        variance=variance,
        variance_shuffled=variance_95,
        variance_p=variance_p,
        examples=len(latent),
    )


def _smoothers(inputs: np.ndarray) -> np.ndarray:
    """From targets to predictions of each row by other folds: `(n, n)` a penalty, stacked."""
    kernel = inputs @ inputs.T / inputs.shape[1] + rbf_kernel(inputs, gamma=0.5 / inputs.shape[1])
    fold, smoothers = folds(len(inputs)), [np.zeros_like(kernel) for _ in _PENALTIES]
    for each in np.unique(fold):
        rest, own = np.flatnonzero(fold != each), np.flatnonzero(fold == each)
        known, mean = kernel[np.ix_(rest, rest)], np.full((len(rest), len(rest)), 1 / len(rest))
        centre = np.eye(len(rest)) - mean  # the mean is not penalised
        for smoother, penalty in zip(smoothers, _PENALTIES, strict=True):
            inner = centre @ known @ centre + penalty * np.eye(len(rest))
            seen = (kernel[np.ix_(own, rest)] - known.mean(axis=0)) @ centre
            weights = linalg.solve(inner, seen.T, assume_a="pos").T @ centre
            smoother[np.ix_(own, rest)] = weights + mean[: len(own)]
    return np.concatenate(smoothers).astype(np.float32)


def _told(smoothers: np.ndarray, aim: np.ndarray) -> tuple[float, float]:
    """InfoNCE and the share of variance.

    Of each coordinate that penalty predicts which does best in the other folds, or none does.
    """
    guesses = (smoothers @ aim).reshape(-1, *aim.shape)
    guesses = np.concatenate([guesses, np.zeros_like(guesses[:1])])  # last: the mean
    errors, fold = np.square(aim - guesses), folds(len(aim))
    sums = np.stack([errors[:, fold == each].sum(axis=1) for each in range(fold[-1] + 1)])
    gained, left, columns = 0.0, 0.0, np.arange(aim.shape[1])
    for each, own_sum in enumerate(sums):
        own = fold == each
        elsewhere = np.maximum((sums.sum(axis=0) - own_sum) / (~own).sum(), 1e-6)
        best = elsewhere.argmin(axis=0)
        t, m = aim[own], guesses[best, :, columns].T[own]
        left += float(np.square(t - m).sum())
        # log N(t; m, error) − log N(t; 0, 1), less what is the same for all candidates t of an m.
        precision = 1 / elsewhere[best, columns]
        critic = (m * precision) @ t.T - 0.5 * np.square(t) @ (precision - 1 / elsewhere[-1])
        critic -= critic.max(axis=1, keepdims=True)
        gained += float((np.diagonal(critic) - np.log(np.exp(critic).mean(axis=1))).sum())
    total = float(np.square(aim).sum())
    return gained / len(aim), 1 - left / total if total > 0 else 0.0


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """What a sampled u tells of the sampled z and of the partner y; and so of v."""
    found: dict[str, Figure | str] = {}
    for side in evaluation.sides.values():
        names = [f"leakage_{of}" for of in ("z", "partner")]
        all_names = [f"{name}{kind}_{side.name}" for name in names for kind in ("", "_variance")]
        encode: Any = getattr(evaluation.model, f"encode_{side.name}", None)
        if encode is None or evaluation.apart is None:
            found |= dict.fromkeys(all_names, NEEDS if encode else "a model that encodes")
            continue
        rows = {name: places[:_MOST] for name, places in evaluation.apart.items()}
        z, local = encode(side.examples[rows[side.name]], seed=evaluation.seed)
        if local is None:
            found |= dict.fromkeys(all_names, "a local latent")
            continue
        partner = side.other.space(side.other.examples[rows[side.other.name]])
        for name, target in zip(names, (z, partner), strict=True):
            test = leakage_test(local, target, seed=evaluation.seed)
            of_nats, of_variance = f"{name}_{side.name}", f"{name}_variance_{side.name}"
            found[of_nats] = Figure(test.nats, test.nats_shuffled)
            found[of_variance] = Figure(test.variance, test.variance_shuffled)
            evaluation.p_values |= {of_nats: test.nats_p, of_variance: test.variance_p}
            evaluation.counts[of_nats] = test.examples
    return found
