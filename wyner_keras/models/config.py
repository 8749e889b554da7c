"""Settings of a W-model."""

from __future__ import annotations

import dataclasses
from dataclasses import dataclass
from typing import Any

import keras

from wyner_keras.data.checks import check_number
from wyner_keras.latents import Categorical, DiagonalGaussian, Latent
from wyner_keras.models.pair_config import PairConfig
from wyner_keras.received import received

_CHOICES = {
    "joint_encoder": ("product", "free"),
    "joint_local": ("xy", "xz", "x"),
    "marginal_encoder": ("features", "images"),
    "marginal_local": ("xz", "x"),
    "decoder": ("delta", "gaussian"),
    "prior": ("uniform", "tree"),
}


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class WynerConfig(PairConfig):
    """What a W-model is made of; weights of the loss's terms included.

    Args:
        z: the common latent Z.
        u: the local latent U of x; None for no local randomness (the paper's degenerate baseline).
        v: the local latent V of y; None likewise.
        hidden: widths of the hidden layers of every encoder and decoder.
        joint_encoder: "product" of experts, q(z|x,y) ∝ p(z) e(z;x) e(z;y), or the paper's "free"
            q(z|x,y) from one network.
        joint_local: what the local posterior of the joint stage sees: "xy" is the paper's
            q(u|x,y), "xz" is q(u|x,z), "x" is q(u|x); for v with the roles of x and y exchanged.
        marginal_encoder: what q(z|x) and q(z|y) read: "features", or the "images" themselves, by a
            convolutional network, which reads concepts better than a wrapper's code lets it.
        marginal_local: the same for the marginal stage: "xz" is q(u|x,z), "x" is q(u|x).
        decoder: "delta" is the deterministic x_θ(u,z) whose Dirac delta is widened to variance ε²;
            "gaussian" is the base model's stochastic p(x|z) with learned variance, eq. (5).
        distance: where ‖x − x_θ‖² is measured: in the wrapper's "features", or in "pixels" through
            the frozen wrapper decoder.
        residual: whether features are modelled as an affine map of z plus the rest: decoders add
            that map of z to their output, and local encoders see features less it, so that U and V
            describe how x and y differ from their concept's mean. Needs locals that are given z.
        flow_steps: steps of the flow between U (or V) and what its decoder reads; 0 goes without.
            With it x_θ(u,z) is a decoder after an invertible map of u that z conditions, and q(u|·)
            the Gaussian of the local encoder taken back through that map: the local posterior,
            averaged over the data of one concept, can then be N(0, I) for each of them, which
            independence of U and Z asks for. Needs `DiagonalGaussian` U and V.
        prior: what joint generation draws z from: the "uniform" (or standard normal) prior that
            the loss has, or a "tree" of Z's variables fitted to the aggregated posterior by
            `WynerModel.fit_prior`, which a Z of several variables or of more values than concepts
            needs. Needs a `Categorical` Z.
        common_information_weight: λ, the extra weight on I(X,Y;Z), on z only.
        two_epsilon_squared: 2ε² in squared units of the distance (features have unit variance).
        alignment_weight: γ of the term −γ I(Z_x; Z_y) in nats, needs the product of experts.
        concept_weight: weight on −log q(z'|x'), x' = x_θ(u', z') for concepts z' of the prior and
            locals u' of the prior or of other data, read by the expert of x; and the same for y. It
            makes the decoders obey z whatever u is. Needs the product of experts.
        concept_noise: standard deviation of the noise on x' before the expert reads it: the more,
            the wider the margin by which x' has to show its concept.
        encoder_dropout: dropout rate of the encoders of z.
        encoder_noise: standard deviation of noise on the inputs of the encoders of z.
        x_shape: `(h, w, c)` of x; None takes the wrapper's or the first data's.
        y_shape: the same for y.
        seed: of the initial weights and of all noise drawn while training.

    Raises:
        ValueError: for a value that is not one of those named.

    Example:
        >>> WynerConfig(z=Categorical(n=1, k=10), u=None, v=None).u is None
        True
    """

    z: Latent = dataclasses.field(default_factory=lambda: Categorical(n=1, k=10))
    joint_encoder: str = "product"
    joint_local: str = "xy"
    marginal_encoder: str = "features"
    marginal_local: str = "xz"
    decoder: str = "delta"
    residual: bool = False
    flow_steps: int = 0
    prior: str = "uniform"
    common_information_weight: float = 0.5
    alignment_weight: float = 50.0
    concept_weight: float = 0.0
    concept_noise: float = 0.0
    encoder_dropout: float = 0.0
    encoder_noise: float = 0.0

    def __post_init__(self) -> None:
        super().__post_init__()
        self._check_latent("z", optional=False)
        for name, choices in _CHOICES.items():
            self._check_choice(name, choices)
        if self.prior == "tree" and not isinstance(self.z, Categorical):
            raise ValueError(
                f"`prior` 'tree' needs a Categorical Z. Received: z={received(self.z)}"
            )
        for name in (
            "common_information_weight",
            "alignment_weight",
            "concept_weight",
            "concept_noise",
            "encoder_noise",
        ):
            if not check_number(getattr(self, name), f"`{name}`", "at least 0") >= 0:
                raise ValueError(
                    f"`{name}` should be at least 0. "
                    f"Received: {name}={received(getattr(self, name))}"
                )
        if not 0 <= check_number(self.encoder_dropout, "`encoder_dropout`", "in [0, 1)") < 1:
            raise ValueError(
                "`encoder_dropout` should be in [0, 1). "
                f"Received: encoder_dropout={received(self.encoder_dropout)}"
            )
        for name in ("alignment_weight", "concept_weight"):
            if getattr(self, name) > 0 and self.joint_encoder == "free":
                raise ValueError(
                    f"`{name}` needs the experts of joint_encoder='product'; otherwise it should "
                    f"be 0. Received: joint_encoder='free', {name}={received(getattr(self, name))}"
                )
        if self.residual and (
            self.decoder == "gaussian" or "x" in (self.joint_local, self.marginal_local)
        ):
            raise ValueError(
                "`residual` needs a 'delta' decoder and local encoders that are given z. "
                f"Received: decoder={self.decoder!r}, joint_local={self.joint_local!r}, "
                f"marginal_local={self.marginal_local!r}"
            )
        if (
            isinstance(self.flow_steps, bool)
            or not isinstance(self.flow_steps, int)
            or self.flow_steps < 0
        ):
            raise ValueError(
                "`flow_steps` should be an integer of at least 0. "
                f"Received: flow_steps={received(self.flow_steps)}"
            )
        if self.flow_steps and not all(
            isinstance(local, DiagonalGaussian) for local in (self.u, self.v)
        ):
            raise ValueError(
                "`flow_steps` needs DiagonalGaussian U and V. "
                f"Received: u={received(self.u)}, v={received(self.v)}, "
                f"flow_steps={self.flow_steps}"
            )
        if self.decoder == "gaussian" and self.distance == "pixels":
            raise ValueError(
                "A 'gaussian' decoder is measured in features. Received: distance='pixels'"
            )

    def get_config(self) -> dict[str, Any]:
        """The settings as JSON-able values."""
        values = super().get_config()
        if self.prior == "uniform":
            # What was stored before there was such a setting stays equal to what is stored now.
            del values["prior"]
        return values
