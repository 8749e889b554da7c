"""Functions of named tensors: what every engine of a bundle computes."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from wyner_keras.models import WynerModel
from wyner_keras.models.tasks import OTHER

Tensor = Any


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output of a graph.

    Args:
        name: its name in every engine.
        shape: sizes, a name where a size is free.
        meaning: what it is, for people.
        range: lowest and highest value, None where there is none.
        latent: "z", "u" or "v" for noise and samples of a latent; None for all else.
    """

    name: str
    shape: tuple[int | str, ...]
    meaning: str
    range: tuple[float | None, float | None] = (0.0, 1.0)
    latent: str | None = None
    dtype: str = "float32"

    def spec(self) -> tf.TensorSpec:
        """What TensorFlow traces with."""
        shape = [None if isinstance(size, str) else size for size in self.shape]
        return tf.TensorSpec(shape, self.dtype, name=self.name)

    def to_dict(self) -> dict[str, Any]:
        """The entry of the manifest."""
        return {
            "name": self.name,
            "dtype": self.dtype,
            "shape": list(self.shape),
            "range": list(self.range),
            "latent": self.latent,
            "meaning": self.meaning,
        }


@dataclass(frozen=True, kw_only=True)
class Graph:
    """A deterministic function: everything random comes in as noise.

    Args:
        name: of the graph, its file and its signature.
        meaning: what it computes, for people.
        inputs: in the order of the function's arguments.
        outputs: in the order of its results.
        function: from tensors to a tuple of tensors.
    """

    name: str
    meaning: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]
    function: Callable[..., tuple[Tensor, ...]]

    @functools.cached_property
    def traced(self) -> Any:
        """A `tf.function` that returns outputs by name."""

        def call(*values: Tensor) -> dict[str, Tensor]:
            results = self.function(*values)
            return {
                info.name: tf.identity(result, name=info.name)
                for info, result in zip(self.outputs, results, strict=True)
            }

        return tf.function(
            call, input_signature=[info.spec() for info in self.inputs], autograph=False
        )

    def example(self, model: WynerModel, images: dict[str, np.ndarray], seed: int) -> list[Any]:
        """Arguments: the first images of a side for image inputs, noise of the seed for others."""
        rng = np.random.default_rng(seed)
        sides = {"style": self.name[-1], "concept": OTHER.get(self.name[-1], "x")}
        values, counts = [], {}
        for info in self.inputs:
            free = info.shape[0]
            if info.latent is None:
                batch = images[sides.get(info.name, info.name)]
                # Styles and concepts differ in number, so that a mix-up shows.
                batch = batch[: max(1, len(batch) // 2)] if free == "styles" else batch
                counts[free] = len(batch)
                values.append(batch)
            else:
                family = getattr(model.config, info.latent)
                noise = family.draw_noise(rng, counts.setdefault(free, len(images["x"])))
                # An input z, u or v is a sample, of the prior here.
                sample = info.name == info.latent
                values.append(np.asarray(family.prior_sample(noise)) if sample else noise)
        return values
