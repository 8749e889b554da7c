"""Figures that a judge reads, of models that are known to be right, deaf or copying."""

import json

import numpy as np
import pytest

from wyner_keras.data import Pairs, label_map
from wyner_keras.evaluation import Judge, Report, evaluate
from wyner_keras.evaluation.report import TITLES

ACCURACIES = (
    "conditional_accuracy_x",
    "conditional_accuracy_y",
    "style_accuracy_x",
    "style_accuracy_y",
    "joint_coherence",
)
SMALL = {"inputs": 60, "samples": 2, "styles": 5, "concepts": 7, "verbose": False}
CORRELATIONS = {name for name in TITLES if "correlation" in name}
_MODELS = (
    *("found", "leakage", "median", "partner", "reconstruction"),
    *("log_likelihood", "bits", "noise_scale"),
)
OF_A_MODEL = {name for name in TITLES if name.startswith(_MODELS)}
OF_TRAINING = {name for name in TITLES if name.startswith("memory")}
# What needs twenty pairs that nothing links.
TESTS = {name for name in TITLES if name.startswith(("dependence", "two_sample"))}
NEIGHBOURS = {name for name in TITLES if name.startswith(("precision", "recall"))}
DISTANCES = {name for name in TITLES if name.startswith("frechet")}
DIVERSITY = {"diversity_x", "diversity_y"}


@pytest.fixture(scope="module")
def judges(judge: Judge) -> dict[str, Judge]:
    return dict.fromkeys("xy", judge)


@pytest.fixture(scope="module")
def deaf(oracle):
    """Answers with real digits, whatever it is asked."""

    class Deaf(type(oracle)):
        def labels(self, images):
            return np.random.default_rng(len(images)).integers(0, 10, len(images))

        def generate_pairs(self, count, *, seed):
            labels = np.random.default_rng(seed).integers(0, 10, (2, count))
            return self.draw(labels[0], seed), self.draw(labels[1], seed)

        def transfer_x(self, *, style, concept, seed):  # the style reference itself
            return np.repeat(style[:, None], len(concept), axis=1)

    model = object.__new__(Deaf)
    model.__dict__.update(oracle.__dict__)
    return model


@pytest.fixture(scope="module")
def report(oracle, held: Pairs, judges) -> Report:
    return evaluate(oracle, held, judges=judges, styles=20, concepts=50, verbose=False)


def test_real_digits_of_the_right_class_reach_the_ceilings(report: Report) -> None:
    for name in ACCURACIES:
        model, ceiling = report.figures[name]
        assert model > ceiling - 0.05 > 0.85
    for side in "xy":
        assert report.figures[f"diversity_{side}"] == (pytest.approx(1, abs=0.15), 1)
        # Half of what digits vary is their class's: a share of the distance, not of the square.
        assert 0.1 < report[f"fit_joint_{side}"] < report[f"fit_{side}"] < 0.5
    for suffix in ("x", "y", "joint_x", "joint_y"):
        model, ceiling = report.figures[f"frechet_{suffix}"]
        assert 0 < model < 2 * ceiling
        for kind in ("precision", "recall"):
            model, ceiling = report.figures[f"{kind}_{suffix}"]
            assert model == pytest.approx(ceiling, abs=0.15)
    for name in CORRELATIONS:  # it takes no account of the style
        assert abs(report[name]) < 0.35
    assert (
        set(report.left_out)
        == {name for name in OF_A_MODEL if not name.startswith("reconstruction_")}
        | {"reconstruction_x", "reconstruction_y"}
        | OF_TRAINING
    )


def test_a_model_deaf_to_its_input_is_right_by_chance(deaf, held: Pairs, judges) -> None:
    report = evaluate(deaf, held, judges=judges, styles=20, concepts=50, verbose=False)
    for name in ACCURACIES:
        assert report[name] == pytest.approx(0.1, abs=0.08)
    for side in "xy":
        assert report[f"fit_{side}"] == pytest.approx(0, abs=0.06)
        assert report[f"fit_joint_{side}"] < 0.05
    assert report["precision_y"] > 0.8  # chance labels, yet real digits
    # Copies of the reference keep its style.
    for name in CORRELATIONS:
        if name.endswith("_x"):
            assert report[name] == pytest.approx(1)


def test_counts_and_seed(oracle, held: Pairs, judges) -> None:
    def run(seed: int) -> Report:
        return evaluate(oracle, held, judges=judges, seed=seed, **SMALL)

    report = run(3)
    assert report.counts["conditional_accuracy_x"] == report.counts["joint_coherence"] == 60
    assert report.counts["distances_y"] == report.counts["fit_y"] == 60
    assert report.counts["style_accuracy_x"] == 35
    assert run(3) == report
    assert run(4).figures != report.figures


def test_labels_without_a_partner_do_not_fit(oracle, digits, judges) -> None:
    pairs = label_map(
        digits.test.select(np.isin(digits.test.labels, [1, 2, 6])),
        {1: 2, 2: 3, 6: 7},
        targets=digits.test,
    )
    report = evaluate(oracle, pairs, judges=judges, styles=3, verbose=False)
    assert report["conditional_accuracy_y"] > 0.95
    assert report["conditional_accuracy_x"] > 0.95
    assert report["joint_coherence"] == pytest.approx(0.3, abs=0.05)


def test_the_ceiling_knows_that_a_label_has_several_partners(oracle, digits, judges) -> None:
    """Digits n and n + 10: a label of y drawn rightly is that of the pair half of the time."""
    mapping = np.where(np.arange(len(digits.test)) % 2, digits.test.labels, 9 - digits.test.labels)
    order = np.random.default_rng(0).permutation(len(mapping))
    rows = {label: digits.test.of_class(label) for label in range(10)}
    index = [[n, rows[mapping[n]][n % len(rows[mapping[n]])]] for n in order]
    report = evaluate(oracle, Pairs(digits.test, digits.test, index), judges=judges, **SMALL)
    assert report.figures["conditional_accuracy_y"].beside == pytest.approx(0.5, abs=0.05)


def test_a_model_of_fewer_tasks_gets_the_same_figures_of_those(oracle, held, judges) -> None:
    whole = evaluate(oracle, held, judges=judges, **SMALL)
    parts = []
    for task in ("conditional", "joint"):
        model = object.__new__(type(oracle))
        model.__dict__.update(oracle.__dict__, tasks=(task,))
        parts.append(evaluate(model, held, judges=judges, **SMALL))
        # The oracle draws by the seed that it is given, not by the order of calls.
        assert {name: whole.figures[name] for name in parts[-1].figures} == parts[-1].figures
    conditional, joint = (set(part.figures) for part in parts)
    names = {name for name in whole.figures if not name.startswith(("style", "slant", "thick"))}
    assert names - {"fit_joint_x", "fit_joint_y"} == conditional | joint
    assert "joint_coherence" in joint - conditional
    assert "recall_joint_x" not in conditional


@pytest.mark.parametrize(
    ("arguments", "message"),
    [
        ({"samples": 1}, "`samples` should be at least 2. Received: 1"),
        ({"styles": 2}, "`styles` should be at least 3. Received: 2"),
        ({"concepts": 0}, "`concepts` should be at least 1. Received: 0"),
        ({"inputs": 5}, "`inputs` should be at least 10.* Received: 5"),
        ({"held_out": None}, "`held_out` should be Pairs. Received: None"),
        ({"train": 3}, "`train` should be Pairs. Received: 3"),
    ],
)
def test_bad_arguments_are_refused_before_any_work(held, arguments, message) -> None:
    with pytest.raises(ValueError, match=message):
        evaluate(None, **{"held_out": held, **arguments}, verbose=False)


def test_what_does_not_fit_is_refused(oracle, held, judges) -> None:
    model = object.__new__(type(oracle))
    model.tasks = ("conditional", "dance")
    with pytest.raises(ValueError, match=r"`tasks` of the model should be some of .*Received"):
        evaluate(model, held, verbose=False)
    model.example_shape = {"x": (8, 8, 1), "y": (9, 9, 1)}.get
    with pytest.raises(ValueError, match=r"hold y of shape \(9, 9, 1\).*Received: shape \(8, 8"):
        evaluate(model, held, verbose=False)
    with pytest.raises(ValueError, match=r"`judges` should read .*Received: .*'x': \(8, 8, 1\)"):
        pairs = Pairs(np.eye(4), np.eye(4))
        evaluate(oracle, pairs, judges=judges, verbose=False)


class Noise:
    """Answers with noise, and notes what it was asked."""

    def __init__(self) -> None:
        self.asked: list[str] = []

    def draw(self, name: str, seed: int, *counts: int) -> np.ndarray:
        self.asked.append(name)
        return np.random.default_rng(seed).random((*counts, 8, 8, 1), dtype=np.float32)

    def generate_y(self, x, *, seed, samples=None):
        return self.draw("y", seed, len(x), *([] if samples is None else [samples]))

    def generate_x(self, y, *, seed, samples=None):
        return self.draw("x", seed, len(y), *([] if samples is None else [samples]))

    def generate_pairs(self, count, *, seed):
        return self.draw("pairs", seed, count), self.draw("pairs", seed + 1, count)

    def transfer_x(self, *, style, concept, seed):
        return self.draw("transfer", seed, len(style), len(concept))

    transfer_y = transfer_x


@pytest.mark.parametrize(
    ("counts", "left_out"),
    [
        ({0: 1, 1: 1}, DIVERSITY | CORRELATIONS | NEIGHBOURS | DISTANCES | TESTS),
        ({0: 2, 1: 2}, NEIGHBOURS | TESTS),
        ({0: 4, 1: 4}, TESTS),
        ({0: 1, 1: 30}, set()),  # class 0 has nothing to be compared with, class 1 has
        (dict.fromkeys(range(10), 1), DIVERSITY | TESTS),
        ({3: 20}, set()),
    ],
)
def test_what_few_images_do_not_allow_is_named(digits, few, judges, counts, left_out) -> None:
    model = Noise()
    report = evaluate(model, few(digits.test, counts), judges=judges, **SMALL | {"styles": 6})
    applies = set(TITLES) - {name for name in TITLES if name.startswith("spread")}
    applies -= OF_A_MODEL - {"reconstruction_x", "reconstruction_y"}
    assert set(report.figures) | set(report.left_out) >= applies
    assert not set(report.figures) & set(report.left_out)
    assert set(report.left_out) - OF_A_MODEL - OF_TRAINING == left_out
    assert np.isfinite([tuple(figure) for figure in report.figures.values()]).all()
    assert json.loads(json.dumps(report.to_dict())).get("left_out") == report.left_out
    if left_out >= CORRELATIONS:
        assert "Left out, which needs 3 held-out images or more:" in report.table()


def test_without_labels_a_judge_is_asked_for_and_nothing_generated_for_it(digits, few) -> None:
    some = few(digits.test, {0: 20, 1: 20})
    report = evaluate(Noise(), some, train=Pairs(some.x, some.y), **SMALL)
    assert set(ACCURACIES) <= set(report.left_out)
    assert set(report.figures) >= DIVERSITY | DISTANCES | NEIGHBOURS  # of standardised pixels
    model = Noise()
    model.tasks = ("transfer",)
    colour = np.random.default_rng(0).random((9, 8, 8, 3))
    report = evaluate(model, Pairs(colour, colour), **SMALL)
    assert not report.figures
    assert model.asked == []
    assert "grey images, bright ink on an empty ground" in report.left_out.values()
