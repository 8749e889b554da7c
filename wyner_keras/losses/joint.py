"""Stage 1 and its refinement: q(u|x,z), q(v|y,z) and the decoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from wyner_keras import objectives
from wyner_keras.data.checks import check_not_negative
from wyner_keras.latents import DiagonalGaussian, Distribution, kinds_of, of_kinds
from wyner_keras.losses.loss import Draw, Loss, rows_of
from wyner_keras.model import WynerModel
from wyner_keras.side import Side

Tensor = Any


LEGIBLE = 0.75  # share of what z holds that one side tells, for concepts to be asked for
_LOOKED_AT = 5000  # pairs, at most


def legible(model: WynerModel, pairs: Any) -> float:
    """How much of what z holds the sides agree on: I(Z_x; Z_y) / H(Z).

    Where z is a kind that both sides show this is nearly 1. Otherwise to ask decoders to show the
    value exactly would make them exaggerate.

    Returns:
        A share in [0, 1], of the kinds alone where z has quantities too; 0 where it has no kinds,
        or always the same.
    """
    kinds = kinds_of(model.z)
    if kinds is None:
        return 0.0
    pairs = pairs.take(min(len(pairs), _LOOKED_AT), seed=model.seed)
    parts = [model.experts(part) for part in model.batches(pairs)]
    experts = [
        ops.concatenate(side, axis=0)[:, : kinds.parameter_size]
        for side in zip(*parts, strict=True)
    ]
    (share,) = kinds.product(*experts).outputs()
    share = ops.mean(share, axis=0)
    entropy = -float(ops.sum(share * ops.log(ops.maximum(share, 1e-12))))
    # Of a value that is always the same both are 0 but for rounding, 1e-7 nats of float32.
    return float(kinds.shared_information(*experts)) / max(entropy, 1e-3)


def can_be_widened(model: WynerModel) -> bool:
    """Whether z is a quantity whose experts read codes: of few examples they would learn each."""
    features = all(side.settings.expert == "features" for side in model.sides)
    return features and isinstance(model.z, DiagonalGaussian)


def misread(model: WynerModel, read: Distribution, z: Tensor) -> Tensor:
    """−log q(z) of what was read, of the kinds alone where z has quantities too; `(batch,)`."""
    return -of_kinds(read).log_prob(z[:, : of_kinds(model.z).size])


def _mixed(
    model: WynerModel,
    side: Side,
    code: Tensor,
    z: Tensor,
    draw: Draw,
    rows: Any,
    flows: bool,
) -> tuple[Tensor, Tensor]:
    """Features x_θ(u', z') for z' and u' that do not belong together, and z'.

    z' ~ p(z); half of the u' are of p(u), half of the batch's posteriors. Half a batch in all.
    """
    half, local = (rows + 1) // 2, None
    if side.local is not None:
        kept = code[half // 2 : half]
        kept = side.local_of(kept, z[half // 2 : half]) if flows else kept
        local = ops.concatenate([draw.prior(side.local, half)[: half // 2], kept], axis=0)
    other_z = draw.prior(model.z, half)
    return side.decode(side.code(local, other_z) if flows else local, other_z), other_z


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Joint(Loss):
    """Stage 1: q(u|x,z), q(v|y,z) and decoders, given the experts q(z|x,y).

    E over q(z|x,y) of D(q(u|x,z) ‖ p(u)) + ‖x − x_θ(u,z)‖² / 2ε² − κ log e(z'|x_θ(u',z')) and the
    same for y, where z' and u' do not belong together and the expert of x reads z' back. The
    experts stay as the alignment left them, so that D(q(z|x,y) ‖ p(z)) is a constant. Flows come
    after: here the code is u. Of a single, q(z|x) ∝ p(z) e(z;x) is in the place of q(z|x,y).

    Args:
        concept_weight: κ, which makes decoders obey z' whatever u' is.
        concept_noise: deviation of noise on x_θ before it is read: the more, the wider the margin
            by which it has to show its concept.
        widened: whether `Widening` follows, to which it leaves what that takes.
    """

    takes_singles: ClassVar[bool] = True

    concept_weight: float = 2.0
    concept_noise: float = 0.5
    widened: bool = False

    def __post_init__(self) -> None:
        check_not_negative(self.concept_weight, "`concept_weight`")
        check_not_negative(self.concept_noise, "`concept_noise`")

    def adapted(self, model: WynerModel, pairs: Any) -> Joint | None:
        """Without concept terms where z stands for no concept, None where `Widening` follows."""
        if self.widened and can_be_widened(model):
            return None
        if not self.concept_weight or legible(model, pairs) >= LEGIBLE:
            return self
        return dataclasses.replace(self, concept_weight=0.0)

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """q(u|x,z), q(v|y,z) and decoders with their affine maps."""
        networks = [
            layer
            for side in model.sides
            for layer in (side.posterior_network, side.decoder_network, side.concept)
        ]
        return [layer for layer in networks if layer is not None]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for KL and reconstruction, κ for the concepts."""
        found = {}
        for side in model.sides:
            if side.local is not None:
                found[f"kl_{side.local_name}"] = 1.0
            found[f"reconstruction_{side.name}"] = 1.0
            if self.concept_weight:
                found[f"concept_{side.name}"] = self.concept_weight
        return found

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """KL, reconstruction (without the constant of its Gaussian) and concept terms."""
        h = model.features_of(batch)  # (batch, width) a side
        # z ~ q(z|x,y) ∝ p(z) e(z;x) e(z;y); of a single, without its partner's expert.
        drawn, terms = model.known_z(batch, lambda q_z: draw(model.z, q_z)), {}
        for side, z in zip(model.sides, drawn, strict=True):
            code = None
            if side.local is not None:
                q_u = side.posterior(h[side.name], z)  # q(u|x,z)
                code = draw(side.local, q_u)
                terms[f"kl_{side.local_name}"] = q_u.kl()
            if self.concept_weight:
                mixed, other_z = _mixed(model, side, code, z, draw, rows_of(h), flows=False)
                if training and self.concept_noise:
                    mixed = mixed + self.concept_noise * draw.normal(ops.shape(mixed))
                data = side.codec.decode(mixed) if side.settings.expert == "data" else None
                read = model.z.product(side.expert(side.read_by_expert(data, mixed), training))
                terms[f"concept_{side.name}"] = misread(model, read, other_z)
            error = objectives.squared_error(h[side.name], side.decode(code, z))
            terms[f"reconstruction_{side.name}"] = error / draw.two_epsilon_squared
        return terms


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Refinement(Loss):
    """More of stage 1 over the decoders alone, after the flow and the readers of z.

    E over q(z|x,y) q(u|x,z) of ‖x − x_θ(u,z)‖² / 2ε² − κ log q(z'|x_θ(u',z')) and the same for y:
    as in `Joint`, but samples go through the flows and q(z|x) itself reads the concept.

    Args:
        concept_weight: κ.
    """

    takes_singles: ClassVar[bool] = True

    concept_weight: float = 2000.0

    def __post_init__(self) -> None:
        check_not_negative(self.concept_weight, "`concept_weight`")

    def adapted(self, model: WynerModel, pairs: Any) -> Refinement | None:
        """None where z stands for no concept, see `legible`."""
        return self if legible(model, pairs) >= LEGIBLE else None

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The decoders; not their affine maps, which q(u|x,z) reads."""
        return [side.decoder_network for side in model.sides]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for the reconstruction, κ for the concepts."""
        found = {}
        for side in model.sides:
            found[f"reconstruction_{side.name}"] = 1.0
            found[f"concept_{side.name}"] = self.concept_weight
        return found

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """Reconstruction and concept terms."""
        h = model.features_of(batch)
        drawn, terms = model.known_z(batch, lambda q_z: draw(model.z, q_z)), {}  # z ~ q(z|x,y)
        for side, z in zip(model.sides, drawn, strict=True):
            code = None
            if side.local is not None:
                code = draw(side.local, side.posterior(h[side.name], z))  # q(u|x,z)
            mixed, other_z = _mixed(model, side, code, z, draw, rows_of(h), flows=True)
            data = side.codec.decode(mixed) if side.reads_data else None
            read = side.read(data, mixed)  # q(z|x'), without dropout
            terms[f"concept_{side.name}"] = misread(model, read, other_z)
            error = objectives.squared_error(h[side.name], side.decode(code, z))
            terms[f"reconstruction_{side.name}"] = error / draw.two_epsilon_squared
        return terms
