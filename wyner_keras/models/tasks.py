"""The tasks of a model of pairs: NumPy in and out, noise from a seed, work in chunks."""

from __future__ import annotations

import functools
from collections.abc import Callable
from typing import Any, ClassVar

import numpy as np
import tensorflow as tf

from wyner_keras.data import check_images
from wyner_keras.models.pair import PairModel
from wyner_keras.received import received
from wyner_serving.checks import check_count, check_memory, check_seed

Tensor = Any
OTHER = {"x": "y", "y": "x"}


class NoiseStreams:
    """One NumPy stream of noise a latent, so that chunking a request cannot change its result.

    Args:
        seed: a non-negative integer; children 0, 1, 2 of its SeedSequence feed z, u and v.

    Raises:
        ValueError: if the seed is not a non-negative integer.
    """

    def __init__(self, seed: int) -> None:
        children = np.random.SeedSequence(check_seed(seed)).spawn(3)
        self.z, self.u, self.v = (np.random.default_rng(child) for child in children)

    def local(self, side: str) -> np.random.Generator:
        """The stream of u (side "x") or v (side "y")."""
        return self.u if side == "x" else self.v


class Tasks(PairModel):
    """The public methods of a model of pairs, over its graphs.

    They check their input, draw the noise by NumPy from the seed and run the graphs in chunks. A
    subclass names in `tasks` what it can do, and defines the graph of each.
    """

    tasks: ClassVar[tuple[str, ...]] = ("conditional", "joint", "transfer")

    def _draw(self, stream: np.random.Generator, latent: Any, count: int) -> np.ndarray:
        """Noise for a latent; a width of 0 stands for an absent one."""
        if latent is None:
            return np.zeros((count, 0), np.float32)
        return latent.draw_noise(stream, count)

    def conditional_graph(
        self, side: str, given: Tensor, noise_z: Tensor, noise_local: Tensor
    ) -> Tensor:
        """Images of the side that was not given."""
        raise TypeError("A model of pairs defines the graphs of its tasks")

    def joint_graph(self, noise_z: Tensor, noise_u: Tensor, noise_v: Tensor) -> tuple[Tensor, ...]:
        """Images x and y."""
        raise TypeError("A model of pairs defines the graphs of its tasks")

    def transfer_graph(
        self,
        side: str,
        style: Tensor,
        concept: Tensor,
        noise_style_z: Tensor,
        noise_local: Tensor,
        noise_concept_z: Tensor,
    ) -> Tensor:
        """Images of `side`, every style with every concept."""
        raise TypeError("A model of pairs defines the graphs of its tasks")

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

    def _require(self, task: str) -> None:
        if task not in self.tasks:
            raise NotImplementedError(
                f"{type(self).__name__} should be asked for one of {self.tasks}. "
                f"Received: {received(task)}"
            )
        if not self.built:
            raise ValueError(
                "The model should know its image shapes before it generates: train it, give it a "
                "wrapper, or set x_shape and y_shape in the config. Received: a model not built"
            )

    def _conditional(
        self, given: np.ndarray, side: str, seed: int, samples: int | None, batch_size: int
    ) -> np.ndarray:
        self._require("conditional")
        given = check_images(given, name=side, shape=self.image_shape(side))
        repeats = 1 if samples is None else check_count(samples, "samples")
        batch_size = check_count(batch_size, "batch_size")
        streams, other = NoiseStreams(seed), OTHER[side]
        shape = self.image_shape(other)
        check_memory("samples", {"inputs": len(given), "samples": repeats}, shape)
        images = np.empty((len(given) * repeats, *shape), np.float32)
        for start in range(0, len(images), batch_size):
            index = np.arange(start, min(len(images), start + batch_size)) // repeats
            noise_z = self._draw(streams.z, self.common, len(index))
            noise_local = self._draw(streams.local(other), self.local(other), len(index))
            made = self._graphs[f"conditional_{side}"](given[index], noise_z, noise_local)
            images[start : start + len(index)] = made
        return images if samples is None else images.reshape(len(given), repeats, *shape)

    def generate_y(
        self, x: np.ndarray, *, seed: int, samples: int | None = None, batch_size: int = 1000
    ) -> np.ndarray:
        """Conditional generation x → y; the W-model's is z ~ q(z|x), v ~ p(v), y = y_θ(v, z).

        Args:
            x: images `(n, h, w, c)` in [0, 1].
            seed: of the noise; the same seed gives the same images.
            samples: how many for each x; None gives one, without the samples axis.
            batch_size: rows in one pass; it does not change the result.

        Returns:
            Images in [0, 1], float32, `(n, h, w, c)` or `(n, samples, h, w, c)`.

        Raises:
            ValueError: if x, seed or samples is not as said, or the result cannot fit in memory.

        Source: the W-model paper, section 2.3, figure 3(a).
        """
        return self._conditional(x, "x", seed, samples, batch_size)

    def generate_x(
        self, y: np.ndarray, *, seed: int, samples: int | None = None, batch_size: int = 1000
    ) -> np.ndarray:
        """Conditional generation y → x; see `generate_y`."""
        return self._conditional(y, "y", seed, samples, batch_size)

    def generate_pairs(
        self, count: int, *, seed: int, batch_size: int = 1000
    ) -> tuple[np.ndarray, np.ndarray]:
        """Joint generation, from the priors.

        Args:
            count: number of pairs.
            seed: of the noise.
            batch_size: rows in one pass; it does not change the result.

        Returns:
            x and y, images in [0, 1], float32, `(count, h, w, c)` each.

        Raises:
            ValueError: if count or seed is not as said, or the result cannot fit in memory.
        """
        self._require("joint")
        count, batch_size = check_count(count, "count"), check_count(batch_size, "batch_size")
        streams = NoiseStreams(seed)
        shapes = [self.image_shape(side) for side in "xy"]
        check_memory("count", {"pairs": count}, *shapes)
        x, y = (np.empty((count, *shape), np.float32) for shape in shapes)
        for start in range(0, count, batch_size):
            rows = min(batch_size, count - start)
            noises = (
                self._draw(streams.z, self.common, rows),
                self._draw(streams.u, self.local("x"), rows),
                self._draw(streams.v, self.local("y"), rows),
            )
            x[start : start + rows], y[start : start + rows] = self._graphs["joint"](*noises)
        return x, y

    def _transfer(
        self, style: np.ndarray, concept: np.ndarray, side: str, seed: int, batch_size: int
    ) -> np.ndarray:
        self._require("transfer")
        other = OTHER[side]
        style = check_images(style, name="style", shape=self.image_shape(side))
        concept = check_images(concept, name="concept", shape=self.image_shape(other))
        batch_size = check_count(batch_size, "batch_size")
        streams = NoiseStreams(seed)
        counts = {"styles": len(style), "concepts": len(concept)}
        check_memory("style", counts, self.image_shape(side))
        images = np.empty((*counts.values(), *self.image_shape(side)), np.float32)
        noise_concept = self._draw(streams.z, self.common, len(concept))
        per_chunk = max(1, batch_size // len(concept))
        graph = self._graphs[f"transfer_{side}"]
        for start in range(0, len(style), per_chunk):
            rows = style[start : start + per_chunk]
            noise_z = self._draw(streams.z, self.common, len(rows))
            noise_local = self._draw(streams.local(side), self.local(side), len(rows))
            made = graph(rows, concept, noise_z, noise_local, noise_concept)
            images[start : start + len(rows)] = made
        return images

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
            ValueError: if an argument is not as said, or the result cannot fit in memory.

        Source: the W-model paper, section 2.3, figure 3(b).
        """
        return self._transfer(style, concept, "x", seed, batch_size)

    def transfer_y(
        self, *, style: np.ndarray, concept: np.ndarray, seed: int, batch_size: int = 1000
    ) -> np.ndarray:
        """Style transfer to y: styles from y images, concepts from x images; see `transfer_x`."""
        return self._transfer(style, concept, "y", seed, batch_size)
