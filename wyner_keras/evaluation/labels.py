"""What a judge reads off a model's examples: figures that take labels."""

from __future__ import annotations

import numpy as np

from wyner_keras.evaluation.held import Evaluation, Held
from wyner_keras.evaluation.judge import MOST_CLASSES
from wyner_keras.evaluation.report import Figure

_NEEDS = f"labels of 2 to {MOST_CLASSES} classes, in `train` too, to teach a judge"


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Accuracy given the other side, accuracy of style transfer, coherence of joint pairs."""
    found: dict[str, Figure | str] = {}
    for task, kind in (("conditional", "conditional"), ("transfer", "style")):
        for made in evaluation.made(task):
            name = f"{kind}_accuracy_{made.name}"
            if made.judge is None or made.labels is None:
                found[name] = _NEEDS
                continue
            # The label of the partner of what was given.
            asked = made.plan.inputs if task == "conditional" else made.plan.concepts
            wanted = made.labels[made.other.partner[asked]]
            read = made.read(task)[0].reshape(-1, len(asked))
            found[name] = Figure(float(np.mean(read == wanted)), _accuracy(made) * _agreement(made))
            evaluation.counts[name] = read.size
    if "joint" in evaluation.tasks:
        found["joint_coherence"] = _coherence(evaluation)
    return found


def _accuracy(side: Held) -> float:
    """Share of the real examples that the judge reads rightly."""
    return float(np.mean(side.read("real")[0] == side.labels))


def _agreement(made: Held) -> float:
    """How often partners of two examples of the other side with one label have one label.

    So often a label drawn rightly agrees with the pair's; 1 where one implies the other. An example
    alone with its label tells nothing.
    """
    given, labels = made.other, made.labels
    if given.labels is None or labels is None:
        return 1.0
    _, of_given = np.unique(given.labels, return_inverse=True)
    _, of_made = np.unique(labels[given.partner], return_inverse=True)
    counts = np.zeros((of_given.max() + 1, of_made.max() + 1))
    np.add.at(counts, (of_given, of_made), 1)
    others = counts.sum(axis=1, keepdims=True) - 1
    pairs = np.divide(counts * (counts - 1), others, out=np.zeros_like(counts), where=others > 0)
    told = counts[others[:, 0] > 0].sum()
    return float(pairs.sum() / told) if told else 1.0


def _coherence(evaluation: Evaluation) -> Figure | str:
    """Share of joint pairs whose labels, as read, are those of a held-out pair."""
    x, y = evaluation.sides.values()
    if x.judge is None or y.judge is None or x.labels is None or y.labels is None:
        return _NEEDS
    occurring = {
        *zip(x.labels.tolist(), y.labels[x.partner].tolist(), strict=True),
        *zip(x.labels[y.partner].tolist(), y.labels.tolist(), strict=True),
    }
    read = [side.read("joint")[0].tolist() for side in (x, y)]
    fits = [pair in occurring for pair in zip(*read, strict=True)]
    evaluation.counts["joint_coherence"] = len(fits)
    return Figure(float(np.mean(fits)), _accuracy(x) * _accuracy(y))
