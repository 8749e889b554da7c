"""Stage 2: marginal encoders, decoders frozen."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from wyner_keras.models.stage import Stage
from wyner_keras.models.wyner import WynerModel
from wyner_keras.received import received

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class MarginalStage(Stage):
    """Fit q(z|x) q(u|x,z) and q(z|y) q(v|y,z) to the decoders of stage 1, which stay as they are.

    Minimises, in nats per example, for x and the same for y with v,
    D(q(z|x) ‖ p(z)) + D(q(u|x,z) ‖ p(u)) + ‖x − x_θ(u,z)‖² / 2ε²
    + `distillation_weight` · D(q(z|x,y) ‖ q(z|x)). The last term pulls q(z|x) towards the joint
    posterior's average over y, which q(z|x) = E[q(z|x,y) | x] is; weight 0 is the paper's. As in
    the joint stage, a model's flows do not count.

    The variables `temperature` and `two_epsilon_squared` may be scheduled.

    Args:
        model: the W-model whose joint stage is done.
        distillation_weight: weight of the last term.
        train_locals: whether q(u|x,z) and q(v|y,z) are trained too. False leaves them as they are,
            which suits a warm start: the joint stage has minimised the same terms over them.

    Raises:
        ValueError: if the weight is negative.

    Example:
        >>> stage = MarginalStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: the W-model paper, section 2.2, figure 2(b); the last term is JMVAE-kl's
    (Suzuki et al., 2016).
    """

    term_names: tuple[str, ...] = (
        "kl_z_x",
        "kl_z_y",
        "kl_u",
        "kl_v",
        "reconstruction_x",
        "reconstruction_y",
        "distillation_x",
        "distillation_y",
    )

    def __init__(
        self,
        model: WynerModel,
        distillation_weight: float = 0.0,
        train_locals: bool = True,
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        if not distillation_weight >= 0:
            raise ValueError(
                "`distillation_weight` should be at least 0. "
                f"Received: distillation_weight={received(distillation_weight)}"
            )
        self.distillation_weight = distillation_weight
        self.train_locals = train_locals

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """Marginal encoders, those of u and v if they are to be trained; no decoder."""
        frozen = (
            []
            if self.train_locals
            else [self.model.marginal_encoder_u, self.model.marginal_encoder_v]
        )
        return [part for part in self.model.marginal_parts if part not in frozen]

    @property
    def reads_images(self) -> bool:
        """Whether q(z|x) and q(z|y) are of images, so that features alone will not do."""
        return super().reads_images or self.model.config.marginal_encoder == "images"

    def weights_of_terms(self) -> dict[str, Any]:
        """1 for each term, `distillation_weight` for the distillation."""
        return {
            name: self.distillation_weight if name.startswith("distillation") else 1.0
            for name in self.term_names
        }

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch, images or features, nats per example `(batch,)`."""
        model = self.model
        z_family = model.config.z
        targets = {"x": x, "y": y}
        features = {"x": model.features(x, "x"), "y": model.features(y, "y")}
        joint = ops.stop_gradient(model.joint_z(features["x"], features["y"])[0])
        count = self.batch_count(x)
        zeros = ops.zeros((count,), dtype="float32")
        terms = {}
        for side, name in (("x", "u"), ("y", "v")):
            # q(z|x)
            given = model.read_by_marginal_z(targets[side], features[side])
            parameters = model.marginal_z(given, side, training)
            z = self.draw(z_family, parameters, count)
            terms[f"kl_z_{side}"] = z_family.kl(parameters)
            terms[f"distillation_{side}"] = z_family.kl_between(joint, parameters)
            family, code = model.local(side), None
            terms[f"kl_{name}"] = zeros
            if family is not None:
                # q(u|x,z)
                posterior = model.marginal_local(features[side], z, side)
                code = self.draw(family, posterior, count)
                terms[f"kl_{name}"] = family.kl(posterior)
            terms[f"reconstruction_{side}"] = self.reconstruction(
                targets[side], features[side], code, z, side
            )
        return terms

    def get_config(self) -> dict[str, Any]:
        """The model, the weight and what is trained."""
        return {
            **super().get_config(),
            "distillation_weight": self.distillation_weight,
            "train_locals": self.train_locals,
        }
