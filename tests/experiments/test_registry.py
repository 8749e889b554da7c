import dataclasses
import itertools

import numpy as np
import pytest

from experiments.paper import PaperJoint, PaperMarginal, TrainedExpertsJoint, paper_recipe
from experiments.registry import RECIPES, make_sweep
from experiments.studies import FULL, QUICK, WHOLE
from experiments.studies.sweep import local_of
from wyner_keras import recipes, train
from wyner_keras.data import LabelledImages, add_one
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.losses import Joint

COMMON = [Categorical(n=n, k=k) for n, k in ((1, 10), (1, 100), (10, 10), (30, 10))]
LOCAL = [Categorical(n=n, k=k) for n, k in ((2, 10), (5, 10), (20, 10), (30, 10))]


@pytest.fixture
def sweep(facts):
    def make(name, data="mnist", **settings):
        return make_sweep(name, facts[data], **settings)

    return make


def recipes_of(group):
    return [each.recipe for each in group.configurations]


def stages(recipe):
    return [stage.name for stage in recipe.stages]


def test_figure_4_varies_z_for_both_readings_of_u_and_for_the_default_recipe(sweep):
    groups = sweep("4").groups
    fixed = [Categorical(n=20, k=10), Categorical(n=2, k=10), DiagonalGaussian(dim=32)]
    assert ["text" in group.title for group in groups] == [True, False, False]
    assert ["caption" in group.title for group in groups] == [False, True, False]
    for group, local in zip(groups, fixed, strict=True):
        assert [recipe.z for recipe in recipes_of(group)] == COMMON
        for recipe in recipes_of(group):
            assert local_of(recipe, "x") == local_of(recipe, "y") == local
    assert [one.label for one in groups[0].configurations] == [
        *("|Z| = (1, 10)", "|Z| = (1, 100)", "|Z| = (10, 10)", "|Z| = (30, 10)")
    ]


def test_figure_5_varies_u_and_v_and_begins_with_the_degenerate_models(sweep):
    papers, ours = sweep("5").groups
    assert [local_of(recipe) for recipe in recipes_of(papers)] == [None, None, *LOCAL]
    dims = [DiagonalGaussian(dim=dim) for dim in (2, 5, 20, 30)]
    assert [local_of(recipe, "y") for recipe in recipes_of(ours)] == [None, None, *dims]
    for group, z in ((papers, Categorical(n=1, k=100)), (ours, Categorical(n=1, k=10))):
        assert all(recipe.z == z for recipe in recipes_of(group))
        assert [one.label for one in group.configurations][:2] == ["none, with MSE", "none"]


def test_mean_squared_error_is_two_epsilon_squared_of_one_in_every_epoch(sweep):
    for group, variance in zip(sweep("5").groups, (1e-4, 0.04), strict=True):
        squared, plain, *others = recipes_of(group)
        for stage in squared.stages:
            ramp = stage.two_epsilon_squared
            assert ramp.start == ramp.end == 1
        for recipe in (plain, *others):
            assert recipe.stage("joint").two_epsilon_squared.end == variance
        for recipe in (squared, plain):
            assert "flow" not in stages(recipe)
            assert recipe.sides["x"].flow_steps == 0


def test_the_papers_objective_is_the_papers(sweep):
    for name in ("4", "5"):
        for one in sweep(name, recipes=["paper"]).configurations:
            assert [stage.loss for stage in one.recipe.stages] == [PaperJoint(), PaperMarginal()]
            assert not one.slant


def test_the_study_varies_lambda_alone_in_the_papers_objective(sweep):
    weights = [0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5]
    study = sweep("lambda")
    assert study.varies == "lambda"
    assert sweep("4").varies == "size"
    assert not study.over_seeds
    papers, ours = study.groups
    expected = [PaperJoint(common_information_weight=weight) for weight in weights]
    assert [recipe.stage("joint").loss for recipe in recipes_of(papers)] == expected
    expected = [
        TrainedExpertsJoint(common_information_weight=weight, concept_weight=0.0)
        for weight in weights
    ]
    assert [recipe.stage("joint").loss for recipe in recipes_of(ours)] == expected
    for recipe in recipes_of(ours):
        assert stages(recipe) == ["alignment", "joint", "flow", "marginal"]


def test_one_name_is_one_configuration_in_all_sweeps(sweep):
    named = {}
    for name in ("4", "5", "lambda", "seeds", "ablation"):
        for one in sweep(name).configurations:
            same = dataclasses.replace(one, label="")
            assert named.setdefault(one.name, same) == same
    both = {one.name for name in ("4", "5") for one in sweep(name).configurations}
    assert len(both) == 12 + 6 + 6 - 2
    assert len(named) == len(both) + 7 + 7 - 1 + (5 - 1) + 10 * 3
    settings = [(one.recipe, one.slant) for one in named.values()]
    assert not any(a == b for a, b in itertools.combinations(settings, 2))


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_no_stage_is_longer_than_the_size_or_the_recipe_allows(sweep, facts, size):
    for name in ("4", "5", "lambda"):
        for one in sweep(name, "digits", size=size).configurations:
            make = paper_recipe if one.owner == "paper" else recipes.default
            whole = make(facts["digits"])
            assert one.recipe.codecs["x"].epochs <= size.epochs["codec"]
            for stage in one.recipe.stages:
                longest = whole.stage(stage.name)
                assert stage.epochs * stage.passes <= longest.epochs * longest.passes
                assert stage.epochs * stage.passes <= size.epochs[stage.name]
                assert stage.batch_size <= size.batch_size
                assert stage.jit_compile <= size.jit_compile


@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_studies_of_the_default_recipe_leave_it_whole(sweep, facts, data):
    (group,) = sweep("seeds", data, size=WHOLE).groups
    expected = [recipes.default(facts[data], seed=seed) for seed in range(5)]
    assert recipes_of(group) == expected
    assert [one.label for one in group.configurations] == [f"seed {seed}" for seed in range(5)]
    assert WHOLE.inputs is None


# What is removed from each variant's stages, its joint and marginal loss, and its sides.
REMOVED = {
    "no alignment stage": {"alignment"},
    "free encoder": {"alignment", "refinement"},
    "no residual model": set(),
    "no flow": {"flow"},
    "no concept term": {"refinement"},
    "no refinement": {"refinement"},
    "no distillation": set(),
    "q(z|x) of features": set(),
    "slant in the code": set(),
    "fixed 2ε²": set(),
}
JOINT = {
    "no alignment stage": TrainedExpertsJoint(alignment_weight=50.0),
    "free encoder": PaperJoint(of_both=False),
    "no concept term": Joint(concept_weight=0.0),
}
SIDES = {
    "no residual model": {"residual": False},
    "no flow": {"flow_steps": 0},
    "q(z|x) of features": {"reader": "features"},
}


@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_the_ablation_takes_away_one_ingredient_at_a_time(sweep, facts, data):
    default, *groups = sweep("ablation", data, size=WHOLE, seed=2).groups
    assert default.title == "default"
    # q(z|x) is of features anyway in the digits' recipe.
    named = [title for title in REMOVED if data == "mnist" or title != "q(z|x) of features"]
    assert [group.title for group in groups] == named
    for seed, whole in enumerate(recipes_of(default), 2):
        assert whole == recipes.default(facts[data], seed=seed)
        for group in groups:
            variant = group.configurations[seed - 2]
            expected = set(stages(whole)) - REMOVED[group.title]
            assert set(stages(variant.recipe)) == expected
            assert variant.slant == (group.title != "slant in the code")
            for name, side in whole.sides.items():
                changes = SIDES.get(group.title, {})
                assert variant.recipe.sides[name] == dataclasses.replace(side, **changes)
            for stage in variant.recipe.stages:
                changes = {}
                if stage.name == "joint" and group.title in JOINT:
                    noise = {"concept_noise": whole.stage("joint").loss.concept_noise}
                    noise = {} if group.title == "free encoder" else noise
                    changes["loss"] = dataclasses.replace(JOINT[group.title], **noise)
                elif stage.name == "joint" and group.title == "fixed 2ε²":
                    changes["two_epsilon_squared"] = whole.stage("marginal").two_epsilon_squared
                elif stage.name == "marginal" and group.title == "no distillation":
                    loss = whole.stage("marginal").loss
                    changes["loss"] = dataclasses.replace(loss, distillation_weight=0.0)
                assert stage == dataclasses.replace(whole.stage(stage.name), **changes)
    seeds = [one.recipe.seed for one in sweep("ablation").configurations]
    assert seeds == 11 * [0] + 11 * [1] + 11 * [2]


def test_studies_of_the_default_recipe_are_of_no_other(sweep):
    for name in ("seeds", "ablation"):
        assert sweep(name, recipes=["annealed"]).name == sweep(name).name
        with pytest.raises(ValueError, match=r"should have 'annealed'.*Received: .*'paper'"):
            sweep(name, recipes=["paper"])


def test_one_recipe_alone_has_files_of_its_own(sweep):
    assert sweep("4").name == sweep("4", recipes=reversed(RECIPES)).name == "figure-4"
    assert sweep("4", recipes=["paper"]).name == "figure-4-paper"
    assert {one.owner for one in sweep("5", recipes=["annealed"]).configurations} == {"annealed"}


@pytest.mark.parametrize(
    ("name", "recipes", "message"),
    [
        (
            "6",
            ["paper"],
            r"should be one of \['4', '5', 'ablation', 'lambda', 'seeds'\]. Received: name='6'",
        ),
        ("4", [], r"`recipes` should be some of .* Received: recipes=\(\)"),
        ("4", ["paper", "magic"], r"`recipes` should be some of .*'magic'"),
    ],
)
def test_unknown_sweeps_and_recipes_are_refused(sweep, name, recipes, message):
    with pytest.raises(ValueError, match=message):
        sweep(name, recipes=recipes)


@pytest.mark.parametrize(
    ("name", "configuration", "trained"),
    [
        ("5", "annealed-z1x10-unone-mse", "alignment joint marginal refinement"),
        ("5", "paper-z1x100-u2x10", "joint marginal"),
        ("ablation", "annealed-z1x10-u16-free-encoder", "joint flow marginal"),
    ],
)
def test_what_recipes_become_can_be_trained(sweep, eager, name, configuration, trained):
    """A step or two of each stage, with narrow networks on 8x8 noise."""
    (chosen,) = (
        each.recipe
        for each in sweep(name, data="digits", size=QUICK).configurations
        if each.name == configuration
    )
    few = {Categorical: {"n": 1}, DiagonalGaussian: {"dim": 2}}
    sides = {
        name: dataclasses.replace(
            side,
            hidden=(8,),
            local=side.local and dataclasses.replace(side.local, **few[type(side.local)]),
            flow_steps=min(1, side.flow_steps),
        )
        for name, side in chosen.sides.items()
    }
    stages = tuple(
        dataclasses.replace(stage, epochs=1, passes=1, batch_size=40, jit_compile=False)
        for stage in chosen.stages
    )
    codecs = dict.fromkeys(chosen.codecs)
    chosen = dataclasses.replace(chosen, sides=sides, stages=stages, codecs=codecs)
    rng = np.random.default_rng(0)
    digits = LabelledImages(rng.random((80, 8, 8, 1), dtype=np.float32), np.arange(80) % 10)
    done = train(add_one(digits, 8), chosen, verbose=0)
    assert list(done.history) == ["codec", *trained.split()]
    assert np.isfinite(list(done.history["marginal"].values())).all()
