"""The parts of a W-model: encoders, decoders, wrappers, and how they are stored."""

from __future__ import annotations

import dataclasses
from collections.abc import Sequence
from typing import Any

import keras

from wyner_keras.latents import Latent
from wyner_keras.models.config import WynerConfig
from wyner_keras.networks import MLP, ConvAutoencoder, ConvEncoder, CouplingFlow


class Parts(keras.Model):
    """Encoders and decoders of a W-model; `Distributions` adds what they compute.

    Args:
        config: the settings.
        wrapper: a trained `ConvAutoencoder` for both sides, a pair of them (for x, for y), or None
            to model the pixels themselves.

    Raises:
        ValueError: if a wrapper's image shape contradicts the settings.
    """

    built: bool

    def __init__(
        self,
        config: WynerConfig,
        wrapper: keras.Model | Sequence[keras.Model] | None = None,
        **kwargs: Any,
    ) -> None:
        super().__init__(**kwargs)
        if not isinstance(config, WynerConfig):
            raise ValueError(f"`config` should be a WynerConfig. Received: config={config!r}")
        wrappers = tuple(wrapper) if isinstance(wrapper, list | tuple) else (wrapper, wrapper)
        if len(wrappers) != 2 or any((side is None) != (wrappers[0] is None) for side in wrappers):
            raise ValueError(
                "`wrapper` should be one wrapper, a pair (for x, for y) or None. "
                f"Received: wrapper={wrapper!r}"
            )
        self.wrapper_x, self.wrapper_y = wrappers
        for name, side in (("x_shape", self.wrapper_x), ("y_shape", self.wrapper_y)):
            if side is None:
                continue
            if not isinstance(side, ConvAutoencoder) or not side.built:
                raise ValueError(
                    "`wrapper` should be a trained ConvAutoencoder, a pair of them or None. "
                    f"Received: wrapper={wrapper!r}"
                )
            side.trainable = False
            given = getattr(config, name)
            if given is not None and given != side.image_shape:
                raise ValueError(
                    f"`{name}` should be the wrapper's image shape {side.image_shape}. "
                    f"Received: {name}={given}"
                )
            shape: dict[str, Any] = {name: side.image_shape}
            config = dataclasses.replace(config, **shape)
        self.config = config
        if config.x_shape is not None and config.y_shape is not None:
            self.build(((None, *config.x_shape), (None, *config.y_shape)))

    def build(self, input_shape: Any = None) -> None:
        """Create all parts for x and y of these shapes, each `(batch, h, w, c)`."""
        if self.built:
            return
        x_shape, y_shape = input_shape
        self.config = config = dataclasses.replace(
            self.config, x_shape=tuple(x_shape[1:]), y_shape=tuple(y_shape[1:])
        )
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
            for reader, shape in zip(readers, (x_shape, y_shape), strict=True):
                reader.build((None, *shape[1:]))
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
        self.flow_u: CouplingFlow | None = None
        self.flow_v: CouplingFlow | None = None
        if config.local_couplings:
            gaussians: tuple[Any, Any] = (u, v)
            self.flow_u, self.flow_v = flows = tuple(
                CouplingFlow(family.size, config.local_couplings, seed=next(seeds))
                for family in gaussians
            )
            for flow in flows:
                flow.build((None, z.size))
        self.built = True

    def feature_size(self, side: str) -> int:
        """Width of the features of side "x" or "y": the wrapper's, or the number of pixels."""
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return wrapper.feature_size
        height, width, channels = self.image_shape(side)
        return height * width * channels

    def wrapper(self, side: str) -> keras.Model | None:
        """The wrapper of side "x" or "y"."""
        return self.wrapper_x if side == "x" else self.wrapper_y

    def image_shape(self, side: str) -> Any:
        """`(h, w, c)` of side "x" or "y"; None before the model is built."""
        return self.config.x_shape if side == "x" else self.config.y_shape

    def concept(self, side: str) -> keras.layers.Dense | None:
        """The affine map of z to features of side "x" or "y"; None unless the model is residual."""
        return self.concept_x if side == "x" else self.concept_y

    def local(self, side: str) -> Latent | None:
        """The family of U (side "x") or V (side "y")."""
        return self.config.u if side == "x" else self.config.v

    def flow(self, side: str) -> CouplingFlow | None:
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

    def get_config(self) -> dict[str, Any]:
        """Settings and wrappers."""
        serialize = keras.saving.serialize_keras_object
        if self.wrapper_x is None:
            wrapper = None
        elif self.wrapper_x is self.wrapper_y:
            wrapper = serialize(self.wrapper_x)
        else:
            wrapper = [serialize(self.wrapper_x), serialize(self.wrapper_y)]
        return {**super().get_config(), "config": serialize(self.config), "wrapper": wrapper}

    @classmethod
    def from_config(cls, config: dict[str, Any]) -> Any:
        """The model again, from `get_config`'s values; weights are loaded by Keras."""
        deserialize = keras.saving.deserialize_keras_object
        wrapper = config.pop("wrapper")
        if isinstance(wrapper, list):
            wrapper = tuple(deserialize(side) for side in wrapper)
        elif wrapper is not None:
            wrapper = deserialize(wrapper)
        return cls(deserialize(config.pop("config")), wrapper=wrapper, **config)

    def get_build_config(self) -> dict[str, Any]:
        """The pair of batch shapes that `build` takes."""
        return {"shapes": [[None, *self.image_shape("x")], [None, *self.image_shape("y")]]}

    def build_from_config(self, config: dict[str, Any]) -> None:
        """Create the parts for the shapes that `get_build_config` told."""
        self.build(tuple(tuple(shape) for shape in config["shapes"]))
