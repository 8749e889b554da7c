import pytest

from wyner_keras.data import Facts
from wyner_keras.modality import Image


def facts_of(shape, rows, pairs):
    image = Image(shape=shape, slant=True)
    return Facts(
        pairs=pairs, rows=(rows, rows), modalities=(image, image), same_store=True, classes=10
    )


@pytest.fixture
def facts():
    """Of add-one pairs, by the name of their source."""
    return {
        "mnist": facts_of((28, 28, 1), 60_000, 50_000),
        "digits": facts_of((8, 8, 1), 1437, 10_000),
    }


@pytest.fixture
def call(capsys):
    """Runs a module's `main` in this process: its exit status, output and messages."""

    def run(main, *words):
        status = main([str(word) for word in words])
        captured = capsys.readouterr()
        return status, captured.out, captured.err

    return run
