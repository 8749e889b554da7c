import numpy as np
import pytest

from wyner_keras.data import ImageSource, LabelledImages, Pairs, add_one, load
from wyner_keras.evaluation import Judge


class Oracle:
    """Answers with real training digits of the right class, known from the input."""

    def __init__(self, source: ImageSource) -> None:
        self.train = source.train
        self.known = {
            image.tobytes(): int(label)
            for images in (source.train, source.test)
            for image, label in zip(images.images, images.labels, strict=True)
        }

    def labels(self, images: np.ndarray) -> np.ndarray:
        return np.array([self.known[image.tobytes()] for image in images])

    def draw(self, labels: np.ndarray, seed: int, samples: int | None = None) -> np.ndarray:
        labels = labels % 10
        order = np.argsort(self.train.labels, kind="stable")
        sizes = np.bincount(self.train.labels)
        first, counts = np.cumsum([0, *sizes]), sizes[labels, None]
        shares = np.random.default_rng(seed).random((len(labels), samples or 1))
        places = first[labels, None] + (shares * counts).astype(int)
        images = self.train.images[order[places]]
        return images[:, 0] if samples is None else images

    def generate_y(self, x, *, seed, samples=None):
        return self.draw(self.labels(x) + 1, seed, samples)

    def generate_x(self, y, *, seed, samples=None):
        return self.draw(self.labels(y) - 1, seed, samples)

    def generate_pairs(self, count, *, seed):
        labels = np.arange(count)
        return self.draw(labels, seed), self.draw(labels + 1, seed + 1)

    def transfer_x(self, *, style, concept, seed):
        labels = np.tile(self.labels(concept) - 1, len(style))
        return self.draw(labels, seed).reshape(len(style), len(concept), *style.shape[1:])

    def transfer_y(self, *, style, concept, seed):
        labels = np.tile(self.labels(concept) + 1, len(style))
        return self.draw(labels, seed).reshape(len(style), len(concept), *style.shape[1:])


@pytest.fixture(scope="session")
def digits() -> ImageSource:
    return load("digits")


@pytest.fixture(scope="session")
def held(digits: ImageSource) -> Pairs:
    """Pairs of test digits n and n + 1."""
    return add_one(digits.test)


@pytest.fixture(scope="session")
def judge(digits: ImageSource) -> Judge:
    return Judge.train(digits.train.images, digits.train.labels, epochs=6, verbose=0)


@pytest.fixture(scope="session")
def oracle(digits: ImageSource) -> Oracle:
    return Oracle(digits)


@pytest.fixture(scope="session")
def few():
    """Pairs of so many test digits of each class."""

    def make(images: LabelledImages, counts: dict[int, int], index: object = None) -> Pairs:
        rows = np.concatenate([images.of_class(label)[:n] for label, n in counts.items()])
        some = images.select(rows)
        return Pairs(some, some, index)

    return make
