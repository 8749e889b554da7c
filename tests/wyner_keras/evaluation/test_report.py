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


def test_names_and_titles_are_of_both_sides() -> None:
    assert TITLES["frechet_joint_y"] == "Fréchet distance, y of joint pairs"
    assert TITLES["found_first_x"] == "own x ranked first by y (R@1)"
    assert TITLES["joint_coherence"] == "joint coherence"
    assert len(set(TITLES.values())) == len(TITLES)
