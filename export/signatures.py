"""What a bundle's SavedModel offers a server: every graph, and forms that need no noise."""

from __future__ import annotations

import dataclasses
import functools
import json
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from typing import Any

import numpy as np
import tensorflow as tf

from wyner_export.examples import Example
from wyner_export.functions import Graph, TensorInfo
from wyner_export.graphs import Tensors
from wyner_keras.graphs import transfer
from wyner_keras.model import WynerModel

Tensor = Any
# Numbers of channels that an image may have to travel as PNG.
_PNG_CHANNELS = (1, 3)


@dataclass(frozen=True, kw_only=True)
class Signature:
    """A signature of the SavedModel.

    Args:
        graph: its name, inputs, outputs and function.
        example: arguments in the graph's order.
    """

    graph: Graph
    example: list[Any]


def seeded_noise(entry: Mapping[str, Any], seeds: Tensor, stream: int) -> Tensor:
    """Noise `(n, size)` from seeds `(n,)`, each row its own, so that batching changes nothing.

    Args:
        entry: what the latent says of itself: `noise` and `size`.
        seeds: int32.
        stream: which of a seed's independent draws.
    """
    draw = {"uniform": tf.random.stateless_uniform, "normal": tf.random.stateless_normal}[
        entry["noise"]
    ]
    size = entry["size"]
    return tf.map_fn(
        lambda seed: draw((size,), seed=tf.stack([seed, stream])),
        seeds,
        fn_output_signature=tf.TensorSpec((size,), tf.float32),
    )


def streams(latents: Iterable[str]) -> dict[str, int]:
    """Which of a seed's draws each noise is; one seed may go to a style and to a concept."""
    names = list(latents)
    of_latents = {f"noise_{name}": place for place, name in enumerate(names)}
    return {**of_latents, "noise_style_z": 0, "noise_concept_z": len(names)}


def _rows(model: WynerModel, grid: Graph, example: list[Any]) -> Signature:
    """Style transfer row by row: style i with concept i, so that a server may batch requests."""
    tensors = Tensors(model)
    side, other = model.side(grid.side), model.side(tensors.other(grid.side))

    graph = Graph(
        name=f"{grid.name}_rows",
        meaning=f"style transfer: style i of {side.name} with concept i of {other.name}",
        inputs=tuple(
            dataclasses.replace(info, shape=("n", *info.shape[1:])) for info in grid.inputs
        ),
        outputs=(tensors.data(side.name, meaning="generated {}"),),
        function=functools.partial(transfer, side, other),
        parts=grid.parts,
    )
    count = min(map(len, example))
    return Signature(graph=graph, example=[value[:count] for value in example])


def _seed(name: str, meaning: str) -> TensorInfo:
    return TensorInfo(name=name, shape=("n",), dtype="int32", meaning=meaning)


def _seeded(latents: Mapping[str, Any], name: str, noisy: Signature) -> Signature:
    """Seeds in place of noise: one a row, or for a transfer one a style and one a concept."""
    data = tuple(info for info in noisy.graph.inputs if info.latent is None)
    noises = noisy.graph.inputs[len(data) :]
    seeds: tuple[TensorInfo, ...] = (
        _seed("seed", "a row's result depends on its own seed and inputs alone"),
    )
    source = dict.fromkeys((info.name for info in noises), "seed")
    if "noise_concept_z" in source:
        seeds = (
            _seed("style_seed", "the same style and seed give the same local latent in every row"),
            _seed("concept_seed", "the same concept and seed give the same z in every row"),
        )
        source = {**dict.fromkeys(source, "style_seed"), "noise_concept_z": "concept_seed"}
    stream = streams(latents)

    def call(**values: Tensor) -> tuple[Tensor, ...]:
        given = {info.name: values[info.name] for info in data}
        noise = {
            info.name: seeded_noise(
                latents[str(info.latent)], values[source[info.name]], stream[info.name]
            )
            for info in noises
        }
        return noisy.graph.call(**given, **noise)

    graph = Graph(
        name=f"{name}_seeded",
        meaning=noisy.graph.meaning,
        inputs=(*data, *seeds),
        outputs=noisy.graph.outputs,
        function=call,
    )
    row_seeds = np.arange(len(noisy.example[0]), dtype=np.int32)
    example = [*noisy.example[: len(data)], *(row_seeds for _ in seeds)]
    return Signature(graph=graph, example=example)


def _bytes(info: TensorInfo) -> TensorInfo:
    return TensorInfo(
        name=f"{info.name}_bytes",
        shape=("n",),
        dtype="string",
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

    def call(**values: Tensor) -> tuple[Tensor, ...]:
        given = {
            info.name: decoded(values[f"{info.name}_bytes"], info)
            if info.dtype == "float32"
            else values[info.name]
            for info in inputs
        }
        return tuple(
            tf.map_fn(encode, images, fn_output_signature=tf.TensorSpec((), tf.string))
            for images in seeded.graph.call(**given)
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


def _score_rows(
    model: WynerModel, graphs: Mapping[str, Graph], examples: Mapping[str, Example]
) -> Signature:
    """What x and y of a pair tell of each other, row by row, so that a server may batch them."""
    tensors = Tensors(model)
    posteriors = {side: f"posterior_{side}_z" for side in tensors.sides}
    shares = model.kind_shares

    def score(**data: Tensor) -> tuple[Tensor]:
        told = [graphs[name].call(**{side: data[side]}) for side, name in posteriors.items()]

        def pair(row: Any) -> Tensor:
            x, y = ([part[None] for part in posterior] for posterior in row)
            return tf.reshape(model.pmi_of(x, y, shares), ())

        return (tf.map_fn(pair, told, fn_output_signature=tf.TensorSpec((), tf.float32)),)

    graph = Graph(
        name="score_pairs_rows",
        meaning="what x and y of each pair tell of each other: mispaired ones have few nats",
        inputs=tuple(tensors.data(side) for side in tensors.sides),
        outputs=(tensors.pmi("n"),),
        function=score,
    )
    example = [examples[name].inputs[side] for side, name in posteriors.items()]
    return Signature(graph=graph, example=example)


def _told(name: str, meaning: str, values: Mapping[str, Any]) -> Signature:
    """Something that a client has to know, as JSON in every row."""
    text = json.dumps(values)

    def call(row: Tensor) -> tuple[Tensor]:
        return (tf.fill(tf.shape(row), text),)

    graph = Graph(
        name=name,
        meaning=meaning,
        inputs=(TensorInfo(name="row", shape=("n",), dtype="int32", meaning="any number"),),
        outputs=(TensorInfo(name="json", shape=("n",), dtype="string", meaning="as JSON"),),
        function=call,
    )
    return Signature(graph=graph, example=[np.zeros(1, np.int32)])


def signatures(
    model: WynerModel, graphs: tuple[Graph, ...], examples: Mapping[str, Example]
) -> dict[str, Signature]:
    """All signatures by name.

    Every graph under its own name; `transfer_*` also row by row, as `…_rows`; the tasks also
    from seeds, as `…_seeded`, and where all sides are images of one or three channels, from and to
    PNG bytes, as `…_png`; `score_pairs` also row by row; `sides`, which tells what the data are,
    and `about`, which tells what the model and its latents are. All but the `transfer_*` grids and
    `score_pairs` tie their inputs and outputs to one batch size.
    """
    sides, latents = model.side_entries, model.latent_entries
    pngs = all(
        side["kind"] == "image" and side["shape"][-1] in _PNG_CHANNELS for side in sides.values()
    )
    about = {
        "identity": model.identity,
        "latents": latents,
        "posterior_names": list(model.posterior_names),
    }
    found = [
        _told("sides", "what the data of the sides are", sides),
        _told("about", "what the model and its latents are", about),
    ]
    for graph in graphs:
        example = [examples[graph.name].inputs[info.name] for info in graph.inputs]
        noisy = Signature(graph=graph, example=example)
        found.append(noisy)
        if graph.name == "score_pairs":
            found.append(_score_rows(model, {graph.name: graph for graph in graphs}, examples))
        if graph.name.startswith("transfer"):
            noisy = _rows(model, graph, example)
            found.append(noisy)
        if graph.name.startswith(("generate", "transfer")):
            found.append(_seeded(latents, graph.name, noisy))
            if pngs:
                found.append(_png(graph.name, found[-1]))
    return {signature.graph.name: signature for signature in found}
