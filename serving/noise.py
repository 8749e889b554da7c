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
