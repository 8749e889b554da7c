"""What an evaluation asks for: which held-out examples, in which order."""

from __future__ import annotations

from typing import NamedTuple

import numpy as np


class Plan(NamedTuple):
    """What is drawn for one side that is made; all are positions.

    Args:
        inputs: examples of the other side that conditional generation is given.
        diverse: those of which several samples are drawn.
        halves: this side's real examples, shuffled: half is the reference, half the ceiling.
        conditional: order of the generated examples, of which the first are compared.
        joint: the same for the examples of joint pairs, of which as many are asked for.
        styles: examples of this side whose style is transferred.
        concepts: examples of the other side whose concept is.
    """

    inputs: np.ndarray
    diverse: np.ndarray
    halves: np.ndarray
    conditional: np.ndarray
    joint: np.ndarray
    styles: np.ndarray
    concepts: np.ndarray


def plans(
    counts: dict[str, int],
    *,
    inputs: int | None = None,
    diverse: int = 500,
    styles: int = 200,
    concepts: int = 200,
    seed: int = 0,
) -> dict[str, Plan]:
    """Draw the plans of both sides, whatever a model can do.

    Args:
        counts: how many real examples there are of "x" and of "y".
        inputs: how many examples to use; None for all.
        diverse: how many of them, at most; and so of styles and concepts.
        styles: the same.
        concepts: the same.
        seed: of the draws.
    """
    draw = np.random.default_rng(seed).permutation
    pairs = min(*counts.values(), counts["x"] if inputs is None else inputs)
    found, other = {}, {"y": "x", "x": "y"}
    for side, given in other.items():
        chosen = draw(counts[given])[:inputs]
        halves = draw(counts[side])
        found[side] = [chosen, chosen[:diverse], halves, draw(len(chosen)), draw(pairs)]
    for side in ("x", "y"):
        found[side] += [draw(counts[side])[:styles], draw(counts[other[side]])[:concepts]]
    return {side: Plan(*drawn) for side, drawn in found.items()}
