"""JVAE: one latent for both sides and nothing else; the paper's comparison."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Any, ClassVar

import keras

from wyner_keras.models.config import WynerConfig
from wyner_keras.models.marginal import MarginalStage
from wyner_keras.models.pair import PairModel
from wyner_keras.models.wyner import WynerModel
from wyner_keras.received import received

Tensor = Any
_ABSENT = {
    "u": None,
    "v": None,
    "common_information_weight": 0.0,
    "alignment_weight": 0.0,
    "concept_weight": 0.0,
}


@keras.saving.register_keras_serializable(package="wyner_keras")
class JVAE(WynerModel):
    """Joint variational autoencoder: p(z) with x = x_θ(z), y = y_θ(z), the W-model without U and V.

    Encoders q(z|x,y), q(z|x) and q(z|y), all trained at once by `JVAEStage`. Conditional generation
    is z ~ q(z|x), y = y_θ(z): all randomness goes through z. There is no style transfer, since
    there is no style apart from z.

    Args:
        config: the settings; without U and V, and without what belongs to the W-model's objective
            (λ, alignment, concept term).
        wrapper: as in `PairModel`.

    Raises:
        ValueError: if the settings have what a JVAE has not.

    Example:
        >>> config = WynerConfig(
        ...     z=DiagonalGaussian(dim=64), u=None, v=None, joint_encoder="free",
        ...     common_information_weight=0.0, alignment_weight=0.0,
        ...     x_shape=(8, 8, 1), y_shape=(8, 8, 1),
        ... )
        >>> JVAE(config).generate_pairs(4, seed=0)[1].shape
        (4, 8, 8, 1)

    Source: Suzuki et al., Joint multimodal learning with deep generative models, 2016.
    """

    tasks: ClassVar[tuple[str, ...]] = ("conditional", "joint")

    def __init__(self, config: WynerConfig, wrapper: Any = None, **kwargs: Any) -> None:
        super().__init__(config, wrapper=wrapper, **kwargs)
        for name, absent in _ABSENT.items():
            if getattr(config, name) != absent:
                raise ValueError(
                    f"`{name}` should be {absent} for a JVAE. "
                    f"Received: {name}={received(getattr(config, name))}"
                )


@keras.saving.register_keras_serializable(package="wyner_keras")
class JVAEStage(MarginalStage):
    """Train a `JVAE`: joint and marginal encoders and decoders at once.

    Minimises, in nats per example, D(q(z|x,y) ‖ p(z)) − log p(x|z) − log p(y|z)
    + α [D(q(z|x,y) ‖ q(z|x)) + D(q(z|x,y) ‖ q(z|y))]; with a deterministic decoder −log p(x|z) is
    ‖x − x_θ(z)‖² / 2ε². The variables `temperature` and `two_epsilon_squared` may be scheduled.

    Args:
        model: the JVAE to train.
        distillation_weight: α; 0.1 is the source's choice among 1, 0.1, 0.01 and less.

    Raises:
        ValueError: if the weight is not positive.

    Example:
        >>> stage = JVAEStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: Suzuki et al., 2016, JMVAE-kl, eq. (4).
    """

    term_names = (
        *("kl_z", "reconstruction_x", "reconstruction_y"),
        *("distillation_x", "distillation_y"),
    )
    model_type: ClassVar[type[PairModel]] = JVAE

    def __init__(self, model: JVAE, distillation_weight: float = 0.1, **kwargs: Any) -> None:
        super().__init__(model, distillation_weight, **kwargs)
        if distillation_weight == 0:
            raise ValueError(
                "`distillation_weight` should be positive: nothing else trains q(z|x) and q(z|y). "
                "Received: distillation_weight=0"
            )

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """All parts."""
        return [*self.model.joint_parts, *self.model.marginal_parts]

    def terms(self, x: Tensor, y: Tensor, training: bool) -> dict[str, Tensor]:
        """Loss terms of a batch, images or features, nats per example `(batch,)`."""
        model, family = self.model, self.model.config.z
        targets = {"x": x, "y": y}
        features = {side: model.features(target, side) for side, target in targets.items()}
        # q(z|x,y)
        joint = model.joint_z(features["x"], features["y"], training)[0]
        z = self.draw(family, joint, self.batch_count(x))
        terms = {"kl_z": family.kl(joint)}
        for side, target in targets.items():
            given = target if self.reads_images else features[side]
            # q(z|x)
            marginal = model.marginal_z(given, side, training)
            terms[f"distillation_{side}"] = family.kl_between(joint, marginal)
            terms[f"reconstruction_{side}"] = self.reconstruction(
                target, features[side], None, z, side
            )
        return terms
