"""Stage 1: joint encoders and decoders."""

from __future__ import annotations

import dataclasses
from collections.abc import Iterable
from typing import Any

import keras
from keras import ops

from wyner_keras.models.stage import Stage
from wyner_keras.models.wyner import WynerModel
from wyner_keras.received import received

Tensor = Any
READERS = ("experts", "marginals")


@keras.saving.register_keras_serializable(package="wyner_keras")
class JointStage(Stage):
    """Match q(x,y) q(z,u,v|x,y) to p(z) p(u) p(v) p(x|u,z) p(y|v,z).

    Minimises, in nats per example,
    (1+λ) D(q(z|x,y) ‖ p(z)) + β [D(q(u|·) ‖ p(u)) + D(q(v|·) ‖ p(v))]
    + [‖x − x_θ(u,z)‖² + ‖y − y_θ(v,z)‖²] / 2ε² − γ I(Z_x; Z_y)
    − κ E log q(z'|x_θ(u',z')) and the same for y, for concepts and locals that do not belong
    together (κ is `concept_weight`, q the `reader`'s; see `concept`);
    with a "gaussian" decoder the reconstruction is −log p(x|z) − log p(y|z), eq. (5).
    A model's flows do not count in D(q(u|·) ‖ p(u)): a `FlowStage` fits them to what this stage
    leaves.

    The variables `temperature`, `local_weight` (β) and `two_epsilon_squared` may be scheduled.

    Args:
        model: the W-model to train.
        train_experts: whether the joint encoder of z is trained too; False keeps it as the
            alignment stage left it, and without dropout.
        train_locals: whether the joint encoders of u and v are trained too; False leaves the
            decoders to be trained, as after a `FlowStage`.
        concept_weight: κ in this stage; None takes the config's.
        flows: whether samples of the concept term go through the model's flows; before a
            `FlowStage` they are the identity and False saves their time.
        reader: who reads z' off x_θ(u',z') in the concept term: "experts" of the joint encoder,
            or, after a `MarginalStage`, the "marginals" q(z|x) and q(z|y).

    Raises:
        ValueError: if κ is negative, or not 0 for a model without experts; or if there is no such
            reader.

    Example:
        >>> stage = JointStage(model)
        >>> stage.compile(optimizer="adam")
        >>> history = stage.fit(pairs, epochs=3)

    Source: the W-model paper, section 2.2; λ acts on z only.
    """

    term_names = (
        "kl_z",
        "kl_u",
        "kl_v",
        "reconstruction_x",
        "reconstruction_y",
        "alignment",
        "concept_x",
        "concept_y",
    )

    def __init__(
        self,
        model: WynerModel,
        train_experts: bool = True,
        train_locals: bool = True,
        concept_weight: float | None = None,
        flows: bool = True,
        reader: str = "experts",
        **kwargs: Any,
    ) -> None:
        super().__init__(model, **kwargs)
        if reader not in READERS:
            raise ValueError(
                f"`reader` should be one of {READERS}. Received: reader={received(reader)}"
            )
        if concept_weight is None:
            concept_weight = model.config.concept_weight
        # The config's own checks.
        dataclasses.replace(model.config, concept_weight=concept_weight)
        self.train_experts = train_experts
        self.train_locals = train_locals
        self.concept_weight = concept_weight
        self.flows = flows
        self.reader = reader
        self.local_weight = self.scheduled("local_weight", 1.0)

    @property
    def parts(self) -> Iterable[keras.layers.Layer]:
        """Decoders, and the joint encoders that are to be trained."""
        model = self.model
        frozen = [] if self.train_experts else list(model.joint_encoders_z)
        if not self.train_locals:
            # The local encoders see features less the affine maps of z.
            frozen += [model.joint_encoder_u, model.joint_encoder_v]
            frozen += [model.concept_x, model.concept_y]
        return [part for part in model.joint_parts if part not in frozen]

    def weights_of_terms(self) -> dict[str, Any]:
        """(1+λ), β, β, 1, 1, −γ, and the concept weight twice."""
        config = self.model.config
        return {
            "kl_z": 1.0 + config.common_information_weight,
            "kl_u": self.local_weight,
            "kl_v": self.local_weight,
            "reconstruction_x": 1.0,
            "reconstruction_y": 1.0,
            "alignment": -config.alignment_weight,
            "concept_x": self.concept_weight,
            "concept_y": self.concept_weight,
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
        parameters, *experts = model.joint_z(
            features["x"], features["y"], training and self.train_experts
        )
        z = self.draw(z_family, parameters, count)
        zeros = ops.zeros((count,), dtype="float32")
        terms = {
            "kl_z": z_family.kl(parameters),
            "alignment": z_family.shared_information(*experts) if experts else zeros,
        }
        for side, other, name in (("x", "y", "u"), ("y", "x", "v")):
            family, code = model.local(side), None
            terms[f"kl_{name}"] = zeros
            if family is not None:
                # q(u|x,y), or as the config says
                posterior = model.joint_local(side, features[side], features[other], z)
                code = self.draw(family, posterior, count)
                terms[f"kl_{name}"] = family.kl(posterior)
            terms[f"concept_{side}"] = (
                self.concept(code, z, count, side, training) if self.concept_weight > 0 else zeros
            )
            terms[f"reconstruction_{side}"] = self.reconstruction(
                targets[side], features[side], code, z, side
            )
        return terms

    def concept(self, code: Any, z: Tensor, count: Any, side: str, training: bool) -> Tensor:
        """−log q(z'|x_θ(u',z')), nats per example, on half a batch, `((count + 1) // 2,)`.

        z' ~ p(z); half of the u' are of the prior, half of the batch's posteriors. Dropout and
        noise of an expert ask for a margin; a marginal encoder is read without.

        Args:
            code: samples of the local encoder, `(count, size)`, or None.
            z: the concepts that they belong to, `(count, size of z)`.
            count: rows of the batch.
            side: "x" or "y".
            training: whether dropout and noise are on.
        """
        model, z_family, family = self.model, self.model.config.z, self.model.local(side)
        half, local = (count + 1) // 2, None
        if family is not None:
            local = code[half // 2 : half]
            if self.flows:
                local = model.pull_back(side, local, z[half // 2 : half])
            prior = family.prior_sample(family.random_noise(half, self.noise_stream))
            local = ops.concatenate([prior[: half // 2], local], axis=0)
        z = z_family.prior_sample(z_family.random_noise(half, self.noise_stream))
        features, _ = (model.decode if self.flows else model.decode_code)(local, z, side)
        if self.reader == "experts":
            parameters = self._read_by_expert(features, side, training)
        else:
            parameters = self._read_by_marginal(features, side)
        return z_family.negative_log_likelihood(parameters, z)

    def _read_by_expert(self, features: Tensor, side: str, training: bool) -> Tensor:
        model = self.model
        if training and model.config.concept_noise > 0:
            noise = keras.random.normal(ops.shape(features), seed=self.noise_stream)
            features = features + model.config.concept_noise * noise
        expert = model.joint_expert_x if side == "x" else model.joint_expert_y
        return model.config.z.posterior(expert(features, training=training))

    def _read_by_marginal(self, features: Tensor, side: str) -> Tensor:
        model = self.model
        of_images = model.config.marginal_encoder == "images"
        return model.marginal_z(model.images(features, side) if of_images else features, side)

    def get_config(self) -> dict[str, Any]:
        """The model and the constructor's arguments."""
        return {
            **super().get_config(),
            "train_experts": self.train_experts,
            "train_locals": self.train_locals,
            "concept_weight": self.concept_weight,
            "flows": self.flows,
            "reader": self.reader,
        }
