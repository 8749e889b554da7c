"""Few images and few classes: what they allow is measured, what they do not is named."""

import json

import numpy as np
import pytest

from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.evaluation import Judge, Report, evaluate, judgeable
from wyner_keras.evaluation.report import TITLES

CORRELATIONS = {name for name in TITLES if "correlation" in name}
DIVERSITY = {"diversity_x", "diversity_y"}
NEIGHBOURS = {name for name in TITLES if name.startswith(("precision", "recall"))}
DISTANCES = {name for name in TITLES if name.startswith("frechet")}


class Model:
    """Answers with noise, and notes what it was asked."""

    tasks = ("conditional", "joint", "transfer")

    def __init__(self, shape: tuple[int, ...]) -> None:
        self.shape, self.asked = shape, []

    def draw(self, name: str, seed: int, *counts: int) -> np.ndarray:
        self.asked.append(name)
        return np.random.default_rng(seed).random((*counts, *self.shape), dtype=np.float32)

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        return self.draw("y", seed, len(x), *([] if samples is None else [samples]))

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int | None = None) -> np.ndarray:
        return self.draw("x", seed, len(y), *([] if samples is None else [samples]))

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        return self.draw("pairs", seed, n), self.draw("pairs", seed + 1, n)

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        return self.draw("transfer", seed, len(style), len(concept))

    transfer_y = transfer_x


def source(digits: ImageSource, train: dict[int, int], test: dict[int, int]) -> ImageSource:
    """So many images of each class, to train on and held out."""

    def some(images: LabelledImages, counts: dict[int, int]) -> LabelledImages:
        rows = np.concatenate([images.of_class(label)[:n] for label, n in counts.items()])
        return LabelledImages(images.images[rows], images.labels[rows])

    return ImageSource("some", some(digits.train, train), some(digits.test, test))


@pytest.fixture(scope="module")
def reader(digits: ImageSource) -> Judge:
    """A hasty judge of all ten digits."""
    return Judge.train(digits.train.take(320), epochs=1, verbose=0)


def judged(
    few: ImageSource, mapping: dict[int, int], judge: Judge | None = None, **settings: object
) -> Report:
    """The report, whole: nothing twice, nothing missing, and told as text and as JSON."""
    settings = {"samples": 2, "styles": 6, "concepts": 6, **settings}
    settings |= {"verbose": False, "label_map": mapping}
    report = evaluate(Model(few.test.image_shape), few, judge=judge, **settings)
    assert set(report.figures) | set(report.left_out) == set(TITLES)
    assert not set(report.figures) & set(report.left_out)
    assert np.isfinite([tuple(figure) for figure in report.figures.values()]).all()
    kept = json.loads(json.dumps(report.to_dict()))
    assert kept.get("left_out", {}) == report.left_out
    table = report.table().splitlines()
    for name, reason in report.left_out.items():
        assert f"- {TITLES[name]}" in table
        assert f"Left out, which needs {reason}:" in table
    return report


def test_one_class_keeps_what_needs_no_judge(digits: ImageSource) -> None:
    few = source(digits, {3: 20}, {3: 6})
    assert not judgeable(few)
    report = judged(few, {3: 3})
    assert set(report.figures) == CORRELATIONS | DIVERSITY
    assert set(report.left_out.values()) == {
        "training images of two classes or more, to teach a judge"
    }
    assert report.counts["diversity_y"] == 6
    assert "judge_x" not in report.counts


def test_a_judge_from_elsewhere_reads_one_class(digits: ImageSource, reader: Judge) -> None:
    report = judged(source(digits, {3: 20}, {3: 20}), {3: 3}, reader)
    assert set(report.figures) == set(TITLES)
    assert not report.left_out
    assert "left_out" not in report.to_dict()


def test_a_side_of_one_class_leaves_the_other_its_judge(digits: ImageSource, reader: Judge) -> None:
    x, y = source(digits, {3: 20}, {3: 9}), source(digits, {4: 20, 5: 20}, {4: 9, 5: 9})
    model = Model(x.test.image_shape)
    report = evaluate(
        model, x, target=y, label_map={3: 4}, target_judge=reader, styles=5, verbose=False
    )
    for figure in ("conditional_accuracy", "style_accuracy", "frechet", "recall_joint"):
        assert f"{figure}_y" in report.figures
        assert f"{figure}_x" in report.left_out
    assert "joint_coherence" in report.left_out


def test_nothing_is_generated_for_what_is_left_out(digits: ImageSource) -> None:
    few = source(digits, {3: 2}, {3: 1})
    model = Model(few.test.image_shape)
    report = evaluate(model, few, label_map={3: 3}, verbose=False)
    assert not report.figures
    assert set(report.left_out) == set(TITLES)
    assert model.asked == []
    assert report.table().splitlines()[0].split() == ["figure", "model", "real", "digits"]


def test_one_held_out_image_of_each_of_ten_classes(digits: ImageSource, reader: Judge) -> None:
    few = source(digits, dict.fromkeys(range(10), 2), dict.fromkeys(range(10), 1))
    following = {n: (n + 1) % 10 for n in range(10)}
    report = judged(few, following, reader, inputs=200, styles=10, concepts=20)
    assert set(report.left_out) == DIVERSITY
    assert report.counts["joint"] == report.counts["conditional_y"] == 10
    assert report.counts["distances_x"] == 5
    assert (report.counts["styles_x"], report.counts["concepts_x"]) == (10, 10)


@pytest.mark.parametrize(
    ("each", "left_out"),
    [
        (1, DIVERSITY | CORRELATIONS | NEIGHBOURS | DISTANCES),
        (2, NEIGHBOURS),
        (3, NEIGHBOURS),
        (4, set()),
    ],
)
def test_two_classes_of_few_images(
    each: int, left_out: set[str], digits: ImageSource, reader: Judge
) -> None:
    few = source(digits, {0: 5, 1: 5}, {0: each, 1: each})
    assert judgeable(few)
    report = judged(few, {0: 1, 1: 0}, reader)
    assert set(report.left_out) == left_out


def test_a_class_of_two_images_beside_a_large_one(digits: ImageSource, reader: Judge) -> None:
    few = source(digits, {0: 1, 1: 60}, {0: 1, 1: 30})
    # Of class 0 there is one image: what should be of that class has nothing to be compared with.
    for mapping, count in (({0: 0, 1: 1}, 30), ({0: 1, 1: 0}, 1)):
        report = judged(few, mapping, reader)
        assert report.counts["diversity_x"] == report.counts["diversity_y"] == count
        assert not report.left_out


def test_images_that_do_not_differ_have_no_diversity_to_reach(
    digits: ImageSource, reader: Judge
) -> None:
    few = source(digits, {0: 5, 1: 5}, {0: 5, 1: 5})
    same = np.repeat(few.test.images[:1], 10, axis=0)
    few = ImageSource("same", few.train, LabelledImages(same, few.test.labels))
    report = judged(few, {0: 0, 1: 1}, reader)
    assert set(report.left_out) == DIVERSITY
