import dataclasses
import itertools

import numpy as np
import pytest

from experiments.paper import paper_recipe
from experiments.registry import RECIPES, make_sweep
from experiments.studies import FULL, QUICK, WHOLE
from wyner_keras.data import ImageSource, LabelledImages
from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.training import Recipe, recipe, train
from wyner_keras.training.settings import STAGES

COMMON = [Categorical(n=n, k=k) for n, k in ((1, 10), (1, 100), (10, 10), (30, 10))]
LOCAL = [Categorical(n=n, k=k) for n, k in ((2, 10), (5, 10), (20, 10), (30, 10))]
PAPER = paper_recipe().config
ANNEALED = recipe().config


def configs(group):
    return [each.recipe.config for each in group.configurations]


def test_figure_4_varies_z_for_both_readings_of_u_and_for_the_default_recipe():
    groups = make_sweep("4").groups
    fixed = [Categorical(n=20, k=10), Categorical(n=2, k=10), DiagonalGaussian(dim=32)]
    assert ["text" in group.title for group in groups] == [True, False, False]
    assert ["caption" in group.title for group in groups] == [False, True, False]
    for group, local in zip(groups, fixed, strict=True):
        assert [config.z for config in configs(group)] == COMMON
        assert all(config.u == config.v == local for config in configs(group))
    assert [one.label for one in groups[0].configurations] == [
        "|Z| = (1, 10)",
        "|Z| = (1, 100)",
        "|Z| = (10, 10)",
        "|Z| = (30, 10)",
    ]


def test_figure_5_varies_u_and_v_and_begins_with_the_degenerate_models():
    papers, ours = make_sweep("5").groups
    assert [config.u for config in configs(papers)] == [None, None, *LOCAL]
    dims = [DiagonalGaussian(dim=dim) for dim in (2, 5, 20, 30)]
    assert [config.u for config in configs(ours)] == [None, None, *dims]
    for group, z in ((papers, Categorical(n=1, k=100)), (ours, Categorical(n=1, k=10))):
        assert all(config.z == z and config.v == config.u for config in configs(group))
        assert [one.label for one in group.configurations][:2] == ["none, with MSE", "none"]


def test_mean_squared_error_is_two_epsilon_squared_of_one_in_every_epoch():
    for group, other in zip(make_sweep("5").groups, (PAPER, ANNEALED), strict=True):
        squared, plain, *others = group.configurations
        assert squared.recipe.config.two_epsilon_squared == 1
        assert squared.recipe.joint.two_epsilon_squared is None
        assert plain.recipe.config.two_epsilon_squared == other.two_epsilon_squared
        for one in (squared, plain):
            assert one.recipe.flow is None
            assert one.recipe.config.flow_steps == 0
        for one in others:
            assert one.recipe.config.two_epsilon_squared == other.two_epsilon_squared
            assert one.recipe.config.flow_steps == other.flow_steps


def test_the_papers_objective_and_networks_are_the_papers():
    for name in ("4", "5"):
        for one in make_sweep(name, recipes=["paper"]).configurations:
            config = one.recipe.config
            assert (config.joint_encoder, config.joint_local) == ("free", "xy")
            assert config.common_information_weight == config.alignment_weight == 0
            assert config.hidden == (512, 512, 512)
            assert one.recipe.alignment is one.recipe.refinement is None
            assert one.recipe.pairs_per_class == 5000


def test_the_study_varies_lambda_alone_in_the_papers_objective():
    weights = [0, 0.1, 0.25, 0.5, 0.75, 0.95, 1.5]
    study = make_sweep("lambda")
    assert study.varies == "lambda"
    assert make_sweep("4").varies == "size"
    assert not study.over_seeds
    for group in study.groups:
        varied = configs(group)
        assert [config.common_information_weight for config in varied] == weights
        assert len({config.z for config in varied}) == len({config.u for config in varied}) == 1
        for one in group.configurations:
            # Otherwise λ would weigh on nothing that is trained, or against 50 times its weight.
            assert one.recipe.train_experts
            assert one.recipe.config.alignment_weight == one.recipe.config.concept_weight == 0
            assert one.recipe.joint.concept_weight is None
            assert one.recipe.refinement is None
    papers, ours = study.groups
    assert all(one.recipe.alignment is None for one in papers.configurations)
    assert all(one.recipe.alignment is not None for one in ours.configurations)


def test_one_name_is_one_recipe_in_all_sweeps_and_figures_share_what_is_the_same():
    named: dict[str, Recipe] = {}
    for name in ("4", "5", "lambda"):
        for one in make_sweep(name).configurations:
            assert named.setdefault(one.name, one.recipe) == one.recipe
    recipes = list(named.values())
    assert not any(a == b for a, b in itertools.combinations(recipes, 2))
    both = {one.name for name in ("4", "5") for one in make_sweep(name).configurations}
    assert len(both) == 12 + 6 + 6 - 2
    assert len(named) == len(both) + 7 + 7 - 1


@pytest.mark.parametrize("size", [FULL, QUICK])
def test_no_stage_is_longer_than_the_size_or_the_recipe_allows(size):
    for name in ("4", "5", "lambda"):
        for one in make_sweep(name, size=size).configurations:
            whole = paper_recipe() if one.recipe.name == "paper" else recipe()
            assert one.recipe.pairs_per_class <= min(size.pairs_per_class, whole.pairs_per_class)
            assert one.recipe.wrapper.epochs <= min(size.epochs["wrapper"], whole.wrapper.epochs)
            for stage in STAGES:
                settings = getattr(one.recipe, stage)
                if settings is not None:
                    allowed = min(size.epochs[stage], getattr(whole, stage).epochs)
                    assert settings.epochs == allowed
                    assert settings.jit_compile <= size.jit_compile


def test_the_two_figures_fit_into_three_hours():
    """At 20.8 s for an epoch of the paper's recipe beside other work, and 4 s for a flow's."""
    everything = {one.name: one for name in ("4", "5") for one in make_sweep(name).configurations}
    seconds = sum(
        settings.epochs * (4.0 if stage == "flow" else 20.8)
        for one in everything.values()
        for stage in STAGES
        if (settings := getattr(one.recipe, stage)) is not None
    )
    assert seconds < 0.9 * 3 * 3600


@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_studies_of_the_default_recipe_leave_it_whole(data):
    (group,) = make_sweep("seeds", data=data, size=WHOLE).groups
    seeds = [one.recipe.config.seed for one in group.configurations]
    assert seeds == [0, 1, 2, 3, 4]
    assert [one.label for one in group.configurations] == [f"seed {seed}" for seed in seeds]
    for one, seed in zip(group.configurations, seeds, strict=True):
        assert one.recipe == recipe(data, seed=seed)
    assert WHOLE.inputs is None


# What each variant's recipe and config have that the default's have not.
CHANGES = {
    "no alignment stage": ({"alignment": None, "train_experts": True}, {}),
    "free encoder": (
        {"alignment": None, "train_experts": True, "refinement": None},
        {"joint_encoder": "free", "alignment_weight": 0.0, "concept_weight": 0.0},
    ),
    "no residual model": ({}, {"residual": False}),
    "no flow": ({"flow": None}, {"flow_steps": 0}),
    "no concept term": ({"refinement": None}, {"concept_weight": 0.0}),
    "no refinement": ({"refinement": None}, {}),
    "no distillation": ({"distillation_weight": 0.0}, {}),
    "q(z|x) of features": ({}, {"marginal_encoder": "features"}),
    "slant in the code": ({}, {}),
    "fixed 2ε²": ({}, {}),
}
JOINT = {
    "free encoder": {"concept_weight": 0.0},
    "no concept term": {"concept_weight": 0.0},
    "fixed 2ε²": {"two_epsilon_squared": None},
}


@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_the_ablation_takes_away_one_ingredient_at_a_time(data):
    default, *groups = make_sweep("ablation", data=data, size=WHOLE, seed=2).groups
    assert default.title == "default"
    # q(z|x) is of features anyway in the digits' recipe.
    named = [title for title in CHANGES if data == "mnist" or title != "q(z|x) of features"]
    assert [group.title for group in groups] == named
    for seed, whole in enumerate(default.configurations, 2):
        assert whole.recipe == recipe(data, seed=seed)
        for group in groups:
            variant = group.configurations[seed - 2].recipe
            changes, config = CHANGES[group.title]
            expected = dataclasses.replace(
                whole.recipe,
                config=dataclasses.replace(whole.recipe.config, **config),
                joint=dataclasses.replace(whole.recipe.joint, **JOINT.get(group.title, {})),
                **changes,
            )
            if group.title == "slant in the code":
                wrapper = dataclasses.replace(expected.wrapper, slant=False)
                expected = dataclasses.replace(expected, wrapper=wrapper)
            assert variant == expected != whole.recipe, group.title


def test_studies_share_the_first_seed_with_all_sweeps_and_train_seed_by_seed():
    named: dict[str, Recipe] = {}
    for name in ("4", "seeds", "ablation"):
        for one in make_sweep(name).configurations:
            assert named.setdefault(one.name, one.recipe) == one.recipe
    assert not any(a == b for a, b in itertools.combinations(named.values(), 2))
    assert len(named) == 12 + (5 - 1) + 10 * 3
    seeds = [one.recipe.config.seed for one in make_sweep("ablation").configurations]
    assert seeds == 11 * [0] + 11 * [1] + 11 * [2]


def test_studies_of_the_default_recipe_are_of_no_other():
    for name in ("seeds", "ablation"):
        assert make_sweep(name, recipes=["annealed"]) == make_sweep(name)
        with pytest.raises(ValueError, match=r"should have 'annealed'.*Received: .*'paper'"):
            make_sweep(name, recipes=["paper"])


def test_one_recipe_alone_has_files_of_its_own():
    assert make_sweep("4").name == make_sweep("4", recipes=reversed(RECIPES)).name == "figure-4"
    assert make_sweep("4", recipes=["paper"]).name == "figure-4-paper"
    assert {one.recipe.name for one in make_sweep("5", recipes=["annealed"]).configurations} == {
        "annealed"
    }


def test_seed_and_sizes_of_the_data_reach_every_configuration():
    for one in make_sweep("5", data="digits", seed=3).configurations:
        assert one.recipe.config.seed == 3
    ours = make_sweep("4", recipes=["annealed"], data="digits").configurations[0].recipe.config
    assert ours.u == recipe("digits").config.u


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
def test_unknown_sweeps_and_recipes_are_refused(name, recipes, message):
    with pytest.raises(ValueError, match=message):
        make_sweep(name, recipes=recipes)


@pytest.mark.parametrize(
    ("name", "configuration", "stages"),
    [
        ("4", "annealed-z10x10-u16", {*STAGES}),
        ("5", "annealed-z1x10-unone-mse", {"alignment", "joint", "refinement", "marginal"}),
        ("lambda", "annealed-z1x10-u16-lambda1.5", {"alignment", "joint", "flow", "marginal"}),
        ("ablation", "annealed-z1x10-u16-free-encoder", {"joint", "flow", "marginal"}),
    ],
)
def test_what_the_default_recipe_becomes_can_be_trained(name, configuration, stages, one_step):
    """One step of each stage, with narrow networks on 8x8 noise."""
    (chosen,) = (
        each.recipe
        for each in make_sweep(name, recipes=["annealed"], data="digits", size=QUICK).configurations
        if each.name == configuration
    )
    config = dataclasses.replace(
        chosen.config, hidden=(8,), flow_steps=min(1, chosen.config.flow_steps)
    )
    batches = {
        stage: dataclasses.replace(getattr(chosen, stage), batch_size=40) for stage in stages
    }
    chosen = dataclasses.replace(chosen, config=config, pairs_per_class=8, wrapper=None, **batches)
    rng = np.random.default_rng(0)
    digits = LabelledImages(rng.random((80, 8, 8, 1), dtype=np.float32), np.arange(80) % 10)
    trained = train(ImageSource("noise", digits, digits), chosen, verbose=0)
    assert set(one_step) == set(trained.history) == stages
    assert np.isfinite([values for values in trained.history["marginal"].values()]).all()
