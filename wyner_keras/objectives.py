"""The paper's loss terms as pure functions: per example, unreduced, in nats.

Only the stages average and weight them. Source of the objectives: the W-model paper, eq. (5) and
section 2.2; `x̂` stands for the deterministic decoder's output x_θ(u, z).
"""

from __future__ import annotations

import math
from typing import Any

from keras import ops

Tensor = Any


def _same_shape(**tensors: Tensor) -> None:
    shapes = {name: tuple(tensor.shape) for name, tensor in tensors.items()}
    first = next(iter(shapes.values()))
    for shape in shapes.values():
        if len(shape) != len(first) or any(
            a is not None and b is not None and a != b for a, b in zip(shape, first, strict=True)
        ):
            raise ValueError(f"Shapes should be the same. Received: {shapes}")


def _float32(tensor: Tensor) -> Tensor:
    return ops.cast(tensor, "float32")


def _rank(tensor: Tensor, rank: int, name: str) -> None:
    if len(tensor.shape) != rank:
        raise ValueError(f"`{name}` should have rank {rank}. Received: shape={tuple(tensor.shape)}")


def kl_categorical(logits: Tensor, prior_logits: Tensor | None = None) -> Tensor:
    """D(q ‖ p) of n independent categorical variables, summed over them.

    Args:
        logits: of q, `(batch, n, k)`.
        prior_logits: of p, `(batch, n, k)`; None is uniform.

    Returns:
        Nats per example, `(batch,)`; at most n log k against the uniform prior.

    Raises:
        ValueError: if the rank is not 3 or the shapes differ.

    Example:
        >>> float(kl_categorical(np.zeros((1, 2, 5)))[0])
        0.0
    """
    _rank(logits, 3, "logits")
    log_q = ops.log_softmax(_float32(logits), axis=-1)
    if prior_logits is None:
        log_p = -math.log(logits.shape[-1])
    else:
        _same_shape(logits=logits, prior_logits=prior_logits)
        log_p = ops.log_softmax(_float32(prior_logits), axis=-1)
    return ops.sum(ops.exp(log_q) * (log_q - log_p), axis=(-2, -1))


def kl_diagonal_gaussian(
    mean: Tensor,
    log_variance: Tensor,
    prior_mean: Tensor | None = None,
    prior_log_variance: Tensor | None = None,
) -> Tensor:
    """D(N(mean, e^log_variance) ‖ N(prior_mean, e^prior_log_variance)), summed over dimensions.

    Args:
        mean: `(batch, dim)`.
        log_variance: `(batch, dim)`.
        prior_mean: `(batch, dim)`; None is 0.
        prior_log_variance: `(batch, dim)`; None is 0.

    Returns:
        Nats per example, `(batch,)`.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> float(kl_diagonal_gaussian(np.ones((1, 3)), np.zeros((1, 3)))[0])
        1.5
    """
    _rank(mean, 2, "mean")
    _same_shape(mean=mean, log_variance=log_variance)
    mean, log_variance = _float32(mean), _float32(log_variance)
    prior_mean = ops.zeros_like(mean) if prior_mean is None else _float32(prior_mean)
    prior_log_variance = (
        ops.zeros_like(mean) if prior_log_variance is None else _float32(prior_log_variance)
    )
    _same_shape(mean=mean, prior_mean=prior_mean, prior_log_variance=prior_log_variance)
    difference = log_variance - prior_log_variance
    terms = (
        ops.exp(difference)
        + ops.square(mean - prior_mean) * ops.exp(-prior_log_variance)
        - 1.0
        - difference
    )
    return 0.5 * ops.sum(terms, axis=-1)


def kl_pulled_back_gaussian(
    values: Tensor, log_variance: Tensor, log_determinant: Tensor
) -> Tensor:
    """D(q ‖ N(0, I)) estimated by one sample, q a Gaussian taken through an invertible map.

    E log q in closed form (a Gaussian's entropy and the map's volume), −E log p by the sample.

    Args:
        values: images of the Gaussian's samples under the map, `(batch, dim)`.
        log_variance: of the Gaussian, `(batch, dim)`.
        log_determinant: log |determinant| of the map at the samples, `(batch,)`.

    Returns:
        Nats per example, `(batch,)`; unbiased, and not below 0 on average.

    Raises:
        ValueError: if the shapes differ.

    Example:
        >>> float(kl_pulled_back_gaussian(np.ones((1, 3)), np.zeros((1, 3)), np.zeros(1))[0])
        0.0

    Source: Rezende and Mohamed, Variational inference with normalizing flows, 2015, eq. (15).
    """
    _rank(values, 2, "values")
    _rank(log_determinant, 1, "log_determinant")
    _same_shape(values=values, log_variance=log_variance)
    excess = ops.square(_float32(values)) - 1.0 - _float32(log_variance)
    return 0.5 * ops.sum(excess, axis=-1) - _float32(log_determinant)


def squared_error(x: Tensor, reconstruction: Tensor) -> Tensor:
    """‖x − x̂‖² per example, summed over all axes but the first, `(batch,)`, in squared data units.

    Divided by 2ε² it is −log N(x | x̂, ε² I) up to the constant (d/2) log 2πε², in nats.
    """
    _same_shape(x=x, reconstruction=reconstruction)
    axes = tuple(range(1, len(x.shape)))
    return ops.sum(ops.square(_float32(x) - _float32(reconstruction)), axis=axes)


def gaussian_negative_log_likelihood(x: Tensor, mean: Tensor, log_variance: Tensor) -> Tensor:
    """−log N(x | mean, diag e^log_variance), the base model's stochastic decoder, eq. (5).

    Args:
        x: data `(batch, features)`.
        mean: `(batch, features)`.
        log_variance: `(batch, features)`.

    Returns:
        Nats per example, `(batch,)`, constant included.

    Raises:
        ValueError: if the shapes differ.
    """
    _rank(x, 2, "x")
    _same_shape(x=x, mean=mean, log_variance=log_variance)
    x, mean, log_variance = _float32(x), _float32(mean), _float32(log_variance)
    squares = ops.square(x - mean) * ops.exp(-log_variance)
    return 0.5 * ops.sum(squares + log_variance + math.log(2 * math.pi), axis=-1)


def categorical_mutual_information(p_x: Tensor, p_y: Tensor) -> Tensor:
    """I(Z_x; Z_y) of two soft assignments over a batch, summed over the n variables.

    The joint of variable i is the batch average of p_x[:, i] ⊗ p_y[:, i], as in invariant
    information clustering (Ji et al., 2019). Biased upwards by about (k−1)²/(2·batch) nats.

    Args:
        p_x: probabilities `(batch, n, k)`.
        p_y: probabilities `(batch, n, k)`.

    Returns:
        Nats, a scalar; at most n log k.

    Raises:
        ValueError: if the rank is not 3 or the shapes differ.
    """
    _rank(p_x, 3, "p_x")
    _same_shape(p_x=p_x, p_y=p_y)
    p_x, p_y = _float32(p_x), _float32(p_y)
    joint = ops.einsum("bni,bnj->nij", p_x, p_y) / ops.cast(ops.shape(p_x)[0], "float32")
    entropies = [
        -ops.sum(p * ops.log(ops.maximum(p, 1e-12)))
        for p in (ops.sum(joint, axis=2), ops.sum(joint, axis=1), joint)
    ]
    return entropies[0] + entropies[1] - entropies[2]


def info_nce(scores: Tensor) -> Tensor:
    """Lower bound of I(X; Y) by a critic's scores of partners and strangers, nats, a scalar.

    The mean of the bounds that tell y from other y, and x from other x.

    Args:
        scores: of every x with every y, `(batch, batch)`; partners on the diagonal.

    Returns:
        At most the log of the batch size.

    Raises:
        ValueError: if the scores are no square matrix.

    Source: van den Oord et al., 2018; Poole et al., On variational bounds of mutual information,
    2019, equation 10.
    """
    _rank(scores, 2, "scores")
    if scores.shape[0] != scores.shape[1]:
        raise ValueError(f"`scores` should be square. Received: shape={tuple(scores.shape)}")
    scores = _float32(scores)
    partners = ops.mean(ops.diagonal(scores))
    strangers = [ops.mean(ops.logsumexp(scores, axis=axis)) for axis in (0, 1)]
    count = ops.cast(ops.shape(scores)[0], "float32")
    return partners - 0.5 * (strangers[0] + strangers[1]) + ops.log(count)


def gaussian_mutual_information(a: Tensor, b: Tensor, ridge: float = 1e-4) -> Tensor:
    """½ log(|Σ_a| |Σ_b| / |Σ_ab|), the mutual information of two Gaussian vectors over a batch.

    Args:
        a: `(batch, dim_a)`.
        b: `(batch, dim_b)`.
        ridge: added to the diagonal of the covariance, so that it stays invertible.

    Returns:
        Nats, a scalar.
    """
    both = ops.concatenate([_float32(a), _float32(b)], axis=-1)
    both = both - ops.mean(both, axis=0, keepdims=True)
    count = ops.cast(ops.shape(both)[0], "float32")
    covariance = ops.matmul(ops.transpose(both), both) / count
    covariance = covariance + ridge * ops.eye(both.shape[-1])
    split = a.shape[-1]

    def half_log_determinant(matrix: Tensor) -> Tensor:
        return ops.sum(ops.log(ops.diagonal(ops.cholesky(matrix))))

    return (
        half_log_determinant(covariance[:split, :split])
        + half_log_determinant(covariance[split:, split:])
        - half_log_determinant(covariance)
    )
