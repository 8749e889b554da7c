"""What each figure of an evaluation means, in one sentence, and what a good value is.

A figure that is not in the table is shown all the same, under "Other figures".
"""

from __future__ import annotations

from collections.abc import Mapping
from typing import NamedTuple

from wyner_keras.evaluation.report import NAMED, Figure, Kind
from wyner_keras.reporting.blocks import Figures, Measured

PARTNERS, APART, GIVEN, PAIRS, KEPT, STYLE, OTHER = (
    "Do the two sides know each other?",
    "Is the private part private?",
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
_DENSITY = (
    "Of images and real numbers it is a density's, in the data's units: 8 more for an image's "
    "bytes, and below 0 where a value is known to less than a unit."
)
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
        "What one side tells of the other through z, at least; where the model is too sure of it, "
        "that is taken off.",
        "Good: above 0; beside it stands the most that so many pairs can show.",
    ),
    "median_rank": Meaning(
        PARTNERS,
        "The place of the true partner among the held-out ones, in the middle case.",
        "Good: near 1, far below chance.",
    ),
    "dependence": Meaning(
        PARTNERS,
        "Whether the two sides depend on one another at all, by a test that needs no model.",
        "Good: above what shuffled pairs give, p below 0.05, where something is to be shared.",
    ),
    "leakage_z": Meaning(
        APART,
        "How much the private part tells of the shared part.",
        "Good: no more than shuffled pairs give; otherwise the parts are not kept apart.",
    ),
    "leakage_z_variance": Meaning(
        APART,
        "Which share of the shared part can be told from the private one.",
        "Good: no more than shuffled pairs give.",
    ),
    "leakage_partner": Meaning(
        APART,
        "How much the private part tells of the other side.",
        "Good: no more than shuffled pairs give; otherwise something shared was taken for private.",
    ),
    "leakage_partner_variance": Meaning(
        APART,
        "Which share of the other side can be told from the private part.",
        "Good: no more than shuffled pairs give.",
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
    "two_sample": Meaning(
        GIVEN,
        "How often a classifier tells generated examples, beside their input, from real ones.",
        "Good: near 0.5, which is guessing; 1 is always.",
    ),
    "log_likelihood": Meaning(
        GIVEN,
        "How likely the true partner is under the model, at the noise that is stated.",
        "Good: more than another model reaches in the same units.",
    ),
    "bits": Meaning(
        GIVEN,
        "How many bits a value of the true partner takes to write down, given the input. "
        + _DENSITY,
        "Good: less than another model takes.",
    ),
    "memory": Meaning(
        GIVEN,
        "How often a generated example lies nearer to one trained on than a held-out one does.",
        "Good: near 0.5; close to 1 the model copies what it was trained on.",
    ),
    "two_sample_joint": Meaning(
        PAIRS,
        "How often a classifier tells generated pairs from real ones.",
        "Good: near 0.5, which is guessing; 1 is always.",
    ),
    "two_sample_shuffled": Meaning(
        PAIRS,
        "How often it tells pairs that do not belong together from real ones.",
        "Good: well above 0.5; otherwise the classifier cannot see a wrong pairing.",
    ),
    "log_likelihood_joint": Meaning(
        PAIRS,
        "How likely held-out pairs are under the model, at the noise that is stated.",
        "Good: more than another model reaches in the same units.",
    ),
    "bits_joint": Meaning(
        PAIRS,
        "How many bits a value of a held-out pair takes to write down. " + _DENSITY,
        "Good: less than another model takes.",
    ),
    "memory_joint": Meaning(
        PAIRS,
        "How often one side of a generated pair lies nearer to an example trained on than a "
        "held-out one does.",
        "Good: near 0.5; close to 1 the model copies what it was trained on.",
    ),
    "joint_coherence": Meaning(
        PAIRS,
        "How often the labels of a generated pair go together.",
        "Good: close to the figure beside it; one pair made again and again reaches 1, though.",
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
    "log_likelihood_marginal": Meaning(
        KEPT,
        "How likely a held-out example is under the model, at the noise that is stated.",
        "Good: more than another model reaches in the same units.",
    ),
    "bits_marginal": Meaning(
        KEPT,
        "How many bits a value of a held-out example takes to write down. " + _DENSITY,
        "Good: less than another model takes.",
    ),
    "noise_scale": Meaning(
        KEPT,
        "The noise that likelihoods are stated at: how far examples lie from what is rendered.",
        "Good: well below what stands beside it, which uses neither part.",
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


def grouped(
    figures: Mapping[str, Figure],
    intervals: Mapping[str, tuple[float, float]] | None = None,
    p_values: Mapping[str, float] | None = None,
) -> list[Figures]:
    """Every figure with its sentences, in the groups of the page.

    Args:
        figures: by name.
        intervals: of those that have one, 95 %.
        p_values: of those that are tests.
    """
    kinds: dict[str, list[tuple[str, str, str]]] = {kind: [] for kind in MEANINGS}
    for name, figure in figures.items():
        kind = NAMED.get(name, Kind(title_of(name), "", "beside"))
        model, beside = (_number(value, kind.digits) for value in tuple(figure)[:2])
        unit = {"nats": " nats"}.get(kind.unit, "")
        said = kind.stands_beside((intervals or {}).get(name), (p_values or {}).get(name))
        certain = said.removeprefix(kind.beside)
        row = (kind.title, f"{model}{unit}", f"{kind.beside} {beside}{unit}{certain}")
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
    return "–" if value is None or value != value else f"{value:z.{digits}f}"
