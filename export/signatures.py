"""What a bundle's SavedModel offers a server: every graph, and forms that need no noise."""

from __future__ import annotations

import dataclasses
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from wyner_export.examples import Example
from wyner_export.functions import Graph, TensorInfo
from wyner_keras.latents import Categorical
from wyner_keras.models import WynerModel
from wyner_keras.models.tasks import OTHER

Tensor = Any
# Of a seed, so that the same one may be given to a style and to a concept.
_STREAMS = {"noise_z": 0, "noise_style_z": 0, "noise_u": 1, "noise_v": 2, "noise_concept_z": 3}


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature of the SavedModel.

    Args:
        graph: its name, inputs, outputs and function.
        example: arguments in the graph's order.
    """

    graph: Graph
    example: list[Any]


def seeded_noise(family: Any, seeds: Tensor, stream: int) -> Tensor:
    """Noise `(n, size)` from seeds `(n,)`, each row its own, so that batching changes nothing.

    Args:
        family: of the latent.
        seeds: int32.
        stream: which of a seed's independent draws.
    """
    draw = tf.random.stateless_uniform
    if not isinstance(family, Categorical):
        draw = tf.random.stateless_normal
    return tf.map_fn(
        lambda seed: draw((family.size,), seed=tf.stack([seed, stream])),
        seeds,
        fn_output_signature=tf.TensorSpec((family.size,), tf.float32),
    )


def _outputs(graph: Graph, *values: Tensor) -> tuple[Tensor, ...]:
    """Of a graph's trace, which all forms share: the SavedModel holds the networks once."""
    results = graph.traced(*values)
    return tuple(results[info.name] for info in graph.outputs)


def _rows(model: WynerModel, grid: Graph, example: list[Any]) -> Signature:
    """Style transfer row by row: style i with concept i, so that a server may batch requests."""
    side = grid.side

    def transfer(
        style: Tensor, concept: Tensor, noise_concept: Tensor, noise_z: Tensor, *noise: Tensor
    ) -> tuple[Tensor]:
        z = model.sample_z(concept, OTHER[side], noise_concept)
        local = None
        if noise:
            local = model.sample_local(style, model.sample_z(style, side, noise_z), side, noise[0])
        return (model.render(local, z, side),)

    image = grid.outputs[0]
    graph = Graph(
        name=f"{grid.name}_rows",
        meaning=f"style transfer: style i of {side} with concept i of {OTHER[side]}",
        inputs=tuple(
            dataclasses.replace(info, shape=("n", *info.shape[1:])) for info in grid.inputs
        ),
        outputs=(
            dataclasses.replace(
                image, shape=("n", *image.shape[2:]), meaning=f"generated images of {side}"
            ),
        ),
        function=transfer,
    )
    count = min(map(len, example))
    return Signature(graph=graph, example=[value[:count] for value in example])


def _seed(name: str, meaning: str) -> TensorInfo:
    return TensorInfo(name=name, shape=("n",), dtype="int32", range=(None, None), meaning=meaning)


def _seeded(model: WynerModel, name: str, noisy: Signature) -> Signature:
    """Seeds in place of noise: one a row, or for a transfer one a style and one a concept."""
    images = tuple(info for info in noisy.graph.inputs if info.latent is None)
    noises = noisy.graph.inputs[len(images) :]
    seeds: tuple[TensorInfo, ...] = (
        _seed("seed", "a row's result depends on its own seed and inputs alone"),
    )
    source = dict.fromkeys((info.name for info in noises), 0)
    if any(info.name == "noise_concept_z" for info in noises):
        seeds = (
            _seed("style_seed", "the same style and seed give the same local latent in every row"),
            _seed("concept_seed", "the same concept and seed give the same z in every row"),
        )
        source["noise_concept_z"] = 1

    def call(*values: Tensor) -> tuple[Tensor, ...]:
        given, drawn = values[: len(images)], values[len(images) :]
        noise = [
            seeded_noise(
                getattr(model.config, info.latent or "z"),
                drawn[source[info.name]],
                _STREAMS[info.name],
            )
            for info in noises
        ]
        return _outputs(noisy.graph, *given, *noise)

    graph = Graph(
        name=f"{name}_seeded",
        meaning=noisy.graph.meaning,
        inputs=(*images, *seeds),
        outputs=noisy.graph.outputs,
        function=call,
    )
    row_seeds = np.arange(len(noisy.example[0]), dtype=np.int32)
    example = [*noisy.example[: len(images)], *(row_seeds for _ in seeds)]
    return Signature(graph=graph, example=example)


def _bytes(info: TensorInfo) -> TensorInfo:
    return TensorInfo(
        name=f"{info.name}_bytes",
        shape=("n",),
        dtype="string",
        range=(None, None),
        meaning=f"{info.meaning}, as PNG",
    )


def _png(name: str, seeded: Signature) -> Signature:
    """PNG bytes in place of images; their names end in `_bytes`, as REST wants it."""
    inputs, outputs = seeded.graph.inputs, seeded.graph.outputs

    def decode(content: Tensor, shape: tuple[int, ...]) -> Tensor:
        image = tf.io.decode_png(content, channels=shape[2])
        return tf.ensure_shape(tf.cast(image, tf.float32) / 255.0, shape)

    def encode(image: Tensor) -> Tensor:
        return tf.io.encode_png(tf.cast(tf.round(255.0 * image), tf.uint8))

    def decoded(contents: Tensor, info: TensorInfo) -> Tensor:
        shape = tuple(int(size) for size in info.shape[1:])
        return tf.map_fn(
            lambda content: decode(content, shape),
            contents,
            fn_output_signature=tf.TensorSpec(shape, tf.float32),
        )

    def call(*values: Tensor) -> tuple[Tensor, ...]:
        arguments = [
            decoded(value, info) if info.dtype == "float32" else value
            for info, value in zip(inputs, values, strict=True)
        ]
        return tuple(
            tf.map_fn(encode, images, fn_output_signature=tf.TensorSpec((), tf.string))
            for images in _outputs(seeded.graph, *arguments)
        )

    graph = Graph(
        name=f"{name}_png",
        meaning=seeded.graph.meaning,
        inputs=tuple(_bytes(info) if info.dtype == "float32" else info for info in inputs),
        outputs=tuple(_bytes(info) for info in outputs),
        function=call,
    )
    example = [
        np.array([encode(image).numpy() for image in value], object)
        if info.dtype == "float32"
        else value
        for info, value in zip(inputs, seeded.example, strict=True)
    ]
    return Signature(graph=graph, example=example)


def signatures(
    model: WynerModel, graphs: tuple[Graph, ...], examples: Mapping[str, Example]
) -> dict[str, Signature]:
    """All signatures by name.

    Every graph under its own name; `transfer_*` also row by row, as `…_rows`; the tasks also
    from seeds, as `…_seeded`, and where images have one or three channels from and to PNG bytes,
    as `…_png`. All but the `transfer_*` grids tie their inputs and outputs to one batch size.
    """
    found: list[Signature] = []
    for graph in graphs:
        example = [examples[graph.name].inputs[info.name] for info in graph.inputs]
        noisy = Signature(graph=graph, example=example)
        found.append(noisy)
        if graph.name.startswith("transfer"):
            noisy = _rows(model, graph, example)
            found.append(noisy)
        if graph.name.startswith(("generate", "transfer")):
            found.append(_seeded(model, graph.name, noisy))
            if {model.image_shape(side)[2] for side in "xy"} <= {1, 3}:
                found.append(_png(graph.name, found[-1]))
    return {signature.graph.name: signature for signature in found}
