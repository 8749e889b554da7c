"""The W-model: joint generation, conditional generation, style transfer."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any

import keras
import numpy as np
import tensorflow as tf
from keras import ops

from wyner_keras.data import check_images
from wyner_keras.models.distributions import Distributions

Tensor = Any
_OTHER = {"x": "y", "y": "x"}


class NoiseStreams:
    """One NumPy stream of noise a latent, so that chunking a request cannot change its result.

    Args:
        seed: a non-negative integer; children 0, 1, 2 of its SeedSequence feed z, u and v.

    Raises:
        ValueError: if the seed is not a non-negative integer.
    """

    def __init__(self, seed: int) -> None:
        if isinstance(seed, bool) or not isinstance(seed, int | np.integer) or seed < 0:
            raise ValueError(f"`seed` should be a non-negative integer. Received: seed={seed!r}")
        children = np.random.SeedSequence(int(seed)).spawn(3)
        self.z, self.u, self.v = (np.random.default_rng(child) for child in children)

    def local(self, side: str) -> np.random.Generator:
        """The stream of u (side "x") or v (side "y")."""
        return self.u if side == "x" else self.v


def _positive(name: str, value: Any) -> int:
    if isinstance(value, bool) or not isinstance(value, int | np.integer) or value < 1:
        raise ValueError(f"`{name}` should be a positive integer. Received: {name}={value!r}")
    return int(value)


@keras.saving.register_keras_serializable(package="wyner_keras")
class WynerModel(Distributions):
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

    def _draw(self, stream: np.random.Generator, latent: Any, count: int) -> np.ndarray:
        """Noise for a latent; a width of 0 stands for an absent one."""
        if latent is None:
            return np.zeros((count, 0), np.float32)
        return latent.draw_noise(stream, count)

    def _prior_local(self, side: str, noise: Tensor) -> Tensor | None:
        family = self.local(side)
        return None if family is None else family.prior_sample(noise)

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
        return self.pull_back(side, parameters, family.sample(parameters, noise), z)[0]

    def conditional_graph(
        self, side: str, given: Tensor, noise_z: Tensor, noise_local: Tensor
    ) -> Tensor:
        """Images of the other side: z ~ q(z|given), local ~ p, then the decoder."""
        other = _OTHER[side]
        # z ~ q(z|x); v ~ p(v): the paper's text says U by mistake.
        z = self.sample_z(given, side, noise_z)
        return self.render(self._prior_local(other, noise_local), z, other)

    def joint_graph(self, noise_z: Tensor, noise_u: Tensor, noise_v: Tensor) -> tuple[Tensor, ...]:
        """Pairs: z ~ p(z), u ~ p(u), v ~ p(v), then both decoders."""
        z = self.config.z.prior_sample(noise_z)
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
        z = self.sample_z(concept, _OTHER[side], noise_concept_z)
        z = ops.reshape(
            ops.broadcast_to(z[None], (styles, concepts, z.shape[-1])), (-1, z.shape[-1])
        )
        local = None
        if self.local(side) is not None:
            # Once for both samples: features pass through `features` unchanged.
            features = self.features(style, side)
            read = style if self.config.marginal_encoder == "images" else features
            style_z = self.sample_z(read, side, noise_style_z)
            local = self.sample_local(features, style_z, side, noise_local)
            local = ops.reshape(
                ops.broadcast_to(local[:, None], (styles, concepts, local.shape[-1])),
                (-1, local.shape[-1]),
            )
        images = self.render(local, z, side)
        return ops.reshape(images, (styles, concepts, *images.shape[1:]))

    @functools.cached_property
    def _graphs(self) -> dict[str, Callable[..., Any]]:
        # reduce_retracing lets the last, shorter chunk reuse a trace with a dynamic batch.
        return {
            name: tf.function(function, reduce_retracing=True)
            for name, function in {
                "conditional_x": functools.partial(self.conditional_graph, "x"),
                "conditional_y": functools.partial(self.conditional_graph, "y"),
                "joint": self.joint_graph,
                "transfer_x": functools.partial(self.transfer_graph, "x"),
                "transfer_y": functools.partial(self.transfer_graph, "y"),
            }.items()
        }

    def _require_built(self) -> None:
        if not self.built:
            raise ValueError(
                "The model should know its image shapes before it generates: train it, give it a "
                "wrapper, or set x_shape and y_shape in the config. Received: a model not built"
            )

    def _conditional(
        self, given: np.ndarray, side: str, seed: int, samples: int | None, batch_size: int
    ) -> np.ndarray:
        self._require_built()
        given = check_images(given, name=side, shape=self.image_shape(side))
        repeats = 1 if samples is None else _positive("samples", samples)
        batch_size = _positive("batch_size", batch_size)
        streams, other = NoiseStreams(seed), _OTHER[side]
        rows = np.repeat(np.arange(len(given)), repeats)
        chunks = []
        for start in range(0, len(rows), batch_size):
            index = rows[start : start + batch_size]
            noise_z = self._draw(streams.z, self.config.z, len(index))
            noise_local = self._draw(streams.local(other), self.local(other), len(index))
            chunks.append(
                self._graphs[f"conditional_{side}"](given[index], noise_z, noise_local).numpy()
            )
        images = np.concatenate(chunks)
        if samples is None:
            return images
        return images.reshape(len(given), repeats, *images.shape[1:])

    def generate_y(
        self, x: np.ndarray, *, seed: int, samples: int | None = None, batch_size: int = 1000
    ) -> np.ndarray:
        """Conditional generation x → y: z ~ q(z|x), v ~ p(v), y = y_θ(v, z).

        Args:
            x: images `(n, h, w, c)` in [0, 1].
            seed: of the noise; the same seed gives the same images.
            samples: how many for each x; None gives one, without the samples axis.
            batch_size: rows in one pass; it does not change the result.

        Returns:
            Images in [0, 1], float32, `(n, h, w, c)` or `(n, samples, h, w, c)`.

        Raises:
            ValueError: if x, seed or samples is not as said.

        Source: the W-model paper, section 2.3, figure 3(a).
        """
        return self._conditional(x, "x", seed, samples, batch_size)

    def generate_x(
        self, y: np.ndarray, *, seed: int, samples: int | None = None, batch_size: int = 1000
    ) -> np.ndarray:
        """Conditional generation y → x: z ~ q(z|y), u ~ p(u), x = x_θ(u, z); see `generate_y`."""
        return self._conditional(y, "y", seed, samples, batch_size)

    def generate_pairs(
        self, count: int, *, seed: int, batch_size: int = 1000
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joint generation: z, u, v from the priors.

        Args:
            count: number of pairs.
            seed: of the noise.
            batch_size: rows in one pass; it does not change the result.

        Returns:
            x and y, images in [0, 1], float32, `(count, h, w, c)` each.

        Raises:
            ValueError: if count or seed is not as said.
        """
        self._require_built()
        count, batch_size = _positive("count", count), _positive("batch_size", batch_size)
        streams = NoiseStreams(seed)
        chunks = []
        for start in range(0, count, batch_size):
            rows = min(batch_size, count - start)
            noises = (
                self._draw(streams.z, self.config.z, rows),
                self._draw(streams.u, self.config.u, rows),
                self._draw(streams.v, self.config.v, rows),
            )
            chunks.append([side.numpy() for side in self._graphs["joint"](*noises)])
        x, y = zip(*chunks, strict=True)
        return np.concatenate(x), np.concatenate(y)

    def _transfer(
        self, style: np.ndarray, concept: np.ndarray, side: str, seed: int, batch_size: int
    ) -> np.ndarray:
        self._require_built()
        other = _OTHER[side]
        style = check_images(style, name="style", shape=self.image_shape(side))
        concept = check_images(concept, name="concept", shape=self.image_shape(other))
        batch_size = _positive("batch_size", batch_size)
        streams = NoiseStreams(seed)
        noise_concept = self._draw(streams.z, self.config.z, len(concept))
        per_chunk = max(1, batch_size // len(concept))
        chunks = []
        for start in range(0, len(style), per_chunk):
            rows = style[start : start + per_chunk]
            noise_z = self._draw(streams.z, self.config.z, len(rows))
            noise_local = self._draw(streams.local(side), self.local(side), len(rows))
            graph = self._graphs[f"transfer_{side}"]
            chunks.append(graph(rows, concept, noise_z, noise_local, noise_concept).numpy())
        return np.concatenate(chunks)

    def transfer_x(
        self, *, style: np.ndarray, concept: np.ndarray, seed: int, batch_size: int = 1000
    ) -> np.ndarray:
        """Style transfer: x images in the styles of x references with the concepts of y references.

        Args:
            style: x images `(styles, h, w, c)` in [0, 1].
            concept: y images `(concepts, h, w, c)` in [0, 1].
            seed: of the noise.
            batch_size: images in one pass; it does not change the result.

        Returns:
            x images in [0, 1], float32, `(styles, concepts, h, w, c)`.

        Raises:
            ValueError: if an argument is not as said.

        Source: the W-model paper, section 2.3, figure 3(b).
        """
        return self._transfer(style, concept, "x", seed, batch_size)

    def transfer_y(
        self, *, style: np.ndarray, concept: np.ndarray, seed: int, batch_size: int = 1000
    ) -> np.ndarray:
        """Style transfer to y: styles from y images, concepts from x images; see `transfer_x`."""
        return self._transfer(style, concept, "y", seed, batch_size)
