"""A W-model's graphs as functions of named tensors, by what its sides and latents say of them."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_export.functions import Graph, TensorInfo
from wyner_keras.cards import words
from wyner_keras.graphs import parts_of, tasks_of
from wyner_keras.model import WynerModel

_LAWS = {
    "uniform": "independent uniform numbers on [0, 1)",
    "normal": "independent standard normals",
}
_NOISE_RANGES = {"uniform": (0.0, 1.0)}


class Tensors:
    """The tensors that a model's graphs take and give.

    Args:
        model: the W-model.
    """

    def __init__(self, model: WynerModel) -> None:
        self.sides, self.latents = model.side_entries, model.latent_entries
        self._families = {"z": model.z, **{side.local_name: side.local for side in model.sides}}

    def other(self, side: str) -> str:
        """The name of the other side."""
        (other,) = (name for name in self.sides if name != side)
        return other

    def local(self, side: str) -> str:
        """The name of a side's local latent."""
        return self.sides[side]["local"]

    def data(
        self, side: str, name: str = "", meaning: str = "{}", free: tuple[str, ...] = ("n",)
    ) -> TensorInfo:
        """Examples of a side; in the meaning, {} stands for what they are called."""
        entry = self.sides[side]
        return TensorInfo(
            name=name or side,
            shape=(*free, *entry["shape"]),
            range=(0.0, 1.0) if entry["kind"] == "image" else (None, None),
            meaning=meaning.format(f"{words(entry)} of {side}"),
        )

    def noise(self, latent: str, name: str = "", free: str = "n") -> tuple[TensorInfo, ...]:
        """The noise that a sample of a latent needs; nothing for an absent latent."""
        entry = self.latents[latent]
        if entry is None:
            return ()
        kind = entry["noise"]
        return (
            TensorInfo(
                name=name or f"noise_{latent}",
                shape=(free, entry["size"]),
                latent=latent,
                range=_NOISE_RANGES.get(kind, (None, None)),
                meaning=f"noise of {latent}: {_LAWS[kind]}",
            ),
        )

    def sample(self, latent: str) -> tuple[TensorInfo, ...]:
        """A sample of a latent; nothing for an absent latent."""
        entry, family = self.latents[latent], self._families[latent]
        if entry is None or family is None:
            return ()
        of = [side for side in self.sides if self.local(side) == latent]
        kind = f"local latent of {of[0]}" if of else "common latent"
        return (
            TensorInfo(
                name=latent,
                shape=("n", entry["size"]),
                latent=latent,
                range=family.range,
                meaning=f"a sample of the {kind}, {entry['family']}",
            ),
        )

    def posterior(self, side: str, prefix: str = "", free: str = "n") -> tuple[TensorInfo, ...]:
        """What tells q(z|x)."""
        family: Any = self._families["z"]
        told = family(np.zeros((1, family.parameter_size), np.float32)).outputs()
        return tuple(
            TensorInfo(
                name=f"{prefix}{name}",
                shape=(free, output.shape[-1]),
                range=family.output_range,
                meaning=f"{name.replace('_', ' ')} of q(z|{side})",
            )
            for name, output in zip(family.output_names, told, strict=True)
        )

    def pmi(self, *free: str) -> TensorInfo:
        """Pointwise mutual information of rows of the sides."""
        return TensorInfo(
            name="nats",
            shape=free,
            meaning=f"log ∫ {' '.join(f'q(z|{side})' for side in self.sides)} / p(z) dz, in nats",
        )


def _described(tensors: Tensors, name: str) -> dict[str, Any]:
    """Meaning, inputs and outputs of the graph of a name."""
    made = "generated {}"
    match name.split("_"):
        case ["encode", side, "z"]:
            return {
                "meaning": f"z ~ q(z|{side})",
                "inputs": (tensors.data(side), *tensors.noise("z")),
                "outputs": tensors.sample("z"),
            }
        case ["encode", side, local]:
            return {
                "meaning": f"{local} ~ q({local}|{side},z)",
                "inputs": (tensors.data(side), *tensors.sample("z"), *tensors.noise(local)),
                "outputs": tensors.sample(local),
            }
        case ["posterior", side, "z"]:
            return {
                "meaning": f"q(z|{side}) itself",
                "inputs": (tensors.data(side),),
                "outputs": tensors.posterior(side),
            }
        case ["decode", side]:
            inputs = (*tensors.sample("z"), *tensors.sample(tensors.local(side)))
            given = ", ".join(info.name for info in reversed(inputs))
            return {
                "meaning": f"{side} = {side}_θ({given})",
                "inputs": inputs,
                "outputs": (tensors.data(side),),
            }
        case ["score", "pairs"]:
            return {
                "meaning": f"what every {' and every '.join(tensors.sides)} tell of each other",
                "inputs": tuple(
                    info
                    for side in tensors.sides
                    for info in tensors.posterior(side, f"{side}_", f"rows_{side}")
                ),
                "outputs": (tensors.pmi(*(f"rows_{side}" for side in tensors.sides)),),
            }
        case ["generate", "pairs"]:
            return {
                "meaning": f"joint generation of pairs ({', '.join(tensors.sides)})",
                "inputs": tuple(
                    info for latent in tensors.latents for info in tensors.noise(latent)
                ),
                "outputs": tuple(tensors.data(side, meaning=made) for side in tensors.sides),
            }
        case ["generate", side]:
            given, local = tensors.other(side), tensors.local(side)
            return {
                "meaning": f"conditional generation {given} → {side}",
                "inputs": (tensors.data(given), *tensors.noise("z"), *tensors.noise(local)),
                "outputs": (tensors.data(side, meaning=made),),
            }
        case ["transfer", side]:
            other, styles, concepts = tensors.other(side), ("styles",), ("concepts",)
            gives = "{} that give the "
            return {
                "meaning": f"style transfer: every style of {side} with every concept of {other}",
                "inputs": (
                    tensors.data(side, "style", f"{gives}style", styles),
                    tensors.data(other, "concept", f"{gives}concept", concepts),
                    *tensors.noise("z", "noise_concept_z", *concepts),
                    *tensors.noise("z", "noise_style_z", *styles),
                    *tensors.noise(tensors.local(side), free="styles"),
                ),
                "outputs": (
                    tensors.data(side, meaning="{}, style by concept", free=(*styles, *concepts)),
                ),
            }
    raise ValueError(f"A graph should be a part or a task of a W-model. Received: {name!r}")


def graphs_of(model: WynerModel) -> tuple[Graph, ...]:
    """Every graph of a model: parts, encoders before decoders, then what is made of them."""
    tensors = Tensors(model)
    parts = {
        name: Graph(name=name, function=function, **_described(tensors, name))
        for name, function in parts_of(model, model.kind_shares).items()
    }
    tasks = (
        Graph(name=name, function=function, parts=parts, **_described(tensors, name))
        for name, function in tasks_of(model).items()
    )
    return (*parts.values(), *tasks)
