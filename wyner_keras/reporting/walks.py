"""Pictures of the latents: each value and each sweep of z, and what moves in the private parts."""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

import numpy as np

from wyner_keras.evaluation.fit import explained
from wyner_keras.evaluation.retrieval import latent_of_model
from wyner_keras.evaluation.spaces import Standard
from wyner_keras.model import WynerModel
from wyner_keras.reporting.blocks import Block, Card, Cards, Heading, Words, percent
from wyner_keras.reporting.drawing import Pictures
from wyner_keras.reporting.findings import Read
from wyner_keras.side import Side
from wyner_keras.sweeps import Sweep

_MOST_STEPS, _MOST_SWEEPS = 30, 12  # that are shown of z
_DIRECTIONS, _LEAST_STRENGTH = 6, 0.01  # of a private part, at most; and share of its effect
_DRAWN = 512  # samples, at least, that directions are told from
_LEAST_NATS = 0.05  # of a quantity that is in use
_REAL = 200  # examples of a value that are averaged, at most


def decoded(model: WynerModel, side: Side, z: np.ndarray, local: np.ndarray | None) -> np.ndarray:
    """Examples of a side; one z `(size,)` serves many private values, and one of those many z."""
    rows = max(len(np.atleast_2d(each)) for each in (z, local) if each is not None)
    decode = getattr(model, f"decode_{side.name}")

    def spread(values: np.ndarray | None) -> np.ndarray | None:
        return (
            None
            if values is None
            else np.array(np.broadcast_to(values, (rows, values.shape[-1])), np.float32)
        )

    return np.asarray(decode(spread(z), spread(local)))


def centre_of(side: Side) -> np.ndarray | None:
    """The most typical value of a private part, `(size,)`; None where there is none."""
    return None if side.local is None else side.local.centre()


def shared(
    model: WynerModel, read: Read, sweeps: tuple[Sweep, ...], pictures: Mapping[str, Pictures]
) -> list[Block]:
    """What z holds: cards of each kind's values and of each quantity's sweep."""
    blocks: list[Block] = []
    kinds = [each for each in sweeps if not each.quantity]
    quantities = [each for each in sweeps if each.quantity]
    used = [each for each in quantities if each.nats is None or each.nats >= _LEAST_NATS]
    for sweep in kinds[:_MOST_SWEEPS]:
        blocks += _kind(model, read, sweep, pictures)
    if len(kinds) > _MOST_SWEEPS:
        rest = len(kinds) - _MOST_SWEEPS
        blocks.append(Words(f"{rest} other kinds hold less each and are not shown."))
    if quantities:
        told = f"{len(used) or 'none'} {'is' if len(used) == 1 else 'are'} in use"
        used = used or quantities  # something is shared: it is in what they hold together
        blocks.append(
            Words(
                f"z has {_counted(len(quantities), 'quantity')}; {told}, with {_LEAST_NATS} nats "
                "or more. Each is shown from low to high, at five quantiles of its prior, while "
                "all else stays at what is most typical."
            )
        )
        blocks.append(Cards([_quantity(model, each, pictures) for each in used[:_MOST_SWEEPS]]))
        if len(used) > _MOST_SWEEPS:
            rest = len(used) - _MOST_SWEEPS
            blocks.append(Words(f"{rest} other quantities hold less each and are not shown."))
    return [block for block in blocks if not isinstance(block, Cards) or block.cards]


def _counted(number: int, word: str) -> str:
    plural = f"{word[:-1]}ies" if word.endswith("y") else f"{word}s"
    return f"{number} {word if number == 1 else plural}"


def _kind(
    model: WynerModel, read: Read, sweep: Sweep, pictures: Mapping[str, Pictures]
) -> list[Block]:
    steps = len(sweep.steps)
    shares = sweep.shares
    shown = min(steps, _MOST_STEPS)
    about = f"z has a kind with {steps} values"
    if shares is not None:
        # A value that holds less than one of 200 pairs' worth is as good as unused.
        used = int((shares >= 0.005).sum())
        shown = min(shown, max(1, used))
        about += f", {used} of which hold 0.5 % of the pairs or more"
        if sweep.nats is not None:
            about += f"; they tell as much apart as {np.exp(sweep.nats):.1f} equally common ones"
    about += (
        ". The commonest comes first: what the model makes of the value, at the middle of the "
        "private part, beside real examples that it reads so."
    )
    of_step, far = read.nearest(sweep)
    made = {
        side.name: decoded(model, side, sweep.values[:shown], centre_of(side))
        for side in model.sides
    }
    cards = []
    for step in range(shown):
        own = np.flatnonzero(of_step == step)
        own = own[np.argsort(far[own], kind="stable")][:_REAL]
        note = [] if shares is None else [f"{percent(shares[step])} of the pairs"]
        note += filter(None, [_labels(read, own)])
        cards.append(
            Card(
                sweep.steps[step]
                if sweep.name == "value"
                else f"{sweep.name}, {sweep.steps[step]}",
                "; ".join(note),
                [
                    pictures[name].kind(made[name][step : step + 1], read.rows[name][own])
                    for name in pictures
                ],
            )
        )
    blocks: list[Block] = [Words(about), Cards(cards)]
    if shown < steps:
        rest = (
            ""
            if shares is None
            else f" hold {percent(shares[shown:].sum())} of the pairs together;"
        )
        blocks.append(Words(f"The other {steps - shown} values{rest} they are not shown."))
    return blocks


def _labels(read: Read, places: np.ndarray) -> str:
    """The commonest labels of some pairs, where labels are known."""
    told = {}
    for side, labels in read.labels.items():
        if labels is not None and len(places):
            common = Counter(labels[places].tolist()).most_common(2)
            told[side] = ", ".join(
                f"{label} {percent(count / len(places), 0)}" for label, count in common
            )
    if len(set(told.values())) == 1 and len(told) > 1:
        return f"label: {told['x']}"
    return "; ".join(f"label of {side}: {words}" for side, words in told.items())


def _quantity(model: WynerModel, sweep: Sweep, pictures: Mapping[str, Pictures]) -> Card:
    return Card(
        sweep.name,
        "" if sweep.nats is None else f"holds {sweep.nats:.2f} nats at most",  # as of a Gaussian
        [
            pictures[side.name].sweep(
                decoded(model, side, sweep.values, centre_of(side)), sweep.steps
            )
            for side in model.sides
        ],
    )


def private(
    model: WynerModel, side: Side, z: np.ndarray, pictures: Pictures, seed: int
) -> list[Block]:
    """What the private part of a side does: the sweeps that change its examples most.

    Args:
        model: whose side it is.
        side: whose private part.
        z: the common latent at which it is looked at, `(size,)`.
        pictures: of the side.
        seed: of the samples that directions are told from.
    """
    latent: Any = latent_of_model(model, side.local_name)
    heading = Heading(f"The private part of {side.name}")
    if latent is None:
        return [heading, Words(f"{side.name} has none: z alone makes it.")]
    rng = np.random.default_rng(seed)
    samples = np.asarray(latent.prior_sample(latent.draw_noise(rng, max(_DRAWN, 4 * latent.size))))
    made = decoded(model, side, z, samples)
    space = Standard(made, model.side_entries[side.name])
    # By least squares: what is decoded, as far as it is linear in the private part.
    inputs, outputs = samples - samples.mean(axis=0), space(made)
    effect = np.linalg.lstsq(inputs, outputs, rcond=None)[0]
    linear = explained(outputs, inputs @ effect + outputs.mean(axis=0))
    found = [
        sweep
        for sweep in latent.sweeps(None, effect)[:_DIRECTIONS]
        if sweep.strength is None or sweep.strength >= _LEAST_STRENGTH
    ]
    if not found:
        return [heading, Words(f"{side.local_name} changes nothing: z alone makes {side.name}.")]
    cards = [
        Card(
            sweep.name,
            "" if sweep.strength is None else f"{percent(sweep.strength, 0)} of the changes",
            [pictures.sweep(decoded(model, side, z, sweep.values), sweep.steps)],
        )
        for sweep in found
    ]
    return [
        heading,
        Words(
            f"What {side.name} does not share is {side.local_name}. At the most typical z, "
            f"{side.name} changes most along {_counted(len(cards), 'direction')} of it, here from "
            f"low to high. {percent(max(0.0, linear), 0)} of what {side.local_name} changes is "
            "linear in it; shares are of that."
        ),
        Cards(cards, rank=4),
    ]
