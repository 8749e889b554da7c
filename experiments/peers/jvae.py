"""JVAE: one latent for both sides and nothing else."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from experiments.loss_model import LossModel, sample_gaussian
from wyner_keras.objectives import kl_diagonal_gaussian, squared_error

Tensor = Any


class JVAE(LossModel):
    """A joint variational autoencoder: z ~ N(0, I), x = x_θ(z), y = y_θ(z).

    It minimises D(q(z|x,y) ‖ p(z)) + ‖x − x_θ(z)‖² / 2ε² + ‖y − y_θ(z)‖² / 2ε²
    + α [D(q(z|x,y) ‖ q(z|x)) + D(q(z|x,y) ‖ q(z|y))]. All randomness of y given x is that of
    q(z|x).

    Args:
        width_x: number of features of x.
        width_y: number of features of y.
        size_z: dimensions of Z.
        hidden: widths of the networks' hidden layers.
        two_epsilon_squared: 2ε², which callbacks may assign.
        distillation_weight: α; 0.1 is the source's choice among 1, 0.1, 0.01 and less.
        seed: of the initial weights and of the noise.

    Source: Suzuki et al., Joint multimodal learning with deep generative models, 2016, JMVAE-kl,
    eq. (4).
    """

    tasks: ClassVar[tuple[str, ...]] = ("conditional", "joint")

    def __init__(
        self,
        width_x: int,
        width_y: int,
        *,
        size_z: int,
        hidden: Sequence[int],
        two_epsilon_squared: float,
        distillation_weight: float = 0.1,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.two_epsilon_squared = self.scheduled("two_epsilon_squared", two_epsilon_squared)
        self.size_z = size_z
        self.distillation_weight = distillation_weight
        self.joint_encoder = self.mlp(2 * size_z, hidden, width_x, width_y)
        self.experts = {
            "x": self.mlp(2 * size_z, hidden, width_x),
            "y": self.mlp(2 * size_z, hidden, width_y),
        }
        self.decoders = {
            "x": self.mlp(width_x, hidden, size_z),
            "y": self.mlp(width_y, hidden, size_z),
        }

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """KL divergence, reconstruction errors and distillation, `(batch,)` each."""
        joint = self.joint_encoder([x, y])  # q(z|x,y)
        moments = ops.split(joint, 2, axis=-1)
        z = sample_gaussian(joint, self.normal(ops.shape(x)[0], self.size_z))
        terms = {"kl_z": kl_diagonal_gaussian(*moments)}
        for side, features in (("x", x), ("y", y)):
            error = squared_error(features, self.decoders[side](z))
            terms[f"reconstruction_{side}"] = error / self.two_epsilon_squared
            marginal = ops.split(self.marginal(features, side), 2, axis=-1)  # q(z|x)
            terms[f"distillation_{side}"] = self.distillation_weight * kl_diagonal_gaussian(
                *moments, *marginal
            )
        return terms

    def marginal(self, features: Tensor, side: str) -> Tensor:
        """Means and log variances of q(z|x) ∝ p(z) e(z;x), or of q(z|y), `(batch, 2*size_z)`."""
        mean, log_variance = ops.split(self.experts[side](features), 2, axis=-1)
        precision = 1.0 + ops.exp(-log_variance)
        mean = mean * ops.exp(-log_variance) / precision
        return ops.concatenate([mean, -ops.log(precision)], axis=-1)

    def noise_size(self, side: str) -> int:
        """Width of the noise that `conditional` and `joint` take."""
        return self.size_z

    def conditional(self, other: Tensor, side: str, noise: Tensor) -> Tensor:
        """Features of `side` given the other side's: z ~ q(z|y), x = x_θ(z)."""
        marginal = self.marginal(other, "y" if side == "x" else "x")
        return self.decoders[side](sample_gaussian(marginal, noise))

    def joint(self, noise: Tensor) -> tuple[Tensor, Tensor]:
        """Features of pairs: z ~ N(0, I) is the noise, then both decoders."""
        return self.decoders["x"](noise), self.decoders["y"](noise)
