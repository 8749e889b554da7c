"""The W-model paper's objective: q(z|x,y) and q(u|x,y) are networks of their own."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import keras
from keras import ops

from wyner_keras import objectives
from wyner_keras.losses import Draw, Joint, Loss, Marginal
from wyner_keras.model import WynerModel
from wyner_keras.networks import MLP

Tensor = Any


def _network(model: WynerModel, outputs: int, place: int, name: str) -> MLP:
    """A network of the features of x and y."""
    seed = 1000 * model.seed + 700 + place
    made = MLP(outputs, model.sides[0].settings.hidden, seed=seed, name=name)
    made.build([(None, side.codec.feature_size) for side in model.sides])
    return made


@keras.saving.register_keras_serializable(package="experiments")
class FreeModel(WynerModel):
    """A W-model whose q(z|x,y) is one network of both sides' features, no product of experts."""

    def __init__(self, *args: Any, **kwargs: Any) -> None:
        super().__init__(*args, **kwargs)
        self.free_network = _network(self, self.z.parameter_size, 0, "free")

    def joint_z(self, batch: Mapping[str, Tensor]) -> Any:
        """q(z|x,y) of a batch by name."""
        return self.z.product(free_parameters(self, self.free_network, self.features_of(batch)))


def free_parameters(model: WynerModel, network: MLP, h: Mapping[str, Tensor]) -> Tensor:
    """What a network of the features of x and y makes of them, `(batch, outputs)`."""
    return ops.cast(network([h[side.name] for side in model.sides]), "float32")


@keras.saving.register_keras_serializable(package="experiments")
@dataclass(frozen=True, kw_only=True)
class PaperJoint(Loss):
    """Stage 1 of the paper.

    E over q(z,u,v|x,y) of (1+λ) D(q(z|x,y) ‖ p(z)) + D(q(u|·) ‖ p(u)) + ‖x − x_θ(u,z)‖² / 2ε², and
    the same for y. `end` leaves a `FreeModel` that keeps q(z|x,y), so that what Z holds can be
    measured.

    Args:
        common_information_weight: λ; acts on z only.
        of_both: whether locals are the paper's q(u|x,y) and q(v|x,y), networks that this stage
            alone needs; else the model's q(u|x,z) and q(v|y,z).

    Source: the W-model paper, section 2.2.
    """

    common_information_weight: float = 0.0
    of_both: bool = True

    def heads(self, model: WynerModel) -> list[keras.layers.Layer]:
        """q(z|x,y), then q(u|x,y) and q(v|x,y) where there are such."""
        made = [_network(model, model.z.parameter_size, 0, "free")]
        for place, side in enumerate(model.sides, 1):
            if self.of_both and side.local is not None:
                name = f"free_{side.local_name}"
                made.append(_network(model, side.local.parameter_size, place, name))
        return made

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The decoders, with their affine maps; q(u|x,z) and q(v|y,z) where those are used."""
        networks = [
            layer
            for side in model.sides
            for layer in (
                None if self.of_both else side.posterior_network,
                side.decoder_network,
                side.concept,
            )
        ]
        return [layer for layer in networks if layer is not None]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1+λ for z, else 1."""
        found: dict[str, Any] = {"kl_z": 1.0 + self.common_information_weight}
        for side in model.sides:
            if side.local is not None:
                found[f"kl_{side.local_name}"] = 1.0
            found[f"reconstruction_{side.name}"] = 1.0
        return found

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """KL and reconstruction terms."""
        h, (free, *locals_) = model.features_of(batch), draw.heads
        q_z = model.z.product(free_parameters(model, free, h))  # q(z|x,y)
        z, terms = draw(model.z, q_z), {"kl_z": q_z.kl()}
        for side in model.sides:
            code = None
            if side.local is not None:
                if self.of_both:
                    q_u = side.local(free_parameters(model, locals_.pop(0), h))  # q(u|x,y)
                else:
                    q_u = side.posterior(h[side.name], z)  # q(u|x,z)
                code = draw(side.local, q_u)
                terms[f"kl_{side.local_name}"] = q_u.kl()
            error = objectives.squared_error(h[side.name], side.decode(code, z))
            terms[f"reconstruction_{side.name}"] = error / draw.two_epsilon_squared
        return terms

    def end(self, stage: Any, pairs: Any, validation: Any = None) -> None:
        """Hand q(z|x,y) over to a model that keeps it."""
        old = stage.model
        new = FreeModel(**old.arguments())
        for source, target in zip(old.sides, new.sides, strict=True):
            target.set_weights(source.get_weights())
        new.free_network.set_weights(stage.heads[0].get_weights())
        stage.model = new


@keras.saving.register_keras_serializable(package="experiments")
@dataclass(frozen=True, kw_only=True)
class PaperMarginal(Marginal):
    """Stage 2 of the paper: trains q(u|x,z) and q(v|y,z) too, and distils nothing."""

    distillation_weight: float = 0.0

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The readers of z, q(u|x,z) and q(v|y,z)."""
        locals_ = [side.posterior_network for side in model.sides]
        return [*super().trained(model), *(layer for layer in locals_ if layer is not None)]


@keras.saving.register_keras_serializable(package="experiments")
@dataclass(frozen=True, kw_only=True)
class TrainedExpertsJoint(Joint):
    """Stage 1 of the default recipe, which trains the experts of z too.

    Args:
        common_information_weight: λ: D(q(z|x,y) ‖ p(z)) weighs 1+λ.
        alignment_weight: γ of −γ I(Z_x; Z_y), which experts that nothing has aligned need.
    """

    common_information_weight: float = 0.0
    alignment_weight: float = 0.0

    def adapted(self, model: WynerModel, pairs: Any) -> TrainedExpertsJoint:
        """As it is: what the experts read before they are trained says nothing."""
        return self

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The experts too."""
        return [*super().trained(model), *(side.expert_network for side in model.sides)]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """Beside the joint stage's, 1+λ for z and −γ."""
        found = {**super().weights(model), "kl_z": 1.0 + self.common_information_weight}
        if self.alignment_weight:
            found["alignment"] = -self.alignment_weight
        return found

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """The joint stage's terms, and D(q(z|x,y) ‖ p(z)) and I(Z_x; Z_y)."""
        terms = super().__call__(model, batch, draw, training)
        h = model.features_of(batch)
        terms["kl_z"] = model.joint_z(batch).kl()
        if self.alignment_weight:
            experts = [side.expert(h[side.name], training) for side in model.sides]
            terms["alignment"] = model.z.shared_information(*experts)
        return terms
