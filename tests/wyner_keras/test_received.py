"""What an error says of a value."""

import keras
import numpy as np
import pytest
import tensorflow as tf

from wyner_keras.latents import Categorical
from wyner_keras.received import received

X = np.full((2, 3), 0.125, np.float32)


@pytest.mark.parametrize(
    ("value", "text"),
    [
        (X, "an array (2, 3) float32"),
        (tf.constant(X), "a tensor (2, 3) float32"),
        (keras.KerasTensor((None, 3)), "a tensor (None, 3) float32"),
        (tf.data.Dataset.from_tensors((X, X)), "a dataset of a tuple of 2: a tensor (2, 3) "),
        ([X, 1], "a list of 2: an array (2, 3) float32, 1"),
        ([X] * 9, "a list of 9: an array (2, 3) float32, an array (2, 3) float32, an array "),
        ({"x": X}, "a dict of 1: x: an array (2, 3) float32"),
        (X.tolist(), "a list of 2: [0.125, 0.125, 0.125], [0.125, 0.125, 0.125]"),
        (np.zeros((9, 8)).tolist(), "a list of 9: a list of 8, a list of 8, a list of 8, …"),
        (dict.fromkeys(range(9), [0.5] * 9), "a dict of 9: 0: a list of 9, 1: a list of 9, "),
        (list(range(9)), "a list of 9: 0, 1, 2, …"),
        (3, "3"),
        (None, "None"),
        ("a" * 500, "'aaaa"),
        ((8, 8, 1), "(8, 8, 1)"),
        (keras.Sequential(), "a Sequential"),
        (np.ndarray, "the class ndarray"),
        (Categorical(n=1, k=3), "Categorical(n=1, k=3)"),
    ],
)
def test_a_value_is_told_in_one_short_line(value, text):
    found = received(value)
    assert found.startswith(text)
    assert "\n" not in found
    assert len(found) < 120
