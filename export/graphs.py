"""A W-model's parts and tasks as functions of named tensors: what a bundle holds, once said."""

from __future__ import annotations

import functools
from collections.abc import Callable
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from wyner_keras.latents import Categorical
from wyner_keras.models import WynerModel

Tensor = Any
_OTHER = {"x": "y", "y": "x"}
_LOCAL = {"x": "u", "y": "v"}


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
        sides = {"style": self.name[-1], "concept": _OTHER.get(self.name[-1], "x")}
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


def _image(model: WynerModel, name: str, side: str, meaning: str, free: str = "n") -> TensorInfo:
    return TensorInfo(name=name, shape=(free, *model.image_shape(side)), meaning=meaning)


def _noise(model: WynerModel, name: str, latent: str, free: str = "n") -> tuple[TensorInfo, ...]:
    """The noise that a sample of a latent needs; nothing for an absent latent."""
    family = getattr(model.config, latent)
    if family is None:
        return ()
    uniform = isinstance(family, Categorical)
    law = "independent uniform numbers on [0, 1)" if uniform else "independent standard normals"
    return (
        TensorInfo(
            name=name,
            shape=(free, family.size),
            latent=latent,
            range=(0.0, 1.0) if uniform else (None, None),
            meaning=f"noise of {latent}: {law}",
        ),
    )


def _sample(model: WynerModel, latent: str) -> tuple[TensorInfo, ...]:
    family = getattr(model.config, latent)
    if family is None:
        return ()
    one_hot = isinstance(family, Categorical)
    kind = "common latent" if latent == "z" else f"local latent of {'x' if latent == 'u' else 'y'}"
    return (
        TensorInfo(
            name=latent,
            shape=("n", family.size),
            latent=latent,
            range=(0.0, 1.0) if one_hot else (None, None),
            meaning=f"a sample of the {kind}" + (", one-hot by variable" if one_hot else ""),
        ),
    )


def _encoders(model: WynerModel, side: str) -> list[Graph]:
    local = _LOCAL[side]
    image = _image(model, side, side, f"images of {side}")

    def encode_z(images: Tensor, noise: Tensor) -> tuple[Tensor]:
        return (model.sample_z(images, side, noise),)

    graphs = [
        Graph(
            name=f"encode_{side}_z",
            meaning=f"z ~ q(z|{side})",
            inputs=(image, *_noise(model, "noise_z", "z")),
            outputs=_sample(model, "z"),
            function=encode_z,
        )
    ]
    if model.local(side) is not None:

        def encode_local(images: Tensor, z: Tensor, noise: Tensor) -> tuple[Tensor]:
            return (model.sample_local(images, z, side, noise),)

        graphs.append(
            Graph(
                name=f"encode_{side}_{local}",
                meaning=f"{local} ~ q({local}|{side},z)",
                inputs=(image, *_sample(model, "z"), *_noise(model, f"noise_{local}", local)),
                outputs=_sample(model, local),
                function=encode_local,
            )
        )
    return graphs


def _posterior(model: WynerModel, side: str) -> Graph:
    family: Any = model.config.z
    one_hot = isinstance(family, Categorical)
    names = ("probabilities",) if one_hot else ("mean", "log_variance")

    def posterior(images: Tensor) -> tuple[Tensor, ...]:
        parameters = model.marginal_z(images, side)
        if one_hot:
            return (tf.reshape(family.probabilities(parameters), (-1, family.size)),)
        return family.moments(parameters)

    return Graph(
        name=f"posterior_{side}_z",
        meaning=f"q(z|{side}) itself",
        inputs=(_image(model, side, side, f"images of {side}"),),
        outputs=tuple(
            TensorInfo(
                name=name,
                shape=("n", family.size),
                range=(0.0, 1.0) if one_hot else (None, None),
                meaning=f"{name.replace('_', ' ')} of q(z|{side})",
            )
            for name in names
        ),
        function=posterior,
    )


def _decoder(model: WynerModel, side: str) -> Graph:
    local = _sample(model, _LOCAL[side])

    def decode(z: Tensor, *given: Tensor) -> tuple[Tensor]:
        return (model.render(given[0] if given else None, z, side),)

    return Graph(
        name=f"decode_{side}",
        meaning=f"{side} = {side}_θ({_LOCAL[side] + ', ' if local else ''}z)",
        inputs=(*_sample(model, "z"), *local),
        outputs=(_image(model, side, side, f"images of {side}"),),
        function=decode,
    )


def _absent(noises: tuple[Tensor, ...], reference: Tensor) -> Tensor:
    """The noise given, or what the model's graphs take for an absent latent's."""
    return noises[0] if noises else tf.zeros((tf.shape(reference)[0], 0))


def _conditional(model: WynerModel, side: str) -> Graph:
    other = _OTHER[side]
    local = _LOCAL[other]

    def generate(given: Tensor, noise_z: Tensor, *noise: Tensor) -> tuple[Tensor]:
        return (model.conditional_graph(side, given, noise_z, _absent(noise, noise_z)),)

    return Graph(
        name=f"generate_{other}",
        meaning=f"conditional generation {side} → {other}",
        inputs=(
            _image(model, side, side, f"images of {side}"),
            *_noise(model, "noise_z", "z"),
            *_noise(model, f"noise_{local}", local),
        ),
        outputs=(_image(model, other, other, f"generated images of {other}"),),
        function=generate,
    )


def _joint(model: WynerModel) -> Graph:
    noises = (*_noise(model, "noise_u", "u"), *_noise(model, "noise_v", "v"))

    def generate(noise_z: Tensor, *given: Tensor) -> tuple[Tensor, ...]:
        named = dict(zip((info.name for info in noises), given, strict=True))
        none = _absent((), noise_z)
        return model.joint_graph(noise_z, named.get("noise_u", none), named.get("noise_v", none))

    return Graph(
        name="generate_pairs",
        meaning="joint generation of pairs (x, y)",
        inputs=(*_noise(model, "noise_z", "z"), *noises),
        outputs=tuple(_image(model, side, side, f"generated images of {side}") for side in "xy"),
        function=generate,
    )


def _transfer(model: WynerModel, side: str) -> Graph:
    local, other = _LOCAL[side], _OTHER[side]

    def transfer(
        style: Tensor, concept: Tensor, noise_concept: Tensor, noise_z: Tensor, *noise: Tensor
    ) -> tuple[Tensor]:
        noise_local = _absent(noise, noise_z)
        return (model.transfer_graph(side, style, concept, noise_z, noise_local, noise_concept),)

    shape = ("styles", "concepts", *model.image_shape(side))
    return Graph(
        name=f"transfer_{side}",
        meaning=f"style transfer: every style of {side} with every concept of {other}",
        inputs=(
            _image(model, "style", side, f"images of {side} that give the style", "styles"),
            _image(model, "concept", other, f"images of {other} that give the concept", "concepts"),
            *_noise(model, "noise_concept_z", "z", "concepts"),
            *_noise(model, "noise_style_z", "z", "styles"),
            *_noise(model, f"noise_{local}", local, "styles"),
        ),
        outputs=(
            TensorInfo(name=side, shape=shape, meaning=f"images of {side}, style by concept"),
        ),
        function=transfer,
    )


def graphs_of(model: WynerModel) -> tuple[Graph, ...]:
    """Encoders, posteriors, decoders and tasks of a built model.

    Raises:
        ValueError: if the model does not know its image shapes.
    """
    if not model.built:
        raise ValueError(
            "A model should be built before it is exported: train it, or set x_shape and y_shape. "
            "Received: a model not built"
        )
    return (
        *(graph for side in "xy" for graph in _encoders(model, side)),
        *(_posterior(model, side) for side in "xy"),
        *(_decoder(model, side) for side in "xy"),
        *(_conditional(model, side) for side in "xy"),
        _joint(model),
        *(_transfer(model, side) for side in "xy"),
    )
