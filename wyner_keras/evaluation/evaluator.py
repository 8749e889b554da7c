"""The whole evaluation of a model of pairs on held-out pairs."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any

from tqdm import tqdm

from wyner_keras.data import Pairs
from wyner_keras.data.checks import check_whole
from wyner_keras.evaluation import (
    dependence,
    digits,
    distances,
    diversity,
    fit,
    labels,
    leakage,
    likelihood,
    memory,
    retrieval,
    two_sample,
)
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.judge import Judge, judges_for
from wyner_keras.evaluation.report import TITLES, Figure, Report
from wyner_keras.received import received
from wyner_serving.progress import no_bars, verbosity

# What is measured: one more is a function here, and its kind in `report.KINDS`.
_FIGURES: tuple[Callable[[Evaluation], dict[str, Figure | str]], ...] = (
    dependence.figures,
    retrieval.figures,
    two_sample.figures,
    leakage.figures,
    memory.figures,
    fit.reconstruction,
    likelihood.figures,
    labels.figures,
    fit.conditional,
    diversity.figures,
    distances.figures,
    digits.figures,
)


def evaluate(
    model: Any,
    held_out: Pairs,
    *,
    train: Pairs | None = None,
    judges: Mapping[str, Judge] | None = None,
    inputs: int | None = None,
    samples: int = 8,
    styles: int = 200,
    concepts: int = 200,
    bounds: bool = True,
    seed: int = 0,
    verbose: bool = True,
) -> Report:
    """Evaluate a model of pairs on held-out pairs.

    Without labels: whether x and y depend on one another at all; whether the model's pointwise
    mutual information finds an example's partner among 1,000; how well a classifier tells
    generated pairs from real ones; what u and v tell of z and of the other side; given `train`,
    whether samples are copies of training rows; what x through (z, u) keeps of x; bounds of the
    log-likelihood of 100 pairs, see `log_likelihood`; the energy score of `samples` given x, for
    500 inputs, and their variance; Fréchet distance, precision and recall (k = 3) of conditional
    and joint samples against one half of the real examples, whose other half is the ceiling.

    Where labels are known, a judge that `train` taught reads the label of the pair off conditional
    samples and transfers, `styles` by `concepts`, and labels that fit each other off joint pairs.
    Of grey ink on an empty ground, transfers also keep slant and stroke thickness.

    What the pairs or the model do not allow is left out, and the report says what it needs.

    Args:
        model: a WynerModel, a bundle, or anything with their methods `generate_x`, `generate_y`,
            `generate_pairs`, `transfer_x` and `transfer_y`. One that cannot do all of it names
            what it can in an attribute `tasks`: "conditional", "joint", "transfer".
        held_out: pairs that the model was not trained on; of more than 10,000 a random part.
        train: the pairs that the model was trained on: samples are compared with their rows, and
            their labels teach the judges.
        judges: by side, in place of `judges_for(train)`.
        inputs: how many examples of a side to use, drawn at random; by default all.
        samples: samples an input, at least 2.
        styles: style references of the transfer, at least 3.
        concepts: concept references of the transfer, at least 1; fewer where examples are large.
        bounds: whether the log-likelihood is bounded, which takes longest where examples are small.
        seed: of the draws and of the model's noise.
        verbose: shows progress on stderr.

    Returns:
        The report. Distances are measured on a judge's features, or else on those of the model's
        codec, or on standardised values: compare only figures of one judge or codec.

    Raises:
        ValueError: if an argument is not as said.

    Example:
        >>> print(evaluate(model, held_out, train=pairs).table())  # doctest: +SKIP

    Source: tasks as in the W-model's paper; each measure's source is in its function.
    """
    least = {"samples": (samples, 2), "styles": (styles, 3), "concepts": (concepts, 1)}
    if inputs is not None:
        least["inputs"] = (inputs, 10)
    for name, (value, lowest) in least.items():
        check_whole(value, f"`{name}`", minimum=lowest)
    for name, pairs in (("held_out", held_out), ("train", train)):
        if not isinstance(pairs, Pairs) and (name, pairs) != ("train", None):
            raise ValueError(f"`{name}` should be Pairs. Received: {received(pairs)}")
    shapes = dict(zip("xy", (each.shape for each in held_out.modalities), strict=True))
    for name, pairs in (("held_out", held_out), ("train", train)):
        for side, modality in zip("xy", () if pairs is None else pairs.modalities, strict=False):
            expected = getattr(model, "example_shape", shapes.get)(side)
            if expected != modality.shape:
                raise ValueError(
                    f"`{name}` should hold {side} of shape {expected}, as the model does. "
                    f"Received: shape {modality.shape}"
                )
    if judges is None:
        judges = {} if train is None else judges_for(train, verbose=verbosity(verbose))
    if any(judge.modality.shape != shapes.get(name) for name, judge in judges.items()):
        raise ValueError(
            f"`judges` should read examples of shapes {shapes}, by side. Received: "
            f"{ {name: judge.modality.shape for name, judge in judges.items()} }"
        )
    evaluation = Evaluation(
        model,
        held_out,
        judges,
        train=train,
        inputs=inputs,
        samples=samples,
        styles=styles,
        concepts=concepts,
        bounds=bounds,
        seed=seed,
    )
    found: dict[str, Figure | str] = {}
    for figures in tqdm(_FIGURES, desc="evaluate", disable=not verbose or no_bars(), leave=False):
        found |= figures(evaluation)
    listed = {name: found[name] for name in TITLES if name in found}
    return Report(
        figures={name: each for name, each in listed.items() if isinstance(each, Figure)},
        counts=evaluation.counts,
        seed=seed,
        left_out={name: each for name, each in listed.items() if isinstance(each, str)},
        intervals=evaluation.intervals,
        p_values=evaluation.p_values,
        nearest=evaluation.nearest,
    )
