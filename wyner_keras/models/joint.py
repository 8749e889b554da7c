"""Stage 1: joint encoders and decoders."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from wyner_keras.models.stage import Stage
from wyner_keras.models.wyner import WynerModel

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class JointStage(Stage):
    """Match q(x,y) q(z,u,v|x,y) to p(z) p(u) p(v) p(x|u,z) p(y|v,z).

    Minimises, in nats per example,
    (1+λ) D(q(z|x,y) ‖ p(z)) + β [D(q(u|·) ‖ p(u)) + D(q(v|·) ‖ p(v))]
    + [‖x − x_θ(u,z)‖² + ‖y − y_θ(v,z)‖²] / 2ε² − γ I(Z_x; Z_y);
    with a "gaussian" decoder the reconstruction is −log p(x|z) − log p(y|z), eq. (5).

    The variables `temperature`, `local_weight` (β) and `two_epsilon_squared` may be scheduled.

    Args:
        model: the W-model to train.

    Example:
        >>> stage = JointStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: the W-model paper, section 2.2; λ acts on z only.
    """

    term_names = ("kl_z", "kl_u", "kl_v", "reconstruction_x", "reconstruction_y", "alignment")

    def __init__(self, model: WynerModel, **kwargs: Any) -> None:
        super().__init__(model, **kwargs)
        self.local_weight = self.scheduled("local_weight", 1.0)

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """Joint encoders and decoders."""
        return self.model.joint_parts

    def weights_of_terms(self) -> dict[str, Any]:
        """(1+λ), β, β, 1, 1, −γ."""
        config = self.model.config
        return {
            "kl_z": 1.0 + config.common_information_weight,
            "kl_u": self.local_weight,
            "kl_v": self.local_weight,
            "reconstruction_x": 1.0,
            "reconstruction_y": 1.0,
            "alignment": -config.alignment_weight,
        }

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch of pairs, images or features.

        Returns:
            KL and reconstruction terms in nats per example `(batch,)`; alignment I(Z_x; Z_y) in
            nats, a batch scalar, 0 without experts.
        """
        model = self.model
        z_family = model.config.z
        count = self.batch_count(x)
        targets = {"x": x, "y": y}
        features = {"x": model.features(x, "x"), "y": model.features(y, "y")}
        # q(z|x,y)
        parameters, *experts = model.joint_z(features["x"], features["y"], training)
        noise = z_family.random_noise(count, self.seed_generator)
        z = z_family.sample(parameters, noise, self.temperature)
        zeros = ops.zeros((count,), dtype="float32")
        terms = {
            "kl_z": z_family.kl(parameters),
            "alignment": z_family.shared_information(*experts) if experts else zeros,
        }
        for side, other, name in (("x", "y", "u"), ("y", "x", "v")):
            family, local = model.local(side), None
            terms[f"kl_{name}"] = zeros
            if family is not None:
                # q(u|x,y), or as the config says
                posterior = model.joint_local(side, features[side], features[other], z)
                noise = family.random_noise(count, self.seed_generator)
                local = family.sample(posterior, noise, self.temperature)
                terms[f"kl_{name}"] = family.kl(posterior)
            terms[f"reconstruction_{side}"] = self.reconstruction(
                targets[side], features[side], local, z, side
            )
        return terms
