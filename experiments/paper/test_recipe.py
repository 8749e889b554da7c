import json

from experiments.paper import paper_recipe
from wyner_keras.latents import Categorical
from wyner_keras.training import Recipe


def test_the_papers_recipe_has_the_papers_settings():
    paper = paper_recipe()
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
    assert paper_recipe(local=(2, 10)).config.v == Categorical(n=2, k=10)


def test_the_recipe_survives_json():
    original = paper_recipe(seed=3)
    assert Recipe.from_dict(json.loads(json.dumps(original.to_dict()))) == original
    assert original.config.seed == 3
