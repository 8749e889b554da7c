import dataclasses
import json
import math

import pytest

from wyner_keras.latents import Categorical, DiagonalGaussian
from wyner_keras.training import Ramp, Recipe, StageSettings, WrapperSettings, recipe


def test_the_papers_recipe_has_the_papers_settings():
    paper = recipe("paper")
    config = paper.config
    assert (config.z, config.u, config.v) == (
        Categorical(n=1, k=100),
        Categorical(n=20, k=10),
        Categorical(n=20, k=10),
    )
    assert config.hidden == (512, 512, 512)
    assert config.joint_encoder == "free"
    assert config.joint_local == "xy"
    assert (config.common_information_weight, config.two_epsilon_squared) == (0.0, 1e-4)
    assert (config.alignment_weight, config.concept_weight, config.residual) == (0.0, 0.0, False)
    assert paper.pairs_per_class == 5000
    assert (paper.joint.epochs, paper.marginal.epochs) == (50, 50)
    assert paper.joint.temperature.start > paper.joint.temperature.end
    assert paper.joint.learning_rate.start > paper.joint.learning_rate.end
    assert paper.alignment is None
    assert not paper.warm_start
    assert paper.distillation_weight == 0


def test_the_papers_other_reading_of_the_local_size():
    assert recipe("paper", local=(2, 10)).config.v == Categorical(n=2, k=10)


@pytest.mark.parametrize("name", ["annealed", "paper"])
@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_a_recipe_survives_json(name, data):
    original = recipe(name, data, seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert original.config.seed == 3


def test_where_y_has_a_source_of_its_own_what_is_a_sides_follows_its_images():
    small, large = recipe("annealed", "digits"), recipe("annealed", "mnist")
    mixed = recipe("annealed", "digits", data_y="mnist")
    assert (mixed.wrapper, mixed.wrapper_y) == (small.wrapper, large.wrapper)
    assert (mixed.config.u, mixed.config.v) == (DiagonalGaussian(dim=16), DiagonalGaussian(dim=32))
    other = recipe("annealed", "mnist", data_y="digits")
    assert (other.wrapper, other.wrapper_y) == (large.wrapper, small.wrapper)
    # All else is MNIST's.
    config = dataclasses.replace(mixed.config, u=large.config.u)
    wrappers = {"wrapper": large.wrapper, "wrapper_y": None}
    assert dataclasses.replace(mixed, config=config, **wrappers) == large
    assert Recipe.from_dict(json.loads(json.dumps(mixed.to_dict()))) == mixed


@pytest.mark.parametrize("name", ["annealed", "paper"])
@pytest.mark.parametrize("data", ["mnist", "digits"])
def test_two_sources_of_like_images_have_the_recipe_of_one(name, data):
    one = recipe(name, data)
    assert recipe(name, data, data_y=data) == one
    assert "wrapper_y" not in one.to_dict()


def test_y_has_no_wrapper_where_x_has_none():
    bare = dataclasses.replace(recipe("paper"), wrapper=None)
    with pytest.raises(ValueError, match=r"both sides have one, or neither. Received: wrapper_y="):
        dataclasses.replace(bare, wrapper_y=WrapperSettings())


@pytest.mark.parametrize("name", ["annealed", "paper"])
def test_a_longer_recipe_differs_in_epochs_alone(name):
    def epochs(chosen):
        parts = ("wrapper", "wrapper_y", "alignment", "joint", "flow", "marginal", "refinement")
        return {part: each.epochs for part in parts if (each := getattr(chosen, part))}

    one = recipe(name, "mnist", data_y="digits")
    twice = one.longer(2)
    assert epochs(twice) == {part: 2 * number for part, number in epochs(one).items()}
    assert twice.longer(0.5) == one == one.longer(1)
    assert set(epochs(one.longer(1e-3)).values()) == {1}


@pytest.mark.parametrize("factor", [0, -1, math.inf, math.nan])
def test_a_recipe_is_not_made_longer_by_any_number(factor):
    with pytest.raises(ValueError, match=r"`factor` should be a finite number.*Received: factor="):
        recipe().longer(factor)


def test_an_unknown_recipe_is_named_in_the_error():
    with pytest.raises(ValueError, match=r"'annealed', 'paper'.*Received: name='best'"):
        recipe("best")


def test_the_annealed_recipe_sets_its_own_local_size():
    with pytest.raises(ValueError, match=r"Received: local=\(2, 10\)"):
        recipe("annealed", local=(2, 10))


@pytest.mark.parametrize("field", ["epochs", "batch_size"])
def test_counts_are_positive(field):
    with pytest.raises(ValueError, match=f"Received: {field}=0"):
        StageSettings(**{"epochs": 1, "learning_rate": Ramp.constant(1.0), field: 0})
