"""Latent families, and the distributions that their parameters stand for.

Everything stochastic takes its noise as an argument, so that an exported graph is deterministic and
one seed gives one answer in every runtime. Another family is one more class like these two:
`wyner_keras.product` has the third.
"""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from dataclasses import asdict, dataclass, fields
from typing import Any, ClassVar, Protocol, runtime_checkable

import keras
import numpy as np
from keras import ops

from wyner_keras import objectives, sweeps
from wyner_keras.data.checks import check_whole
from wyner_keras.gumbel import gumbel, one_hot
from wyner_keras.networks.mixture_prior import MixturePrior
from wyner_keras.networks.tree_prior import TreePrior
from wyner_keras.sweeps import Sweep
from wyner_serving.noise import draw_noise
from wyner_serving.pmi import log_pmi, with_shares

Tensor = Any


class Distribution(Protocol):
    """A distribution of a latent, one for each row of a batch."""

    def sample(self, noise: Tensor, temperature: Tensor | None = None) -> Tensor:
        """A reparameterised sample `(batch, size)`; without a temperature an exact one."""

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of q(value), nats per example, `(batch,)`."""

    def kl(self, other: Any = None) -> Tensor:
        """D(q ‖ other), of the prior if None, nats per example, `(batch,)`."""

    @property
    def mode(self) -> Tensor:
        """The most probable value, `(batch, size)`."""

    def outputs(self) -> tuple[Tensor, ...]:
        """What tells the distribution, in the order of the family's `output_names`."""


@runtime_checkable
class Latent(Protocol):
    """What a latent family offers."""

    noise: ClassVar[str]  # "uniform" on [0, 1), or "normal"
    range: ClassVar[tuple[float | None, float | None]]  # of a sample; None for no bound
    output_names: ClassVar[tuple[str, ...]]  # of `Distribution.outputs`, each `(batch, width)`
    output_range: ClassVar[tuple[float | None, float | None]]

    @property
    def parameter_size(self) -> int:
        """Width of the parameters that an encoder puts out."""

    @property
    def size(self) -> int:
        """Width of a flattened sample."""

    def __call__(self, parameters: Tensor) -> Any:
        """The distribution of parameters `(batch, parameter_size)`; of zeros the prior."""

    def product(self, *experts: Tensor) -> Any:
        """The distribution prior × experts, normalised; of each expert its parameters."""

    def prior_sample(self, noise: Tensor) -> Tensor:
        """A sample of the prior, `(batch, size)`."""

    def random_noise(self, count: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Noise for `count` samples, `(count, size)` float32, inside a training graph."""

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Noise for `count` samples, `(count, size)` float32, by NumPy."""

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """Batch estimate of I(Z_x; Z_y), the information two experts share, in nats (scalar)."""

    def log_pmi(self, posteriors_x: Sequence[Tensor], posteriors_y: Sequence[Tensor]) -> Tensor:
        """Pointwise mutual information of every x with every y, nats, `(rows_x, rows_y)`.

        It is log ∫ q(z|x) q(z|y) / p(z) dz; if X − Z − Y holds, log p(x,y) / p(x) p(y). A family
        that leaves it out cannot rank.

        Args:
            posteriors_x: of q(z|x) what `Distribution.outputs` gives.
            posteriors_y: of q(z|y) likewise.
        """

    def values(self) -> np.ndarray | None:
        """Every value `(values, size)` that a sample can take; None where there are too many."""

    def prior_layer(self) -> Any:
        """A p(z) that can be fitted to data, a layer from noise to samples; None for none.

        Its `log_prob` of values `(batch, size)` gives nats `(batch,)`.
        """

    def centre(self, posteriors: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The most typical value, `(size,)`: of data by their posteriors, or of the prior.

        Args:
            posteriors: what `Distribution.outputs` gives for data; None takes the prior.
        """

    def sweeps(
        self, posteriors: Sequence[np.ndarray] | None = None, effect: np.ndarray | None = None
    ) -> tuple[Sweep, ...]:
        """Values to picture, part by part: each value of a kind, quantiles of a quantity.

        Args:
            posteriors: as of `centre`.
            effect: of each element of a sample on what is decoded, `(size, features)`: the parts,
                or directions where none is distinguished, come by the size of it.
        """

    def describe(self) -> dict[str, Any]:
        """What a bundle's manifest says of the latent, JSON-able.

        It has `family`, `size` and `noise`; and `pmi`, the independent parts of z in the order of
        `output_names`, each of a form of `wyner_serving.pmi`. Without it a bundle ranks by the
        graph of `log_pmi`, more slowly.
        """


class Family:
    """What families whose manifest entry tells all of them have in common."""

    noise: ClassVar[str]
    size: int
    describe: Callable[[], dict[str, Any]]

    def _checked(self, parameters: Tensor, width: int) -> Tensor:
        if len(parameters.shape) != 2 or parameters.shape[-1] != width:
            raise ValueError(
                f"Parameters of {self!r} should have shape (batch, {width}). "
                f"Received: shape={tuple(parameters.shape)}"
            )
        return ops.cast(parameters, "float32")

    def draw_noise(self, rng: np.random.Generator, count: int) -> np.ndarray:
        """Noise for `count` samples, `(count, size)` float32, by NumPy."""
        return draw_noise(rng, self.noise, (count, self.size))

    def random_noise(self, count: Tensor, seed: keras.random.SeedGenerator) -> Tensor:
        """Noise for `count` samples, `(count, size)` float32, inside a training graph."""
        draw = {"uniform": keras.random.uniform, "normal": keras.random.normal}[self.noise]
        return draw((count, self.size), seed=seed, dtype="float32")

    def log_pmi(
        self,
        posteriors_x: Sequence[Tensor],
        posteriors_y: Sequence[Tensor],
        shares: Tensor | None = None,
    ) -> Tensor:
        """Pointwise mutual information of every x with every y; see `Latent.log_pmi`.

        By the forms that `describe` names: the arithmetic of bundles, traced by Keras.

        Args:
            posteriors_x: of q(z|x) what `Distribution.outputs` gives.
            posteriors_y: of q(z|y) likewise.
            shares: p(z) of each kind, `(k,)`; None where they are equally common.
        """
        x, y = (
            [ops.cast(each, "float32") for each in posterior]
            for posterior in (posteriors_x, posteriors_y)
        )
        shares = None if shares is None else ops.cast(shares, "float32")
        return log_pmi(with_shares(self.describe()["pmi"], shares), x, y, ops)

    def get_config(self) -> dict[str, Any]:
        """The constructor's arguments."""
        return asdict(self)  # type: ignore[call-overload]

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The family again, from `get_config`'s values."""
        return cls(**config)

    @classmethod
    def described(cls, entry: Mapping[str, Any]) -> Any:
        """The family again, from what `describe` says."""
        return cls(**{each.name: entry[each.name] for each in fields(cls)})  # type: ignore[arg-type]


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Categorical(Family):
    """`n` independent categorical variables with `k` categories each, uniform prior.

    Parameters are logits `(batch, n*k)`; samples are `n` (relaxed) one-hot vectors, flattened.

    Args:
        n: number of variables (the paper's N).
        k: number of categories (the paper's K), at least 2.

    Raises:
        ValueError: if a size is not a positive integer or `k` is 1.

    Example:
        >>> Categorical(n=20, k=10).size
        200
    """

    noise: ClassVar[str] = "uniform"
    range: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    output_names: ClassVar[tuple[str, ...]] = ("probabilities",)
    output_range: ClassVar[tuple[float | None, float | None]] = (0.0, 1.0)
    _MOST_VALUES: ClassVar[int] = 10_000

    n: int
    k: int

    def __post_init__(self) -> None:
        for name, minimum in (("n", 1), ("k", 2)):
            size = check_whole(getattr(self, name), f"`{name}`", minimum=minimum)
            object.__setattr__(self, name, size)

    @property
    def parameter_size(self) -> int:
        """Number of logits, `n*k`."""
        return self.n * self.k

    @property
    def size(self) -> int:  # type: ignore[override]
        """Width of a flattened sample, `n*k`."""
        return self.n * self.k

    def __call__(self, parameters: Tensor) -> OneHot:
        """The distribution of logits `(batch, n*k)`."""
        logits = ops.reshape(self._checked(parameters, self.size), (-1, self.n, self.k))
        return OneHot(logits)

    def product(self, *experts: Tensor) -> OneHot:
        """Under the uniform prior logits add."""
        return self(sum(self._checked(expert, self.size) for expert in experts))

    def prior_sample(self, noise: Tensor) -> Tensor:
        """One-hot samples of the uniform prior from uniform noise, `(batch, n*k)`."""
        return one_hot(ops.reshape(gumbel(noise), (-1, self.n, self.k)))

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """I(Z_x; Z_y) of the soft assignments on the batch, summed over the n variables, nats."""
        return objectives.categorical_mutual_information(
            self(expert_x).probabilities, self(expert_y).probabilities
        )

    def values(self) -> np.ndarray | None:
        """Every one-hot value, `(k**n, n*k)`; None for more than 10,000."""
        if self.k**self.n > self._MOST_VALUES:
            return None
        places = np.indices((self.k,) * self.n).reshape(self.n, -1).T
        return np.eye(self.k, dtype=np.float32)[places].reshape(len(places), -1)

    def prior_layer(self) -> Any:
        """The tree of the variables that fits them best."""
        prior = TreePrior(self.n, self.k)
        prior.build(None)
        return prior

    def centre(self, posteriors: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The commonest category of each variable, one-hot, `(n*k,)`."""
        return sweeps.categorical_centre(self._grouped(posteriors), self.n, self.k)

    def sweeps(
        self, posteriors: Sequence[np.ndarray] | None = None, effect: np.ndarray | None = None
    ) -> tuple[Sweep, ...]:
        """Every value of each variable; see `sweeps.categorical_sweeps`."""
        return sweeps.categorical_sweeps(self._grouped(posteriors), self.n, self.k, effect)

    def _grouped(self, posteriors: Sequence[np.ndarray] | None) -> np.ndarray | None:
        """Probabilities `(rows, n, k)`."""
        return None if posteriors is None else np.reshape(posteriors[0], (-1, self.n, self.k))

    def describe(self) -> dict[str, Any]:
        """Family, sizes, noise, and the form of its pmi."""
        return {
            "family": "categorical",
            "n": self.n,
            "k": self.k,
            "size": self.size,
            "noise": self.noise,
            "pmi": [{"form": "categorical", "n": self.n, "k": self.k}],
        }


@dataclass(frozen=True)
class OneHot:
    """n independent categorical variables for each row.

    Args:
        logits: `(batch, n, k)`.

    Source: Jang et al., 2017, and Maddison et al., 2017, for the relaxation.
    """

    logits: Tensor

    @property
    def probabilities(self) -> Tensor:
        """`(batch, n, k)`."""
        return ops.softmax(self.logits, axis=-1)

    @property
    def mode(self) -> Tensor:
        """One-hot vectors of the most probable categories, `(batch, n*k)`."""
        return one_hot(self.logits)

    def sample(self, noise: Tensor, temperature: Tensor | None = None) -> Tensor:
        """A Gumbel-softmax sample, or an exact one-hot sample without a temperature.

        Args:
            noise: uniform noise `(batch, n*k)` on [0, 1).
            temperature: positive scalar; None takes the argmax (Gumbel-max), which has no gradient.

        Returns:
            `(batch, n*k)` float32.
        """
        n, k = self.logits.shape[1:]
        scores = self.logits + ops.reshape(gumbel(noise), (-1, n, k))
        if temperature is None:
            return one_hot(scores)
        return ops.reshape(ops.softmax(scores / temperature, axis=-1), (-1, n * k))

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of q(value) of one-hot values `(batch, n*k)`, nats per example, `(batch,)`."""
        log_q = ops.log_softmax(self.logits, axis=-1)
        grouped = ops.reshape(ops.cast(value, "float32"), (-1, *self.logits.shape[1:]))
        return ops.sum(log_q * grouped, axis=(-2, -1))

    def kl(self, other: OneHot | None = None) -> Tensor:
        """D(q ‖ other), of the uniform prior if None, nats per example, `(batch,)`."""
        return objectives.kl_categorical(self.logits, None if other is None else other.logits)

    def outputs(self) -> tuple[Tensor, ...]:
        """The probabilities, `(batch, n*k)`."""
        n, k = self.logits.shape[1:]
        return (ops.reshape(self.probabilities, (-1, n * k)),)


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class DiagonalGaussian(Family):
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

    noise: ClassVar[str] = "normal"
    range: ClassVar[tuple[float | None, float | None]] = (None, None)
    output_names: ClassVar[tuple[str, ...]] = ("mean", "log_variance")
    output_range: ClassVar[tuple[float | None, float | None]] = (None, None)

    dim: int

    def __post_init__(self) -> None:
        object.__setattr__(self, "dim", check_whole(self.dim, "`dim`", minimum=1))

    @property
    def parameter_size(self) -> int:
        """Means and log variances, `2*dim`."""
        return 2 * self.dim

    @property
    def size(self) -> int:  # type: ignore[override]
        """Width of a sample, `dim`."""
        return self.dim

    def __call__(self, parameters: Tensor) -> Gaussian:
        """The distribution of means and log variances `(batch, 2*dim)`."""
        parameters = self._checked(parameters, self.parameter_size)
        return Gaussian(parameters[:, : self.dim], parameters[:, self.dim :])

    def product(self, *experts: Tensor) -> Gaussian:
        """N(0, I) × factors N(mean, exp(log variance)): precisions add to the prior's 1."""
        precision, weighted = 1.0, 0.0
        for expert in map(self, experts):
            factor = ops.exp(-expert.log_variance)
            precision = precision + factor
            weighted = weighted + factor * expert.mean
        return Gaussian(weighted / precision, -ops.log(precision))

    def prior_sample(self, noise: Tensor) -> Tensor:
        """The noise itself: the prior is standard normal, `(batch, dim)`."""
        return ops.cast(noise, "float32")

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """Mutual information of the experts' means on the batch, taken as Gaussian, nats."""
        return objectives.gaussian_mutual_information(
            self.product(expert_x).mean, self.product(expert_y).mean
        )

    def values(self) -> None:
        """None: a continuum."""

    def prior_layer(self) -> Any:
        """A mixture of Gaussians."""
        prior = MixturePrior(self.dim)
        prior.build(None)
        return prior

    def centre(self, posteriors: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The mean over data, 0 of the prior, `(dim,)`."""
        if posteriors is None:
            return np.zeros(self.dim, np.float32)
        return np.asarray(posteriors[0], np.float32).mean(axis=0)

    def sweeps(
        self, posteriors: Sequence[np.ndarray] | None = None, effect: np.ndarray | None = None
    ) -> tuple[Sweep, ...]:
        """Each dimension, or direction, at quantiles; see `sweeps.gaussian_sweeps`."""
        return sweeps.gaussian_sweeps(posteriors, self.dim, effect)

    def describe(self) -> dict[str, Any]:
        """Family, size, noise, and the form of its pmi."""
        return {
            "family": "gaussian",
            "dim": self.dim,
            "size": self.size,
            "noise": self.noise,
            "pmi": [{"form": "gaussian", "dim": self.dim}],
        }


@dataclass(frozen=True)
class Gaussian:
    """N(mean, diag exp(log_variance)) for each row.

    Args:
        mean: `(batch, dim)`.
        log_variance: `(batch, dim)`.
    """

    mean: Tensor
    log_variance: Tensor

    @property
    def mode(self) -> Tensor:
        """The mean, `(batch, dim)`."""
        return self.mean

    def sample(self, noise: Tensor, temperature: Tensor | None = None) -> Tensor:
        """Mean + exp(log variance / 2) · noise, `(batch, dim)`; a temperature has no effect."""
        del temperature
        return self.mean + ops.exp(0.5 * self.log_variance) * ops.cast(noise, "float32")

    def noise_of(self, value: Tensor) -> Tensor:
        """The noise of which values `(batch, dim)` are the samples, `(batch, dim)`."""
        return (value - self.mean) * ops.exp(-0.5 * self.log_variance)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of q(value) of values `(batch, dim)`, nats per example, `(batch,)`."""
        return -objectives.gaussian_negative_log_likelihood(value, self.mean, self.log_variance)

    def kl(self, other: Gaussian | None = None) -> Tensor:
        """D(q ‖ other), of N(0, I) if None, nats per example, `(batch,)`."""
        prior = () if other is None else (other.mean, other.log_variance)
        return objectives.kl_diagonal_gaussian(self.mean, self.log_variance, *prior)

    def outputs(self) -> tuple[Tensor, ...]:
        """Mean and log variance."""
        return self.mean, self.log_variance


def kinds_of(family: Latent) -> Latent | None:
    """The part of a latent that has finitely many values; None for a continuum.

    All of it, or the kinds of a `Product`: its first parameters, and a sample's first columns.

    Example:
        >>> kinds_of(Categorical(n=1, k=3))
        Categorical(n=1, k=3)
    """
    part: Latent = of_kinds(family)
    return None if part.values() is None else part


def of_kinds(whole: Any) -> Any:
    """Of a family or a distribution what concerns kinds alone, where it has quantities too."""
    return getattr(whole, "kinds", whole)


def can_rank(family: Latent) -> bool:
    """Whether a family has a pointwise mutual information; see `Latent.log_pmi`.

    Example:
        >>> can_rank(DiagonalGaussian(dim=3))
        True
    """
    return getattr(type(family), "log_pmi", Latent.log_pmi) is not Latent.log_pmi


def is_standard_normal(family: Latent) -> bool:
    """Whether p(z) is N(0, I), of which the noise itself is a sample.

    Example:
        >>> is_standard_normal(DiagonalGaussian(dim=3))
        True
    """
    noise = np.full((1, family.size), 0.5, np.float32)
    return family.noise == "normal" and np.array_equal(family.prior_sample(noise), noise)


def prior_log_prob(latent: Latent, value: Tensor) -> Tensor:
    """The log of p(value) of the family's prior, nats per example, `(batch,)`.

    Example:
        >>> round(float(prior_log_prob(Categorical(n=1, k=4), np.eye(4))[2]), 4)  # -log 4
        -1.3863
    """
    return latent(ops.zeros((ops.shape(value)[0], latent.parameter_size))).log_prob(value)
