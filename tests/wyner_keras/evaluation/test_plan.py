import numpy as np

from wyner_keras.evaluation import plans


def test_plans_draw_in_the_order_that_the_reports_were_made_in():
    found = plans({"x": 30, "y": 20}, inputs=12, styles=4, concepts=5, seed=3)
    generator = np.random.default_rng(3)
    expected = []
    for given, made in ((30, 20), (20, 30)):
        expected += [generator.permutation(size) for size in (given, made, 12, 12)]
        expected[-4] = expected[-4][:12]
    expected += [
        generator.permutation(size)[:most] for size, most in ((30, 4), (20, 5), (20, 4), (30, 5))
    ]
    y, x = found["y"], found["x"]
    drawn = [
        *(y.inputs, y.halves, y.conditional, y.joint),
        *(x.inputs, x.halves, x.conditional, x.joint),
        *(x.styles, x.concepts, y.styles, y.concepts),
    ]
    for ours, theirs in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)


def test_without_a_limit_all_examples_are_asked_for_and_500_are_diverse():
    found = plans({"x": 700, "y": 600})
    assert len(found["x"].joint) == len(found["y"].joint) == 600
    assert sorted(found["y"].inputs) == list(range(700))
    assert len(found["y"].diverse) == len(found["x"].diverse) == 500
    assert len(found["x"].styles) == 200
