import json

from wyner_keras.evaluation import Figure, Report


def test_table_and_dictionary_say_the_same() -> None:
    figures = {"conditional_accuracy_y": Figure(0.91264, 0.995), "frechet_x": Figure(101.26, 3.04)}
    report = Report(figures=figures, counts={"joint": 12}, seed=5)
    assert report["conditional_accuracy_y"] == 0.91264
    head, rule, accuracy, distance = report.table().splitlines()
    assert head.split() == ["figure", "model", "real", "digits"]
    assert set(rule) == {"-"}
    assert len(head) == len(rule) == len(accuracy) == len(distance)
    assert accuracy.split("  ")[0] == "conditional accuracy, y from x"
    assert accuracy.split()[-2:] == ["0.913", "0.995"]
    assert distance.split()[-2:] == ["101.3", "3.0"]
    assert json.loads(json.dumps(report.to_dict())) == {
        "figures": {
            "conditional_accuracy_y": {"model": 0.91264, "real": 0.995},
            "frechet_x": {"model": 101.26, "real": 3.04},
        },
        "counts": {"joint": 12},
        "seed": 5,
    }
