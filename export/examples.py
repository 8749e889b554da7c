"""Arguments on which the engines of a bundle are compared, and what a reference makes of them."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Any, NamedTuple

import numpy as np

from wyner_export.functions import Interface, TensorInfo
from wyner_serving.noise import NoiseStreams

_OTHER = {"x": "y", "y": "x"}
# One row in so many has noise from the ends of its range.
_FORCED_EVERY = 4
# Gumbel noise of 11.1 and of -3.0: more than most log odds of a posterior.
_LOWEST, _HIGHEST = 2.0**-30, 1 - 2.0**-16


class Example(NamedTuple):
    """Arguments of one graph, and the reference's results, both by name."""

    inputs: dict[str, np.ndarray]
    outputs: dict[str, np.ndarray]


def examples(
    graphs: Sequence[Interface],
    images: Mapping[str, np.ndarray],
    latents: Mapping[str, Any],
    run: Callable[[str, dict[str, np.ndarray]], dict[str, np.ndarray]],
    seed: int = 0,
) -> dict[str, Example]:
    """Evaluates every graph by a reference engine, the encoders first.

    Samples of z, u and v that a graph takes are those that the encoders gave for the same images.
    In one row of four uniform noise lies at the ends of its range: there it decides a sample
    whatever the posterior prefers, so that an engine that ignores its noise is found out.

    Args:
        graphs: encoders before what takes their samples.
        images: of x and of y, `(n, h, w, c)` each.
        latents: the manifest's entries, None for an absent latent.
        run: the reference: from a graph's name and inputs to its outputs.
        seed: of the noise.

    Returns:
        An example for each graph, by name.
    """
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
                batch = images[own.get(info.name, info.name)]
                # Styles and concepts differ in number, so that a mix-up shows.
                batch = batch[: max(1, len(batch) // 2)] if free == "styles" else batch
                counts[free] = len(batch)
                inputs[info.name] = batch
            elif info.name == info.latent:
                inputs[info.name] = samples[side, info.latent]
            else:
                count = counts.setdefault(free, len(images["x"]))
                noise = streams.draw(info.latent, count)
                assert noise is not None
                inputs[info.name] = _forced(noise, info)
        outputs = run(graph.name, inputs)
        found[graph.name] = Example(inputs, outputs)
        for info in graph.outputs:
            if info.latent is not None:
                samples[side, info.latent] = outputs[info.name]
    return found


def _forced(noise: np.ndarray, info: TensorInfo) -> np.ndarray:
    """Uniform noise with every fourth row at the ends of its range; other noise unchanged."""
    if info.range != (0.0, 1.0):
        return noise
    rows = np.arange(_FORCED_EVERY - 1, len(noise), _FORCED_EVERY)
    noise[rows] = _LOWEST
    # Another coordinate in each row.
    noise[rows, np.arange(len(rows)) % noise.shape[1]] = _HIGHEST
    return noise
