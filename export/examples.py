"""Arguments on which the engines of a bundle are compared, and what a reference makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wyner_export.functions import Interface
from wyner_serving.noise import NoiseStreams

_BETWEEN, _HALVINGS = 16, 12

Run = Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]]


class Example(NamedTuple):
    """Arguments of one graph, and the reference's results, both by name."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def run_examples(
    graphs: Sequence[Interface],
    data: Mapping[str, np.ndarray],
    manifest: Mapping[str, Any],
    run: Run,
    seed: int = 0,
) -> dict[str, Example]:
    """Evaluate every graph by a reference engine, the encoders first.

    Examples between two concepts come before the given ones. Samples of latents that a graph takes
    are those that the encoders gave for the same examples, and so are posteriors.

    Args:
        graphs: encoders before what takes their samples.
        data: examples of each side, `(n, ...)`.
        manifest: of which `sides` and `latents` are read.
        run: the reference: from a graph's name and inputs to its outputs.
        seed: of the noise.

    Returns:
        An example for each graph, by name.
    """
    sides, latents = manifest["sides"], manifest["latents"]
    names = {graph.name for graph in graphs}
    rows = {
        side: np.concatenate([_between(given, side, manifest, run), given])
        if f"encode_{side}_z" in names
        else given
        for side, given in data.items()
    }
    streams, found = NoiseStreams(seed, latents), {}
    posteriors: dict[str, np.ndarray] = {}
    samples: dict[tuple[str, str], np.ndarray] = {}
    for graph in graphs:
        side = graph.side
        others = [name for name in sides if name != side]
        own = {"style": side, "concept": others[0]}
        inputs: dict[str, np.ndarray] = {}
        counts: dict[int | str, int] = {}
        for info in graph.inputs:
            free = info.shape[0]
            if info.name in posteriors:
                # Rows of the sides differ in number, so that a mix-up shows.
                batch = posteriors[info.name]
                short = info.name.startswith(f"{others[0]}_")
                inputs[info.name] = batch[: max(1, len(batch) // 4)] if short else batch
            elif info.latent is None:
                batch = rows[own.get(info.name, info.name)]
                # Styles and concepts differ in number, so that a mix-up shows.
                batch = batch[: max(1, len(batch) // 4)] if free == "styles" else batch
                counts[free] = len(batch)
                inputs[info.name] = batch
            elif info.name == info.latent:
                inputs[info.name] = samples[side, info.latent]
            else:
                count = counts.setdefault(free, len(next(iter(rows.values()))))
                noise = streams.draw(info.latent, count)
                assert noise is not None
                inputs[info.name] = noise
        outputs = run(graph.name, inputs)
        found[graph.name] = Example(inputs, outputs)
        for info in graph.outputs:
            if info.latent is not None:
                samples[side, info.latent] = outputs[info.name]
            if graph.name == f"posterior_{side}_z":
                posteriors[f"{side}_{info.name}"] = outputs[info.name]
    return found


def _between(given: np.ndarray, side: str, manifest: Mapping[str, Any], run: Run) -> np.ndarray:
    """Mixtures of two examples each, where z changes from that of the one to that of the other.

    A trained posterior is so sure of an example that noise decides nothing; here it does, so that
    an engine that ignores its noise is found out.
    """
    first = given[np.arange(_BETWEEN) % len(given)]
    second = given[(np.arange(_BETWEEN) + 1 + np.arange(_BETWEEN) // len(given)) % len(given)]
    # Nothing lies between two categories.
    columns = manifest["sides"][side].get("columns", ())
    codes = [place for place, each in enumerate(columns) if each["kind"] == "categorical"]
    second[..., codes] = first[..., codes]
    z = manifest["latents"]["z"]
    # The middle of either law.
    middle = 0.5 if z["noise"] == "uniform" else 0.0
    noise = np.full((_BETWEEN, z["size"]), middle, np.float32)

    def mixed(share: np.ndarray) -> np.ndarray:
        share = share.reshape(-1, *[1] * (first.ndim - 1)).astype(np.float32)
        return first + share * (second - first)

    def sample(share: np.ndarray) -> np.ndarray:
        return run(f"encode_{side}_z", {side: mixed(share), "noise_z": noise})["z"]

    low, high = np.zeros(_BETWEEN), np.ones(_BETWEEN)
    start = sample(low)
    for _ in range(_HALVINGS):
        share = (low + high) / 2
        same = (sample(share) == start).all(axis=1)
        low, high = np.where(same, share, low), np.where(same, high, share)
    return mixed(high)
