"""Conditional generation and style transfer, as every engine is asked for them."""

from __future__ import annotations

from typing import Any

import numpy as np

from wyner_serving.errors import InputError
from wyner_serving.ranking import Ranking
from wyner_serving.rows import check_rows


class Generation(Ranking):
    """Conditional generation and style transfer, by `_generate` and `_transfer` of an engine."""

    def _generate(self, given: np.ndarray, side: str, seed: int, samples: int | None) -> np.ndarray:
        raise NotImplementedError

    def _transfer(self, style: np.ndarray, concept: np.ndarray, side: str, seed: int) -> np.ndarray:
        raise NotImplementedError

    def example_shape(self, side: str) -> tuple[int, ...]:
        """Shape of one example of a side: `(h, w, c)` of an image.

        Raises:
            InputError: for another name than a side's.
        """
        self._known(side)
        return tuple(self.side_entries[side]["shape"])

    def _known(self, side: str) -> None:
        if side not in self.side_entries:
            raise InputError(
                f"`side` should be one of {', '.join(self.side_entries)}. Received: {side!r:.80}"
            )

    def _check(self, values: Any, name: str, side: str) -> np.ndarray:
        return check_rows(values, name, self.side_entries[side])

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation x → y: z ~ q(z|x), v ~ p(v), y = y_θ(v, z).

        Args:
            x: examples `(n, ...)`: images are floating-point in [0, 1], or uint8 in 0–255; all else
                is in the units of the training data.
            seed: of the noise; the same seed gives the same result, in Keras and in a bundle.
            samples: how many for each x; None gives one, without the samples axis.

        Returns:
            Examples of y, float32, `(n, ...)` or `(n, samples, ...)`; images in [0, 1].

        Raises:
            InputError: if an argument is not as said, or a result cannot fit in memory or is not
                finite.

        Source: the W-model paper, section 2.3, figure 3(a).
        """
        return self._generate(x, "x", seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        """Conditional generation y → x; see `generate_y`."""
        return self._generate(y, "y", seed, samples)

    def transfer_x(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer: x in the styles of x references with the concepts of y references.

        Args:
            style: examples of x, `(styles, ...)`; see `generate_y`.
            concept: examples of y, `(concepts, ...)`.
            seed: of the noise.

        Returns:
            Examples of x, float32, `(styles, concepts, ...)`.

        Raises:
            InputError: if an argument is not as said, or a result cannot fit in memory or is not
                finite.

        Source: the W-model paper, section 2.3, figure 3(b).
        """
        return self._transfer(style, concept, "x", seed)

    def transfer_y(self, *, style: np.ndarray, concept: np.ndarray, seed: int) -> np.ndarray:
        """Style transfer to y: styles from y, concepts from x; see `transfer_x`."""
        return self._transfer(style, concept, "y", seed)
