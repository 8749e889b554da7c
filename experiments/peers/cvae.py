"""CVAE: p(y|x) and p(x|y), each with a latent of its own."""

from __future__ import annotations

from collections.abc import Sequence
from typing import Any, ClassVar

from keras import ops

from experiments.loss_model import LossModel, sample_gaussian
from wyner_keras.objectives import kl_diagonal_gaussian, squared_error

Tensor = Any


class CVAE(LossModel):
    """Two conditional variational autoencoders, one in each direction, that share nothing.

    y given x: v ~ p(v|x), y = y_θ(v,x), recognised by q(v|x,y). x given y: u ~ p(u|y),
    x = x_θ(u,y), recognised by q(u|x,y). U and V are Gaussian.

    It minimises D(q(v|x,y) ‖ p(v|x)) + ‖y − y_θ(v,x)‖² / 2ε², and the same for x with u.

    Args:
        width_x: number of features of x.
        width_y: number of features of y.
        size_u: dimensions of U.
        size_v: dimensions of V.
        hidden: widths of the networks' hidden layers.
        two_epsilon_squared: 2ε², which callbacks may assign.
        seed: of the initial weights and of the noise.

    Source: Sohn et al., Learning structured output representation using deep conditional
    generative models, 2015, eq. (4).
    """

    tasks: ClassVar[tuple[str, ...]] = ("conditional",)

    def __init__(
        self,
        width_x: int,
        width_y: int,
        *,
        size_u: int,
        size_v: int,
        hidden: Sequence[int],
        two_epsilon_squared: float,
        seed: int = 0,
    ) -> None:
        super().__init__(seed)
        self.two_epsilon_squared = self.scheduled("two_epsilon_squared", two_epsilon_squared)
        # By the side that is generated.
        self.local_sizes = {"x": size_u, "y": size_v}
        self.priors = {
            "x": self.mlp(2 * size_u, hidden, width_y),
            "y": self.mlp(2 * size_v, hidden, width_x),
        }
        self.encoders = {
            "x": self.mlp(2 * size_u, hidden, width_x, width_y),
            "y": self.mlp(2 * size_v, hidden, width_y, width_x),
        }
        self.decoders = {
            "x": self.mlp(width_x, hidden, size_u, width_y),
            "y": self.mlp(width_y, hidden, size_v, width_x),
        }

    def terms(self, x: Tensor, y: Tensor) -> dict[str, Tensor]:
        """KL divergence and reconstruction error of both directions, `(batch,)` each."""
        terms = {}
        for side, own, other in (("x", x, y), ("y", y, x)):
            prior = self.priors[side](other)  # p(u|y)
            posterior = self.encoders[side]([own, other])  # q(u|x,y)
            noise = self.normal(ops.shape(own)[0], self.local_sizes[side])
            reconstruction = self.decoders[side]([sample_gaussian(posterior, noise), other])
            terms[f"kl_{side}"] = kl_diagonal_gaussian(
                *ops.split(posterior, 2, axis=-1), *ops.split(prior, 2, axis=-1)
            )
            terms[f"reconstruction_{side}"] = (
                squared_error(own, reconstruction) / self.two_epsilon_squared
            )
        return terms

    def noise_size(self, side: str) -> int:
        """Width of the noise that `conditional` takes to generate a side."""
        return self.local_sizes[side]

    def conditional(self, other: Tensor, side: str, noise: Tensor) -> Tensor:
        """Features of `side` given the other side's: u ~ p(u|y), x = x_θ(u,y)."""
        return self.decoders[side]([sample_gaussian(self.priors[side](other), noise), other])
