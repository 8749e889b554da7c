"""What each figure of an evaluation means, in one sentence, and what a good value is.

A figure that is not in the table is shown all the same, under "Other figures".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wyner_keras.evaluation.report import NAMED, Figure, Kind
from wyner_keras.reporting.blocks import Figures, Measured

PARTNERS, GIVEN, PAIRS, KEPT, STYLE, OTHER = (
    "Do the two sides know each other?",
    "Generated from the other side",
    "Generated as whole pairs",
    "Kept by encoding and decoding",
    "Style transfer",
    "Other figures",
)


class Meaning(NamedTuple):
    """A group of figures, and two sentences about one of them."""

    group: str
    means: str
    good: str


_CLOUD = "Good: close to the figure beside it, which real examples reach."
# By kind of figure, see `evaluation.report.KINDS`; the order is that of the page.
MEANINGS = {
    "found_first": Meaning(
        PARTNERS,
        "How often the true partner is ranked first among the held-out ones.",
        "Good: far above chance; close to 1 only where each pair is one of its kind.",
    ),
    "found_in_5": Meaning(
        PARTNERS,
        "How often the true partner is among the first five.",
        "Good: far above chance.",
    ),
    "partner_nats": Meaning(
        PARTNERS,
        "A lower bound of what one side tells of the other through z.",
        "Good: above 0; log n, beside it, is the most that n pairs can show.",
    ),
    "conditional_accuracy": Meaning(
        GIVEN,
        "How often a classifier reads the right label off what is generated.",
        _CLOUD,
    ),
    "fit": Meaning(
        GIVEN,
        "How much nearer the true partner samples are than samples for another input.",
        "Good: above 0, which stands for no use of the input; 1 is a perfect prediction.",
    ),
    "fit_joint": Meaning(
        GIVEN,
        "How much nearer the true partner samples are than samples for no input at all.",
        "Good: above 0; 1 is a perfect prediction.",
    ),
    "diversity": Meaning(
        GIVEN,
        "How much samples of one input differ, against real examples of one label.",
        "Good: near 1; near 0 the model repeats itself, above 1 it mixes labels.",
    ),
    "spread": Meaning(
        GIVEN,
        "How much samples of one input differ, against all real examples.",
        "Good: well below 1, which stands for no use of the input, and well above 0.",
    ),
    "frechet": Meaning(
        GIVEN, "How far generated examples as a whole lie from real ones; less is better.", _CLOUD
    ),
    "precision": Meaning(
        GIVEN, "Which share of generated examples could pass for real ones.", _CLOUD
    ),
    "recall": Meaning(
        GIVEN, "Which share of real examples the model could have generated.", _CLOUD
    ),
    "joint_coherence": Meaning(
        PAIRS, "How often the labels of a generated pair go together.", _CLOUD
    ),
    "frechet_joint": Meaning(
        PAIRS, "How far generated pairs lie from real ones, one side at a time.", _CLOUD
    ),
    "precision_joint": Meaning(
        PAIRS, "Which share of generated examples could pass for real ones.", _CLOUD
    ),
    "recall_joint": Meaning(
        PAIRS, "Which share of real examples the model could have generated.", _CLOUD
    ),
    "reconstruction": Meaning(
        KEPT,
        "How much of an example is left after encoding it into shared and private parts.",
        _CLOUD,
    ),
    "reconstruction_binary": Meaning(
        KEPT,
        "How many yes-or-no values are right after encoding and decoding.",
        "Good: close to 1, above what the commonest value reaches.",
    ),
    "reconstruction_categorical": Meaning(
        KEPT,
        "How many categories are right after encoding and decoding.",
        "Good: close to 1, above what the commonest category reaches.",
    ),
    "style_accuracy": Meaning(
        STYLE, "How often the label stays right when the style is changed.", _CLOUD
    ),
    "slant_correlation": Meaning(
        STYLE, "Whether the slant of the style example is kept, within a label.", _CLOUD
    ),
    "slant_correlation_pooled": Meaning(
        STYLE, "Whether the slant of the style example is kept.", _CLOUD
    ),
    "thickness_correlation": Meaning(
        STYLE, "Whether the thickness of strokes is kept, within a label.", _CLOUD
    ),
    "thickness_correlation_pooled": Meaning(
        STYLE, "Whether the thickness of strokes is kept.", _CLOUD
    ),
}
_UNKNOWN = Meaning(OTHER, "", "")


def kind_of(name: str) -> str:
    """The kind of a figure by its name: "frechet_joint" of "frechet_joint_y"."""
    stem = name.removesuffix("_x").removesuffix("_y")
    return stem if name not in MEANINGS and stem in MEANINGS else name


def grouped(figures: Mapping[str, Figure]) -> list[Figures]:
    """Every figure with its sentences, in the groups of the page."""
    kinds: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in MEANINGS}
    for name, figure in figures.items():
        kind = NAMED.get(name, Kind(title_of(name), "", "beside"))
        model, beside = (_number(value, kind.digits) for value in tuple(figure)[:2])
        unit = {"nats": " nats"}.get(kind.unit, "")
        row = (kind.title, f"{model}{unit}", f"{kind.beside} {beside}{unit}")
        kinds.setdefault(kind_of(name), []).append(row)
    groups: dict[str, list[Measured]] = {}
    for kind_name, rows in kinds.items():
        group, means, good = MEANINGS.get(kind_name, _UNKNOWN)
        if rows:
            groups.setdefault(group, []).append(Measured(rows, means, good))
    return [Figures(group, found) for group, found in groups.items()]


def title_of(name: str) -> str:
    """What a figure is called."""
    return NAMED[name].title if name in NAMED else name.replace("_", " ")


def _number(value: float | None, digits: int) -> str:
    return "–" if value is None or value != value else f"{value:.{digits}f}"
