"""In stage 1's place: experts of a quantity learn what telling pairs apart did not ask for."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras
from keras import ops

from wyner_keras.data.checks import check_not_negative
from wyner_keras.losses.joint import Joint, can_be_widened
from wyner_keras.losses.loss import Draw
from wyner_keras.model import WynerModel

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Widening(Joint):
    """Stage 1 where z is a quantity: the experts q(z|x,y) are trained too.

    InfoNCE asks for no more than the log of a batch's size, and x and y may share more. What they
    share costs less in z than in both u and v; what one side alone has is kept out of z by the
    price of what the other does not tell. Beside the terms of `Joint` it minimises
    D(q(z|x,y) ‖ p(z)) + β D(q(z|x,y) ‖ q(z|y)) + β D(q(z|x,y) ‖ q(z|x)) with
    q(z|x) ∝ p(z) e(z;x), where E D(q(z|x,y) ‖ q(z|y)) is at least I(X; Z | Y).

    Args:
        private_weight: β.

    Source: the terms of β are those of Hwang et al., Multi-view representation learning via total
    correlation objective, 2021.
    """

    widened: ClassVar[bool] = False  # type: ignore[misc]  # no field of this stage

    concept_weight: float = 0.0
    private_weight: float = 1.0

    def __post_init__(self) -> None:
        super().__post_init__()
        check_not_negative(self.private_weight, "`private_weight`")

    def adapted(self, model: WynerModel, pairs: Any) -> Widening | None:
        """None where it cannot be, see `can_be_widened`."""
        return self if can_be_widened(model) else None

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The experts too."""
        return [*super().trained(model), *(side.expert_network for side in model.sides)]

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """Beside the joint stage's, 1 for what z holds and β for what it tells of one side."""
        private = {f"private_{side.name}": self.private_weight for side in model.sides}
        return {**super().weights(model), "kl_z": 1.0, **private}

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """The joint stage's terms, what z holds, and what it tells of each side alone.

        Of strangers z holds what it does on average over the sides, and tells nothing alone.
        """
        batch = model.with_experts(batch)
        experts = model.experts(batch)
        terms = super().__call__(model, batch, draw, training)
        held = model.known_z(batch, operator.methodcaller("kl"))
        terms["kl_z"] = sum(held) / len(held)
        joint = model.joint_z(batch)
        for place, side in enumerate(model.sides):
            others = model.z.product(*experts[:place], *experts[place + 1 :])
            private = joint.kl(others)  # D(q(z|x,y) ‖ q(z|y))
            if "partners" in batch:
                private = ops.where(batch["partners"], private, 0.0)
            terms[f"private_{side.name}"] = private
        return terms
