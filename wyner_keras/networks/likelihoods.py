"""Likelihoods of a column, one class a kind: what an encoder reads, log p, and the mode.

Mean and scale are those of the column's values, of their logarithm log(1 + value) where a kind
`takes_log`. `log_prob` is the density of what is standardised by them, and the probability of a
value of a `discrete` kind. A column of another kind is one more class here, in `LIKELIHOODS`.
"""

from __future__ import annotations

import math
from typing import Any, ClassVar

from keras import ops

from wyner_keras.backend import argmax

Tensor = Any


class Likelihood:
    """The likelihood of real columns: N(value | output, e^spread), both standardised."""

    takes_log: ClassVar[bool] = False
    discrete: ClassVar[bool] = False

    def width(self, categories: int) -> int:
        """How many numbers a decoder puts out."""
        return 1

    def inputs(self, value: Tensor, mean: Tensor, scale: Tensor, width: int) -> Tensor:
        """What an encoder reads of values `(batch, 1)`, `(batch, width)`."""
        return (value - mean) / scale

    def log_prob(
        self, value: Tensor, output: Tensor, mean: Tensor, scale: Tensor, spread: Tensor
    ) -> Tensor:
        """The log of p(value | output), nats, `(batch, 1)`; a column learns its `spread`."""
        error = ops.square((value - mean) / scale - output)
        return -0.5 * (error * ops.exp(-spread) + spread + math.log(2 * math.pi))

    def mode(self, output: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """What decoding gives, `(batch, 1)`, in the user's units: the most probable value."""
        return output * scale + mean


class Binary(Likelihood):
    """Bernoulli, `output` its logit."""

    discrete: ClassVar[bool] = True

    def inputs(self, value: Tensor, mean: Tensor, scale: Tensor, width: int) -> Tensor:
        """The value, 0 or 1."""
        return value

    def log_prob(
        self, value: Tensor, output: Tensor, mean: Tensor, scale: Tensor, spread: Tensor
    ) -> Tensor:
        """−softplus(∓output)."""
        return -ops.softplus(ops.where(value > 0, -output, output))

    def mode(self, output: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """1 where it is the more probable."""
        return ops.cast(output > 0, "float32")


class Categories(Likelihood):
    """Categorical, `output` its logits; values are whole numbers below their number."""

    discrete: ClassVar[bool] = True

    def width(self, categories: int) -> int:
        """One logit a category."""
        return categories

    def inputs(self, value: Tensor, mean: Tensor, scale: Tensor, width: int) -> Tensor:
        """One-hot."""
        return ops.cast(ops.equal(value, ops.arange(width, dtype="float32")[None]), "float32")

    def log_prob(
        self, value: Tensor, output: Tensor, mean: Tensor, scale: Tensor, spread: Tensor
    ) -> Tensor:
        """The chosen category's log-softmax."""
        chosen = self.inputs(value, mean, scale, output.shape[-1])
        return ops.sum(ops.log_softmax(output, axis=-1) * chosen, -1, keepdims=True)

    def mode(self, output: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """The first of the most probable."""
        return ops.cast(argmax(output)[..., None], "float32")


class Counts(Likelihood):
    """Negative binomial of dispersion e^spread, whose limit is Poisson's; `output` its log mean."""

    takes_log: ClassVar[bool] = True
    discrete: ClassVar[bool] = True

    def inputs(self, value: Tensor, mean: Tensor, scale: Tensor, width: int) -> Tensor:
        """log(1 + value), standardised."""
        # tf2onnx has no log1p.
        return (ops.log(1.0 + value) - mean) / scale

    def _expected(self, output: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        return ops.exp(ops.clip(output * scale + mean, -10.0, 20.0))

    def log_prob(
        self, value: Tensor, output: Tensor, mean: Tensor, scale: Tensor, spread: Tensor
    ) -> Tensor:
        """Of variance m + m² / dispersion, m the mean; of any count to 1e-3 nats or six digits.

        Source: Loader, Fast and accurate computation of binomial probabilities, 2000: what
        factorials have in common with the powers is left out of both, or float32 loses the rest.
        """
        expected, dispersion = self._expected(output, mean, scale), ops.exp(spread)
        total, off = value + dispersion, value - expected
        deviance = dispersion * _log1p(-off / total)
        deviance += value * _log1p(dispersion / total * (off / expected))
        rest = _factorial_rest(total) - _factorial_rest(dispersion) - _factorial_rest(value)
        return rest - _log1p(value / dispersion) - deviance

    def mode(self, output: Tensor, mean: Tensor, scale: Tensor) -> Tensor:
        """The mean, rounded: the most probable count may be 0 whatever the mean is."""
        return ops.round(self._expected(output, mean, scale))


def _log1p(value: Tensor) -> Tensor:
    """The log of 1 + value, finite where rounding leaves none of it."""
    return ops.log1p(ops.maximum(value, -1.0 + 1e-7))


def _factorial_rest(value: Tensor) -> Tensor:
    """The log of Γ(value + 1), less value · log(value) − value: small for any value from 0 on.

    Stirling's series five steps up, then back.
    """
    value = ops.maximum(value, 1e-30)
    shifted = value + 5.0
    back = math.prod(shifted / (value + float(step)) for step in range(1, 5))
    series = 1 / (12 * shifted) - 1 / (360 * shifted**3) + 1 / (1260 * shifted**5)
    constant = 0.5 * math.log(2 * math.pi) - 5.0
    return (
        value * ops.log1p(5.0 / value) + ops.log(back) + 0.5 * ops.log(shifted) + constant + series
    )


LIKELIHOODS: dict[str, Likelihood] = {
    "real": Likelihood(),
    "binary": Binary(),
    "categorical": Categories(),
    "count": Counts(),
}


def is_kind(kind: Any) -> bool:
    """Whether it names a kind of column.

    Example:
        >>> is_kind("count"), is_kind("counts")
        (True, False)
    """
    return isinstance(kind, str) and kind in LIKELIHOODS
