"""The parts of a W-model: encoders, decoders, wrappers, and how they are stored."""

from __future__ import annotations

import dataclasses
import functools
import weakref
from collections.abc import Sequence
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras import objectives
from wyner_keras.latents import Latent
from wyner_keras.models.config import WynerConfig
from wyner_keras.networks import MLP, ConvAutoencoder, CouplingFlow

Tensor = Any


class Parts(keras.Model):
    """Encoders and decoders of a W-model; `WynerModel` adds what they are used for.

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

    @functools.cached_property
    def _feature_cache(self) -> dict[tuple[int, int], Any]:
        return {}

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

    def features(self, images: Tensor, side: str) -> Tensor:
        """Features `(batch, features)` of images `(batch, h, w, c)`; features pass unchanged."""
        if len(images.shape) == 2:
            return ops.cast(images, "float32")
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return ops.cast(wrapper.encode(images), "float32")
        return ops.reshape(ops.cast(images, "float32"), (-1, self.feature_size(side)))

    def cached_features(self, images: np.ndarray, side: str) -> np.ndarray:
        """The wrapper's features of a whole array, `(n, features)`, computed once an array."""
        key = (id(images), id(self.wrapper(side)))
        cached = self._feature_cache.get(key)
        if cached is None or cached[0]() is not images:
            encode = tf.function(lambda batch: self.features(batch, side), reduce_retracing=True)
            features = np.concatenate(
                [encode(images[i : i + 1000]).numpy() for i in range(0, len(images), 1000)]
            )
            cached = (weakref.ref(images), features)
            self._feature_cache[key] = cached
        return cached[1]

    def images(self, features: Tensor, side: str) -> Tensor:
        """Images `(batch, h, w, c)` in [0, 1] of features `(batch, features)`."""
        wrapper = self.wrapper(side)
        if wrapper is not None:
            return ops.cast(wrapper.decode(features), "float32")
        return ops.clip(ops.reshape(features, (-1, *self.image_shape(side))), 0.0, 1.0)

    def joint_z(self, x: Tensor, y: Tensor, training: bool = False) -> tuple[Tensor, ...]:
        """Parameters of q(z|x,y), then the experts' of x and of y (none for the free encoder)."""
        if self.config.joint_encoder == "free":
            return (self.joint_encoder_z([x, y], training=training),)
        expert_x = self.joint_expert_x(x, training=training)
        expert_y = self.joint_expert_y(y, training=training)
        return self.config.z.posterior(expert_x, expert_y), expert_x, expert_y

    def joint_local(self, side: str, own: Tensor, other: Tensor, z: Tensor) -> Tensor:
        """Parameters of the joint stage's q(u|·) or q(v|·)."""
        encoder = self.joint_encoder_u if side == "x" else self.joint_encoder_v
        own = self.rest(own, z, side)
        given = {"x": [own], "xz": [own, z], "xy": [own, other]}[self.config.joint_local]
        return encoder(given)

    def marginal_z(self, features: Tensor, side: str, training: bool = False) -> Tensor:
        """Parameters of q(z|x) or q(z|y)."""
        encoder = self.marginal_encoder_z_x if side == "x" else self.marginal_encoder_z_y
        return self.config.z.posterior(encoder(features, training=training))

    def marginal_local(self, features: Tensor, z: Tensor, side: str) -> Tensor:
        """Parameters of q(u|x,z) or q(u|x), and of q(v|y,z) or q(v|y)."""
        encoder = self.marginal_encoder_u if side == "x" else self.marginal_encoder_v
        features = self.rest(features, z, side)
        return encoder([features, z] if self.config.marginal_local == "xz" else features)

    def concept(self, side: str) -> keras.layers.Dense | None:
        """The affine map of z to features of side "x" or "y"; None unless the model is residual."""
        return self.concept_x if side == "x" else self.concept_y

    def rest(self, features: Tensor, z: Tensor, side: str) -> Tensor:
        """Features less the affine map of z, `(batch, features)`; unchanged where there is none."""
        concept = self.concept(side)
        return (
            features
            if concept is None
            else features - ops.stop_gradient(ops.cast(concept(z), "float32"))
        )

    def local(self, side: str) -> Latent | None:
        """The family of U (side "x") or V (side "y")."""
        return self.config.u if side == "x" else self.config.v

    def flow(self, side: str) -> CouplingFlow | None:
        """The map from U (side "x") or V (side "y") to what the decoder reads; None without one."""
        return self.flow_u if side == "x" else self.flow_v

    def pull_back(
        self, side: str, parameters: Tensor, code: Tensor, z: Tensor
    ) -> tuple[Tensor, Tensor]:
        """The local latent that a sample of its encoder's Gaussian stands for, and its KL.

        Args:
            side: "x" or "y".
            parameters: of the local encoder, `(batch, parameter_size)`.
            code: a sample with these parameters, `(batch, size)`.
            z: what conditions the flow, `(batch, size of z)`.

        Returns:
            u or v `(batch, size)`, and D(q(u|·) ‖ p(u)) in nats per example `(batch,)`: in closed
            form, or for a flow its estimate by this sample.
        """
        flow = self.flow(side)
        family: Any = self.local(side)
        if flow is None:
            return code, family.kl(parameters)
        local, log_determinant = flow.inverse(code, z)
        log_variance = family.moments(parameters)[1]
        return local, objectives.kl_pulled_back_gaussian(local, log_variance, log_determinant)

    def decode(self, local: Tensor | None, z: Tensor, side: str) -> tuple[Tensor, Tensor | None]:
        """Mean features x_θ(u, z) or y_θ(v, z), and the log variance of a "gaussian" decoder."""
        flow = self.flow(side)
        return self.decode_code(local if flow is None else flow(local, z), z, side)

    def decode_code(
        self, code: Tensor | None, z: Tensor, side: str
    ) -> tuple[Tensor, Tensor | None]:
        """As `decode`, of what the flow makes of the local latent (itself, without a flow)."""
        decoder = self.decoder_x if side == "x" else self.decoder_y
        output = ops.cast(decoder(z if code is None else [code, z]), "float32")
        concept = self.concept(side)
        if concept is not None:
            output = output + ops.cast(concept(z), "float32")
        if self.config.decoder == "delta":
            return output, None
        size = self.feature_size(side)
        # Bounded, because a feature that never varies would drive the density to infinity.
        return output[:, :size], ops.clip(output[:, size:], -10.0, 10.0)

    def call(self, inputs: tuple[Tensor, Tensor]) -> tuple[Tensor, Tensor]:
        """Reconstructed images of a batch of pairs, at the modes of the joint encoders."""
        x, y = self.features(inputs[0], "x"), self.features(inputs[1], "y")
        z = self.config.z.mode(self.joint_z(x, y)[0])
        reconstructions = []
        for side, own, other in (("x", x, y), ("y", y, x)):
            family = self.local(side)
            code = family and family.mode(self.joint_local(side, own, other, z))
            reconstructions.append(self.images(self.decode_code(code, z, side)[0], side))
        return tuple(reconstructions)

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
        if self.config.joint_encoder == "product":
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
