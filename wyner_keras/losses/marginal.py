"""Stage 2: the readers q(z|x) and q(z|y)."""

from __future__ import annotations

import operator
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, ClassVar

import keras

from wyner_keras import objectives
from wyner_keras.data.checks import check_not_negative
from wyner_keras.losses.loss import Draw, Loss
from wyner_keras.model import WynerModel
from wyner_keras.side import Side

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
@dataclass(frozen=True, kw_only=True)
class Marginal(Loss):
    """Stage 2: q(z|x) and q(z|y), all else as it is.

    D(q(z|x) ‖ p(z)) + E over q(z|x) q(u|x,z) of ‖x − x_θ(u,z)‖² / 2ε² + D(q(u|x,z) ‖ p(u))
    + δ D(q(z|x,y) ‖ q(z|x)), and the same for y. The last term pulls q(z|x) towards the average of
    q(z|x,y) over y, which q(z|x) = E[q(z|x,y) | x] is; of a single, towards p(z) e(z;x).

    Args:
        distillation_weight: δ; 0 is the paper's.

    Source: the last term is JMVAE-kl's (Suzuki et al., 2016).
    """

    takes_singles: ClassVar[bool] = True

    distillation_weight: float = 1000.0

    def __post_init__(self) -> None:
        check_not_negative(self.distillation_weight, "`distillation_weight`")

    def trained(self, model: WynerModel) -> list[keras.layers.Layer]:
        """The readers of z, where they are networks of their own."""
        networks = [side.reader_network for side in model.sides]
        return [network for network in networks if network is not None]

    def reads(self, model: WynerModel) -> bool:
        """Where a reader does."""
        return any(side.reads_data for side in self._sides(model))

    def adapted(self, model: WynerModel, pairs: Any) -> Marginal | None:
        """None where experts are the readers."""
        return self if self.trained(model) else None

    def left_out(self, model: WynerModel, pairs: Any) -> None:
        """Fit p(z) all the same."""
        self._fit_prior(model, pairs)

    def weights(self, model: WynerModel) -> dict[str, Any]:
        """1 for KL and reconstruction, δ for the distillation."""
        found = {}
        for side in self._sides(model):
            found[f"kl_z_{side.name}"] = 1.0
            found[f"reconstruction_{side.name}"] = 1.0
            if side.local is not None:
                found[f"kl_{side.local_name}"] = 1.0
            if self.distillation_weight:
                found[f"distillation_{side.name}"] = self.distillation_weight
        return found

    def __call__(
        self, model: WynerModel, batch: Mapping[str, Tensor], draw: Draw, training: bool
    ) -> dict[str, Tensor]:
        """KL, reconstruction and distillation terms."""
        h = model.features_of(batch)
        batch, terms = model.with_experts(batch), {}
        for side in self._sides(model):
            q_z = side.read(batch.get(side.name), h[side.name], training)  # q(z|x)
            z, code = draw(model.z, q_z), None
            terms[f"kl_z_{side.name}"] = q_z.kl()
            if self.distillation_weight:
                # From q(z|x,y), of experts that are not trained.
                told = model.known_z(batch, operator.methodcaller("kl", q_z))
                terms[f"distillation_{side.name}"] = told[model.sides.index(side)]
            if side.local is not None:
                q_u = side.posterior(h[side.name], z)  # q(u|x,z)
                code = draw(side.local, q_u)
                terms[f"kl_{side.local_name}"] = q_u.kl()
            error = objectives.squared_error(h[side.name], side.decode(code, z))
            terms[f"reconstruction_{side.name}"] = error / draw.two_epsilon_squared
        return terms

    def begin(self, stage: Any, pairs: Any) -> None:
        """Fit p(z) where it can be, and start readers of features from the experts."""
        model = stage.model
        self._fit_prior(model, pairs)
        for side in model.sides:
            side.start_reader()

    def _fit_prior(self, model: WynerModel, pairs: Any) -> None:
        if model.prior is not None:
            model.fit_prior(pairs)

    def _sides(self, model: WynerModel) -> list[Side]:
        """Those that have a reader of their own."""
        return [side for side in model.sides if side.reader_network is not None]
