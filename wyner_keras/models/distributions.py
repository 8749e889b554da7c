"""What a W-model's parts compute: features, distributions, decoded images."""

from __future__ import annotations

from typing import Any

from keras import ops

from wyner_keras import objectives
from wyner_keras.models.parts import Parts

Tensor = Any


class Distributions(Parts):
    """The distributions of a W-model as functions of features; `WynerModel` adds the tasks.

    Args:
        config: the settings.
        wrapper: as in `Parts`.
    """

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

    def read_by_marginal_z(self, images: Tensor, features: Tensor) -> Tensor:
        """Which of the two q(z|x) and q(z|y) read: images or their features."""
        return images if self.config.marginal_encoder == "images" else features

    def marginal_z(self, given: Tensor, side: str, training: bool = False) -> Tensor:
        """Parameters of q(z|x) or q(z|y), of images; of features too, if the encoder reads them."""
        encoder = self.marginal_encoder_z_x if side == "x" else self.marginal_encoder_z_y
        if self.config.marginal_encoder == "features":
            given = self.features(given, side)
        return self.config.z.posterior(encoder(given, training=training))

    def marginal_local(self, features: Tensor, z: Tensor, side: str) -> Tensor:
        """Parameters of q(u|x,z) or q(u|x), and of q(v|y,z) or q(v|y)."""
        encoder = self.marginal_encoder_u if side == "x" else self.marginal_encoder_v
        features = self.rest(features, z, side)
        return encoder([features, z] if self.config.marginal_local == "xz" else features)

    def rest(self, features: Tensor, z: Tensor, side: str) -> Tensor:
        """Features less the affine map of z, `(batch, features)`; unchanged where there is none."""
        concept = self.concept(side)
        return (
            features
            if concept is None
            else features - ops.stop_gradient(ops.cast(concept(z), "float32"))
        )

    def pull_back(self, side: str, code: Tensor, z: Tensor) -> Tensor:
        """The local latent u or v, `(batch, size)`, that a sample of its encoder stands for."""
        flow = self.flow(side)
        return code if flow is None else flow.inverse(code, z)

    def local_kl(self, side: str, parameters: Tensor, code: Tensor, z: Tensor) -> Tensor:
        """D(q(u|·) ‖ p(u)) or D(q(v|·) ‖ p(v)), flow included; eager, for reports.

        Args:
            side: "x" or "y".
            parameters: of the local encoder, `(batch, parameter_size)`.
            code: a sample with these parameters, `(batch, size)`.
            z: what conditions the flow, `(batch, size of z)`.

        Returns:
            Nats per example `(batch,)`: in closed form, or for a flow its estimate by this sample.
        """
        flow = self.flow(side)
        family: Any = self.local(side)
        if flow is None:
            return family.kl(parameters)
        log_variance = family.moments(parameters)[1]
        log_determinant = flow.log_determinant(code, z)
        return objectives.kl_pulled_back_gaussian(
            flow.inverse(code, z), log_variance, log_determinant
        )

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
