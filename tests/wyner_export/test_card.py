"""The model card says what was measured, by whom, and what could not be."""

import pytest

from wyner_export.card import model_card
from wyner_export.rounding import UNITS
from wyner_keras.evaluation.report import TITLES

CLASSIFIER = "read by a classifier that was trained on training data only"
IMAGE = {"kind": "image", "shape": [8, 8, 1], "local": "u"}
READ = {"joint_coherence": {"model": 0.5, "beside": 0.75}}
UNREAD = {"diversity_y": {"model": 0.25, "beside": 1.0}}


def card(metrics, nats=None, parity=None, y=IMAGE, u=None):
    return model_card(
        {
            "name": "a",
            "sides": {"x": IMAGE, "y": y},
            "pairing": {"meaning": "pairs", "label_map": None},
            "latents": {
                "z": {"family": "categorical", "n": 1, "k": 2, "size": 2, "noise": "uniform"},
                "u": u,
                "v": None,
            },
            "nats": nats,
            "metrics": metrics,
            "parity": {"encode": 1.5e-6, "decode": 3e-8} if parity is None else parity,
            "opset": 18,
        }
    )


def test_who_judged_is_said_only_where_someone_did():
    for figures in (READ, READ | UNREAD):
        assert f"accuracies and coherence are {CLASSIFIER}." in card({"figures": figures})
    alone = card({"figures": UNREAD})
    assert f"| {TITLES['diversity_y']} | ratio | 0.250 | 1.000 | ceiling |" in alone
    assert "Measured on held-out pairs, without a classifier of labels." in alone
    for metrics in ({"figures": UNREAD}, {"figures": {}}, None):
        assert CLASSIFIER not in card(metrics)
    for metrics in (None, {}, {"figures": {}}, {"figures": None}):
        assert "exported without judged figures" in card(metrics)


def test_intervals_and_p_values_stand_in_the_last_column():
    test = {"model": 0.6, "beside": 0.5, "low": 0.55, "high": 0.65, "p_value": 0.01}
    found = card({"figures": {"two_sample_joint": test}})
    assert "| 0.600 | 0.500 | perfect; 95 %: 0.550 to 0.650; p = 0.010 |" in found


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
            f"- {TITLES['joint_coherence']}",
            f"- {TITLES['conditional_accuracy_y']}",
        ]
        of_images = lines.index("Left out, which needs more images:")
        assert lines[of_images + 2 : of_images + 4] == [
            f"- {TITLES['precision_joint_y']}",
            "- something_of_a_later_version",
        ]
        assert sum(line.startswith("Left out") for line in lines) == 2
        assert not any("exported without" in line for line in lines)


@pytest.mark.parametrize("broken", [{"model": None, "beside": 0.5}, {"beside": 0.5}, None])
def test_a_figure_that_is_no_number_is_a_dash(broken):
    found = card({"figures": READ | {"frechet_y": broken}})
    beside = "–" if broken is None else "0.5"
    assert f"| {TITLES['frechet_y']} | square | – | {beside} | ceiling |" in found
    assert "A – stands for what came out as no finite number." in found
    assert "A – stands" not in card({"figures": READ})


def test_nats_that_are_no_numbers_are_left_out():
    assert "z holds 1.00 nats" in card(None, {"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5})
    bounds = {"i_xy_z": 1.0, "i_x_z": 0.75, "i_y_z": 0.5, "i_xy_z_upper": 1.5}
    assert "z holds 1.00 or more nats" in card(None, bounds)
    assert "nats" not in card(None, {"i_xy_z": None, "i_x_z": 0.75, "i_y_z": 0.5})
    assert "nats" not in card(None, {"i_xy_z": 1.0})


def test_how_engines_were_compared():
    found = card(None)
    assert "differed by at most 1.5e-06" in found
    assert f"{UNITS} units in the last place" in found
    assert "differed by at most 0.0e+00" in card(None, parity={})


def test_a_figure_of_a_later_version_has_its_name():
    found = card({"figures": {"surprise_y": {"model": 0.5, "beside": 1}}})
    assert "| surprise_y |  | 0.500 | 1.000 |  |" in found


SIDES = {
    "image": (IMAGE, "images, 8 × 8 × 1, height × width × channels, intensities in [0, 1]"),
    "series": ({"kind": "series", "shape": [9, 2]}, "series, 9 × 2, time × channels"),
    "unknown": ({"kind": "graph", "shape": [4]}, "examples, of kind graph, 4"),
    "vector": (
        {
            "kind": "vector",
            "shape": [2],
            "columns": [{"name": "age", "kind": "real"}, {"name": "ill", "kind": "binary"}],
            "missing": True,
        },
        "vectors of 2 columns, of which any may be missing: age (real), ill (binary)",
    ),
    "wide": (
        {
            "kind": "vector",
            "shape": [50],
            "columns": [{"name": str(place), "kind": "count"} for place in range(50)],
            "missing": False,
        },
        "vectors of 50 columns: 0 (count), 1 (count), ",
    ),
}


@pytest.mark.parametrize("kind", SIDES)
def test_it_says_what_the_sides_are(kind):
    entry, text = SIDES[kind]
    (line,) = (line for line in card(None, y=entry).splitlines() if line.startswith("- y: "))
    assert line.startswith(f"- y: {text}") and len(line) < 350


def test_it_says_what_the_latents_are():
    found = card(None, u={"family": "logistic", "dim": 3, "size": 3, "noise": "uniform"})
    assert "- z: categorical, n 1, k 2\n- u: logistic, dim 3\n- v: none\n" in found
