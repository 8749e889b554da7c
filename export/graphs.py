"""A W-model's parts and tasks as functions of named tensors: what a bundle holds, once said."""

from __future__ import annotations

from typing import Any

import tensorflow as tf

from wyner_export.functions import Graph, TensorInfo
from wyner_keras.latents import Categorical
from wyner_keras.models import WynerModel
from wyner_keras.models.tasks import OTHER

Tensor = Any
_LOCAL = {"x": "u", "y": "v"}


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
    other = OTHER[side]
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
    local, other = _LOCAL[side], OTHER[side]

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
