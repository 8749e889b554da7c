"""Sources whose Wyner common information is known exactly, in nats."""

from __future__ import annotations

import math
from typing import Any

import numpy as np
from scipy.optimize import brentq

from wyner_keras.data.checks import as_real, check_number, check_whole
from wyner_keras.information.shannon import (
    Array,
    binary_entropy,
    check_probabilities,
    entropy,
)
from wyner_keras.received import received


def _check_weight(weight: float) -> None:
    if not check_number(weight, "`weight`", "at least 0") >= 0:
        raise ValueError(f"`weight` should be at least 0. Received: weight={weight}")


def gaussian(rho: float) -> float:
    """C(X;Y) = ½ log((1 + |ρ|) / (1 − |ρ|)) of two Gaussian variables; that is artanh |ρ|.

    Args:
        rho: correlation, in (−1, 1).

    Returns:
        Nats.

    Raises:
        ValueError: if the correlation is outside (−1, 1).

    Example:
        >>> round(gaussian(0.5), 4)
        0.5493

    Source: Xu, Liu and Chen, A lossy source coding interpretation of Wyner's common information,
    2016 (first in Wyner's common information for continuous random variables, 2011).
    """
    if not -1 < check_number(rho, "`rho`", "in (-1, 1)") < 1:
        raise ValueError(f"`rho` should be in (-1, 1). Received: rho={rho}")
    return math.atanh(abs(rho))


def relaxed_gaussian(rho: float, weight: float) -> tuple[float, float]:
    """The optimum of I(X;Y|Z) + λ I(X,Y;Z) for two Gaussian variables.

    Given the best Z, X and Y are left with correlation λ: I(X,Y;Z) = artanh |ρ| − artanh λ and
    I(X;Y|Z) = −½ log(1 − λ²); from λ = |ρ| on, Z is empty. Found by minimising γ + λ C_γ over γ,
    C_γ = ½ log[(1+|ρ|)/(1−|ρ|) · (1−s)/(1+s)] with s = √(1 − e^(−2γ)), which gives s = λ.

    Args:
        rho: correlation, in (−1, 1).
        weight: λ, not negative; at 0 the limit of it, Wyner's common information.

    Returns:
        I(X,Y;Z) and I(X;Y|Z), nats.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> information, slack = relaxed_gaussian(0.5, 0.1)
        >>> round(information, 4), round(slack, 4)
        (0.449, 0.005)

    Source: C_γ is that of Sula and Gastpar, On Wyner's common information in the Gaussian case,
    2020.
    """
    _check_weight(weight)
    whole = gaussian(rho)
    left = min(weight, abs(rho))
    return whole - math.atanh(left), -0.5 * math.log1p(-(left**2))


def canonical_correlations(covariance: Any, split: int) -> Array:
    """Canonical correlations of the first `split` coordinates with the others, largest first.

    Args:
        covariance: symmetric positive semidefinite `(n, n)`; the two blocks on its diagonal
            invertible.
        split: how many coordinates belong to X, from 1 to n − 1.

    Returns:
        `(min(split, n - split),)`, in [0, 1].

    Raises:
        ValueError: if it is not such a matrix, or the split leaves a side empty.

    Source: Hotelling, Relations between two sets of variates, 1936.
    """
    matrix = as_real(covariance, "`covariance`", "a matrix")
    if matrix.ndim != 2 or matrix.shape[0] != matrix.shape[1] or len(matrix) < 2:
        raise ValueError(
            f"`covariance` should be square, 2 × 2 or larger. Received: shape={matrix.shape}"
        )
    scale = float(np.abs(np.diagonal(matrix)).max(initial=0.0))
    if not np.isfinite(matrix).all() or np.abs(matrix - matrix.T).max() > 1e-8 * scale:
        raise ValueError(
            "`covariance` should be finite and symmetric. "
            f"Received: {received(matrix)}, which is not"
        )
    split = check_whole(split, "`split`", minimum=1, maximum=len(matrix) - 1)
    smallest = float(np.linalg.eigvalsh(matrix).min())
    try:
        whiten_x, whiten_y = (
            np.linalg.inv(np.linalg.cholesky(block))
            for block in (matrix[:split, :split], matrix[split:, split:])
        )
    except np.linalg.LinAlgError as error:
        raise ValueError(
            "Both blocks of `covariance` should be invertible covariances. "
            f"Received: {received(matrix)}, of which one is not"
        ) from error
    if smallest < -1e-8 * scale:
        raise ValueError(
            "`covariance` should be positive semidefinite. "
            f"Received: smallest eigenvalue {smallest}"
        )
    found = np.linalg.svd(whiten_x @ matrix[:split, split:] @ whiten_y.T, compute_uv=False)
    return np.clip(found, 0.0, 1.0)


def multivariate_gaussian(covariance: Any, split: int) -> float:
    """C(X;Y) = Σ ½ log((1 + ρ_i) / (1 − ρ_i)) over the canonical correlations of two vectors.

    Args:
        covariance: of X and Y together, `(n, n)`.
        split: how many coordinates belong to X.

    Returns:
        Nats; infinite where a direction of X determines one of Y.

    Raises:
        ValueError: if the covariance or the split is malformed.

    Example:
        >>> round(multivariate_gaussian([[1, 0.5], [0.5, 1]], split=1), 4)
        0.5493

    Source: Satpathy and Cuff, Gaussian secure source coding and Wyner's common information, 2015;
    Sula and Gastpar, On Wyner's common information in the Gaussian case, 2020.
    """
    with np.errstate(divide="ignore"):
        return float(np.arctanh(canonical_correlations(covariance, split)).sum())


def doubly_symmetric_binary(a0: float) -> float:
    """C(X;Y) = log 2 + h(a0) − 2 h(a1), a1 = ½ (1 − √(1 − 2 a0)), of a fair bit and its noisy copy.

    Args:
        a0: P(X ≠ Y), in [0, ½].

    Returns:
        Nats.

    Raises:
        ValueError: if the crossover is outside [0, ½].

    Example:
        >>> round(doubly_symmetric_binary(0.1), 4)
        0.605

    Source: Wyner, The common information of two dependent random variables, 1975, section I;
    Witsenhausen, Values and bounds for the common information of two discrete random variables,
    1976.
    """
    if not 0 <= check_number(a0, "`a0`", "in [0, 1/2]") <= 0.5:
        raise ValueError(f"`a0` should be in [0, 1/2]. Received: a0={a0}")
    a1 = 0.5 * (1 - math.sqrt(1 - 2 * a0))
    return math.log(2) + binary_entropy(a0) - 2 * binary_entropy(a1)


def relaxed_doubly_symmetric_binary(a0: float, weight: float) -> tuple[float, float]:
    """The optimum of I(X;Y|Z) + λ I(X,Y;Z) for a fair bit and its noisy copy, over symmetric Z.

    Z is a fair bit. Given Z = 0 the table of (X, Y) is that of the source with t moved from (1, 1)
    to (0, 0), where 2 artanh 2t = (1+λ) artanh(t/A), A = (1−a0)/2, makes the derivative vanish. Z
    is empty from λ = 1 − 2 a0 on. That no other Z is better is a numerical finding (the tests
    compare with alternating minimisation over larger Z), not a theorem cited.

    Args:
        a0: P(X ≠ Y), in (0, ½).
        weight: λ, not negative; at 0 the limit of it, Wyner's common information.

    Returns:
        I(X,Y;Z) and I(X;Y|Z), nats.

    Raises:
        ValueError: if an argument is out of range.

    Example:
        >>> information, slack = relaxed_doubly_symmetric_binary(0.1, 0.1)
        >>> round(information, 4), round(slack, 4)
        (0.5924, 0.0007)
    """
    if not 0 < check_number(a0, "`a0`", "in (0, 1/2)") < 0.5:
        raise ValueError(f"`a0` should be in (0, 1/2). Received: a0={a0}")
    _check_weight(weight)
    agree, t = (1 - a0) / 2, 0.0
    if weight < 1 - 2 * a0:

        def derivative(t: float) -> float:
            return (1 + weight) * math.atanh(t / agree) - 2 * math.atanh(2 * t)

        # Nearer to an end than float64 tells, the root is that end.
        low, high = 1e-9, agree * (1 - 1e-15)
        if derivative(high) <= 0:
            t = high
        elif derivative(low) < 0:
            t = float(brentq(derivative, low, high, xtol=1e-15))
    conditional = entropy([agree + t, a0 / 2, a0 / 2, agree - t])
    information = max(0.0, math.log(2) + binary_entropy(a0) - conditional)
    return information, max(0.0, 2 * binary_entropy(0.5 + t) - conditional)


def binary_erasure(erasure: float) -> float:
    """C(X;Y) of a fair bit X and Y, which is X or, with probability p, erased.

    log 2 up to p = ½, and h(p) from there on.

    Args:
        erasure: p, in [0, 1].

    Returns:
        Nats.

    Raises:
        ValueError: if the probability is outside [0, 1].

    Example:
        >>> round(binary_erasure(0.25), 4)
        0.6931

    Source: Cuff, Distributed channel synthesis, 2013; Kumar, Li and El Gamal, Exact common
    information, 2014, for the same value.
    """
    if not 0 <= check_number(erasure, "`erasure`", "in [0, 1]") <= 1:
        raise ValueError(f"`erasure` should be in [0, 1]. Received: erasure={erasure}")
    return math.log(2) if erasure <= 0.5 else binary_entropy(erasure)


def deterministic_label(p: Any) -> float:
    """C(X;Y) = H(L) where X and Y are independent given a label L that each of them shows.

    Z = L gives I(X,Y;L) = H(L), and C(X;Y) ≥ I(X;Y) ≥ I(L;L) = H(L), as L is a function of either.

    Args:
        p: distribution of the label, `(labels,)`.

    Returns:
        Nats.

    Raises:
        ValueError: if it is not a distribution.

    Example:
        >>> round(deterministic_label([0.1] * 10), 4)
        2.3026

    Source: Wyner, The common information of two dependent random variables, 1975; Ahlswede and
    Körner, On common information and related characteristics of correlated information sources,
    1974: only then does it equal the mutual information.
    """
    return entropy(check_probabilities(p, "p", rank=1))


def label_beside_gaussians(p: Any, correlations: Any) -> float:
    """C(X;Y) = H(p) + Σ artanh |ρ_i| of a label that X and Y both show, beside Gaussian pairs.

    C of independent parts adds up: a Z of independent parts attains the sum, and no Z holds less,
    since I(X,Y;Z) is at least the sum over the parts, given each of which X and Y are independent.

    Args:
        p: of the labels, `(labels,)`.
        correlations: ρ of each Gaussian pair, in (−1, 1), `(pairs,)`.

    Returns:
        Nats.

    Raises:
        ValueError: if a probability or a correlation is out of range.

    Example:
        >>> round(label_beside_gaussians([0.5, 0.5], [0.5]), 4)
        1.2425

    Source: Wyner, The common information of two dependent random variables, 1975; Xu, Liu and Chen,
    A lossy source coding interpretation of Wyner's common information, 2016.
    """
    return deterministic_label(p) + sum(gaussian(rho) for rho in np.atleast_1d(correlations))


def relaxed_label(p: Any, weight: float) -> tuple[float, float]:
    """The optimum of I(X;Y|Z) + λ I(X,Y;Z) where a label that each side shows is all they share.

    A shared nat costs λ in Z and 1 outside of it, so Z is the label up to λ = 1 and empty beyond:
    the one source here whose Z changes all at once.

    Args:
        p: distribution of the label, `(labels,)`.
        weight: λ, not negative.

    Returns:
        I(X,Y;Z) and I(X;Y|Z), nats.

    Raises:
        ValueError: if an argument is out of range.
    """
    _check_weight(weight)
    label = deterministic_label(p)
    return (label, 0.0) if weight < 1 else (0.0, label)
