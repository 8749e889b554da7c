"""What an evaluation asks for: which held-out images, in which order."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from typing import Self

import numpy as np

DIVERSE = 500  # inputs at most of which several samples are drawn


@dataclass(frozen=True, kw_only=True)
class SidePlan:
    """What is drawn for the images of one side, "x" or "y"; all positions in its real images.

    Args:
        inputs: images of the other side that conditional generation is given.
        halves: the real images of this side, shuffled: one half is the reference, one the ceiling.
        conditional: order of the generated images, of which the first are compared.
        joint: the same for the images of joint pairs.
        styles: images of this side whose style is transferred.
        concepts: images of the other side whose concept is.
    """

    inputs: np.ndarray
    halves: np.ndarray
    conditional: np.ndarray
    joint: np.ndarray
    styles: np.ndarray
    concepts: np.ndarray

    @property
    def diverse(self) -> np.ndarray:
        """The inputs of which several samples are drawn."""
        return self.inputs[:DIVERSE]


@dataclass(frozen=True, kw_only=True)
class Plan:
    """All draws of an evaluation, made at once: they do not depend on what a model can do.

    Args:
        pairs: how many pairs joint generation is asked for.
        sides: by name, "y" and "x".
    """

    pairs: int
    sides: Mapping[str, SidePlan]

    @classmethod
    def draw(
        cls,
        count_x: int,
        count_y: int,
        *,
        inputs: int | None = None,
        styles: int = 100,
        concepts: int = 200,
        seed: int = 0,
    ) -> Self:
        """Draws the plan of an evaluation; the arguments are those of `evaluate`.

        Args:
            count_x: number of real images of x.
            count_y: number of real images of y.
            inputs: how many images to use; None for all.
            styles: style references of the transfer.
            concepts: concept references of the transfer.
            seed: seed of the draws.
        """
        generator = np.random.default_rng(seed)
        pairs = min(count_x, count_y, *([] if inputs is None else [inputs]))
        drawn = {}
        for side, given, made in (("y", count_x, count_y), ("x", count_y, count_x)):
            chosen = generator.permutation(given)[:inputs]
            drawn[side] = {
                "inputs": chosen,
                "halves": generator.permutation(made),
                "conditional": generator.permutation(len(chosen)),
                "joint": generator.permutation(pairs),
            }
        for side, given, made in (("x", count_y, count_x), ("y", count_x, count_y)):
            drawn[side]["styles"] = generator.permutation(made)[:styles]
            drawn[side]["concepts"] = generator.permutation(given)[:concepts]
        return cls(pairs=pairs, sides={side: SidePlan(**values) for side, values in drawn.items()})
