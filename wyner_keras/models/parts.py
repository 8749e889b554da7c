"""The parts of a W-model: encoders and decoders."""

from __future__ import annotations

from typing import Any, ClassVar

import keras

from wyner_keras.latents import Categorical, Latent
from wyner_keras.models.config import WynerConfig
from wyner_keras.models.pair import PairModel
from wyner_keras.models.pair_config import PairConfig
from wyner_keras.networks import MLP, ContinuousFlow, ConvEncoder, TreePrior


class Parts(PairModel):
    """Encoders and decoders of a W-model; `Distributions` adds what they compute.

    Args:
        config: the settings.
        wrapper: as in `PairModel`.
    """

    config_type: ClassVar[type[PairConfig]] = WynerConfig

    def make_parts(self) -> None:
        """Create and build encoders and decoders; the image shapes are known."""
        config = self.config
        size_x, size_y = self.feature_size("x"), self.feature_size("y")
        z, u, v = config.z, config.u, config.v
        seeds = iter(range(config.seed * 1000 + 1, config.seed * 1000 + 100))

        def encoder(latent: Latent | None, *widths: int, common: bool = False) -> Any:
            seed = next(seeds)
            if latent is None:
                return None
            network = MLP(
                latent.parameter_size,
                config.hidden,
                dropout=config.encoder_dropout if common else 0.0,
                noise=config.encoder_noise if common else 0.0,
                seed=seed,
            )
            network.build([(None, width) for width in widths])
            return network

        def local_widths(kind: str, own: int, other: int) -> list[int]:
            return {"x": [own], "xz": [own, z.size], "xy": [own, other]}[kind]

        if config.joint_encoder == "free":
            self.joint_encoder_z = encoder(z, size_x, size_y, common=True)
        else:
            self.joint_expert_x = encoder(z, size_x, common=True)
            self.joint_expert_y = encoder(z, size_y, common=True)
        self.joint_encoder_u = encoder(u, *local_widths(config.joint_local, size_x, size_y))
        self.joint_encoder_v = encoder(v, *local_widths(config.joint_local, size_y, size_x))
        if config.marginal_encoder == "images":
            self.marginal_encoder_z_x, self.marginal_encoder_z_y = readers = tuple(
                ConvEncoder(z.parameter_size, seed=next(seeds)) for _ in "xy"
            )
            for reader, side in zip(readers, "xy", strict=True):
                reader.build((None, *self.image_shape(side)))
        else:
            self.marginal_encoder_z_x = encoder(z, size_x, common=True)
            self.marginal_encoder_z_y = encoder(z, size_y, common=True)
        self.marginal_encoder_u = encoder(u, *local_widths(config.marginal_local, size_x, 0))
        self.marginal_encoder_v = encoder(v, *local_widths(config.marginal_local, size_y, 0))

        def decoder(local: Latent | None, size: int, bounded: bool) -> MLP:
            network = MLP(
                2 * size if config.decoder == "gaussian" else size,
                config.hidden,
                output_activation="sigmoid" if bounded else None,
                seed=next(seeds),
            )
            network.build([(None, family.size) for family in (local, z) if family])
            return network

        bounded = self.wrapper_x is None and config.decoder == "delta" and not config.residual
        self.decoder_x = decoder(u, size_x, bounded)
        self.decoder_y = decoder(v, size_y, bounded)
        self.concept_x = self.concept_y = None
        if config.residual:
            self.concept_x, self.concept_y = (
                keras.layers.Dense(size, kernel_initializer="zeros", name=f"concept_{side}")
                for side, size in (("x", size_x), ("y", size_y))
            )
            for layer in (self.concept_x, self.concept_y):
                layer.build((None, z.size))
        self.flow_u: ContinuousFlow | None = None
        self.flow_v: ContinuousFlow | None = None
        if config.flow_steps:
            gaussians: tuple[Any, Any] = (u, v)
            self.flow_u, self.flow_v = flows = tuple(
                ContinuousFlow(family.size, config.flow_steps, config.hidden, seed=next(seeds))
                for family in gaussians
            )
            for flow in flows:
                flow.build((None, z.size))
        self.prior_z: TreePrior | None = None
        if isinstance(z, Categorical) and config.prior == "tree":
            self.prior_z = TreePrior(z)
            self.prior_z.build(None)

    @property
    def common(self) -> Latent:
        """The family of Z."""
        return self.config.z

    def concept(self, side: str) -> keras.layers.Dense | None:
        """The affine map of z to features of side "x" or "y"; None unless the model is residual."""
        return self.concept_x if side == "x" else self.concept_y

    def flow(self, side: str) -> ContinuousFlow | None:
        """The map from U (side "x") or V (side "y") to what the decoder reads; None without one."""
        return self.flow_u if side == "x" else self.flow_v

    @property
    def joint_encoders_z(self) -> list[keras.layers.Layer]:
        """The experts e(z;x), e(z;y), or the free encoder of z."""
        if self.config.joint_encoder == "free":
            return [self.joint_encoder_z]
        return [self.joint_expert_x, self.joint_expert_y]

    @property
    def joint_parts(self) -> list[keras.layers.Layer]:
        """What the joint stage trains: joint encoders and decoders."""
        names = (
            *("joint_encoder_u", "joint_encoder_v"),
            *("decoder_x", "decoder_y", "concept_x", "concept_y"),
        )
        others = [part for name in names if (part := getattr(self, name)) is not None]
        return [*self.joint_encoders_z, *others]

    @property
    def marginal_parts(self) -> list[keras.layers.Layer]:
        """What the marginal stage trains: marginal encoders, nothing else."""
        names = [f"marginal_encoder_{name}" for name in ("z_x", "u", "z_y", "v")]
        return [part for name in names if (part := getattr(self, name)) is not None]

    def warm_start_marginals(self) -> None:
        """Copy joint encoders into the marginal ones that see the same inputs."""
        copies = []
        if self.config.joint_encoder == "product" and self.config.marginal_encoder == "features":
            copies = [
                (self.joint_expert_x, self.marginal_encoder_z_x),
                (self.joint_expert_y, self.marginal_encoder_z_y),
            ]
        if self.config.joint_local == self.config.marginal_local:
            copies += [
                (self.joint_encoder_u, self.marginal_encoder_u),
                (self.joint_encoder_v, self.marginal_encoder_v),
            ]
        for source, target in copies:
            if source is not None:
                for old, new in zip(
                    source.trainable_variables, target.trainable_variables, strict=True
                ):
                    new.assign(old)
