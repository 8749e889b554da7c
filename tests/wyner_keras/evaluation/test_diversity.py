import numpy as np
import pytest

from wyner_keras.data import LabelledImages
from wyner_keras.evaluation import within_input_diversity


def real_images() -> LabelledImages:
    generator = np.random.default_rng(0)
    labels = np.repeat([2, 7], 40)
    spread = np.where(labels == 2, 0.2, 0.8)[:, None, None, None]
    return LabelledImages((spread * generator.random((80, 6, 5, 1))).astype("float32"), labels)


def test_against_the_traces_of_numpy_covariances() -> None:
    real = real_images()
    samples = np.random.default_rng(1).random((3, 4, 6, 5, 1)).astype("float32")
    labels = np.array([7, 2, 7])
    found = np.mean([np.trace(np.cov(one.reshape(4, -1), rowvar=False)) for one in samples])
    trace = {
        label: np.trace(np.cov(real.images[real.labels == label].reshape(40, -1), rowvar=False))
        for label in (2, 7)
    }
    expected = found / np.mean([trace[label] for label in labels])
    assert within_input_diversity(samples, labels, real) == pytest.approx(expected, rel=1e-5)


def test_real_images_of_the_class_reach_1_and_copies_0() -> None:
    real = real_images()
    samples = np.stack([real.images[real.labels == 2], real.images[real.labels == 7]])
    assert within_input_diversity(samples, np.array([2, 7]), real) == pytest.approx(1)
    copies = np.repeat(samples[:, :1], 5, axis=1)
    assert within_input_diversity(copies, np.array([2, 7]), real) == pytest.approx(0, abs=1e-9)


@pytest.mark.parametrize(
    ("shape", "labels", "message"),
    [
        ((3, 1, 6, 5, 1), [2, 2, 2], r"at least two samples. Received: \(3, 1, 6, 5, 1\)"),
        ((3, 4, 5, 5, 1), [2, 2, 2], r"shape \(n, samples, 6, 5, 1\).* \(3, 4, 5, 5, 1\)"),
        ((3, 4, 6, 5, 1), [2, 2], r"`labels` should have shape \(3,\).* Received: \(2,\)"),
        ((3, 4, 6, 5, 1), [2, 2, 5], "at least two images of class 5. Received: 0"),
    ],
)
def test_bad_input_is_refused(shape: tuple[int, ...], labels: list[int], message: str) -> None:
    with pytest.raises(ValueError, match=message):
        within_input_diversity(np.zeros(shape), np.array(labels), real_images())


def test_identical_real_images_are_refused() -> None:
    real = LabelledImages(np.zeros((4, 6, 5, 1), "float32"), np.zeros(4, "int64"))
    with pytest.raises(ValueError, match=r"should vary within a class. Received: identical"):
        within_input_diversity(np.zeros((1, 2, 6, 5, 1)), np.array([0]), real)
