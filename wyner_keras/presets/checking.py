"""A preset's figures run again, and compared with those of its card."""

from __future__ import annotations

import math
import os
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any, NamedTuple

from wyner_keras.data import Pairs
from wyner_keras.evaluation.report import TITLES
from wyner_keras.presets.handing_on import load
from wyner_keras.presets.judging import figures_of, numbers
from wyner_keras.received import received
from wyner_keras.runs import Source
from wyner_serving import presets


class Compared(NamedTuple):
    """A figure of a card, and the same run again.

    Args:
        title: for people.
        card: the card's.
        interval: the card's, 95 %; None where it has none, and the figure should be the same.
        found: the one that was run now.
    """

    title: str
    card: float
    interval: tuple[float, float] | None
    found: float

    @property
    def differs(self) -> bool:
        """Whether what was found lies outside the interval."""
        if math.isnan(self.card) or math.isnan(self.found):
            return math.isnan(self.card) != math.isnan(self.found)
        low, high = self.interval or (self.card, self.card)
        return not low <= self.found <= high


@dataclass(frozen=True)
class Checked:
    """What `check` found.

    Args:
        figures: every figure of the card that was run again, by name.
        missing: names of figures of the card that could not be.
    """

    figures: Mapping[str, Compared]
    missing: tuple[str, ...] = ()

    @property
    def differing(self) -> dict[str, Compared]:
        """The figures that differ by more than their interval."""
        return {name: each for name, each in self.figures.items() if each.differs}

    def __str__(self) -> str:
        """What differs and how, for people."""
        differing = self.differing
        if not differing and not self.missing:
            return f"{len(self.figures)} figures are within the intervals of the card"
        lines = [f"{len(differing)} of {len(self.figures)} figures differ from the card"]
        for each in differing.values():
            between = f"{each.interval[0]:.4g} to {each.interval[1]:.4g}" if each.interval else "–"
            lines.append(
                f"- {each.title}: {each.found:.4g}, on the card {each.card:.4g} ({between})"
            )
        lines += [f"- {name}: not found, on the card it is" for name in self.missing]
        return "\n".join(lines)


def check(
    name: str | os.PathLike[str],
    *,
    held_out: Pairs | None = None,
    train: Pairs | None = None,
    seed: int | None = None,
    verbose: bool = True,
) -> Checked:
    """Run the figures of a preset's card again.

    Args:
        name: of the preset, see `wyner_serving.presets.find`.
        held_out: the pairs of the card's figures; None has them read by what the card says.
        train: those trained on; read likewise.
        seed: of the evaluation; None takes the card's.
        verbose: shows progress on stderr.

    Raises:
        ValueError: if there is no such preset, it is damaged, or its pairs cannot be read.

    Example:
        >>> print(check("digits_add_one"))  # doctest: +SKIP
        83 figures are within the intervals of the card
    """
    folder = presets.find(name)
    facts = presets.facts(folder)
    judged = facts.get("judged")
    try:
        card = numbers(judged)  # type: ignore[arg-type]
        seed = int(judged["seed"]) if seed is None else seed  # type: ignore[index]
    except (KeyError, TypeError, ValueError, AttributeError, IndexError) as error:
        raise ValueError(
            f"{folder / presets.FACTS} should hold judged figures. "
            f"Received: {received(judged):.200}"
        ) from error
    if held_out is None:
        train, held_out = _pairs(facts)
    found = numbers(figures_of(load(folder), held_out, train, seed, verbose))
    figures = {
        each: Compared(TITLES.get(each, each), value, interval, found[each][0])
        for each, (value, interval) in card.items()
        if each in found
    }
    return Checked(figures, tuple(each for each in card if each not in found))


def _pairs(facts: Mapping[str, Any]) -> tuple[Pairs, Pairs]:
    data = facts.get("data")
    source = data.get("source") if isinstance(data, Mapping) else None
    if not isinstance(source, Mapping):
        raise ValueError(
            "the card should say where its pairs come from, or they should be given: `held_out` "
            f"and `train`, or --pairs, --x and --y, or --data. Received: source={received(source)}"
        )
    return Source.from_dict(source).load()
