"""A source that a tiny model learns something from."""

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
