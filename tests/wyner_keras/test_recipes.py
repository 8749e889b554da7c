"""The default recipe by facts alone, and what each of its stages trains."""

import dataclasses
import inspect
import itertools
import json
import math

import numpy as np
import pytest
import tensorflow as tf

import wyner_keras as wk
from wyner_keras import losses, recipes
from wyner_keras.data import Facts, Pairs
from wyner_keras.latents import Categorical
from wyner_keras.modality import Image, Series, Vector
from wyner_keras.recipe import shares_trained

MODALITIES = {
    "8x8": Image(shape=(8, 8, 1)),
    "27x31": Image(shape=(27, 31, 1)),
    "128x128 colour": Image(shape=(128, 128, 3)),
    "2 columns": Vector(kinds=("real", "count")),
    "500 columns": Vector(kinds=("real",) * 500),
    "series": Series(shape=(128, 3)),
}
SIDES = [*((name, name) for name in MODALITIES), ("2 columns", "128x128 colour"), ("series", "8x8")]
PAIRS = (2, 16, 200, 2_000, 50_000, 500_000)
CLASSES = (None, 1, 2, 26, 100)
SETTINGS = [
    *(getattr(losses, name) for name in losses.__all__ if name not in ("Draw", "Loss")),
    *(wk.SideSettings, wk.CodecSettings),
]
ZERO_IS_NONE = ("flow_steps", "reader_flow_steps")


def facts(sides, pairs=2_000, classes=None):
    return Facts(
        pairs=pairs,
        rows=(pairs, pairs),
        modalities=tuple(MODALITIES[name] for name in sides),
        same_store=False,
        classes=classes,
    )


@pytest.mark.parametrize("sides", SIDES, ids=" and ".join)
def test_any_facts_have_a_recipe_that_can_be_carried_out(sides):
    for pairs, classes in itertools.product(PAIRS, CLASSES):
        given = facts(sides, pairs, classes)
        recipe = recipes.default(given, seed=3)
        assert recipe == recipes.default(given, seed=3)
        assert recipe.seed == 3
        names = [stage.name for stage in recipe.stages]
        # Where z may be a quantity of large examples, experts of codes go on learning, and z given
        # x has a flow.
        large = max(math.prod(modality.shape) for modality in given.modalities) > 256
        wide = large and classes in (None, 1) and recipe.sides["x"].expert == "features"
        usual, quantity = ["flow", "marginal"], ["flow", "flow_of_quantity", "marginal", "reading"]
        between = ["widening", *quantity] if wide else usual
        assert names == ["alignment", "joint", *between, "refinement"]
        assert all(bool(side.reader_flow_steps) == wide for side in recipe.sides.values())
        for stage in recipe.stages:
            assert 1 <= stage.batch_size <= pairs
        # Values of z are the classes, or what it is is found.
        loss = recipe.stage("alignment").loss
        assert loss.find == (classes in (None, 1))
        assert loss.find or recipe.z == Categorical(n=1, k=classes)
        for side, codec, modality in zip(
            recipe.sides.values(), recipe.codecs.values(), given.modalities, strict=True
        ):
            assert 1 <= side.local.dim <= math.prod(modality.shape)
            assert codec.code_size >= 2
            # Of small examples without labels, experts begin at what a linear map tells.
            assert side.skip == (not large and classes in (None, 1))
            # A vector has no network that reads it but by its features.
            assert side.reader == "features" or len(modality.shape) > 1


@pytest.mark.parametrize("sides", SIDES, ids=" and ".join)
def test_more_pairs_are_gone_through_less_often_but_never_cost_less(sides):
    """But for an alignment that has to find z: few pairs it would learn by heart."""
    passes = [
        sum(
            stage.epochs * stage.passes for stage in recipes.default(facts(sides, pairs)).stages[1:]
        )
        for pairs in PAIRS
    ]
    for (few, often), (many, seldom) in itertools.pairwise(zip(PAIRS, passes, strict=True)):
        # Epochs of a few passes are rounded.
        assert seldom <= 1.1 * often
        assert few * often <= 1.1 * many * seldom


@pytest.mark.parametrize("sides", SIDES, ids=" and ".join)
def test_singles_lengthen_what_they_are_of_use_to(sides):
    few = dataclasses.replace(facts(sides, 400, 3), rows=(2_000, 1_400), singles=(1_600, 1_000))
    recipe, many = recipes.default(few), recipes.default(facts(sides, 2_000, 3))
    names = ["alignment", "self_training", "joint", "flow", "marginal", "refinement"]
    assert [stage.name for stage in recipe.stages] == names
    assert recipe.stage("alignment") == recipes.default(facts(sides, 400, 3)).stage("alignment")
    # The others see as many rows as 2,000 pairs have.
    for name in names[2:]:
        assert recipe.stage(name) == many.stage(name)


@pytest.mark.parametrize("side", [MODALITIES["27x31"], Vector(kinds=("real",) * 32)])
def test_what_is_shared_in_detail_takes_a_longer_joint_stage(side):
    """Few images and many columns, where no label says that kinds are all there is."""
    given = dataclasses.replace(facts(("8x8", "8x8")), modalities=(side, side))

    def passes(classes):
        joint = recipes.default(dataclasses.replace(given, classes=classes)).stage("joint")
        return joint.epochs * joint.passes

    assert passes(None) == pytest.approx(4 * passes(5), rel=0.1)  # whole epochs


def test_an_alignment_that_finds_z_in_detail_is_longer_where_pairs_are_not_learnt_by_heart():
    def passes(pairs, classes=None, side="8x8"):
        stage = recipes.default(facts((side, side), pairs, classes)).stage("alignment")
        return stage.epochs * stage.passes

    few = 10 * 2 * 64  # ten pairs for each value of x and of y
    assert passes(few) == pytest.approx(3 * passes(few, classes=5), rel=0.1)  # whole epochs
    assert passes(few - 1) == passes(few - 1, classes=5)
    assert passes(few, side="2 columns") == passes(few, classes=5, side="2 columns")
    assert passes(50_000, side="27x31") == passes(50_000, classes=5, side="27x31")


def test_a_side_has_the_codec_of_its_own_data_whatever_the_other_is():
    for first, second in itertools.product(MODALITIES, repeat=2):
        mixed, own = (recipes.default(facts(sides)) for sides in ((first, second), (second,) * 2))
        assert mixed.codecs["y"] == own.codecs["y"]
        assert mixed.sides["y"].local == own.sides["y"].local


def test_the_default_can_be_read_on_three_pages():
    lines = inspect.getsource(recipes).splitlines()
    assert len(lines) <= 150
    # It knows no data set by name.
    assert not any('== "' in line for line in lines)


def test_a_recipe_survives_json():
    for sides, classes in ((("8x8", "series"), None), (("2 columns", "27x31"), 26)):
        recipe = recipes.default(facts(sides, classes=classes), seed=2)
        assert wk.Recipe.from_dict(json.loads(json.dumps(recipe.to_dict()))) == recipe


@pytest.mark.parametrize("factor", [2, 0.5])
def test_a_scaled_recipe_differs_in_epochs_alone(factor):
    recipe = recipes.default(facts(("series", "8x8")))
    scaled = recipe.scaled(factor)
    for one, other in zip(
        (*recipe.codecs.values(), *recipe.stages),
        (*scaled.codecs.values(), *scaled.stages),
        strict=True,
    ):
        assert other == dataclasses.replace(one, epochs=max(1, round(factor * one.epochs)))
    assert scaled.sides == recipe.sides
    shortest = recipe.scaled(1e-6)
    assert {part.epochs for part in (*shortest.codecs.values(), *shortest.stages)} == {1}


@pytest.mark.parametrize("factor", [0, -1, math.inf, math.nan, "2", True])
def test_a_recipe_is_not_scaled_by_any_number(factor):
    with pytest.raises(ValueError, match=r"`factor` should be a finite number above 0. Received"):
        recipes.default(facts(("8x8", "8x8"))).scaled(factor)


def test_one_stage_is_changed_by_its_name():
    recipe = recipes.default(facts(("8x8", "8x8")))
    changed = recipe.changed("joint", epochs=3, loss=wk.losses.Joint(concept_weight=9.0))
    assert (changed.stage("joint").epochs, changed.stage("joint").loss.concept_weight) == (3, 9.0)
    assert [a == b for a, b in zip(recipe.stages, changed.stages, strict=True)].count(False) == 1
    with pytest.raises(ValueError, match=r"one of \['alignment', .*Received: name='judge'"):
        recipe.changed("judge", epochs=3)


def test_a_seed_of_numpy_is_one():
    found = recipes.default(facts(("8x8", "8x8")), seed=np.int64(3))
    assert found.seed == 3 and type(found.seed) is int


def test_recipes_that_cannot_be_are_refused():
    recipe = recipes.default(facts(("8x8", "8x8")))
    for changes, message in (
        ({"seed": -1}, "`seed`"),
        ({"seed": 2**32}, "`seed` should be a whole number from 0 to 4294967295"),
        ({"codecs": {"x": None}}, r"the same sides.*\['x', 'y'\] and \['x'\]"),
        ({"stages": recipe.stages[:1] * 2}, "different names.*'alignment', 'alignment'"),
    ):
        with pytest.raises(ValueError, match=message):
            dataclasses.replace(recipe, **changes)
    for changes in (
        {"epochs": 0},
        {"batch_size": 1.5},
        {"average": 1.0},
        {"average": "0.9"},
        {"two_epsilon_squared": None},
        {"learning_rate": 1e-3},
    ):
        with pytest.raises(ValueError, match=f"`{next(iter(changes))}` should.*Received"):
            recipe.changed("joint", **changes)


@pytest.mark.parametrize("kind", SETTINGS)
def test_a_number_that_cannot_be_is_refused_by_its_name(kind):
    for field in dataclasses.fields(kind):
        if isinstance(field.default, float):
            for value in ("0.5", math.nan, math.inf, -1.0, True, None):
                with pytest.raises(ValueError, match=f"`{field.name}` should be.*Received"):
                    kind(**{field.name: value})
        elif type(field.default) is int and field.name not in ZERO_IS_NONE:
            for value in ("5", 2.5, 0, -1, True, None):
                with pytest.raises(ValueError, match=f"`{field.name}` should be.*Received"):
                    kind(**{field.name: value})
    for value in (0, (), (3, 0), "32", 2.5):
        with pytest.raises(ValueError, match=r"`filters` should be positive integers.*Received"):
            wk.CodecSettings(filters=value)


# By what readers are; experts are where z was found to be a quantity.
SHIPPED = {"features": (8, 8, 1), "data": (17, 16, 1), "expert": (17, 16, 1)}


@pytest.fixture(scope="module")
def shipped(request):
    """The default's stages for images of a size, on networks that are narrow."""
    rng, shape, quantity = np.random.default_rng(0), SHIPPED[request.param], {}
    x, y = rng.random((2, 16, *shape))
    pairs = Pairs(x, y, x_labels=np.arange(16) % 3, extra_x=x)
    told = pairs.facts()
    if request.param == "expert":
        told, quantity = dataclasses.replace(told, classes=None, pairs=9000), {"reader": "expert"}
    recipe = recipes.default(told)
    modalities = dict(zip("xy", pairs.modalities, strict=True))
    model = wk.WynerModel(
        wk.DiagonalGaussian(dim=3) if quantity else recipe.z,
        modalities,
        codecs={name: modality.codec(None, 0) for name, modality in modalities.items()},
        settings={
            name: dataclasses.replace(side, hidden=(8,), flow_steps=1, **quantity)
            for name, side in recipe.sides.items()
        },
    )
    assert model.side("x").settings.reader == request.param
    for variable in model.trainable_variables:
        # Some start at 0, behind which no gradient passes.
        variable.assign(variable.numpy() + 0.1 * rng.normal(size=variable.shape))
    return model, recipe, pairs.arrays()


STAGES = ["alignment", "self_training", "joint", "flow", "marginal", "refinement"]


@pytest.mark.parametrize(
    ("shipped", "name"),
    [
        *itertools.product(("features", "data"), STAGES),
        *itertools.product(["expert"], ("widening", "flow", "reading")),
    ],
    indirect=["shipped"],
)
def test_every_weighted_term_reaches_what_its_stage_trains_and_nothing_else_is(name, shipped):
    model, recipe, rows = shipped
    loss = recipe.stage(name).loss
    if name == "self_training":  # of a model that is sure of nothing yet
        loss = dataclasses.replace(loss, confidence=0.01)
    stage = wk.Stage(model, loss)
    trained = stage.trainable_variables
    assert trained
    with tf.GradientTape(persistent=True) as tape:
        tape.watch([variable.value for variable in trained])
        terms = {term: tf.reduce_mean(v) for term, v in stage.terms(rows, training=True).items()}
    weights = stage.objective.weights(model)
    assert set(weights) <= set(terms)
    reached = set()
    for term, weight in weights.items():
        assert weight
        gradients = tape.gradient(terms[term], [variable.value for variable in trained])
        moved = {
            place
            for place, gradient in enumerate(gradients)
            if gradient is not None and np.any(gradient)
        }
        assert moved, term
        reached |= moved
    # And no variable is trained by nothing.
    assert reached == set(range(len(trained)))
    before = [variable.numpy() for variable in stage.weights]
    stage.compile("adam", run_eagerly=True)
    stage.train_on_batch(*rows)
    # Running means of the stage's own heads follow what is trained.
    follow = [variable for head in stage.heads for variable in head.non_trainable_variables]
    for variable, old in zip(stage.weights, before, strict=True):
        if any(variable is each for each in follow):
            continue
        is_trained = any(variable is each for each in trained)
        assert np.array_equal(variable.numpy(), old) != is_trained, variable.path


@pytest.mark.parametrize("factor", [0.001, 0.1, 0.6, 1.0, 3.0])
def test_a_scaled_recipe_goes_through_the_pairs_as_much_less_often(factor):
    recipe = recipes.default(facts(("8x8", "8x8"), 80))
    assert recipe.stage("joint").passes > 1
    for stage, scaled in zip(recipe.stages, recipe.scaled(factor).stages, strict=True):
        wanted = max(1.0, factor * stage.epochs * stage.passes)
        assert scaled.epochs * scaled.passes == pytest.approx(wanted, rel=0.35)
        assert scaled.passes <= stage.passes


def test_shares_of_a_recipe_that_were_trained():
    whole = recipes.default(facts(("8x8", "8x8"), classes=10))
    half = whole.scaled(0.5)
    epochs = {stage.name: stage.epochs for stage in half.stages}
    history = {name: {"loss": [0.0] * count} for name, count in epochs.items()}
    history |= {"codec": {"loss": [0.0]}, "flow": {}}
    found = shares_trained(whole, half, history)
    assert "flow" not in found  # which had nothing to do
    assert set(found) == {"codec", *epochs} - {"flow"}
    assert all(share == pytest.approx(0.5, abs=0.2) for share in found.values())
    history["joint"]["loss"] = [0.0]  # stopped before its last epoch
    joint = whole.stage("joint")
    share = half.stage("joint").passes / (joint.epochs * joint.passes)
    assert shares_trained(whole, half, history)["joint"] == pytest.approx(share)
