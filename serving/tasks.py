"""What a W-model can be asked for: arrays in and out, noise from a seed, work in chunks.

Keras' model and the bundle are two engines of the same tasks: both run graphs by their names.
"""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from typing import Any, NamedTuple

import numpy as np

from wyner_serving.checks import (
    check_count,
    check_latent,
    check_memory,
    check_results,
    check_seed,
)
from wyner_serving.errors import InputError
from wyner_serving.generation import Generation
from wyner_serving.noise import NoiseStreams


class Encoded(NamedTuple):
    """Samples of the posterior of one side.

    Args:
        z: common latent `(n, size)`.
        local: u of x, v of y, `(n, size)`; None where the model has none.
    """

    z: np.ndarray
    local: np.ndarray | None


def run_checked(
    engine: Generation, name: str, inputs: Mapping[str, np.ndarray | None]
) -> list[np.ndarray]:
    """The outputs of a graph, in their order, all of them finite.

    Args:
        engine: a model or a bundle.
        name: of the graph.
        inputs: arrays by name; those that are None are left out.

    Raises:
        InputError: if an output has NaN or infinity.
    """
    there = {key: values for key, values in inputs.items() if values is not None}
    results = engine.run_graph(name, there)
    check_results(results, name)
    return results


class Tasks(Generation):
    """The public methods of a W-model, over an engine's graphs.

    An engine offers `side_entries`, `latent_entries`, `batch_size` and `run_graph`, and for ranking
    `identity` and `posterior_names`.
    """

    batch_size: int  # rows in one pass of a graph; it bounds memory and changes no result

    def posteriors(self, values: np.ndarray, side: str) -> list[np.ndarray]:
        """What tells q(z|x) of examples of a side, in the latent's order, each `(n, ...)`."""
        self._known(side)
        values = self._check(values, side, side)
        common: Any = self.latent_entries["z"]
        check_memory(side, {"rows": len(values)}, (len(self.posterior_names), common["size"]))
        parts = [
            self._run(f"posterior_{side}_z", **{side: values[part]})
            for part in self._chunks(len(values))
        ]
        return [np.concatenate(output) for output in zip(*parts, strict=True)]

    def _run(self, name: str, **inputs: np.ndarray | None) -> list[np.ndarray]:
        return run_checked(self, name, inputs)

    def _local(self, side: str) -> str:
        return self.side_entries[side]["local"]

    def _other(self, side: str) -> str:
        (other,) = (name for name in self.side_entries if name != side)
        return other

    def _chunks(self, count: int) -> Iterator[slice]:
        for start in range(0, count, self.batch_size):
            yield slice(start, min(count, start + self.batch_size))

    def _noise(self, seed: int) -> NoiseStreams:
        return NoiseStreams(check_seed(seed), self.latent_entries)

    def _generate(self, given: np.ndarray, side: str, seed: int, samples: int | None) -> np.ndarray:
        noise, made = self._noise(seed), self._other(side)
        repeats = 1 if samples is None else check_count(samples, "samples")
        given = self._check(given, side, side)
        shape, local = self.example_shape(made), self._local(made)
        check_memory("samples", {"inputs": len(given), "samples": repeats}, shape)
        results = np.empty((len(given) * repeats, *shape), np.float32)
        for part in self._chunks(len(results)):
            count = part.stop - part.start
            (results[part],) = self._run(
                f"generate_{made}",
                **{side: given[np.arange(part.start, part.stop) // repeats]},
                noise_z=noise.draw("z", count),
                **{f"noise_{local}": noise.draw(local, count)},
            )
        return results if samples is None else results.reshape(len(given), repeats, *shape)

    def generate_pairs(self, count: int, *, seed: int) -> tuple[np.ndarray, ...]:
        """Joint generation, from the priors.

        Args:
            count: number of pairs.
            seed: of the noise.

        Returns:
            x and y, float32, `(count, ...)` each.

        Raises:
            InputError: if count or seed is not as said, or the result cannot fit in memory.
        """
        count, noise = check_count(count, "count"), self._noise(seed)
        shapes = [self.example_shape(side) for side in self.side_entries]
        check_memory("count", {"pairs": count}, *shapes)
        results = tuple(np.empty((count, *shape), np.float32) for shape in shapes)
        for part in self._chunks(count):
            rows = part.stop - part.start
            draws = {f"noise_{name}": noise.draw(name, rows) for name in self.latent_entries}
            for result, made in zip(results, self._run("generate_pairs", **draws), strict=True):
                result[part] = made
        return results

    def _transfer(self, style: np.ndarray, concept: np.ndarray, side: str, seed: int) -> np.ndarray:
        noise, other, local = self._noise(seed), self._other(side), self._local(side)
        style = self._check(style, "style", side)
        concept = self._check(concept, "concept", other)
        counts = {"styles": len(style), "concepts": len(concept)}
        check_memory("style", counts, self.example_shape(side))
        noise_concept: Any = noise.draw("z", len(concept))
        results = np.empty((*counts.values(), *self.example_shape(side)), np.float32)
        columns = list(self._chunks(len(concept)))
        step = max(1, self.batch_size // len(concept))
        for start in range(0, len(style), step):
            rows = slice(start, min(len(style), start + step))
            count = rows.stop - rows.start
            noise_style, noise_local = noise.draw("z", count), noise.draw(local, count)
            for part in columns:
                (results[rows, part],) = self._run(
                    f"transfer_{side}",
                    style=style[rows],
                    concept=concept[part],
                    noise_concept_z=noise_concept[part],
                    noise_style_z=noise_style,
                    **{f"noise_{local}": noise_local},
                )
        return results

    def _encode(self, values: np.ndarray, side: str, seed: int) -> Encoded:
        noise, local = self._noise(seed), self._local(side)
        values = self._check(values, side, side)
        z, locals_ = [], []
        for part in self._chunks(len(values)):
            batch, count = values[part], part.stop - part.start
            (found,) = self._run(
                f"encode_{side}_z", **{side: batch}, noise_z=noise.draw("z", count)
            )
            z.append(found)
            drawn = noise.draw(local, count)
            if drawn is not None:
                given = {side: batch, "z": found, f"noise_{local}": drawn}
                locals_ += self._run(f"encode_{side}_{local}", **given)
        return Encoded(np.concatenate(z), np.concatenate(locals_) if locals_ else None)

    def encode_x(self, x: np.ndarray, *, seed: int = 0) -> Encoded:
        """Samples z ~ q(z|x) and u ~ q(u|x,z) of examples x; see `generate_y` for arguments."""
        return self._encode(x, "x", seed)

    def encode_y(self, y: np.ndarray, *, seed: int = 0) -> Encoded:
        """Samples z ~ q(z|y) and v ~ q(v|y,z) of examples y; see `generate_y` for arguments."""
        return self._encode(y, "y", seed)

    def _decode(self, z: np.ndarray, local: np.ndarray | None, side: str) -> np.ndarray:
        latents, name = self.latent_entries, self._local(side)
        common: Any = latents["z"]
        z, entry = check_latent(z, "z", common["size"]), latents[name]
        if entry is not None:
            local = check_latent(local, name, entry["size"], len(z))
        elif local is not None:
            raise InputError(f"`{name}` should be None: the model has none. Received: an array")
        check_memory("z", {"rows": len(z)}, self.example_shape(side))
        results = np.empty((len(z), *self.example_shape(side)), np.float32)
        for part in self._chunks(len(z)):
            given = {"z": z[part], name: None if local is None else local[part]}
            (results[part],) = self._run(f"decode_{side}", **given)
        return results

    def decode_x(self, z: np.ndarray, u: np.ndarray | None = None) -> np.ndarray:
        """Examples x_θ(u, z) `(n, ...)` of z `(n, size)` and u `(n, size)`.

        Raises:
            InputError: if a latent has another shape or is not finite.
        """
        return self._decode(z, u, "x")

    def decode_y(self, z: np.ndarray, v: np.ndarray | None = None) -> np.ndarray:
        """Examples y_θ(v, z); see `decode_x`."""
        return self._decode(z, v, "y")
