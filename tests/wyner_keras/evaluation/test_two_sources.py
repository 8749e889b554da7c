"""Images of x and of y from two sources of different shapes, each side judged by its own judge."""

import numpy as np
import pytest

from wyner_keras.data import ImageSource, LabelledImages, rotated
from wyner_keras.evaluation import Judge, evaluate, partnered
from wyner_keras.evaluation.report import Report


def add_three(label: int) -> int:
    return (label + 3) % 10


@pytest.fixture(scope="module")
def turned(digits: ImageSource) -> ImageSource:
    """Digits on the side, in a frame that is higher than wide, fewer of them to test by."""

    def wide(images: LabelledImages) -> LabelledImages:
        return LabelledImages(
            np.pad(images.images, ((0, 0), (0, 0), (2, 2), (0, 0))), images.labels
        )

    return rotated(ImageSource("wide", wide(digits.train), wide(digits.test.take(240))))


@pytest.fixture(scope="module")
def turned_judge(turned: ImageSource) -> Judge:
    return Judge.train(turned.train, epochs=12, verbose=0)


class Oracle:
    """Answers with real images of the right class of the other source."""

    def __init__(self, x: ImageSource, y: ImageSource) -> None:
        self.x, self.y = x.train, y.train
        self.known = {
            image.tobytes(): int(label)
            for source in (x, y)
            for image, label in zip(source.test.images, source.test.labels, strict=True)
        }

    def labels(self, images: np.ndarray) -> np.ndarray:
        return np.array([self.known[image.tobytes()] for image in images])

    def draw(
        self, real: LabelledImages, labels: np.ndarray, seed: int, samples: int = 1
    ) -> np.ndarray:
        rng = np.random.default_rng(seed)
        images = real.images[[rng.choice(real.of_class(label % 10), samples) for label in labels]]
        return images[:, 0] if samples == 1 else images

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        return self.draw(self.y, self.labels(x) + 3, seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        return self.draw(self.x, self.labels(y) - 3, seed, samples)

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n)
        return self.draw(self.x, labels, seed), self.draw(self.y, labels + 3, seed + 1)

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        labels = np.tile(self.labels(concept) - 3, len(style))
        return self.draw(self.x, labels, seed).reshape(len(style), len(concept), *style.shape[1:])

    def transfer_y(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        labels = np.tile(self.labels(concept) + 3, len(style))
        return self.draw(self.y, labels, seed).reshape(len(style), len(concept), *style.shape[1:])


@pytest.fixture(scope="module")
def report(digits: ImageSource, turned: ImageSource, judge: Judge, turned_judge: Judge) -> Report:
    return evaluate(
        Oracle(digits, turned),
        digits,
        target=turned,
        label_map=add_three,
        judge=judge,
        target_judge=turned_judge,
        styles=20,
        concepts=60,
        verbose=False,
    )


def test_real_images_of_the_right_class_reach_the_ceilings_on_both_sides(report: Report) -> None:
    for side in "xy":
        for name in ("conditional_accuracy", "style_accuracy"):
            figure = report.figures[f"{name}_{side}"]
            assert figure.model > figure.real - 0.05 > 0.85, name
        assert report[f"diversity_{side}"] == pytest.approx(1, abs=0.15)
        distance = report.figures[f"frechet_{side}"]
        assert distance.model < 2 * distance.real
    figure = report.figures["joint_coherence"]
    assert figure.model > figure.real - 0.05 > 0.8


def test_each_side_is_counted_and_its_ceiling_set_by_its_own_test_images(
    report: Report,
    digits: ImageSource,
    turned: ImageSource,
    judge: Judge,
    turned_judge: Judge,
) -> None:
    assert (report.counts["judge_x"], report.counts["judge_y"]) == (360, 240)
    assert (report.counts["conditional_y"], report.counts["conditional_x"]) == (360, 240)
    accuracies = judge.accuracy(digits.test), turned_judge.accuracy(turned.test)
    assert accuracies[0] != accuracies[1]
    for side, accuracy in zip("xy", accuracies, strict=True):
        assert report.figures[f"conditional_accuracy_{side}"].real == pytest.approx(accuracy)


def test_judges_are_of_their_own_sources_by_default(
    digits: ImageSource, turned: ImageSource, monkeypatch: pytest.MonkeyPatch
) -> None:
    asked = []

    class Stop(Exception):
        pass

    def judge_for(source: ImageSource, **_: object) -> None:
        asked.append(source.name)
        if len(asked) == 2:
            raise Stop

    monkeypatch.setattr("wyner_keras.evaluation.evaluator.judge_for", judge_for)
    with pytest.raises(Stop):
        evaluate(Oracle(digits, turned), digits, target=turned, verbose=False)
    assert asked == ["digits", "wide-rotated"]


def test_partners_are_looked_for_in_the_other_source() -> None:
    def source(labels: list[int]) -> ImageSource:
        images = LabelledImages(np.zeros((len(labels), 4, 4, 1), "float32"), labels)
        return ImageSource("blank", images, images)

    x, y = source([0, 1, 2, 3]), source([1, 4, 1])
    with_y, with_x = partnered(x, {0: 4, 1: 7, 2: 1}, y)
    assert with_y.tolist() == [True, False, True, False]
    assert with_x.tolist() == [True, True, True]
    assert partnered(x, {3: 1}, y)[1].tolist() == [True, False, True]
    with pytest.raises(ValueError, match=r"should lead from .* Received: \[0, 1, 2, 3\].*\[1, 4\]"):
        partnered(x, {0: 2}, y)


def test_a_judge_of_y_needs_a_source_of_y(digits: ImageSource, judge: Judge) -> None:
    with pytest.raises(ValueError, match=r"`target_judge` should be None without a `target`.*Rec"):
        evaluate(None, digits, judge=judge, target_judge=judge)  # type: ignore[arg-type]
