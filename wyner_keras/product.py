"""A latent of two independent parts: a kind and quantities, a label beside a size say."""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
import numpy as np
from keras import ops

from wyner_keras.gumbel import uniform_of_normal
from wyner_keras.latents import Categorical, DiagonalGaussian, Family, Gaussian, OneHot
from wyner_keras.networks.kind_prior import KindPrior
from wyner_keras.received import received
from wyner_keras.sweeps import Sweep, together

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True)
class Product(Family):
    """A kind and quantities at once, independent under the prior and under every posterior.

    Parameters, samples and outputs are those of the kind, then those of the quantities. Noise is
    normal; what the kind takes of it becomes uniform by the normal distribution function.

    Args:
        kinds: of one variable.
        quantities: of any number of dimensions.

    Raises:
        ValueError: if the parts are not such families.

    Example:
        >>> Product(Categorical(n=1, k=5), DiagonalGaussian(dim=2)).size
        7
    """

    noise: ClassVar[str] = "normal"
    range: ClassVar[tuple[float | None, float | None]] = (None, None)
    output_names: ClassVar[tuple[str, ...]] = (
        *Categorical.output_names,
        *DiagonalGaussian.output_names,
    )
    output_range: ClassVar[tuple[float | None, float | None]] = (None, None)

    kinds: Categorical
    quantities: DiagonalGaussian

    def __post_init__(self) -> None:
        if not isinstance(self.kinds, Categorical) or self.kinds.n != 1:
            raise ValueError(
                "`kinds` should be a Categorical of one variable. "
                f"Received: kinds={received(self.kinds)}"
            )
        if not isinstance(self.quantities, DiagonalGaussian):
            raise ValueError(
                "`quantities` should be a DiagonalGaussian. "
                f"Received: quantities={received(self.quantities)}"
            )

    @property
    def parameter_size(self) -> int:
        """Logits, means and log variances, `k + 2*dim`."""
        return self.kinds.parameter_size + self.quantities.parameter_size

    @property
    def size(self) -> int:  # type: ignore[override]
        """A one-hot kind beside the quantities, `k + dim`."""
        return self.kinds.size + self.quantities.size

    def __call__(self, parameters: Tensor) -> Both:
        """The distribution of logits, means and log variances `(batch, k + 2*dim)`."""
        of_kinds, of_quantities = self._parted(parameters)
        return Both(self.kinds(of_kinds), self.quantities(of_quantities))

    def product(self, *experts: Tensor) -> Both:
        """The product of experts of each part."""
        of_kinds, of_quantities = zip(*map(self._parted, experts), strict=True)
        return Both(self.kinds.product(*of_kinds), self.quantities.product(*of_quantities))

    def prior_sample(self, noise: Tensor) -> Tensor:
        """A kind of the uniform prior beside N(0, I), `(batch, k + dim)`."""
        own, rest = _cut(noise, self.kinds.size)
        parts = self.kinds.prior_sample(uniform_of_normal(own)), self.quantities.prior_sample(rest)
        return ops.concatenate(parts, axis=-1)

    def shared_information(self, expert_x: Tensor, expert_y: Tensor) -> Tensor:
        """I(Z_x; Z_y) of the kinds plus that of the quantities, each by its own family, nats."""
        (kind_x, rest_x), (kind_y, rest_y) = map(self._parted, (expert_x, expert_y))
        of_kinds = self.kinds.shared_information(kind_x, kind_y)
        return of_kinds + self.quantities.shared_information(rest_x, rest_y)

    def values(self) -> None:
        """None: a continuum."""

    def prior_layer(self) -> KindPrior:
        """Kinds by their frequencies, and for each a mixture of Gaussians."""
        prior = KindPrior(self.kinds.k, self.quantities.dim)
        prior.build(None)
        return prior

    def centre(self, posteriors: Sequence[np.ndarray] | None = None) -> np.ndarray:
        """The commonest kind beside the mean of the quantities, `(k + dim,)`."""
        of_kinds, of_quantities = _told(posteriors)
        return np.concatenate([self.kinds.centre(of_kinds), self.quantities.centre(of_quantities)])

    def sweeps(
        self, posteriors: Sequence[np.ndarray] | None = None, effect: np.ndarray | None = None
    ) -> tuple[Sweep, ...]:
        """The kinds at the quantities' mean, then each quantity of the commonest kind."""
        (of_kinds, of_quantities), k = _told(posteriors), self.kinds.size
        own, rest = (None, None) if effect is None else (effect[:k], effect[k:])
        return together(
            self.kinds.sweeps(of_kinds, own),
            self.quantities.sweeps(of_quantities, rest),
            self.centre(posteriors),
            effect,
        )

    def describe(self) -> dict[str, Any]:
        """Family, sizes of the parts, noise, and the forms of the parts' pmi, which adds up."""
        kinds, quantities = self.kinds.describe(), self.quantities.describe()
        return {
            **quantities,
            **kinds,
            "family": "product",
            "size": self.size,
            "noise": self.noise,
            "pmi": [*kinds["pmi"], *quantities["pmi"]],
        }

    @classmethod
    def described(cls, entry: Any) -> Product:
        """The family again, from what `describe` says."""
        return cls(Categorical.described(entry), DiagonalGaussian.described(entry))

    def get_config(self) -> dict[str, Any]:
        """The parts' configs."""
        return {"kinds": self.kinds.get_config(), "quantities": self.quantities.get_config()}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Product:
        """The family again, from `get_config`'s values."""
        return cls(
            Categorical.from_config(config["kinds"]),
            DiagonalGaussian.from_config(config["quantities"]),
        )

    def _parted(self, parameters: Tensor) -> tuple[Tensor, Tensor]:
        return _cut(self._checked(parameters, self.parameter_size), self.kinds.parameter_size)


@dataclass(frozen=True)
class Both:
    """A kind and quantities for each row, independent of each other.

    Args:
        kinds: one variable.
        quantities: of the same batch.
    """

    kinds: OneHot
    quantities: Gaussian

    @property
    def mode(self) -> Tensor:
        """The most probable kind, one-hot, beside the mean, `(batch, k + dim)`."""
        return ops.concatenate([self.kinds.mode, self.quantities.mode], axis=-1)

    def sample(self, noise: Tensor, temperature: Tensor | None = None) -> Tensor:
        """A kind, relaxed by a temperature, beside quantities, `(batch, k + dim)`.

        Args:
            noise: standard normal, `(batch, k + dim)`.
            temperature: of the kind; None takes an exact one.
        """
        own, rest = _cut(noise, self.kinds.logits.shape[-1])
        parts = (
            self.kinds.sample(uniform_of_normal(own), temperature),
            self.quantities.sample(rest),
        )
        return ops.concatenate(parts, axis=-1)

    def log_prob(self, value: Tensor) -> Tensor:
        """The log of q(value): log P(kind) plus the quantities' log density, nats, `(batch,)`."""
        own, rest = _cut(value, self.kinds.logits.shape[-1])
        return self.kinds.log_prob(own) + self.quantities.log_prob(rest)

    def kl(self, other: Both | None = None) -> Tensor:
        """D(q ‖ other), of the prior if None: the sum over the parts, nats, `(batch,)`."""
        of_kinds, of_quantities = (None, None) if other is None else (other.kinds, other.quantities)
        return self.kinds.kl(of_kinds) + self.quantities.kl(of_quantities)

    def outputs(self) -> tuple[Tensor, ...]:
        """Probabilities `(batch, k)`, mean and log variance `(batch, dim)`."""
        return (*self.kinds.outputs(), *self.quantities.outputs())


def _cut(values: Tensor, place: int) -> tuple[Tensor, Tensor]:
    """The columns before a place, and the rest."""
    values = ops.cast(values, "float32")
    return values[:, :place], values[:, place:]


def _told(posteriors: Sequence[np.ndarray] | None) -> Any:
    """What `Both.outputs` gives, by part."""
    count = len(Categorical.output_names)
    return (None, None) if posteriors is None else (posteriors[:count], posteriors[count:])
