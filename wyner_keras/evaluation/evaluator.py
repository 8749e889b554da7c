"""The whole evaluation of a model of pairs on held-out images."""

from __future__ import annotations

from collections.abc import Callable, Mapping, Sequence
from typing import Protocol

import numpy as np
from tqdm import tqdm

from wyner_keras.data import ImageSource
from wyner_keras.data.checks import check_least
from wyner_keras.evaluation.classifier import Judge, judge_for, judgeable
from wyner_keras.evaluation.distances import frechet_distance, precision_recall
from wyner_keras.evaluation.diversity import varied_classes, within_input_diversity
from wyner_keras.evaluation.plan import Plan, SidePlan
from wyner_keras.evaluation.report import TITLES, Figure, Report
from wyner_keras.evaluation.sides import LabelMap, Side, add_one, sides
from wyner_keras.evaluation.style import slant, stroke_thickness, style_correlation
from wyner_keras.received import received

TASKS = ("conditional", "joint", "transfer")
_STYLES = 3  # of which a correlation can be had
_NEIGHBOUR = 3  # that sets the radius of precision and recall
# What is left out, and what it needs.
_NO_JUDGE = "training images of two classes or more, to teach a judge"
_NO_VARIETY = "held-out images of one class that differ"
_NO_STYLES = f"{_STYLES} held-out images or more"
_NO_HALVES = "4 held-out images or more, two to compare with two"
_NO_NEIGHBOURS = f"{2 * (_NEIGHBOUR + 1)} held-out images or more, for {_NEIGHBOUR} neighbours each"


class GenerativePair(Protocol):
    """A model of pairs of images. NumPy in and out, float32 in [0, 1].

    One that cannot do all of it says so in an attribute `tasks`, the names of what it can do among
    `TASKS`; `evaluate` leaves out the rest.
    """

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        """Images `(n, h, w, c)`, or `(n, samples, h, w, c)` for more than one sample."""

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        """Images `(n, h, w, c)`, or `(n, samples, h, w, c)` for more than one sample."""

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        """Images x and y, each `(n, h, w, c)`."""

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        """Images x `(styles, concepts, h, w, c)`: the style of an x, the concept of a y."""

    def transfer_y(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        """Images y `(styles, concepts, h, w, c)`: the style of a y, the concept of an x."""


def evaluate(
    model: GenerativePair,
    source: ImageSource,
    *,
    target: ImageSource | None = None,
    label_map: LabelMap = add_one,
    judge: Judge | None = None,
    target_judge: Judge | None = None,
    inputs: int | None = None,
    samples: int = 8,
    styles: int = 100,
    concepts: int = 200,
    seed: int = 0,
    verbose: bool = True,
) -> Report:
    """Evaluates a model of pairs on held-out images.

    - Conditional accuracy: share of `generate_y(x)` that the judge reads as the label x implies,
      and of `generate_x(y)` read as a label that implies y's; one sample for each test image.
    - Joint coherence: share of `generate_pairs` whose two readings fit; as many pairs as inputs.
    - Style transfer: `styles` test images by `concepts` others; share read as the concept implies,
      and correlation of slant and stroke thickness between style reference and result. Thickness
      is measured for the first 20 concepts.
    - Within-input diversity: `samples` samples for each of at most 500 inputs.
    - Fréchet distance, precision and recall (k = 3): one half of the real test images, drawn at
      random, is the reference; the ceiling compares the other half with it, the model as many
      generated images. All are of equal size, since both measures depend on it.

    What the images do not allow is left out, and the report says what it needs: without two classes
    to teach a judge, all that a judge reads; with few held-out images, distances, correlations and
    the diversity of classes that have one image alone.

    A model that names fewer `tasks` gets the figures of those, on the same images as any other.

    The ceilings of the accuracies are the judge's own on real test images, the product of both
    sides' for pairs; those of correlation and diversity are 1 by their definition.

    Args:
        model: anything with the methods of `GenerativePair`.
        source: its `test` images are the inputs and the reference; `train` only teaches a judge.
        target: the same of y, where y comes from a source of its own; None for `source`.
        label_map: from x label to y label, as a function or a mapping. Test images without a
            partner under it are left out.
        judge: reads the images; by default `judge_for(source)`, where that is `judgeable`.
        target_judge: reads those of y where there is a `target`; by default `judge_for(target)`.
        inputs: how many test images to use, drawn at random; by default all.
        samples: samples an input for the diversity, at least 2.
        styles: style references of the transfer, at least 3.
        concepts: concept references of the transfer, at least 1.
        seed: seed of the draws and of the model's.
        verbose: shows progress on stderr.

    Returns:
        The report. Fréchet distances and the like depend on the judge: compare only figures of one.

    Raises:
        ValueError: counts out of range, a label map that leads nowhere, unknown `tasks`, or a
            `target_judge` without a `target`.

    Example:
        With a trained `model`::

            report = wk.evaluation.evaluate(model, wk.data.load("mnist"))
            print(report.table())

    Source:
        The tasks are those of the W-model's paper; each measure's source is in its function.
    """
    lowest = (("samples", samples, 2), ("styles", styles, 3), ("concepts", concepts, 1))
    for name, value, least in lowest:
        check_least(value, f"`{name}`", least)
    if inputs is not None:
        check_least(inputs, "`inputs`", 10)
    tasks = _tasks(model)
    judges = _judges(source, target, judge, target_judge, "auto" if verbose else 0)
    bar = tqdm(total=6, desc="evaluate", disable=not verbose, leave=False)
    with bar:
        x, y = sides(source, target, label_map, judges)
        plan = Plan.draw(
            len(x.real), len(y.real), inputs=inputs, styles=styles, concepts=concepts, seed=seed
        )
        bar.update()
        figures: dict[str, Figure] = {}
        left_out: dict[str, str] = {}
        counts = {f"judge_{name}": len(s.real) for name, s in (("x", x), ("y", y)) if s.judged}

        joint: dict[str, np.ndarray] = {}
        if "joint" in tasks:
            read = {}
            if x.judged or y.judged:
                pairs = model.generate_pairs(plan.pairs, seed=seed)
                for name, side, images in (("x", x, pairs[0]), ("y", y, pairs[1])):
                    if side.judged:
                        read[name], joint[name] = side.read(images)
            if len(read) == 2:
                coherence = float(np.mean(read["x"] == read["y"]))
                figures["joint_coherence"] = Figure(coherence, x.accuracy * y.accuracy)
                counts["joint"] = plan.pairs
            else:
                left_out["joint_coherence"] = _NO_JUDGE
        bar.update()

        for name, given, made in (("y", x, y), ("x", y, x)):
            draws, features = plan.sides[name], {}
            if "conditional" in tasks:
                generate = model.generate_y if name == "y" else model.generate_x
                chosen = draws.inputs
                if made.judged:
                    made_of = generate(given.real.images[chosen], seed=seed)
                    labels, features[name] = made.read(made_of)
                    right = float(np.mean(labels == given.real.labels[chosen]))
                    figures[f"conditional_accuracy_{name}"] = Figure(right, made.accuracy)
                    counts[f"conditional_{name}"] = len(chosen)
                else:
                    left_out[f"conditional_accuracy_{name}"] = _NO_JUDGE
                few = draws.diverse
                few = few[np.isin(given.real.labels[few], varied_classes(made.real))]
                if len(few):
                    many = generate(given.real.images[few], seed=seed + 1, samples=samples)
                    share = within_input_diversity(many, given.real.labels[few], made.real)
                    figures[f"diversity_{name}"] = Figure(share, 1.0)
                    counts[f"diversity_{name}"] = len(few)
                else:
                    left_out[f"diversity_{name}"] = _NO_VARIETY
            if name in joint:
                features[f"joint_{name}"] = joint[name]
            suffixes = [name] * ("conditional" in tasks) + [f"joint_{name}"] * ("joint" in tasks)
            found, missing = _distances(name, suffixes, features, made, draws, counts)
            figures, left_out = figures | found, left_out | missing
            bar.update()

        for name, given, made in (("x", y, x), ("y", x, y)):
            if "transfer" in tasks:
                transfer = model.transfer_x if name == "x" else model.transfer_y
                draws = plan.sides[name]
                found, missing = _transfer(name, given, made, transfer, draws, seed, counts)
                figures, left_out = figures | found, left_out | missing
            bar.update()
    return Report(
        figures={name: figures[name] for name in TITLES if name in figures},
        counts=counts,
        seed=seed,
        left_out={name: left_out[name] for name in TITLES if name in left_out},
    )


def _judges(
    source: ImageSource,
    target: ImageSource | None,
    judge: Judge | None,
    target_judge: Judge | None,
    verbose: int | str,
) -> tuple[Judge | None, Judge | None]:
    """Of x and of y; where both come from one source, one judge reads both."""

    def default(images: ImageSource) -> Judge | None:
        return judge_for(images, verbose=verbose) if judgeable(images) else None

    if target is None:
        if target_judge is not None:
            raise ValueError(
                "`target_judge` should be None without a `target`: `judge` reads x and y. "
                f"Received: target_judge={received(target_judge)}"
            )
        judge = judge or default(source)
        return judge, judge
    return judge or default(source), target_judge or default(target)


def _tasks(model: GenerativePair) -> tuple[str, ...]:
    tasks = tuple(getattr(model, "tasks", TASKS))
    if not tasks or not set(tasks) <= set(TASKS):
        raise ValueError(
            f"`tasks` of the model should be some of {TASKS}. Received: {received(tasks)}"
        )
    return tasks


def _distances(
    name: str,
    suffixes: Sequence[str],
    features: Mapping[str, np.ndarray],
    made: Side,
    draws: SidePlan,
    counts: dict[str, int],
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Fréchet distance, precision and recall of conditional and joint images of one side.

    Then what was left out of them, and what it needs.
    """
    kinds = ("frechet", "precision", "recall")
    if not made.judged:
        return {}, {f"{kind}_{suffix}": _NO_JUDGE for kind in kinds for suffix in suffixes}
    if not features:
        return {}, {}
    reference, other = made.sets(draws.halves)
    # The same size whatever a model can do: distances of other numbers do not compare.
    size = min(len(reference), len(draws.conditional), len(draws.joint))
    reference, other = reference[:size], other[:size]
    least = {"frechet": (2, _NO_HALVES)}
    least |= dict.fromkeys(("precision", "recall"), (_NEIGHBOUR + 1, _NO_NEIGHBOURS))
    left_out = {
        f"{kind}_{suffix}": needs
        for kind, (count, needs) in least.items()
        for suffix in suffixes
        if size < count
    }

    def measured(images: np.ndarray) -> dict[str, float]:
        found = {"frechet": frechet_distance(reference, images)} if size > 1 else {}
        if size > _NEIGHBOUR:
            found |= precision_recall(reference, images, _NEIGHBOUR)._asdict()
        return found

    ceiling, figures = measured(other), {}
    for suffix, order in ((name, draws.conditional), (f"joint_{name}", draws.joint)):
        if suffix in features:
            for kind, value in measured(features[suffix][order[:size]]).items():
                figures[f"{kind}_{suffix}"] = Figure(value, ceiling[kind])
    if figures:
        counts[f"distances_{name}"] = size
    return figures, left_out


def _transfer(
    name: str,
    given: Side,
    made: Side,
    transfer: Callable[..., np.ndarray],
    draws: SidePlan,
    seed: int,
    counts: dict[str, int],
) -> tuple[dict[str, Figure], dict[str, str]]:
    """Accuracy and kept style of one side's style transfer; what was left out, what it needs."""
    references, chosen = made.real.images[draws.styles], draws.concepts
    labels = given.real.labels[chosen]
    measures = (("slant", slant, len(chosen)), ("thickness", stroke_thickness, 20))
    left_out: dict[str, str] = {}
    if not made.judged:
        left_out[f"style_accuracy_{name}"] = _NO_JUDGE
    if len(references) < _STYLES:
        for kind, _, _ in measures:
            left_out[f"{kind}_correlation_{name}"] = _NO_STYLES
            left_out[f"{kind}_correlation_pooled_{name}"] = _NO_STYLES
        if not made.judged:
            return {}, left_out
    results = transfer(style=references, concept=given.real.images[chosen], seed=seed)
    shape, figures = (len(references), len(chosen)), {}
    counts[f"styles_{name}"], counts[f"concepts_{name}"] = shape
    if made.judged:
        readings, _ = made.read(results.reshape(-1, *results.shape[2:]))
        right = float(np.mean(readings.reshape(shape) == labels))
        figures[f"style_accuracy_{name}"] = Figure(right, made.accuracy)
    if len(references) < _STYLES:
        return figures, left_out
    for kind, measure, columns in measures:
        part = results[:, :columns]
        values = measure(part.reshape(-1, *part.shape[2:])).reshape(part.shape[:2])
        kept = style_correlation(measure(references), values, labels[:columns])
        figures[f"{kind}_correlation_{name}"] = Figure(kept.within_class, 1.0)
        figures[f"{kind}_correlation_pooled_{name}"] = Figure(kept.pooled, 1.0)
    return figures, left_out
