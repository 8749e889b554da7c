import pytest
import tensorflow as tf

from wyner_keras.data import ImageSource, load
from wyner_keras.evaluation import Judge


@pytest.fixture(scope="session")
def digits() -> ImageSource:
    return load("digits")


@pytest.fixture(scope="session")
def judge(digits: ImageSource) -> Judge:
    # Its order of images mixes in TensorFlow's global seed, which tests before these may have set.
    tf.random.set_seed(None)
    return Judge.train(digits.train, epochs=12, verbose=0)
