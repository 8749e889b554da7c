import numpy as np

from wyner_keras.evaluation import Plan


def test_a_plan_draws_in_the_order_that_the_reports_were_made_in():
    plan = Plan.draw(30, 20, inputs=12, styles=4, concepts=5, seed=3)
    generator = np.random.default_rng(3)
    expected = []
    for given, made in ((30, 20), (20, 30)):
        sizes = (given, made, 12, 12)
        expected += [generator.permutation(size) for size in sizes]
        expected[-4] = expected[-4][:12]
    expected += [
        generator.permutation(size)[:most] for size, most in ((30, 4), (20, 5), (20, 4), (30, 5))
    ]
    y, x = plan.sides["y"], plan.sides["x"]
    drawn = [
        *(y.inputs, y.halves, y.conditional, y.joint),
        *(x.inputs, x.halves, x.conditional, x.joint),
        *(x.styles, x.concepts, y.styles, y.concepts),
    ]
    for ours, theirs in zip(drawn, expected, strict=True):
        np.testing.assert_array_equal(ours, theirs)
    assert plan.pairs == 12


def test_without_a_limit_all_images_are_asked_for_and_500_are_diverse():
    plan = Plan.draw(700, 600)
    assert plan.pairs == 600
    assert sorted(plan.sides["y"].inputs) == list(range(700))
    assert len(plan.sides["y"].diverse) == len(plan.sides["x"].diverse) == 500
    assert len(plan.sides["x"].styles) == 100
