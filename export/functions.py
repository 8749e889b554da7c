"""Functions of named tensors: what every engine of a bundle computes."""

from __future__ import annotations

import contextlib
import functools
from collections.abc import Callable, Iterator, Mapping, Sequence
from dataclasses import dataclass, field
from typing import Any

import numpy as np
import tensorflow as tf

Tensor = Any


@contextlib.contextmanager
def not_optimized() -> Iterator[None]:
    """Run graphs as they are traced, within.

    To optimize a graph takes TensorFlow longer than to run it a few times. What it makes of one
    also depends on where it runs: a server optimizes in its own way.
    """
    key = "disable_meta_optimizer"
    before = tf.config.optimizer.get_experimental_options().get(key, False)
    tf.config.optimizer.set_experimental_options({key: True})
    try:
        yield
    finally:
        tf.config.optimizer.set_experimental_options({key: before})


@dataclass(frozen=True, kw_only=True)
class TensorInfo:
    """One input or output of a graph.

    Args:
        name: its name in every engine.
        shape: sizes, a name where a size is free.
        meaning: what it is, for people.
        range: lowest and highest value, None where there is none.
        latent: which latent it is noise or a sample of, "z" say; None for all else.
        dtype: of its values.
    """

    name: str
    shape: tuple[int | str, ...]
    meaning: str
    range: tuple[float | None, float | None] = (None, None)
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
class Interface:
    """What goes into a graph and what comes out of it.

    Args:
        name: of the graph, its file and its signature.
        meaning: what it computes, for people.
        inputs: in the order in which engines list them.
        outputs: in the order of the results.
    """

    name: str
    meaning: str
    inputs: tuple[TensorInfo, ...]
    outputs: tuple[TensorInfo, ...]

    @classmethod
    def from_dict(cls, name: str, entry: dict[str, Any]) -> Interface:
        """The interface of a graph from its entry of the manifest."""
        inputs, outputs = (
            tuple(
                TensorInfo(**{**info, "shape": tuple(info["shape"]), "range": tuple(info["range"])})
                for info in entry[kind]
            )
            for kind in ("inputs", "outputs")
        )
        return cls(name=name, meaning=entry["meaning"], inputs=inputs, outputs=outputs)

    @property
    def side(self) -> str:
        """The side that it encodes, decodes or generates: "x", "y", or "pairs" for all."""
        return self.name.split("_")[1]


@dataclass(frozen=True, kw_only=True)
class Graph(Interface):
    """A deterministic function: everything random comes in as noise.

    Args:
        function: from tensors, by the names of the inputs, to a tuple of tensors; of a graph that
            is made of others, from functions to call in their place, by name, and tensors.
        parts: the others, by name.
    """

    function: Callable[..., tuple[Tensor, ...]]
    parts: Mapping[str, Graph] = field(default_factory=dict)

    def specs(self) -> list[tf.TensorSpec]:
        """What TensorFlow traces with, of each input."""
        return [info.spec() for info in self.inputs]

    def results(
        self, values: Sequence[Tensor], through: Callable[[Graph], Callable[..., Any]]
    ) -> dict[str, Tensor]:
        """Outputs by name.

        Args:
            values: of the inputs, in their order.
            through: what is called in place of a part.
        """
        parts = {name: through(part) for name, part in self.parts.items()}
        names = (info.name for info in self.inputs)
        results = self.function(
            *([parts] if parts else []), **dict(zip(names, values, strict=True))
        )
        return {
            info.name: tf.identity(result, name=info.name)
            for info, result in zip(self.outputs, results, strict=True)
        }

    def call(self, **values: Tensor) -> tuple[Tensor, ...]:
        """Outputs in their order of inputs by name, by the trace that all who call it share."""
        results = self.traced(*(values[info.name] for info in self.inputs))
        return tuple(results[info.name] for info in self.outputs)

    @functools.cached_property
    def traced(self) -> Any:
        """A `tf.function` that returns outputs by name."""

        def call(*values: Tensor) -> dict[str, Tensor]:
            return self.results(values, lambda part: part.call)

        return tf.function(call, input_signature=self.specs(), autograph=False)

    def run(self, inputs: Mapping[str, np.ndarray]) -> dict[str, np.ndarray]:
        """Outputs by name of inputs by name, by Keras."""
        # Called itself, a tf.function would warn of all those that are traced beside it.
        call = self.traced.get_concrete_function()
        results = call(*(tf.constant(inputs[info.name]) for info in self.inputs))
        return {name: value.numpy() for name, value in results.items()}
