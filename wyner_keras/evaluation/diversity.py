"""How much the samples of one input differ, against how much real examples do."""

from __future__ import annotations

import numpy as np

from wyner_keras.data.checks import as_real, check_labels
from wyner_keras.evaluation.held import Evaluation
from wyner_keras.evaluation.report import Figure


def _variance(rows: np.ndarray) -> float:
    """Trace of the covariance of rows `(n, features)`, unbiased."""
    return float(rows.var(axis=0, ddof=1, dtype=np.float64).sum())


def within_input_diversity(
    samples: np.ndarray, labels: np.ndarray, real: np.ndarray, real_labels: np.ndarray
) -> float:
    """Variance of an input's samples as a share of the variance of its target class.

    `mean_i tr cov(samples_i) / mean_i tr cov(real examples of class labels_i)`, both unbiased.
    Samples that cannot be told from real examples of the class reach 1; copies give 0.

    Args:
        samples: `(n, samples, features)`, at least two samples an input.
        labels: the class that each input's samples should have, `(n,)`.
        real: real examples `(m, features)`, at least two of each class in `labels`.
        real_labels: their classes, `(m,)`.

    Example:
        >>> within_input_diversity(np.ones((1, 3, 2)), [1], np.eye(2), [1, 1])
        0.0
    """
    samples = as_real(samples, "`samples`", "an array (n, samples, features)")
    real = as_real(real, "`real`", "an array (m, features)")
    labels = check_labels(labels, len(samples), "`labels`")
    real_labels = check_labels(real_labels, len(real), "`real_labels`")
    if samples.ndim != 3 or samples.shape[1] < 2 or real.shape[1:] != samples.shape[2:]:
        raise ValueError(
            "`samples` should have shape (n, samples, features), two samples or more, and `real` "
            f"(m, features). Received: {samples.shape} and {real.shape}"
        )
    classes, counts = np.unique(labels, return_counts=True)
    of_class = [_variance(real[real_labels == label]) for label in classes]
    expected = np.average(of_class, weights=counts)
    return float(np.mean([_variance(one) for one in samples]) / expected)


def figures(evaluation: Evaluation) -> dict[str, Figure | str]:
    """Of each side the share of a class's variance, or without labels of all variance."""
    found: dict[str, Figure | str] = {}
    for made in evaluation.made("conditional"):
        name, labels = f"diversity_{made.name}", made.labels
        if labels is None:
            found[name], name = "labels", f"spread_{made.name}"
            labels = np.zeros(len(made.examples), int)
        real, wanted = made.standard(made.examples), labels[made.other.partner[made.plan.diverse]]
        classes = np.unique(wanted)
        groups = (real[labels == label] for label in classes)
        few = np.isin(wanted, classes[[bool((rows != rows[0]).any()) for rows in groups]])
        if not few.any():
            found[name] = "held-out examples of one class that differ"
            continue
        samples = made.ask("diverse")[few]
        vectors = made.standard(made.flat(samples)).reshape(*samples.shape[:2], -1)
        found[name] = Figure(within_input_diversity(vectors, wanted[few], real, labels), 1.0)
        evaluation.counts[name] = len(samples)
    return found
