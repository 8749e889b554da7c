"""How much the samples of one input differ, against how much real images of the class do."""

from __future__ import annotations

import numpy as np

from wyner_keras.data import LabelledImages
from wyner_keras.data.checks import as_array, complex_hint
from wyner_keras.received import received


def varied_classes(real: LabelledImages) -> tuple[int, ...]:
    """The classes that diversity can be measured against: of images that differ, ascending."""
    chosen = ((label, real.images[real.of_class(label)]) for label in real.classes)
    return tuple(label for label, images in chosen if (images != images[0]).any())


def within_input_diversity(samples: np.ndarray, labels: np.ndarray, real: LabelledImages) -> float:
    """Variance of an input's samples as a share of the variance of its target class.

    `mean_i sum_pixels var(samples_i) / mean_i tr cov(real images of class labels_i)`, both
    unbiased. Samples that cannot be told from real images of the class reach 1; copies give 0.

    Args:
        samples: `(n, samples, h, w, c)` in [0, 1], at least two samples an input.
        labels: the class that each input's samples should have, `(n,)`.
        real: real images, at least two of each class in `labels`.

    Returns:
        The ratio, without unit, at least 0.

    Raises:
        ValueError: shapes that do not fit, masked or complex values, fewer than two samples, a
            class with fewer than two real images, or real classes without any variance.

    Example:
        >>> import numpy as np
        >>> import wyner_keras as wk
        >>> digits = wk.data.load("digits").test
        >>> same = np.repeat(digits.images[:5, None], 3, axis=1)
        >>> wk.evaluation.within_input_diversity(same, digits.labels[:5], digits)
        0.0
    """
    if not isinstance(real, LabelledImages):
        raise ValueError(f"`real` should be LabelledImages. Received: {received(real)}")
    samples = as_array(samples, "`samples`", "an array (n, samples, h, w, c)")
    if samples.dtype.kind != "f":
        raise ValueError(
            f"`samples` should be floating-point in [0, 1]{complex_hint(samples)}. "
            f"Received: dtype {samples.dtype}"
        )
    labels = as_array(labels, "`labels`", "an integer array (n,)")
    if labels.dtype.kind not in "iu":
        raise ValueError(
            f"`labels` should be integers{complex_hint(labels)}. Received: dtype {labels.dtype}"
        )
    if samples.ndim != 5 or samples.shape[1] < 2 or samples.shape[2:] != real.image_shape:
        raise ValueError(
            f"`samples` should have shape (n, samples, {', '.join(map(str, real.image_shape))}) "
            f"with at least two samples. Received: {samples.shape}"
        )
    if not len(samples) or labels.shape != samples.shape[:1]:
        raise ValueError(
            f"`labels` should have shape ({len(samples)},), one for each input, and there should "
            f"be an input. Received: {labels.shape}"
        )
    of_class = {}
    for label in np.unique(labels):
        chosen = real.images[real.labels == label]
        if len(chosen) < 2:
            raise ValueError(
                f"`real` should hold at least two images of class {label}. Received: {len(chosen)}"
            )
        of_class[label] = chosen.var(0, ddof=1, dtype=np.float64).sum()
    expected = float(np.mean([of_class[label] for label in labels]))
    if expected == 0:
        raise ValueError("`real` should vary within a class. Received: identical images")
    # An input at a time: all at once would need a second array as large as the samples.
    found = np.mean([one.var(0, ddof=1, dtype=np.float64).sum() for one in samples])
    return float(found / expected)
