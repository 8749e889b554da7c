"""Linear-Gaussian models of pairs of vectors, in closed form; a validation part sets them."""

from __future__ import annotations

import itertools
import math
from collections.abc import Callable, Iterable, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import numpy as np
from scipy.linalg import cho_factor, cho_solve, solve_triangular

from wyner_keras.received import received

Array = np.ndarray
RIDGES = tuple(10.0 ** np.arange(-4, 2))
SHRINKAGES = (0.0, 0.01, 0.02, 0.05, 0.1, 0.2, 0.4)


@dataclass(frozen=True, kw_only=True)
class GaussianConditional:
    """p(y|x) = N(y | offset + x weights, covariance).

    Args:
        weights: `(width of x, width of y)`.
        offset: `(width of y,)`.
        covariance: `(width of y, width of y)`, positive definite.

    Example:
        >>> alone = GaussianConditional(
        ...     weights=np.zeros((2, 1)), offset=np.zeros(1), covariance=np.eye(1)
        ... )
        >>> round(float(alone.log_prob(np.ones((1, 2)), np.ones((1, 1)))[0]), 4)
        -1.4189
    """

    weights: Array
    offset: Array
    covariance: Array

    def log_prob(self, x: Array, y: Array) -> Array:
        """The log of p(y|x) of each row, nats, `(n,)`."""
        lower = np.linalg.cholesky(self.covariance)
        rest = solve_triangular(lower, (y - self.offset - x @ self.weights).T, lower=True)
        log_determinant = 2 * np.log(np.diag(lower)).sum()
        constant = len(lower) * math.log(2 * math.pi)
        return -0.5 * (np.square(rest).sum(axis=0) + log_determinant + constant)


def regression(x: Array, y: Array, *, ridge: float, shrinkage: float) -> GaussianConditional:
    """Ridge regression of y on x, and the covariance of what it leaves.

    Args:
        x: `(n, width)`.
        y: `(n, width)`.
        ridge: penalty of the weights, as a share of x's mean variance for each row; infinite
            leaves x unused.
        shrinkage: share of the residuals' covariances that is dropped, in [0, 1); 0 keeps the
            covariance as it is.
    """
    mean_x, mean_y = x.mean(axis=0), y.mean(axis=0)
    of_x, of_y = x - mean_x, y - mean_y
    weights = np.zeros((x.shape[1], y.shape[1]))
    if math.isfinite(ridge):
        square = of_x.T @ of_x / len(x)
        penalty = ridge * np.trace(square) / len(square) * np.eye(len(square))
        weights = np.linalg.solve(square + penalty, of_x.T @ of_y / len(x))
    return GaussianConditional(
        weights=weights,
        offset=mean_y - mean_x @ weights,
        covariance=_covariance(of_y - of_x @ weights, shrinkage),
    )


def probabilistic_cca(
    x: Array, y: Array, *, dimension: int, shrinkage: float
) -> GaussianConditional:
    """p(y|x) of probabilistic CCA, fitted by maximum likelihood.

    x and y are affine maps of a standard normal z of `dimension` values, each with Gaussian noise
    of any covariance. The fit keeps the covariance of x and of y, and of that between them as
    many canonical correlations as z has dimensions.

    Args:
        x: `(n, width)`.
        y: `(n, width)`.
        dimension: of z, from 0 to the smaller width.
        shrinkage: share of the covariances, within and between, that is dropped beforehand.

    Source: Bach and Jordan, A probabilistic interpretation of canonical correlation analysis, 2005,
    theorem 2.
    """
    width, mean_x, mean_y = x.shape[1], x.mean(axis=0), y.mean(axis=0)
    both = _covariance(np.hstack([x - mean_x, y - mean_y]), shrinkage)
    within_x, within_y, between = both[:width, :width], both[width:, width:], both[:width, width:]
    lower_x, lower_y = np.linalg.cholesky(within_x), np.linalg.cholesky(within_y)
    whitened = solve_triangular(lower_x, between, lower=True)
    whitened = solve_triangular(lower_y, whitened.T, lower=True).T
    left, correlations, right = np.linalg.svd(whitened, full_matrices=False)
    kept = (left[:, :dimension] * correlations[:dimension]) @ right[:dimension]
    between = lower_x @ kept @ lower_y.T
    weights = cho_solve(cho_factor(within_x), between)
    return GaussianConditional(
        weights=weights,
        offset=mean_y - mean_x @ weights,
        covariance=within_y - between.T @ weights,
    )


def _covariance(centred: Array, shrinkage: float) -> Array:
    covariance = centred.T @ centred / len(centred)
    return (1 - shrinkage) * covariance + shrinkage * np.diag(np.diag(covariance))


@dataclass(frozen=True, kw_only=True)
class Chosen:
    """A model and the settings that a validation part chose.

    Args:
        model: fitted to all rows.
        settings: by name.
        validation: mean log p(y|x) of the validation part, nats.
    """

    model: GaussianConditional
    settings: Mapping[str, Any]
    validation: float


def choose(
    fit: Callable[..., GaussianConditional],
    grid: Mapping[str, Sequence[Any]],
    train: tuple[Array, Array],
    validation: tuple[Array, Array],
) -> Chosen:
    """Fit with the settings under which held-back pairs are most likely, to all pairs.

    Args:
        fit: `regression` or `probabilistic_cca`.
        grid: values to try of each setting.
        train: x and y.
        validation: x and y.

    Raises:
        ValueError: if no setting gives a covariance that is positive definite.

    Example:
        >>> rng = np.random.default_rng(0)
        >>> x, noise = rng.normal(size=(2, 100, 2))
        >>> parts = (x[:70], (x + noise)[:70]), (x[70:], (x + noise)[70:])
        >>> grid = {"dimension": range(3), "shrinkage": [0.0]}
        >>> choose(probabilistic_cca, grid, *parts).settings["dimension"]
        2
    """
    found: list[tuple[float, dict[str, Any]]] = []
    for values in itertools.product(*grid.values()):
        settings = dict(zip(grid, values, strict=True))
        try:
            found.append((float(fit(*train, **settings).log_prob(*validation).mean()), settings))
        except np.linalg.LinAlgError:  # of a column that is constant, or a sum of others
            continue
    if not found:
        raise ValueError(
            "`train` should have columns that vary, none of them a sum of others. "
            f"Received: x {received(train[0])}, y {received(train[1])}"
        )
    best, settings = max(found, key=lambda each: each[0])
    whole = (np.concatenate(each) for each in zip(train, validation, strict=True))
    return Chosen(model=fit(*whole, **settings), settings=settings, validation=best)


def baselines(
    train: tuple[Array, Array], validation: tuple[Array, Array]
) -> Iterable[tuple[str, Chosen]]:
    """The linear models by name, each as its validation part chose it."""
    most = min(train[0].shape[1], train[1].shape[1])
    shrinkage = {"shrinkage": SHRINKAGES}
    yield (
        "Gaussian, x not used",
        choose(regression, {"ridge": (math.inf,), **shrinkage}, train, validation),
    )
    yield (
        "linear-Gaussian conditional",
        choose(regression, {"ridge": RIDGES, **shrinkage}, train, validation),
    )
    yield (
        "probabilistic CCA",
        choose(
            probabilistic_cca, {"dimension": range(1, most + 1), **shrinkage}, train, validation
        ),
    )
