"""Whether a classifier tells real pairs from generated ones: two-sample tests by its accuracy."""

from __future__ import annotations

import itertools
from collections.abc import Sequence
from dataclasses import dataclass

import numpy as np
from sklearn.kernel_approximation import Nystroem
from sklearn.linear_model import LogisticRegression
from sklearn.model_selection import PredefinedSplit, cross_val_predict
from sklearn.pipeline import make_pipeline
from sklearn.preprocessing import StandardScaler

from wyner_keras.data.apart import LEAST, NEEDS
from wyner_keras.data.checks import as_real, check_whole
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure
from wyner_keras.evaluation.spaces import scores
from wyner_keras.intervals import wilson
from wyner_keras.received import received

_FOLDS = 5
_COORDINATES = 32  # of a side
_CROSSED = 12  # coordinates of a side whose products with the other side's are inputs
_CENTRES = 150  # of the Gaussian kernel
_MOST = 2000  # pairs of either kind that are told apart


@dataclass(frozen=True, kw_only=True)
class TwoSampleTest:
    """What `two_sample_test` found.

    Args:
        accuracy: share of the examples that were told rightly; 0.5 where nothing tells them apart.
        interval: of the accuracy, 95 %.
        examples: how many were judged, real and generated.
    """

    accuracy: float
    interval: tuple[float, float]
    examples: int


def two_sample_test(
    real: Sequence[np.ndarray], generated: Sequence[np.ndarray], *, seed: int = 0
) -> TwoSampleTest:
    """Test whether real and generated examples have one distribution, by a classifier's accuracy.

    A logistic regression reads at most 32 coordinates of a part (its columns or else principal
    components), their squares, the products of one part's with another's, which is where a wrong
    pairing shows, and a Gaussian kernel of all of it. Five times it is fitted to four fifths of
    the rows and judges the rest: no example is judged by a classifier that saw it, or its row.

    The folds' classifiers learn from one another's examples, so that their errors go together: of
    equal samples the accuracy varies up to twice as much as that of independent guesses. The
    interval is therefore Wilson's for half as many examples.

    Args:
        real: the parts of an example, of a pair its sides: vectors `(n, features)` each.
        generated: the same parts, equally many rows. Row i may share a part with the real row i.
        seed: of the folds and the kernel.

    Raises:
        ValueError: if a part is not as said, or there are fewer than 10 rows.

    Example:
        >>> rows = np.random.default_rng(0).normal(size=(2, 200, 3))
        >>> two_sample_test([rows[0]], [rows[1] + 10]).accuracy
        1.0

    Source: Lopez-Paz and Oquab, Revisiting classifier two-sample tests, 2017; Noirhomme et al.,
    Biased binomial assessment of cross-validated estimation of classification accuracies, 2014.
    """
    both = _parts(real, generated)
    seed, count = check_whole(seed, "`seed`"), len(both[0]) // 2
    classifier = make_pipeline(StandardScaler(), LogisticRegression(C=0.01, max_iter=300))
    kinds = np.repeat([0, 1], count)
    predicted = cross_val_predict(
        classifier,
        _inputs([scores(part, _COORDINATES) for part in both], seed),
        kinds,
        cv=PredefinedSplit(np.tile(folds(count), 2)),
    )
    accuracy = float(np.mean(predicted == kinds))
    return TwoSampleTest(
        accuracy=accuracy, interval=wilson(accuracy, count), examples=len(predicted)
    )


def folds(count: int) -> np.ndarray:
    """The fold of each row, `(count,)`: stretches of equal length, give or take one."""
    return np.arange(count) * _FOLDS // count


def shifted(rows: np.ndarray) -> np.ndarray:
    """Rows in the place of the next one of their fold, so that no fold sees another's."""
    fold = folds(len(rows))
    return np.concatenate([np.roll(rows[fold == each], 1, axis=0) for each in range(_FOLDS)])


def _parts(real: Sequence[np.ndarray], generated: Sequence[np.ndarray]) -> list[np.ndarray]:
    """Each part's real rows, then its generated ones."""
    expected = "vectors (n, features), one array a part, 10 rows or more and equally many"
    if not all(isinstance(parts, list | tuple) and parts for parts in (real, generated)):
        raise ValueError(
            "`real` and `generated` should be lists of arrays, one array a part. "
            f"Received: {received(real)} and {received(generated)}"
        )
    pair = [
        [as_real(part, f"`{name}`", expected) for part in parts]
        for name, parts in (("real", real), ("generated", generated))
    ]
    shapes = [[part.shape for part in parts] for parts in pair]
    same = shapes[0] == shapes[1] and len({shape[0] for shape in shapes[0] if shape}) == 1
    if not same or any(len(shape) != 2 or shape[0] < 2 * _FOLDS for shape in shapes[0]):
        raise ValueError(
            f"`real` and `generated` should be {expected}. "
            f"Received: {received(shapes[0])} and {received(shapes[1])}"
        )
    if not all(np.isfinite(part).all() for parts in pair for part in parts):
        raise ValueError("`real` and `generated` should be finite. Received: NaN or infinity")
    return [np.concatenate(each) for each in zip(*pair, strict=True)]


def _inputs(parts: list[np.ndarray], seed: int) -> np.ndarray:
    """What the classifier reads of the coordinates of each part."""
    together = np.concatenate(parts, axis=1)
    kernel = Nystroem(
        gamma=0.5 / together.shape[1],
        n_components=min(_CENTRES, len(together)),
        random_state=seed,
    )
    inputs = [together, together**2, kernel.fit_transform(together)]
    curved = [
        np.concatenate([part, part**2 - 1], axis=1) for part in (p[:, :_CROSSED] for p in parts)
    ]
    for first, second in itertools.combinations(curved, 2):
        inputs.append((first[:, :, None] * second[:, None]).reshape(len(first), -1))
    return np.concatenate(inputs, axis=1)


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Accuracy on joint pairs, on conditional ones, and on sides that do not go together."""
    joint = ["two_sample_joint", "two_sample_shuffled"] if "joint" in evaluation.tasks else []
    made_of = {f"two_sample_{made.name}": made for made in evaluation.made("conditional")}
    if evaluation.apart is None or not (joint or made_of):
        return dict.fromkeys([*joint, *made_of], NEEDS)
    rows = {name: places[:_MOST] for name, places in evaluation.apart.items()}
    sides = evaluation.sides
    real = {name: side.space(side.examples[rows[name]]) for name, side in sides.items()}
    # By figure its real and its generated parts, x and y.
    told: dict[str, tuple[list[np.ndarray], list[np.ndarray]]] = {}
    if joint:
        drawn = [side.space(side.ask("joint")[: len(real[name])]) for name, side in sides.items()]
        both = [part[: len(drawn[0])] for part in real.values()]
        told = dict(zip(joint, [(both, drawn), (both, [drawn[0], shifted(drawn[1])])], strict=True))
    for name, made in made_of.items():
        given = made.other.name
        asked = np.full(len(made.other.examples), -1)
        asked[made.plan.inputs] = np.arange(len(made.plan.inputs))
        answer = asked[rows[given]]
        asked_for = {each: part[answer >= 0] for each, part in real.items()}
        answers = made.space(made.ask("conditional")[answer[answer >= 0]])
        generated = {**asked_for, made.name: answers}
        told[name] = list(asked_for.values()), list(generated.values())
    found: dict[str, Figure | str] = {}
    for name, parts in told.items():
        if len(parts[0][0]) < LEAST:
            found[name] = NEEDS
            continue
        test = two_sample_test(*parts, seed=evaluation.seed)
        evaluation.counts[name] = test.examples
        evaluation.intervals[name] = test.interval
        found[name] = Figure(test.accuracy, 0.5)
        if name == "two_sample_shuffled":
            # Whether it can see at all which x goes with which y, the sides being real.
            x, y = parts[0]
            control = two_sample_test((x, y), (x, shifted(y)), seed=evaluation.seed)
            found[name] = Figure(test.accuracy, control.accuracy)
    return found
