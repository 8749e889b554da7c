"""The W-model: joint generation, conditional generation, style transfer."""

from __future__ import annotations

from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.data import Pairs
from wyner_keras.models.distributions import Distributions
from wyner_keras.models.tasks import OTHER, Tasks

Tensor = Any


@keras.saving.register_keras_serializable(package="wyner_keras")
class WynerModel(Tasks, Distributions):
    """Joint latent variable model of pairs (x, y): common z, local u and v.

    Generative part p(z) p(u) p(v) with x = x_θ(u, z) and y = y_θ(v, z); joint encoders q(z|x,y),
    q(u|·), q(v|·) trained by `JointStage`; marginal encoders q(z|x), q(u|x,z), q(z|y), q(v|y,z)
    trained by `MarginalStage`. Symbols and names: see the README's table.

    The `*_graph` methods are the tasks as pure functions of images and noise; the public methods
    check their input, draw the noise by NumPy from the seed and run the graphs in chunks.

    Args:
        config: the settings.
        wrapper: a trained `ConvAutoencoder` for both sides, a pair of them (for x, for y), or None
            to model the pixels themselves.

    Raises:
        ValueError: if a wrapper's image shape contradicts the settings.

    Example:
        >>> model = WynerModel(WynerConfig(x_shape=(8, 8, 1), y_shape=(8, 8, 1)))
        >>> x, y = model.generate_pairs(4, seed=0)
        >>> x.shape
        (4, 8, 8, 1)

    Source: the W-model paper, section 2.2, figure 1.
    """

    def _prior_local(self, side: str, noise: Tensor) -> Tensor | None:
        family = self.local(side)
        return None if family is None else family.prior_sample(noise)

    def fit_prior(self, pairs: Pairs) -> None:
        """Fit p(z) to the aggregated posterior, the mean of q(z|x,y) over pairs.

        Args:
            pairs: training pairs; the joint stage is done.

        Raises:
            ValueError: unless the config's `prior` is "tree".

        Example:
            >>> model.fit_prior(pairs)
            >>> x, y = model.generate_pairs(4, seed=0)
        """
        family = self.config.z
        if self.prior_z is None:
            raise ValueError(
                "fit_prior needs a model with a prior to fit, prior='tree' in its config. "
                f"Received: prior={self.config.prior!r}"
            )

        @tf.function(reduce_retracing=True)
        def joint(x: Tensor, y: Tensor) -> tuple[Tensor, Tensor]:
            q = family.probabilities(self.joint_z(self.features(x, "x"), self.features(y, "y"))[0])
            return ops.einsum("bik,bjl->ijkl", q, q), ops.sum(q, axis=0)

        batches = [joint(*batch) for batch in pairs.dataset(1000, shuffle=False)]
        together, alone = (
            np.sum([np.asarray(part, np.float64) for part in parts], axis=0) / len(pairs)
            for parts in zip(*batches, strict=True)
        )
        # Given x and y different variables are independent, but one is not of itself.
        for variable, probabilities in enumerate(alone):
            together[variable, variable] = np.diag(probabilities)
        self.prior_z.fit(together)

    def render(self, local: Tensor | None, z: Tensor, side: str) -> Tensor:
        """Images `(batch, h, w, c)` in [0, 1] of u or v (None where there is none) and z."""
        return self.images(self.decode(local, z, side)[0], side)

    def sample_z(self, images: Tensor, side: str, noise: Tensor) -> Tensor:
        """A sample of q(z|x) or q(z|y), `(batch, size)`, of images and noise."""
        return self.config.z.sample(self.marginal_z(images, side), noise)

    def sample_local(self, images: Tensor, z: Tensor, side: str, noise: Tensor) -> Tensor:
        """A sample of q(u|x,z) or q(v|y,z), `(batch, size)`; for a model that has u or v."""
        family: Any = self.local(side)
        parameters = self.marginal_local(self.features(images, side), z, side)
        return self.pull_back(side, family.sample(parameters, noise), z)

    def conditional_graph(
        self, side: str, given: Tensor, noise_z: Tensor, noise_local: Tensor
    ) -> Tensor:
        """Images of the other side: z ~ q(z|given), local ~ p, then the decoder."""
        other = OTHER[side]
        # z ~ q(z|x); v ~ p(v): the paper's text says U by mistake.
        z = self.sample_z(given, side, noise_z)
        return self.render(self._prior_local(other, noise_local), z, other)

    def joint_graph(self, noise_z: Tensor, noise_u: Tensor, noise_v: Tensor) -> tuple[Tensor, ...]:
        """Pairs: z ~ p(z), u ~ p(u), v ~ p(v), then both decoders."""
        z = (self.config.z.prior_sample if self.prior_z is None else self.prior_z)(noise_z)
        return (
            self.render(self._prior_local("x", noise_u), z, "x"),
            self.render(self._prior_local("y", noise_v), z, "y"),
        )

    def transfer_graph(
        self,
        side: str,
        style: Tensor,
        concept: Tensor,
        noise_style_z: Tensor,
        noise_local: Tensor,
        noise_concept_z: Tensor,
    ) -> Tensor:
        """Images of `side`, `(styles, concepts, h, w, c)`, every style with every concept.

        u₀ ~ q(u|x₀,z₀) with z₀ ~ q(z|x₀) from the style, z_j ~ q(z|y_j) from the concepts.
        """
        styles, concepts = ops.shape(style)[0], ops.shape(concept)[0]
        z = self.sample_z(concept, OTHER[side], noise_concept_z)
        z = ops.reshape(
            ops.broadcast_to(z[None], (styles, concepts, z.shape[-1])), (-1, z.shape[-1])
        )
        local = None
        if self.local(side) is not None:
            # Once for both samples: features pass through `features` unchanged.
            features = self.features(style, side)
            read = self.read_by_marginal_z(style, features)
            style_z = self.sample_z(read, side, noise_style_z)
            local = self.sample_local(features, style_z, side, noise_local)
            local = ops.reshape(
                ops.broadcast_to(local[:, None], (styles, concepts, local.shape[-1])),
                (-1, local.shape[-1]),
            )
        images = self.render(local, z, side)
        return ops.reshape(images, (styles, concepts, *images.shape[1:]))
