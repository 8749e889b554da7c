"""Arguments on which the engines of a bundle are compared, and what a reference makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wyner_export.functions import Interface
from wyner_serving.noise import NoiseStreams

_OTHER = {"x": "y", "y": "x"}
_BETWEEN, _HALVINGS = 16, 12

Run = Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]


class Example(NamedTuple):
    """Arguments of one graph, and the reference's results, both by name."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def examples(
    graphs: Sequence[Interface],
    images: Mapping[str, np.ndarray],
    latents: Mapping[str, Any],
    run: Run,
    seed: int = 0,
) -> dict[str, Example]:
    """Evaluates every graph by a reference engine, the encoders first.

    Images between two concepts come before the given ones. Samples of z, u and v that a graph takes
    are those that the encoders gave for the same images.

    Args:
        graphs: encoders before what takes their samples.
        images: of x and of y, `(n, h, w, c)` each.
        latents: the manifest's entries, None for an absent latent.
        run: the reference: from a graph's name and inputs to its outputs.
        seed: of the noise.

    Returns:
        An example for each graph, by name.
    """
    names = {graph.name for graph in graphs}
    rows = {
        side: np.concatenate([_between(given, side, latents["z"], run), given])
        if f"encode_{side}_z" in names
        else given
        for side, given in images.items()
    }
    streams, found = NoiseStreams(seed, dict(latents)), {}
    samples: dict[tuple[str, str], np.ndarray] = {}
    for graph in graphs:
        side = graph.side
        inputs: dict[str, np.ndarray] = {}
        counts: dict[int | str, int] = {}
        own = {"style": side, "concept": _OTHER.get(side, "x")}
        for info in graph.inputs:
            free = info.shape[0]
            if info.latent is None:
                batch = rows[own.get(info.name, info.name)]
                # Styles and concepts differ in number, so that a mix-up shows.
                batch = batch[: max(1, len(batch) // 4)] if free == "styles" else batch
                counts[free] = len(batch)
                inputs[info.name] = batch
            elif info.name == info.latent:
                inputs[info.name] = samples[side, info.latent]
            else:
                noise = streams.draw(info.latent, counts.setdefault(free, len(rows["x"])))
                assert noise is not None
                inputs[info.name] = noise
        outputs = run(graph.name, inputs)
        found[graph.name] = Example(inputs, outputs)
        for info in graph.outputs:
            if info.latent is not None:
                samples[side, info.latent] = outputs[info.name]
    return found


def _between(images: np.ndarray, side: str, z: Mapping[str, Any], run: Run) -> np.ndarray:
    """Mixtures of two images each, where z changes from that of the one to that of the other.

    A trained posterior is so sure of an image that noise decides nothing; here it does, so that an
    engine that ignores its noise is found out.
    """
    first = images[np.arange(_BETWEEN) % len(images)]
    second = images[(np.arange(_BETWEEN) + 1 + np.arange(_BETWEEN) // len(images)) % len(images)]
    # The middle of either law.
    middle = 0.5 if z["noise"] == "uniform" else 0.0
    noise = np.full((_BETWEEN, z["size"]), middle, np.float32)

    def mixed(share: np.ndarray) -> np.ndarray:
        share = share[:, None, None, None].astype(np.float32)
        return (1 - share) * first + share * second

    def sample(share: np.ndarray) -> np.ndarray:
        return run(f"encode_{side}_z", {side: mixed(share), "noise_z": noise})["z"]

    low, high = np.zeros(_BETWEEN), np.ones(_BETWEEN)
    start = sample(low)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        same = (sample(share) == start).all(axis=1)
        low, high = np.where(same, share, low), np.where(same, high, share)
    return mixed(high)
