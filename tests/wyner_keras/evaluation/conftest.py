import pytest

from wyner_keras.data import ImageSource, load
from wyner_keras.evaluation import Judge


@pytest.fixture(scope="session")
def digits() -> ImageSource:
    return load("digits")


@pytest.fixture(scope="session")
def judge(digits: ImageSource) -> Judge:
    return Judge.train(digits.train, epochs=12, verbose=0)
