import numpy as np
import pytest

from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.evaluation import Judge, Report, evaluate


class Oracle:
    """Answers with real training digits of the right class, known from the input's place."""

    def __init__(self, source: ImageSource, step: int = 1) -> None:
        self.train, self.step = source.train, step
        both = np.concatenate([source.train.images, source.test.images])
        labels = np.concatenate([source.train.labels, source.test.labels])
        self.known = {
            image.tobytes(): int(label) for image, label in zip(both, labels, strict=True)
        }

    def labels(self, images: np.ndarray) -> np.ndarray:
        return np.array([self.known[image.tobytes()] for image in images])

    def draw(self, labels: np.ndarray, seed: int, samples: int = 1) -> np.ndarray:
        generator = np.random.default_rng(seed)
        rows = [generator.choice(self.train.of_class(label % 10), samples) for label in labels]
        images = self.train.images[np.array(rows)]
        return images[:, 0] if samples == 1 else images

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        return self.draw(self.labels(x) + self.step, seed, samples)

    def generate_x(self, y: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        return self.draw(self.labels(y) - self.step, seed, samples)

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.arange(n) % 10
        return self.draw(labels, seed), self.draw(labels + self.step, seed + 1)

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        labels = np.tile(self.labels(concept) - self.step, len(style))
        return self.draw(labels, seed).reshape(len(style), len(concept), *style.shape[1:])

    def transfer_y(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        labels = np.tile(self.labels(concept) + self.step, len(style))
        return self.draw(labels, seed).reshape(len(style), len(concept), *style.shape[1:])


class Deaf(Oracle):
    """Answers with real digits, whatever it is asked."""

    def labels(self, images: np.ndarray) -> np.ndarray:
        return np.random.default_rng(len(images)).integers(0, 10, len(images))

    def generate_pairs(self, n: int, *, seed: int) -> tuple[np.ndarray, np.ndarray]:
        labels = np.random.default_rng(seed).integers(0, 10, (2, n))
        return self.draw(labels[0], seed), self.draw(labels[1], seed)


class Parrot(Oracle):
    """Copies the style reference itself, or one fixed digit."""

    def transfer_x(self, style: np.ndarray, concept: np.ndarray, *, seed: int) -> np.ndarray:
        return np.repeat(style[:, None], len(concept), axis=1)

    def generate_y(self, x: np.ndarray, *, seed: int, samples: int = 1) -> np.ndarray:
        images = np.repeat(self.train.images[:1], len(x) * samples, axis=0)
        return images if samples == 1 else images.reshape(len(x), samples, *x.shape[1:])


class Conditional(Oracle):
    """Can do one task only."""

    tasks = ("conditional",)
    generate_pairs = transfer_x = transfer_y = None


class Joint(Oracle):
    """Can make pairs only."""

    tasks = ("joint",)
    generate_x = generate_y = transfer_x = transfer_y = None


ACCURACIES = (
    "conditional_accuracy_x",
    "conditional_accuracy_y",
    "style_accuracy_x",
    "style_accuracy_y",
    "joint_coherence",
)


@pytest.fixture(scope="module")
def report(digits: ImageSource, judge: Judge) -> Report:
    return evaluate(Oracle(digits), digits, judge=judge, styles=30, verbose=False)


def test_real_digits_of_the_right_class_reach_the_ceilings(report: Report) -> None:
    for name in ACCURACIES:
        assert report[name] > 0.95
        assert report.figures[name].real > 0.94
    for name in ("diversity_x", "diversity_y"):
        assert report.figures[name] == (pytest.approx(1, abs=0.15), 1)
    for suffix in ("x", "y", "joint_x", "joint_y"):
        distance = report.figures[f"frechet_{suffix}"]
        assert 0 < distance.model < 2 * distance.real
        for kind in ("precision", "recall"):
            model, real = report.figures[f"{kind}_{suffix}"]
            assert model == pytest.approx(real, abs=0.15)
    for name, (found, ceiling) in report.figures.items():
        if "correlation" in name:  # it takes no account of the style
            assert abs(found) < 0.3
            assert ceiling == 1


def test_a_model_deaf_to_its_input_is_right_by_chance(digits: ImageSource, judge: Judge) -> None:
    report = evaluate(Deaf(digits), digits, judge=judge, styles=30, verbose=False)
    for name in ACCURACIES:
        assert report[name] == pytest.approx(0.1, abs=0.08)
    assert report["precision_y"] > 0.8  # chance labels, yet real digits


def test_copies_keep_the_style_and_have_no_diversity(digits: ImageSource, judge: Judge) -> None:
    report = evaluate(Parrot(digits), digits, judge=judge, styles=30, verbose=False)
    for name in ("slant_correlation_x", "thickness_correlation_pooled_x"):
        assert report[name] == pytest.approx(1)
    assert report["style_accuracy_x"] == pytest.approx(0.1, abs=0.08)
    assert report["diversity_y"] == pytest.approx(0, abs=1e-9)
    assert report["recall_y"] < 0.05
    assert report["frechet_y"] > 10 * report.figures["frechet_y"].real


def test_counts_and_seed(digits: ImageSource, judge: Judge) -> None:
    def run(seed: int) -> Report:
        oracle = Oracle(digits)
        return evaluate(
            oracle, digits, judge=judge, inputs=60, samples=2, styles=5, concepts=7, seed=seed,
            verbose=False,
        )  # fmt: skip

    report = run(3)
    assert report.counts["conditional_x"] == report.counts["joint"] == 60
    assert report.counts["distances_y"] == 60
    assert (report.counts["styles_x"], report.counts["concepts_x"]) == (5, 7)
    assert run(3) == report
    assert run(4).figures != report.figures


def test_label_map_may_be_a_mapping_and_partial(digits: ImageSource, judge: Judge) -> None:
    by_function = Oracle(digits, step=3)
    wrong = evaluate(by_function, digits, judge=judge, inputs=100, styles=3, verbose=False)
    assert wrong["conditional_accuracy_y"] < 0.1
    right = evaluate(
        by_function, digits, label_map={1: 4, 2: 5, 6: 9}, judge=judge, styles=3, verbose=False
    )
    count = np.isin(digits.test.labels, [1, 2, 6]).sum()
    assert right.counts["judge_x"] == right.counts["conditional_y"] == count
    assert right["conditional_accuracy_y"] > 0.95
    assert right["conditional_accuracy_x"] > 0.95
    assert right["joint_coherence"] == pytest.approx(0.3, abs=0.05)  # others have no partner


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1}, "`samples` should be at least 2. Received: 1"),
        ({"styles": 2}, "`styles` should be at least 3. Received: 2"),
        ({"concepts": 0}, "`concepts` should be at least 1. Received: 0"),
        ({"inputs": 5}, "`inputs` should be at least 10.* Received: 5"),
        ({"label_map": {1: 77}}, "`label_map` should lead from labels .* Received: .*77"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(
    digits: ImageSource, judge: Judge, arguments: dict[str, object], message: str
) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(None, digits, judge=judge, verbose=False, **arguments)  # type: ignore[arg-type]


def test_test_images_without_labels_are_refused(digits: ImageSource, judge: Judge) -> None:
    bare = ImageSource("bare", digits.train, LabelledImages.unlabelled(digits.test.images))
    with pytest.raises(ValueError, match="should carry labels"):
        evaluate(Oracle(digits), bare, judge=judge, verbose=False)


def test_a_model_of_fewer_tasks_gets_the_same_figures_of_those(
    digits: ImageSource, judge: Judge
) -> None:
    def run(model: Oracle) -> Report:
        return evaluate(
            model, digits, judge=judge, inputs=60, samples=2, styles=5, concepts=7, verbose=False
        )

    whole = run(Oracle(digits))
    conditional, joint = run(Conditional(digits)), run(Joint(digits))
    # The oracle draws by the seed it is given, not by the order of calls.
    for part in (conditional, joint):
        assert {name: whole.figures[name] for name in part.figures} == dict(part.figures)
    names = {name for name in whole.figures if not name.startswith(("style", "slant", "thick"))}
    assert names == {*conditional.figures, *joint.figures}
    assert "joint_coherence" in joint.figures
    assert "joint" not in conditional.counts
    assert "recall_joint_x" not in conditional.figures
    assert "conditional accuracy" in conditional.table()


@pytest.mark.parametrize("tasks", [(), ("conditional", "dance")])
def test_unknown_tasks_are_refused(
    tasks: tuple[str, ...], digits: ImageSource, judge: Judge
) -> None:
    model = Oracle(digits)
    model.tasks = tasks
    with pytest.raises(ValueError, match=r"`tasks` of the model should be some of .*Received"):
        evaluate(model, digits, judge=judge, verbose=False)
