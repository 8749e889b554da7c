import json

from wyner_keras.evaluation import Figure, Report
from wyner_keras.evaluation.report import TITLES


def test_table_and_dictionary_say_the_same() -> None:
    figures = {"conditional_accuracy_y": Figure(0.91264, 0.995), "frechet_x": Figure(101.26, 3.04)}
    left_out = {"diversity_y": "labels", "diversity_x": "labels"}
    report = Report(figures=figures, counts={"joint": 12}, seed=5, left_out=left_out)
    assert report["conditional_accuracy_y"] == 0.91264
    head, rule, accuracy, distance, _, reason, *names = report.table().splitlines()
    assert head.split() == ["figure", "unit", "model", "beside"]
    assert set(rule) == {"-"}
    assert len(rule) == len(accuracy) == len(distance)
    assert accuracy.startswith("conditional accuracy, y from x  ")
    assert accuracy.split()[-4:] == ["share", "0.913", "0.995", "ceiling"]
    assert distance.split()[-4:] == ["square", "101.3", "3.0", "ceiling"]
    assert reason == "Left out, which needs labels:"
    assert names == [f"- {TITLES[name]}" for name in left_out]
    assert json.loads(json.dumps(report.to_dict())) == {
        "figures": {
            "conditional_accuracy_y": {"model": 0.91264, "beside": 0.995},
            "frechet_x": {"model": 101.26, "beside": 3.04},
        },
        "counts": {"joint": 12},
        "seed": 5,
        "left_out": left_out,
    }


def test_intervals_and_p_values_stand_beside_their_figures() -> None:
    report = Report(
        figures={"two_sample_y": Figure(0.6, 0.5), "leakage_z_x": Figure(0.1, 0.02)},
        counts={},
        seed=0,
        intervals={"two_sample_y": (0.55, 0.6512)},
        p_values={"leakage_z_x": 0.01},
    )
    told, leak = report.table().splitlines()[2:]
    assert told.endswith("0.600   0.500  perfect; 95 %: 0.550 to 0.651")
    assert leak.startswith("what u tells of z (InfoNCE) ")
    assert leak.endswith("0.100   0.020  shuffled, 95 %; p = 0.010")
    assert report.to_dict()["figures"] == {
        "two_sample_y": {"model": 0.6, "beside": 0.5, "low": 0.55, "high": 0.6512},
        "leakage_z_x": {"model": 0.1, "beside": 0.02, "p_value": 0.01},
    }
    assert Report.from_dict(json.loads(json.dumps(report.to_dict()))) == report


def test_names_and_titles_are_of_both_sides() -> None:
    assert TITLES["frechet_joint_y"] == "Fréchet distance, y of joint pairs"
    assert TITLES["found_first_x"] == "own x ranked first by y (R@1)"
    assert TITLES["joint_coherence"] == "joint coherence"
    assert len(set(TITLES.values())) == len(TITLES)
