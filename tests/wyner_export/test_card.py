"""The model card says what was measured, by whom, and what could not be."""

import json

import numpy as np
import pytest

from wyner_export.card import model_card
from wyner_export.rounding import UNITS
from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.evaluation import evaluate
from wyner_keras.files import to_json

CLASSIFIER = "by a classifier trained on training images only"
READ = {"joint_coherence": {"model": 0.5, "real": 0.75}}
UNREAD = {"diversity_y": {"model": 0.25, "real": 1.0}}


def card(metrics, nats=None, parity=None):
    return model_card(
        {
            "name": "a",
            "images": {"x": [8, 8, 1], "y": [8, 8, 1]},
            "pairing": {"meaning": "pairs", "label_map": None},
            "latents": {"z": {"family": "categorical", "n": 1, "k": 2}, "u": None, "v": None},
            "nats": nats,
            "metrics": metrics,
            "parity": {"encode": 1.5e-6, "decode": 3e-8} if parity is None else parity,
            "opset": 18,
        }
    )


def test_who_judged_is_said_only_where_someone_did():
    assert f"Judged on held-out images {CLASSIFIER}." in card({"figures": READ})
    both = card({"figures": READ | UNREAD})
    assert f"accuracies, coherence and distances {CLASSIFIER}." in both
    alone = card({"figures": UNREAD})
    assert "| within-input diversity, y from x | 0.250 | 1.000 |" in alone
    assert "Measured on held-out images, without a classifier." in alone
    for metrics in ({"figures": UNREAD}, {"figures": {}}, None):
        assert CLASSIFIER not in card(metrics)
    for metrics in (None, {}, {"figures": {}}, {"figures": None}):
        assert "exported without judged figures" in card(metrics)


def test_what_was_left_out_is_named_under_its_reason():
    left_out = {
        "joint_coherence": "a judge",
        "precision_joint_y": "more images",
        "conditional_accuracy_y": "a judge",
        "something_of_a_later_version": "more images",
    }
    for figures in (UNREAD, {}):
        lines = card({"figures": figures, "left_out": left_out}).splitlines()
        of_judge = lines.index("Left out, which needs a judge:")
        assert lines[of_judge + 2 : of_judge + 4] == [
            "- joint coherence",
            "- conditional accuracy, y from x",
        ]
        of_images = lines.index("Left out, which needs more images:")
        assert lines[of_images + 2 : of_images + 4] == [
            "- precision, y of joint pairs",
            "- something_of_a_later_version",
        ]
        assert sum(line.startswith("Left out") for line in lines) == 2
        assert not any("exported without" in line for line in lines)


@pytest.mark.parametrize("broken", [{"model": None, "real": 0.5}, {"real": 0.5}, None])
def test_a_figure_that_is_no_number_is_a_dash(broken):
    found = card({"figures": READ | {"frechet_y": broken}})
    real = "–" if broken is None else "0.500"
    assert f"| Fréchet distance, y from x | – | {real} |" in found
    assert "A – stands for what came out as no finite number." in found
    assert "A – stands" not in card({"figures": READ})


def test_nats_that_are_no_numbers_are_left_out():
    assert "z holds 1.00 nats" in card(None, {"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5})
    assert "nats" not in card(None, {"i_xy_z": None, "i_x_z": 0.75, "i_y_z": 0.5})
    assert "nats" not in card(None, {"i_xy_z": 1.0})


def test_how_engines_were_compared():
    found = card(None)
    assert "differed by at most 1.5e-06" in found
    assert f"{UNITS} units in the last place" in found
    assert "differed by at most 0.0e+00" in card(None, parity={})


def test_the_report_of_one_class_makes_a_card():
    """What `wyner evaluate` writes of a source that teaches no judge."""
    images = np.random.default_rng(0).random((6, 8, 8, 1), dtype=np.float32)
    one = LabelledImages(images, np.zeros(6, int))

    class Model:
        tasks = ("conditional", "joint")

        def generate_y(self, x, *, seed, samples=1):
            return np.random.default_rng(seed).random((len(x), samples, 8, 8, 1), np.float32)

        generate_x = generate_y

        def generate_pairs(self, n, *, seed):
            raise AssertionError("nothing reads them")

    report = evaluate(Model(), ImageSource("one", one, one), label_map={0: 0}, verbose=False)
    found = card(json.loads(to_json(report.to_dict())))
    assert CLASSIFIER not in found
    assert "| within-input diversity, y from x |" in found
    assert "Left out, which needs training images of two classes or more" in found
    assert "- joint coherence" in found
