"""Latent families: parameters to samples, divergences, modes and prior samples.

A family is a small immutable description. Everything stochastic takes its noise as an argument, so
that an exported graph is deterministic and one seed gives one answer in every runtime.
"""

from __future__ import annotations

from dataclasses import asdict, dataclass
from typing import Any, Protocol, runtime_checkable

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras import objectives
from wyner_keras.received import received

Tensor = Any
_SMALLEST_UNIFORM = float(np.finfo(np.float32).tiny)
_LARGEST_UNIFORM = float(np.nextafter(np.float32(1), np.float32(0)))


@runtime_checkable
class Latent(Protocol):
    """What a latent family offers; a third family is one more class with these members."""

    @property
    def parameter_size(self) -> int:
        """Width of the parameters that an encoder puts out."""

    @property
    def size(self) -> int:
        """Width of a flattened sample."""

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Noise for `count` samples, `(count, size)` float32, by NumPy."""

    def random_noise(self, count: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Noise for `count` samples, `(count, size)` float32, inside a training graph."""

    def sample(
        self, parameters: Tensor, noise: Tensor, temperature: Tensor | None = None
    ) -> Tensor:
        """A reparameterised sample, `(batch, size)`."""

    def prior_sample(self, noise: Tensor) -> Tensor:
        """A sample of the prior, `(batch, size)`."""

    def mode(self, parameters: Tensor) -> Tensor:
        """The most probable value, `(batch, size)`."""

    def kl(self, parameters: Tensor) -> Tensor:
        """D(q ‖ prior), nats per example, `(batch,)`."""

    def kl_between(self, parameters: Tensor, other: Tensor) -> Tensor:
        """D(q ‖ other), nats per example, `(batch,)`."""

    def posterior(self, *experts: Tensor) -> Tensor:
        """Parameters of prior × experts, normalised, `(batch, parameter_size)`."""

    def negative_log_likelihood(self, parameters: Tensor, value: Tensor) -> Tensor:
        """−log q(value), nats per example, `(batch,)`."""

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """Batch estimate of I(Z_x; Z_y), the information two experts share, in nats (scalar)."""


def _positive_int(name: str, value: Any) -> None:
    if isinstance(value, bool) or not isinstance(value, int) or value < 1:
        raise ValueError(
            f"`{name}` should be a positive integer. Received: {name}={received(value)}"
        )


def _checked(parameters: Tensor, width: int, family: str) -> Tensor:
    if len(parameters.shape) != 2 or parameters.shape[-1] != width:
        raise ValueError(
            f"Parameters of {family} should have shape (batch, {width}). "
            f"Received: shape={tuple(parameters.shape)}"
        )
    return ops.cast(parameters, "float32")


class _Serializable:
    def get_config(self) -> dict[str, int]:
        """The constructor's arguments."""
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_config(cls, config: dict[str, int]) -> Any:
        """The family again, from `get_config`'s values."""
        return cls(**config)


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Categorical(_Serializable):
    """`n` independent categorical variables with `k` categories each, uniform prior.

    Parameters are logits `(batch, n*k)`; samples are `n` (relaxed) one-hot vectors, flattened. The
    relaxation is the Gumbel-softmax of Jang et al. (2017) and Maddison et al. (2017).

    Args:
        n: number of variables (the paper's N).
        k: number of categories (the paper's K), at least 2.

    Raises:
        ValueError: if a size is not a positive integer or `k` is 1.

    Example:
        >>> Categorical(n=20, k=10).size
        200
    """

    n: int
    k: int

    def __post_init__(self) -> None:
        _positive_int("n", self.n)
        _positive_int("k", self.k)
        if self.k < 2:
            raise ValueError(f"`k` should be at least 2. Received: k={self.k}")

    @property
    def parameter_size(self) -> int:
        """Number of logits, `n*k`."""
        return self.n * self.k

    @property
    def size(self) -> int:
        """Width of a flattened sample, `n*k`."""
        return self.n * self.k

    def _grouped(self, parameters: Tensor) -> Tensor:
        return ops.reshape(_checked(parameters, self.size, repr(self)), (-1, self.n, self.k))

    def _one_hot(self, scores: Tensor) -> Tensor:
        # keras.ops.argmax breaks in ONNX export (a Bitcast); tf.argmax converts. Of ONNX's OneHot
        # engines read different things; Equal is the same in all.
        places = ops.arange(self.k, dtype="int64")
        one_hot = ops.equal(tf.argmax(scores, axis=-1)[..., None], places)
        return ops.reshape(ops.cast(one_hot, "float32"), (-1, self.size))

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Uniform noise on [0, 1), `(count, n*k)` float32."""
        return rng.random((count, self.size), dtype=np.float32)

    def random_noise(self, count: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Uniform noise on [0, 1), `(count, n*k)`."""
        return keras.random.uniform((count, self.size), seed=seed, dtype="float32")

    def _gumbel(self, noise: Tensor) -> Tensor:
        noise = ops.clip(ops.cast(noise, "float32"), _SMALLEST_UNIFORM, _LARGEST_UNIFORM)
        return ops.reshape(-ops.log(-ops.log(noise)), (-1, self.n, self.k))

    def sample(
        self, parameters: Tensor, noise: Tensor, temperature: Tensor | None = None
    ) -> Tensor:
        """A Gumbel-softmax sample, or an exact one-hot sample without a temperature.

        Args:
            parameters: logits `(batch, n*k)`.
            noise: uniform noise `(batch, n*k)` on [0, 1).
            temperature: positive scalar; None takes the argmax (Gumbel-max), which has no gradient.

        Returns:
            `(batch, n*k)` float32.

        Raises:
            ValueError: if the parameters have another width.
        """
        scores = self._grouped(parameters) + self._gumbel(noise)
        if temperature is None:
            return self._one_hot(scores)
        relaxed = ops.softmax(scores / temperature, axis=-1)
        return ops.reshape(relaxed, (-1, self.size))

    def prior_sample(self, noise: Tensor) -> Tensor:
        """One-hot samples of the uniform prior from uniform noise, `(batch, n*k)`."""
        return self._one_hot(self._gumbel(noise))

    def mode(self, parameters: Tensor) -> Tensor:
        """One-hot vectors of the most probable categories, `(batch, n*k)`."""
        return self._one_hot(self._grouped(parameters))

    def probabilities(self, parameters: Tensor) -> Tensor:
        """Category probabilities, `(batch, n, k)`."""
        return ops.softmax(self._grouped(parameters), axis=-1)

    def kl(self, parameters: Tensor) -> Tensor:
        """D(q ‖ uniform), nats per example, `(batch,)`."""
        return objectives.kl_categorical(self._grouped(parameters))

    def kl_between(self, parameters: Tensor, other: Tensor) -> Tensor:
        """D(q ‖ other), nats per example, `(batch,)`."""
        return objectives.kl_categorical(self._grouped(parameters), self._grouped(other))

    def negative_log_likelihood(self, parameters: Tensor, value: Tensor) -> Tensor:
        """−log q(value) of one-hot values `(batch, n*k)`, nats per example, `(batch,)`."""
        log_q = ops.log_softmax(self._grouped(parameters), axis=-1)
        return -ops.sum(log_q * self._grouped(value), axis=(-2, -1))

    def posterior(self, *experts: Tensor) -> Tensor:
        """Logits of the product of experts under the uniform prior: their sum, `(batch, n*k)`."""
        return sum(_checked(expert, self.size, repr(self)) for expert in experts)

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """I(Z_x; Z_y) of the soft assignments on the batch, summed over the n variables, nats."""
        return objectives.categorical_mutual_information(
            self.probabilities(expert_x), self.probabilities(expert_y)
        )


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class DiagonalGaussian(_Serializable):
    """A Gaussian vector with diagonal covariance, standard normal prior (Kingma & Welling, 2014).

    Parameters are `(batch, 2*dim)`: means, then log variances.

    Args:
        dim: number of dimensions.

    Raises:
        ValueError: if `dim` is not a positive integer.

    Example:
        >>> DiagonalGaussian(dim=16).parameter_size
        32
    """

    dim: int

    def __post_init__(self) -> None:
        _positive_int("dim", self.dim)

    @property
    def parameter_size(self) -> int:
        """Means and log variances, `2*dim`."""
        return 2 * self.dim

    @property
    def size(self) -> int:
        """Width of a sample, `dim`."""
        return self.dim

    def moments(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        """Mean and log variance, each `(batch, dim)`."""
        parameters = _checked(parameters, self.parameter_size, repr(self))
        return parameters[:, : self.dim], parameters[:, self.dim :]

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Standard normal noise, `(count, dim)` float32."""
        return rng.standard_normal((count, self.dim), dtype=np.float32)

    def random_noise(self, count: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Standard normal noise, `(count, dim)`."""
        return keras.random.normal((count, self.dim), seed=seed, dtype="float32")

    def sample(
        self, parameters: Tensor, noise: Tensor, temperature: Tensor | None = None
    ) -> Tensor:
        """Mean + exp(log variance / 2) · noise, `(batch, dim)`; a temperature has no effect."""
        del temperature
        mean, log_variance = self.moments(parameters)
        return mean + ops.exp(0.5 * log_variance) * ops.cast(noise, "float32")

    def prior_sample(self, noise: Tensor) -> Tensor:
        """The noise itself: the prior is standard normal, `(batch, dim)`."""
        return ops.cast(noise, "float32")

    def mode(self, parameters: Tensor) -> Tensor:
        """The mean, `(batch, dim)`."""
        return self.moments(parameters)[0]

    def kl(self, parameters: Tensor) -> Tensor:
        """D(q ‖ N(0, I)), nats per example, `(batch,)`."""
        return objectives.kl_diagonal_gaussian(*self.moments(parameters))

    def kl_between(self, parameters: Tensor, other: Tensor) -> Tensor:
        """D(q ‖ other), nats per example, `(batch,)`."""
        return objectives.kl_diagonal_gaussian(*self.moments(parameters), *self.moments(other))

    def negative_log_likelihood(self, parameters: Tensor, value: Tensor) -> Tensor:
        """−log q(value) of values `(batch, dim)`, nats per example, `(batch,)`."""
        return objectives.gaussian_negative_log_likelihood(value, *self.moments(parameters))

    def posterior(self, *experts: Tensor) -> Tensor:
        """N(0, I) × Gaussian factors, normalised, `(batch, 2*dim)`.

        Each expert is a factor N(mean, exp(log variance)); precisions add to the prior's 1.
        """
        precision, weighted = 1.0, 0.0
        for expert in experts:
            mean, log_variance = self.moments(expert)
            factor = ops.exp(-log_variance)
            precision = precision + factor
            weighted = weighted + factor * mean
        return ops.concatenate([weighted / precision, -ops.log(precision)], axis=-1)

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """Mutual information of the experts' means on the batch, taken as Gaussian, nats."""
        mean_x = self.mode(self.posterior(expert_x))
        mean_y = self.mode(self.posterior(expert_y))
        return objectives.gaussian_mutual_information(mean_x, mean_y)
