"""Noise from a seed, the same in Keras and in a bundle."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

import numpy as np


def draw_noise(rng: np.random.Generator, kind: str, shape: tuple[int, int]) -> np.ndarray:
    """Noise of a latent.

    Args:
        rng: where it is drawn from.
        kind: "uniform" on [0, 1), or "normal".
        shape: `(count, size)`.

    Returns:
        float32 of that shape.
    """
    draws: dict[str, Any] = {"uniform": rng.random, "normal": rng.standard_normal}
    noise: np.ndarray = draws[kind](shape, dtype=np.float32)
    return noise


class NoiseStreams:
    """One stream of noise a latent, so that chunking a request cannot change its result.

    Args:
        seed: a non-negative integer; its sequence's children feed the latents in their order.
        latents: by name what `Latent.describe` says, None for an absent latent.
    """

    def __init__(self, seed: int, latents: Mapping[str, Mapping[str, Any] | None]) -> None:
        children: Iterable[Any] = np.random.SeedSequence(seed).spawn(len(latents))
        self._streams = {
            name: np.random.default_rng(child)
            for name, child in zip(latents, children, strict=True)
        }
        self._latents = latents

    def draw(self, latent: str, count: int) -> np.ndarray | None:
        """Noise `(count, size)` float32 for the next samples of a latent; None if it is absent."""
        entry = self._latents[latent]
        if entry is None:
            return None
        return draw_noise(self._streams[latent], entry["noise"], (count, entry["size"]))


class RowNoise:
    """Noise of rows, each from a stream of its own, so that it is the same whatever comes with it.

    The streams are those of Philox, a generator that counts: a row begins where its number says.

    Args:
        seed: a non-negative integer; its sequence's children are the latents' keys in their order.
        latents: by name what `Latent.describe` says, None for an absent latent.

    Example:
        >>> noise = RowNoise(0, {"z": {"noise": "normal", "size": 2}})
        >>> rows = noise.draw("z", np.arange(5))
        >>> bool((noise.draw("z", np.array([3, 1])) == rows[[3, 1]]).all())
        True
    """

    def __init__(self, seed: int, latents: Mapping[str, Mapping[str, Any] | None]) -> None:
        children: Iterable[Any] = np.random.SeedSequence(seed).spawn(len(latents))
        self._keys = {
            name: child.generate_state(2, np.uint64)
            for name, child in zip(latents, children, strict=True)
        }
        self._latents = latents

    def draw(self, latent: str, rows: np.ndarray, draw: int = 0) -> np.ndarray | None:
        """Noise `(rows, size)` float32 of a latent; None if it is absent.

        Args:
            latent: its name.
            rows: numbers of the rows, not negative.
            draw: which of a row's independent draws.
        """
        entry = self._latents[latent]
        if entry is None:
            return None
        bits = np.random.Philox(key=self._keys[latent])
        rng, state = np.random.Generator(bits), bits.state
        found = np.empty((len(rows), entry["size"]), np.float32)
        for noise, row in zip(found, rows.tolist(), strict=True):
            # A row has 2^64 blocks of numbers; nothing of the row before is left in the buffers.
            state["state"]["counter"] = np.array([0, row, draw, 0], np.uint64)
            bits.state = state
            noise[:] = draw_noise(rng, entry["noise"], (1, entry["size"]))[0]
        return found
