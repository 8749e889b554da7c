"""Noise from a seed, the same as `wyner_keras.WynerModel` draws."""

from __future__ import annotations

from typing import Any

import numpy as np


class NoiseStreams:
    """One stream of noise a latent: children 0, 1, 2 of the seed's sequence feed z, u and v.

    Args:
        seed: a non-negative integer.
        latents: the manifest's entries, None for an absent latent.
    """

    def __init__(self, seed: int, latents: dict[str, Any]) -> None:
        children = np.random.SeedSequence(seed).spawn(3)
        self._streams = {
            name: np.random.default_rng(child) for name, child in zip("zuv", children, strict=True)
        }
        self._latents = latents

    def draw(self, latent: str, count: int) -> np.ndarray | None:
        """Noise `(count, size)` float32 for the next samples of a latent; None if it is absent."""
        entry = self._latents[latent]
        if entry is None:
            return None
        stream = self._streams[latent]
        draw = stream.random if entry["noise"] == "uniform" else stream.standard_normal
        return draw((count, entry["size"]), dtype=np.float32)
