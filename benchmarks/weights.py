"""A model's weights by the names that peers written by hand know them by."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import keras
import numpy as np

import wyner_keras as wk

Arrays = dict[str, np.ndarray]


def weights_of(model: wk.WynerModel, stage: Any, name: str) -> Arrays:
    """The weights that a stage's loss reads, by the peers' names."""
    found: Arrays = {}

    def add(where: str, layer: Any) -> None:
        for kind in ("kernel", "bias", "gamma", "beta"):
            value = getattr(layer, kind, None)
            if value is not None:
                found[f"{where}.{kind}"] = np.asarray(value, np.float32)

    def add_mlp(where: str, network: Any) -> None:
        for place, layer in enumerate(network.hidden_layers):
            add(f"{where}.{place}", layer)
        if name != "alignment":
            add(f"{where}.output", network.output_layer)

    if name in ("codec", "refinement", "all"):
        _add_codec(found, add, model.sides[0].codec)
    for side in model.sides if name != "codec" else ():
        s = side.name
        if name != "flow":
            add_mlp(f"{s}.expert", side.expert_network)
        if name in ("joint", "marginal", "refinement", "all"):
            add_mlp(f"{s}.posterior", side.posterior_network)
            add_mlp(f"{s}.decoder", side.decoder_network)
            add(f"{s}.concept", side.concept)
        if name in ("flow", "refinement", "all"):
            _add_flow(found, add, f"{s}.flow", side.flow)
        if name in ("marginal", "refinement", "all"):
            for place, layer in enumerate(side.reader_network.convolutions):
                add(f"{s}.reader.conv.{place}", layer)
            add(f"{s}.reader.hidden", side.reader_network.hidden_layer)
            add(f"{s}.reader.output", side.reader_network.output_layer)
    if name == "alignment":
        for s, head in zip("xy", stage.heads, strict=False):
            add(f"{s}.head", head.dense)
            add(f"{s}.head", head.norm)
            found[f"{s}.head.mean"] = np.asarray(head.norm.moving_mean)
            found[f"{s}.head.variance"] = np.asarray(head.norm.moving_variance)
        for s, log in zip("xy", stage.heads[-1].logs, strict=True):
            found[f"critic.{s}"] = np.asarray(log)
    return found


def _add_codec(found: Arrays, add: Callable[[str, Any], None], codec: Any) -> None:
    def layers(part: Any, kind: type) -> list[Any]:
        return [each for each in part.layers if type(each) is kind]

    for place, layer in enumerate(layers(codec.encoder, keras.layers.Conv2D)):
        add(f"codec.down.{place}", layer)
    add("codec.code", *layers(codec.encoder, keras.layers.Dense))
    add("codec.grid", *layers(codec.decoder, keras.layers.Dense))
    for place, layer in enumerate(layers(codec.decoder, keras.layers.Conv2DTranspose)):
        add(f"codec.up.{place}", layer)
    found["codec.mean"] = np.asarray(codec.standardise.moving_mean)
    found["codec.variance"] = np.asarray(codec.standardise.moving_variance)
    found["codec.slant_scale"] = np.asarray(codec.slant_scale)


def _add_flow(found: Arrays, add: Callable[[str, Any], None], where: str, flow: Any) -> None:
    for number, velocity in enumerate(flow.velocities):
        for place, layer in enumerate(velocity.hidden_layers):
            add(f"{where}.{number}.hidden.{place}", layer)
        for place, layer in enumerate(velocity.modulations):
            add(f"{where}.{number}.modulation.{place}", layer)
        add(f"{where}.{number}.output", velocity.output_layer)
    for kind in ("shift", "scale", "unscale"):
        kernel, bias = getattr(flow, kind)
        found[f"{where}.{kind}.kernel"], found[f"{where}.{kind}.bias"] = map(
            np.asarray, (kernel, bias)
        )


_TRAINED = {
    "codec": ("codec.down", "codec.code", "codec.grid", "codec.up"),
    "alignment": ("expert", "head.kernel", "head.gamma", "head.beta", "critic"),
    "joint": ("posterior", "decoder", "concept"),
    "flow": ("flow.0", "flow.1"),
    "marginal": ("reader",),
    "refinement": ("decoder",),
}


def trained_names(name: str, weights: Arrays) -> list[str]:
    """Names of the weights that a stage trains."""
    return [
        key
        for key in weights
        if key.removeprefix("x.").removeprefix("y.").startswith(_TRAINED[name])
    ]
