"""What the page shows first, computed when it is assembled, so that it waits for no engine.

The page's state at its start is one sample and one seed. What its engine makes of them, with the
noise of `page/noise.js`, is computed here by the bundle's graphs; the page's engine then computes
the same again, and everything after.
"""

from __future__ import annotations

import math
from typing import Any

import numpy as np

from wyner_serving import Bundle

COUNT = 12
SEED = 1
GRAPHS = ("posterior_x_z", "generate_y")
_SAMPLE = 3
_WORD = 0xFFFFFFFF


class PageNoise:
    """The stream of noise of `page/noise.js`: the generator sfc32, started from one integer."""

    def __init__(self, seed: int) -> None:
        self._state = (seed, 0x9E3779B9, 0x243F6A88, 1)
        for _ in range(15):
            self.bits()

    def bits(self) -> int:
        """The next 32 bits."""
        a, b, c, counter = self._state
        total = (a + b + counter) & _WORD
        turned = ((c << 21) | (c >> 11)) & _WORD
        self._state = (
            b ^ (b >> 9),
            (c + (c << 3)) & _WORD,
            (turned + total) & _WORD,
            (counter + 1) & _WORD,
        )
        return total

    def uniform(self, count: int) -> np.ndarray:
        """Independent uniform numbers on [0, 1), float32 `(count,)`."""
        return np.array([(self.bits() >> 8) / 2**24 for _ in range(count)], np.float32)

    def normal(self, count: int) -> np.ndarray:
        """Independent standard normals, float32 `(count,)`."""

        def one() -> float:
            radius = math.sqrt(-2 * math.log(1 - self.bits() / 2**32))
            return radius * math.cos(2 * math.pi * self.bits() / 2**32)

        return np.array([one() for _ in range(count)], np.float32)


def first_shown(bundle: Bundle, samples: np.ndarray, readings: np.ndarray) -> dict[str, Any]:
    """The page's first state and what belongs to it.

    Args:
        bundle: whose graphs compute it.
        samples: images of x in [0, 1], float32 `(n, h, w, 1)`.
        readings: q(z|x) of them, `(n, k)`.

    Returns:
        `sample`, which of them is taken; `seed`, of the noise of z and of v; `probabilities`,
        q(z|x) of it, `(k,)`; `images`, y generated from it, `(COUNT, h, w, 1)` in [0, 1].
    """
    sample = min(_SAMPLE, len(samples) - 1)
    image = samples[sample : sample + 1]
    sizes = {name: bundle.manifest["latents"][name]["size"] for name in "zv"}
    inputs = {
        "x": np.repeat(image, COUNT, axis=0),
        "noise_z": PageNoise(SEED).uniform(COUNT * sizes["z"]).reshape(COUNT, -1),
        "noise_v": PageNoise(SEED).normal(COUNT * sizes["v"]).reshape(COUNT, -1),
    }
    return {
        "sample": sample,
        "seed": SEED,
        "probabilities": readings[sample],
        "images": bundle.run_graph("generate_y", inputs)[0],
    }
