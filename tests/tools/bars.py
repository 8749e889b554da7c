"""Sources that a tiny model learns something from."""

import numpy as np

from wyner_keras.data import ImageSource, LabelledImages


def bars():
    """Three classes of bars."""
    rng = np.random.default_rng(0)
    labels = np.arange(60) % 3
    images = 0.1 * rng.random((60, 8, 8, 1), dtype=np.float32)
    for row, label in enumerate(labels):
        images[row, 2 * label : 2 * label + 3, 1:7] += 0.8
    split = LabelledImages(images, labels)
    return ImageSource("bars", split, split)


def stripes():
    """The same classes in other numbers and another shape: stripes downwards."""
    rng = np.random.default_rng(1)
    labels = np.arange(48) % 3
    images = 0.1 * rng.random((48, 12, 16, 1), dtype=np.float32)
    for row, label in enumerate(labels):
        images[row, 2:10, 4 * label : 4 * label + 5] += 0.8
    return ImageSource(
        "stripes",
        LabelledImages(images[:30], labels[:30]),
        LabelledImages(images[30:], labels[30:]),
    )
